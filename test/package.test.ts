/** What the package is, apart from what it does: its import graph, and the scripts that check it. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { findArchive, toDeb822 } from "../scripts/aptSources.mjs"
import { firstMissing, promisedLines } from "../scripts/examples.mjs"
import { problemOf } from "../scripts/rooms.mjs"

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
  it("importing the root loads the network but no child process", () => {
    const builtins = builtinsAfterImporting("index.ts")
    assert.include(builtins, "net")
    assert.notInclude(builtins, "child_process")
  })

  it("importing the testing module does load child processes, so the check above can see them", () => {
    assert.include(builtinsAfterImporting("testing/index.ts"), "child_process")
  })

  it("a room may import core and itself, core no room, and nobody what consumers lack", () => {
    const file = (name: string): string => path.join(root, "src", name)
    assert.isUndefined(problemOf(file("testing/TestNatsServer.ts"), "../NatsClient.ts"))
    assert.isUndefined(problemOf(file("testing/TestNatsServer.ts"), "./internal/serverProcess.ts"))
    assert.isUndefined(problemOf(file("internal/dial.ts"), "node:net"))
    assert.isUndefined(problemOf(file("NatsClient.ts"), "effect/Effect"))
    assert.include(problemOf(file("testing/TestNatsServer.ts"), "../jetstream/JetStream.ts"), "sibling room")
    assert.include(problemOf(file("internal/dial.ts"), "../testing/index.ts"), "core may not know")
    assert.include(problemOf(file("NatsClient.ts"), "effect"), "barrel")
    assert.include(problemOf(file("NatsClient.ts"), "vitest"), "not among the dependencies")
    assert.include(problemOf(file("NatsClient.ts"), "../test/fixtures/x.ts"), "outside src")
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
  /** A machine's apt directory and os-release, written from the given files. */
  const machine = (osRelease: string, files: Readonly<Record<string, string>>): ReturnType<typeof findArchive> => {
    const etc = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-apt-"))
    try {
      fs.mkdirSync(path.join(etc, "sources.list.d"))
      for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(etc, name), text)
      fs.writeFileSync(path.join(etc, "os-release"), osRelease)
      return findArchive({ etc, osRelease: path.join(etc, "os-release") })
    } finally {
      fs.rmSync(etc, { recursive: true })
    }
  }
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
