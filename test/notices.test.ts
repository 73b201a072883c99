/** The notices of what a bundle has inside, on packages that are made up. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { noticesOf, noticesPage, packagesOf } from "../scripts/notices.mjs"
import { lackingOf } from "../scripts/packNotices.mjs"

type Files = Readonly<Record<string, string>>

/** A directory with packages, by the paths of their files below `node_modules`; gives what `use` does with its paths. */
const within = <A>(files: Files, use: (at: (name: string) => string) => A): A => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-notices-"))
  const at = (name: string): string => path.join(directory, "node_modules", name)
  try {
    for (const [name, text] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(at(name)), { recursive: true })
      fs.writeFileSync(at(name), text)
    }
    return use(at)
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const manifest = (name: string, license: unknown): string => JSON.stringify({ name, version: "1.2.3", license })

/** What the notices of one package say, or why there are none. */
const ofOne = (license: unknown, others: Files = { LICENSE: "may be used" }): string => {
  const files = Object.entries({ "package.json": manifest("one", license), ...others })
  return within(Object.fromEntries(files.map(([name, text]) => [`one/${name}`, text])), (at) => {
    try {
      return noticesOf([at("one")], "inside:")
    } catch (error) {
      return String(error)
    }
  })
}

describe("the notices", () => {
  it("have each package once, the ones inside others and those of scopes, and nothing that is no package", () => {
    const files = {
      "@scope/b/package.json": manifest("@scope/b", "ISC"),
      "@scope/b/LICENSE.md": "text of b",
      "@scope/b/dist/x.js": "",
      "@scope/b/dist/y.js": "",
      "@scope/b/node_modules/a/package.json": manifest("a", "MIT"),
      "@scope/b/node_modules/a/licence": "text of a",
      "@scope/b/node_modules/a/dist/package.json": "{}",
      "@scope/b/node_modules/a/dist/a.js": ""
    }
    within(files, (at) => {
      const places = ["dist/y.js", "dist/x.js", "node_modules/a/dist/a.js"].map((name) => at(`@scope/b/${name}`))
      const rule = "-".repeat(80)
      assert.strictEqual(
        noticesOf([...places, path.join(os.tmpdir(), "src", "own.js")], "inside:"),
        `inside:\n\n@scope/b 1.2.3 (ISC)\n\ntext of b\n\n${rule}\n\na 1.2.3 (MIT)\n\ntext of a\n`
      )
      assert.strictEqual(
        noticesPage([at("@scope/b")], "Others' work"),
        "# Others' work\n\n## @scope/b 1.2.3 (ISC)\n\n~~~~~~~~text\ntext of b\n~~~~~~~~\n"
      )
    })
  })

  it("are refused for a licence that is not allowed, by the name of the package", () => {
    for (
      const license of ["MIT", "(MIT OR GPL-3.0-only)", "(MIT AND ISC) OR GPL-3.0-only", "Apache-2.0 AND BSD-3-Clause"]
    ) {
      assert.include(ofOne(license), "may be used", license)
    }
    for (const license of ["GPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT", "MIT ISC", "", "SEE LICENSE IN LICENSE"]) {
      assert.match(ofOne(license), /^Error: one is under .*, which is not among the licences/, license)
    }
    assert.match(ofOne(undefined), /^Error: one says nothing of its licence/)
    assert.match(ofOne({ type: "MIT" }), /^Error: one says nothing of its licence/)
  })

  it("are refused without the text of a licence, unless it is given", () => {
    assert.match(ofOne("MIT", { "README.md": "MIT" }), /^Error: one has no text of its licence/)
    within({ "one/package.json": manifest("one", "MIT") }, (at) => {
      assert.include(noticesOf([at("one")], "inside:", { one: "its text" }), "one 1.2.3 (MIT)\n\nits text")
    })
  })

  it("have every licence text of a package, and its NOTICE", () => {
    const text = ofOne("Apache-2.0 OR MIT", {
      "LICENSE-APACHE": "text of Apache",
      "LICENSE-MIT.txt": "text of MIT",
      NOTICE: "who made it",
      "ThirdPartyNotices.txt": "who else made it",
      "license-check.js": "no licence"
    })
    assert.include(text, "text of Apache\n\ntext of MIT\n\nwho made it\n\nwho else made it\n")
    assert.notInclude(text, "no licence")
  })

  it("have what the files that are inside say of code from elsewhere, once, and no more of comments", () => {
    const code = [
      "/*////////\nCopyright (c) 2012 Somebody\n * may be copied\n////////*/",
      "/** Sets the copyright of a document. */",
      "// (c) 2013 Another",
      "// may be copied, too",
      "",
      "const a = \"/* Copyright (c) 2014 Nobody */\" // not 2015"
    ]
    const files = {
      "one/package.json": manifest("one", "MIT"),
      "one/LICENSE": "Copyright (c) 2011 One",
      "one/x.js": code.join("\n"),
      "one/y.js": "// Copyright (c)  2011 One\n// Copyright (c) 2012 Nobody",
      "one/z.js": code[0]
    }
    within(files, (at) => {
      assert.deepStrictEqual(packagesOf([at("one/z.js"), at("one/x.js")])[0].texts, [
        "Copyright (c) 2011 One",
        "x.js says:\n\nCopyright (c) 2012 Somebody\nmay be copied",
        "x.js says:\n\n(c) 2013 Another\nmay be copied, too"
      ])
      assert.deepStrictEqual(packagesOf([at("one")])[0].texts, ["Copyright (c) 2011 One"])
    })
  })
})

describe("the notices of the packed command", () => {
  const one = { name: "one", version: "1.2.3", license: "MIT", texts: ["text of one", "its notice"] }
  const two = { name: "@scope/two", version: "2.0.0-rc.1", license: "(MIT OR ISC)", texts: ["text of two"] }
  const whole = "one 1.2.3 (MIT)\n\ntext of one\n\nits notice\n\n@scope/two 2.0.0-rc.1 ((MIT OR ISC))\n\ntext of two\n"

  it("lack a package whose name, version or one of whose texts is not there, and have none that is not inside", () => {
    assert.deepStrictEqual(lackingOf(whole, [one, two]), { lacking: [], needless: [] })
    assert.deepStrictEqual(lackingOf(whole.replace("its notice", ""), [one, two]).lacking, ["one"])
    assert.deepStrictEqual(lackingOf(whole.replace("2.0.0", "2.0.1"), [one, two]), {
      lacking: ["@scope/two"],
      needless: ["@scope/two 2.0.1-rc.1 ((MIT OR ISC))"]
    })
    assert.deepStrictEqual(lackingOf(whole, [two]).needless, ["one 1.2.3 (MIT)"])
  })
})
