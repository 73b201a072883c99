/** What the package is, apart from what it does: its import graph, and the scripts that check it. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { docComments } from "../scripts/docsBlocks.mjs"
import { firstMissing, promisedLines } from "../scripts/examples.mjs"
import { problemsOf, readmeProblems } from "../scripts/rooms.mjs"
import { findArchive, releaseSources, toDeb822 } from "../src/cli/internal/server/aptSources.mjs"

const root = path.resolve(import.meta.dirname, "..")

/** The built-in modules that a fresh process has loaded after importing a file of `src`. */
const builtinsAfterImporting = (file: string): ReadonlyArray<string> => {
  const program = `await import(${JSON.stringify(path.join(root, "src", file))})
    console.log(JSON.stringify(process.moduleLoadList))`
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" })
  const loaded: ReadonlyArray<string> = JSON.parse(output)
  return loaded.filter((name) => name.startsWith("NativeModule ")).map((name) => name.slice("NativeModule ".length))
}

describe("the import graph", () => {
  const heavy = ["net", "tls", "crypto", "fs/promises", "child_process"]

  it("importing the root loads nothing of Node that its first client, or none, needs", () => {
    const builtins = builtinsAfterImporting("index.ts")
    assert.deepStrictEqual(heavy.filter((name) => builtins.includes(name)), [])
  })

  it("importing the testing module does load some of it, so the check above can see it", () => {
    const builtins = builtinsAfterImporting("testing/index.ts")
    assert.deepStrictEqual(heavy.filter((name) => builtins.includes(name)), ["net", "tls", "crypto", "child_process"])
  })
})

/** The modules of `effect` that a fresh process has loaded after importing a file of `src`. */
const modulesAfterImporting = (file: string): ReadonlyArray<string> => {
  const program = `import { registerHooks } from "node:module"
    const urls = []
    registerHooks({
      resolve: (specifier, context, next) => {
        const resolved = next(specifier, context)
        urls.push(resolved.url)
        return resolved
      }
    })
    await import(${JSON.stringify(path.join(root, "src", file))})
    console.log(JSON.stringify(urls))`
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" })
  const urls: ReadonlyArray<string> = JSON.parse(output)
  return urls.flatMap((url) => /\/node_modules\/effect\/dist\/(.*)\.js$/.exec(url)?.[1] ?? [])
}

describe("the modules of effect", () => {
  it("of the root are none of HTTP, and those of NatsHealthHttp are", () => {
    // The schemas of effect stand on its headers and cookies.
    const http = (file: string) => modulesAfterImporting(file).filter((name) => name.startsWith("http/Http"))
    assert.deepStrictEqual(http("index.ts"), [])
    assert.include(http("NatsHealthHttp.ts"), "http/HttpRouter")
  })
})

describe("the rooms", () => {
  /** What the check says of a file that begins with a blank line and then has this one. */
  const said = (name: string, line: string): ReadonlyArray<string> => problemsOf(name, `\n${line}\n`)
  const passes = (name: string, line: string): void => assert.deepStrictEqual(said(name, line), [])
  const breaks = (name: string, line: string, rule: RegExp): void => {
    const [found, ...others] = said(name, line)
    assert.deepStrictEqual(others, [])
    assert.include(found, `${name}:2: `)
    assert.match(found, rule)
  }

  it("a room imports core, itself and the rooms that the table names; core imports none", () => {
    passes("src/testing/TestNatsServer.ts", `import { x } from "../NatsClient.ts"`)
    passes("src/testing/TestNatsServer.ts", `import { x } from "./internal/serverProcess.ts"`)
    passes("src/cluster/Sharding.ts", `import { x } from "../jetstream/JetStream.ts"`)
    breaks("src/testing/TestNatsServer.ts", `import { x } from "../jetstream/JetStream.ts"`, /may import core only/)
    breaks("src/service/NatsRpc.ts", `import type { x } from "../testing/TestOperator.ts"`, /may import core only/)
    breaks("src/cluster/Sharding.ts", `import { x } from "../jetstream/internal/pull.ts"`, /internal to the room/)
    breaks("src/elsewhere/Thing.ts", `import { x } from "../NatsClient.ts"`, /not in the table of rooms/)
    breaks("src/internal/wire/dial.ts", `import { x } from "../../testing/index.ts"`, /core may not know/)
    breaks("src/NatsClient.ts", `export * from "./service/NatsRpc.ts"`, /core may not know/)
    breaks("src/index.ts", `export * as NatsHealthHttp from "./NatsHealthHttp.ts"`, /is apart/)
  })

  it("a room imports of internal what has a door", () => {
    passes("src/service/NatsRpc.ts", `import { x } from "../internal/payload/codec.ts"`)
    breaks("src/service/NatsRpc.ts", `import { x } from "../internal/connection/connection.ts"`, /no door/)
    breaks("src/testing/internal/a.ts", `import type { x } from "../../internal/protocol/parser.ts"`, /no door/)
  })

  it("inside core no import goes up, and a room of internal imports what its line names", () => {
    passes("src/internal/wire/dial.ts", `import { x } from "../protocol/info.ts"`)
    passes("src/NatsClient.ts", `import { x } from "./internal/operations/client.ts"`)
    passes("src/internal/operations/client.ts", `import type { x } from "../../NatsClient.ts"`)
    passes("src/NatsMessage.ts", `import type { x } from "./NatsClient.ts"`)
    breaks("src/internal/operations/client.ts", `import { x } from "../../NatsClient.ts"`, /goes up/)
    breaks("src/internal/operations/client.ts", `import { type x, y } from "../../NatsClient.ts"`, /goes up/)
    breaks("src/internal/protocol/info.ts", `import type { x } from "../wire/session.ts"`, /goes up/)
    breaks("src/internal/delivery/message.ts", `const x = await import("../connection/connection.ts")`, /goes up/)
    breaks("src/NatsError.ts", `import { x } from "./NatsClient.ts"`, /goes up/)
    breaks("src/NatsMessage.ts", `import type { x } from "./internal/delivery/message.ts"`, /goes up/)
    breaks("src/internal/connection/connection.ts", `import { x } from "../subject/rules.ts"`, /may import: wire\//)
    breaks(
      "src/internal/protocol/info.ts",
      `import { x } from "../../internal/elsewhere/a.ts"`,
      /no place in the order/
    )
    assert.match(said("src/internal/stray.ts", "")[0], /^src\/internal\/stray\.ts:1: .* no place in the order/)
    assert.match(
      said("src/internal/elsewhere/a.ts", "")[0],
      /^src\/internal\/elsewhere\/a\.ts:1: .* no place in the order/
    )
  })

  it("protocol, identity and the rules of subjects import no values of effect, by no detour either", () => {
    passes("src/internal/protocol/info.ts", `import type * as Effect from "effect/Effect"`)
    passes("src/internal/subject/template.ts", `import * as Effect from "effect/Effect"`)
    breaks("src/internal/protocol/info.ts", `import * as Effect from "effect/Effect"`, /free of them/)
    breaks("src/internal/identity/jwt.ts", `import { type A, b } from "effect/Option"`, /free of them/)
    breaks("src/internal/subject/tokens.ts", `import * as Option from "effect/Option"`, /free of them/)
    breaks("src/internal/subject/rules.ts", `import { x } from "./template.ts"`, /not free of effect/)
  })

  it("node: stands in the rooms that are for it", () => {
    passes("src/internal/wire/dial.ts", `import * as net from "node:net"`)
    passes("src/testing/internal/a.ts", `import * as net from "node:net"`)
    breaks(
      "src/internal/connection/connection.ts",
      `import type * as net from "node:net"`,
      /stands in internal\/wire\//
    )
    breaks("src/NatsClient.ts", `const fs = process.getBuiltinModule("node:fs")`, /stands in internal\/wire\//)
    breaks("src/internal/wire/dial.ts", `import * as net from "net"`, /is written "node:net"/)
  })

  it("nobody imports a barrel, what consumers lack, or what is outside src", () => {
    passes("src/NatsClient.ts", `import * as Effect from "effect/Effect"`)
    breaks("src/NatsClient.ts", `import { Effect } from "effect"`, /barrel/)
    breaks("src/NatsClient.ts", `import { x } from "vitest"`, /not among the dependencies/)
    breaks("src/NatsClient.ts", `import { x } from "../test/fixtures/x.ts"`, /outside src/)
    passes("src/cli/internal/server/unpack.ts", `import { unzipSync } from "fflate"`)
    breaks("src/NatsClient.ts", `import { unzipSync } from "fflate"`, /not among the dependencies/)
    passes("src/NatsClient.ts", `const given = text("from", "URL")`)
    breaks("examples/quickstart.ts", `import { x } from "effect-nats/internal/wire/dial"`, /is internal/)
    breaks("examples/quickstart.ts", `import { x } from "../src/NatsClient.ts"`, /no.* a public path/)
    breaks("examples/shop/stock.ts", `import { x } from "../../src/NatsClient.ts"`, /no.* a public path/)
    passes("examples/starter/test/service.test.ts", `import { x } from "../src/service.ts"`)
    breaks("examples/quickstart.ts", `import { NodeRuntime } from "@effect/platform-node"`, /by its own path/)
    passes("examples/quickstart.ts", `import * as NodeRuntime from "@effect/platform-node/NodeRuntime"`)
  })

  it("each room opens with what it is, and names files that are there", () => {
    const opening = "# wire\n\nOne dial.\n\n- May not.\n- Start with `dial.ts`.\n"
    assert.deepStrictEqual(readmeProblems(opening, (name: string) => name === "dial.ts"), [])
    assert.deepStrictEqual(readmeProblems(opening, () => false), ["6: there is no dial.ts in this room"])
    assert.deepStrictEqual(readmeProblems("", () => true), ["1: a room opens with what it is"])
    assert.deepStrictEqual(readmeProblems("# wire\n", () => true), ["1: a room opens with what it is"])
  })

  it("there is one dialect", () => {
    const stands = /stands beside its if/
    breaks("src/NatsClient.ts", "if (a) {\n  return b\n}", stands)
    breaks("test/x.test.ts", "  } else if (a) {\n    throw b\n  }", stands)
    passes("src/NatsClient.ts", "if (a) return b")
    passes("src/NatsClient.ts", "if (a) {\n  return b\n} else {\n  c()\n}")
    passes("src/NatsClient.ts", "if (a) {\n  b()\n}")
    const long = "b".repeat(107)
    breaks("src/NatsClient.ts", `if (a) {\n  return ${long.slice(1)}\n}`, stands)
    passes("src/NatsClient.ts", `if (a) {\n  return ${long}\n}`)
    breaks("src/NatsClient.ts", "  readonly #a = 1", /is private, and not #/)
    // Taken apart, as this file is read by the check, too.
    breaks("bench/run.ts", `  return this.${"#"}a`, /is private, and not #/)
    passes("src/NatsClient.ts", `// this.${"#"}a`)
  })
})

describe("the documents' blocks", () => {
  it("are read from doc comments, each line where it stands", () => {
    const source = [
      "/** One line: ```ts */",
      "const text = `",
      "```ts",
      "`",
      "  /**",
      "   * What it is.",
      "   *",
      "   * ```ts",
      "   * const a = {",
      "   *   b: 1",
      "   * }",
      "   * ```",
      "   */",
      "const b = 1"
    ]
    assert.deepStrictEqual(
      docComments(source.join("\n")).split("\n"),
      ["", "", "", "", "", "What it is.", "", "```ts", "const a = {", "  b: 1", "}", "```", "", ""]
    )
  })
})

describe("the promises of examples", () => {
  const header = "/**\n * Shows a thing.\n *\n * Prints:\n *   connected to …:4222\n *   done\n */\n"

  it("are the lines below `Prints:`, and a header without them promises nothing", () => {
    assert.deepStrictEqual(promisedLines(header), ["connected to …:4222", "done"])
    assert.isUndefined(promisedLines("/** Shows a thing. */\n"))
    assert.isUndefined(promisedLines("const a = 1\n"))
  })

  it("are kept when every line appears, in order, with any text for the ellipsis", () => {
    const promised = ["connected to …:4222", "done"]
    assert.isUndefined(firstMissing(promised, "hello\n\u001b[32mconnected to 127.0.0.1:4222\u001b[0m\n\ndone\n"))
    assert.strictEqual(firstMissing(promised, "done\nconnected to 127.0.0.1:4222\n"), "done")
    assert.strictEqual(firstMissing(promised, "connected to 127.0.0.1:4223\ndone\n"), "connected to …:4222")
    assert.strictEqual(firstMissing(promised, "connected to 127.0.0.1:4222\ndone, almost\n"), "done")
  })
})

describe("the set-up", () => {
  /** What is read of a machine's apt directory and os-release, written from the given files. */
  const read = <A>(
    osRelease: string,
    files: Readonly<Record<string, string>>,
    use: (places: { readonly etc: string; readonly osRelease: string }) => A
  ): A => {
    const etc = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-apt-"))
    try {
      fs.mkdirSync(path.join(etc, "sources.list.d"))
      for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(etc, name), text)
      fs.writeFileSync(path.join(etc, "os-release"), osRelease)
      return use({ etc, osRelease: path.join(etc, "os-release") })
    } finally {
      fs.rmSync(etc, { recursive: true })
    }
  }
  const machine = (osRelease: string, files: Readonly<Record<string, string>>): ReturnType<typeof findArchive> =>
    read(osRelease, files, findArchive)
  const bookworm = "ID=debian\nVERSION_CODENAME=bookworm\n"

  it("finds Debian's archive in one-line sources, among lists of others", () => {
    const found = machine(bookworm, {
      "sources.list":
        "# deb http://old.invalid/debian bookworm main\ndeb [arch=amd64 signed-by=/keys/d.gpg] http://d.invalid/debian bookworm main contrib # why\ndeb http://d.invalid/debian bookworm-updates main\n",
      "sources.list.d/a.list":
        "deb http://other.invalid/apt bookworm stable\ndeb http://like.invalid/apt bookworm main\n"
    })
    assert.deepStrictEqual(found?.archives.map(({ uri }) => uri), [
      "http://d.invalid/debian",
      "http://like.invalid/apt"
    ])
    assert.strictEqual(found?.archives[0]?.signedBy, "/keys/d.gpg")
    assert.deepStrictEqual(found?.suites, ["sid", "trixie", "bookworm"])
  })

  it("finds it in deb822 sources, with an armoured key and without disabled stanzas", () => {
    const key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME\n -----END PGP PUBLIC KEY BLOCK-----"
    const found = machine(bookworm, {
      "sources.list.d/debian.sources":
        `Types: deb deb-src\n# a comment\nURIs: https://d.invalid/debian\nSuites: bookworm bookworm-updates\nComponents: main\n${key}\n\nTypes: deb\nEnabled: no\nURIs: https://off.invalid/debian\nSuites: bookworm\nComponents: main\n`,
      "sources.list.d/debian.sources.disabled":
        "Types: deb\nURIs: https://no.invalid\nSuites: bookworm\nComponents: main\n"
    })
    assert.deepStrictEqual(found?.archives.map(({ uri }) => uri), ["https://d.invalid/debian"])
    const stanza = found === undefined ? "" : toDeb822(found.archives[0], "sid", found.component)
    assert.strictEqual(
      stanza,
      `Types: deb\nURIs: https://d.invalid/debian\nSuites: sid\nComponents: main\n${key}\n`
    )
  })

  it("takes a browser from the suites of the machine's release, with their updates, and from no other list", () => {
    const files = {
      "sources.list.d/debian.sources":
        "Types: deb\nURIs: http://d.invalid/debian\nSuites: bookworm bookworm-updates bookworm-backports sid\nComponents: main contrib\n\nTypes: deb\nURIs: http://s.invalid/security\nSuites: bookworm-security\nComponents: main\nSigned-By: /keys/d.gpg\n",
      "sources.list.d/other.list": "deb http://other.invalid/apt bookworm-pgdg main\n"
    }
    const suitesOf = (osRelease: string) => read(osRelease, files, releaseSources).map(({ suite, uri }) => [uri, suite])
    assert.deepStrictEqual(suitesOf(bookworm), [
      ["http://d.invalid/debian", "bookworm"],
      ["http://d.invalid/debian", "bookworm-updates"],
      ["http://s.invalid/security", "bookworm-security"]
    ])
    assert.deepStrictEqual(suitesOf("ID=debian\nVERSION_CODENAME=later\n"), [["http://d.invalid/debian", "sid"]])
    assert.deepStrictEqual(suitesOf("ID=other\n"), [])
  })

  it("looks in universe on Ubuntu and its relatives, and nowhere on systems without such an archive", () => {
    const sources = "deb http://u.invalid/ubuntu noble main universe\ndeb http://u.invalid/ubuntu noble-updates main\n"
    const mint = machine("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nUBUNTU_CODENAME=noble\nVERSION_CODENAME=xia\n", {
      "sources.list": sources
    })
    assert.strictEqual(mint?.component, "universe")
    assert.deepStrictEqual(mint?.suites, ["devel", "noble"])
    assert.isUndefined(machine("ID=fedora\n", { "sources.list": sources }))
    assert.isUndefined(machine(bookworm, {}))
  })

  const look = (server: string): { readonly status: number | null; readonly stderr: string } =>
    spawnSync(process.execPath, [path.join(root, "scripts", "natsServer.mjs")], {
      encoding: "utf8",
      env: { ...process.env, NATS_SERVER: server }
    })

  it("says what to do when NATS_SERVER names a missing file or something else than a server", () => {
    const missing = look(path.join(root, "no-such-server"))
    assert.strictEqual(missing.status, 1)
    assert.include(missing.stderr, "there is no such file. Set it to the path of a nats-server binary")
    const other = look(process.execPath)
    assert.strictEqual(other.status, 1)
    assert.include(other.stderr, "does not run as a nats-server")
  })

  it("refuses a server that is too old, naming its version", () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-old-"))
    try {
      const old = path.join(directory, "nats-server")
      fs.writeFileSync(old, "#!/bin/sh\necho 'nats-server: v2.8.4'\n", { mode: 0o755 })
      const refused = look(old)
      assert.strictEqual(refused.status, 1)
      assert.include(refused.stderr, "version 2.8.4; at least 2.9.0 is needed")
    } finally {
      fs.rmSync(directory, { recursive: true })
    }
  })
})
