/** Where a nats-server is found without fetching one, and by which version. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { cachedServers, projectCache, userCacheDirectory, withArrivals } from "../../src/cli/internal/server/caches.mjs"
import { offeredVersions } from "../../src/cli/internal/server/distribution.mjs"
import { compare, fits, matches, parseWanted } from "../../src/cli/internal/server/versions.mjs"
import * as testing from "../../src/testing/internal/serverBinary.ts"
import { directory } from "../fixtures/directory.ts"
import { script } from "../fixtures/serverFiles.ts"

const root = path.resolve(import.meta.dirname, "../..")

/** Puts a server of a version there. */
const put = (file: string, version: string): string => {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, script(version), { mode: 0o755 })
  return file
}

describe("versions", () => {
  it("are ordered by their numbers, a pre-release before its release", () => {
    const sorted = ["2.9.10", "2.10.0-RC.2", "2.10.0-RC.10", "2.10.0", "2.10.27", "2.15.1"]
    assert.deepStrictEqual(sorted.toReversed().toSorted(compare), sorted)
  })

  it("are wanted by series or exactly", () => {
    assert.deepStrictEqual(
      ["2", "2.15", "v2.15", " 2.15.1 ", "v2.12.0-RC.1"].map(parseWanted),
      ["2", "2.15", "2.15", "2.15.1", "2.12.0-RC.1"]
    )
    for (const text of ["", "latest", "2.", "2.15.x", "2.15.1.1", "../2.15", ">=2.10"]) {
      assert.throws(
        () => parseWanted(text),
        /is no version\. Give a series as 2\.15, or an exact version as 2\.15\.1\./
      )
    }
    assert.isTrue(matches("2.15.1", "2.15"))
    assert.isFalse(matches("2.1.5", "2.15"))
    assert.isFalse(matches("2.15.10", "2.15.1"))
    assert.isFalse(fits("2.9.10", undefined))
    assert.isTrue(fits("2.9.10", "2.9"))
  })

  it("are read from what the archive offers", () => {
    const madison = [
      "nats-server | 2.10.27-1+b3 | http://d.invalid/debian trixie/main amd64 Packages",
      "nats-server |   1:2.9.10-1 | http://d.invalid/debian bookworm/main amd64 Packages",
      "N: a note"
    ]
    assert.deepStrictEqual(offeredVersions(madison.join("\n")), [
      { packageVersion: "2.10.27-1+b3", version: "2.10.27" },
      { packageVersion: "1:2.9.10-1", version: "2.9.10" }
    ])
  })
})

describe("the user's cache", () => {
  const cases = [
    [{ platform: "linux", home: "/home/a", env: {} }, "/home/a/.cache/effect-nats/nats-server"],
    [{ platform: "linux", home: "/home/a", env: { XDG_CACHE_HOME: "/c" } }, "/c/effect-nats/nats-server"],
    [{ platform: "linux", home: "/home/a", env: { XDG_CACHE_HOME: "c" } }, "/home/a/.cache/effect-nats/nats-server"],
    [{ platform: "linux", home: "/home/a", env: { XDG_CACHE_HOME: "" } }, "/home/a/.cache/effect-nats/nats-server"],
    [{ platform: "darwin", home: "/Users/a", env: {} }, "/Users/a/Library/Caches/effect-nats/nats-server"],
    [{ platform: "darwin", home: "/Users/a", env: { XDG_CACHE_HOME: "/c" } }, "/c/effect-nats/nats-server"],
    [
      { platform: "win32", home: "C:\\a", env: { LOCALAPPDATA: "D:\\l" } },
      "D:\\l\\effect-nats\\nats-server"
    ],
    [{ platform: "win32", home: "C:\\a", env: {} }, "C:\\a\\AppData\\Local\\effect-nats\\nats-server"]
  ] as const

  it("stands where the system has such things, for the command and for the test kit alike", () => {
    for (const [machine, expected] of cases) {
      assert.strictEqual(userCacheDirectory(machine), expected)
      assert.strictEqual(testing.userCacheDirectory(machine), expected)
    }
  })

  it.effect("has what is a server, oldest first", () =>
    Effect.gen(function*() {
      const cache = { directory: yield* directory, name: "a cache" }
      const at = (...names: ReadonlyArray<string>): string => path.join(cache.directory, ...names)
      put(at("2.10.27", "nats-server"), "2.10.27")
      put(at("2.9.10", "nats-server"), "2.9.10")
      fs.mkdirSync(at("2.11.0"))
      put(at("go", "nats-server"), "2.15.1")
      assert.deepStrictEqual(cachedServers(cache).map(({ version }) => version), ["2.9.10", "2.10.27"])
      assert.deepStrictEqual(cachedServers({ directory: at("none"), name: "" }), [])
    }).pipe(Effect.scoped))

  it.effect("loses what a killed process left there, and not what arrives now", () =>
    Effect.gen(function*() {
      const cache = { directory: yield* directory, name: "a cache" }
      const [abandoned, arriving] = ["a", "b"].map((name) => path.join(cache.directory, `.arriving-${name}`))
      put(path.join(abandoned, "nats-server"), "2.15.1")
      put(path.join(arriving, "nats-server"), "2.15.1")
      const longAgo = new Date(Date.now() - 2 * 60 * 60 * 1000)
      fs.utimesSync(abandoned, longAgo, longAgo)
      yield* Effect.promise(() => withArrivals(cache, () => Promise.resolve()))
      assert.deepStrictEqual(fs.readdirSync(cache.directory), [".arriving-b"])
    }).pipe(Effect.scoped))
})

interface Machine {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** A machine of its own: a project in it, a user's cache, and a directory that is on `PATH`. */
const machine = Effect.map(directory, (made) => ({
  cwd: path.join(made, "project", "packages", "a"),
  project: path.join(made, "project", ".cache", "nats-server"),
  user: path.join(made, "caches", "effect-nats", "nats-server"),
  bin: path.join(made, "bin"),
  env: { PATH: path.join(made, "bin"), XDG_CACHE_HOME: path.join(made, "caches"), HOME: path.join(made, "home") }
}))

const evaluate = (program: string, { cwd, env }: Machine): ReadonlyArray<string> => {
  fs.mkdirSync(cwd, { recursive: true })
  const args = ["--input-type=module", "--eval", program]
  const { status, stderr, stdout } = spawnSync(process.execPath, args, { cwd, encoding: "utf8", env })
  assert.strictEqual(status, 0, stderr)
  return JSON.parse(stdout)
}

const at = (file: string): string => JSON.stringify(path.join(root, "src", file))

/** What the test kit starts, and what the command finds. */
const found = (on: Machine, wanted?: string): ReadonlyArray<string> =>
  evaluate(
    `import * as Effect from ${JSON.stringify(import.meta.resolve("effect/Effect"))}
import { findBinary } from ${at("testing/internal/serverBinary.ts")}
import { projectCache, userCache } from ${at("cli/internal/server/caches.mjs")}
import { findServer } from ${at("cli/internal/server/provideServer.mjs")}
const caches = [projectCache(process.cwd()) ?? [], userCache()].flat()
const binary = await Effect.runPromise(Effect.catch(findBinary(undefined), (error) => Effect.succeed(error.message)))
const server = await findServer({ caches, wanted: ${JSON.stringify(wanted) ?? "undefined"} })
console.log(JSON.stringify([binary, server?.path ?? "none"]))`,
    on
  )

// Each looks with a process of its own, several times.
describe("a server on a machine", { timeout: 120_000 }, () => {
  it.live("is that of NATS_SERVER, of the project, of the user, of PATH: in this order, for command and test kit", () =>
    Effect.gen(function*() {
      const on = yield* machine
      const [missing, none] = found(on)
      assert.match(missing, /^No nats-server was found\. Run `npx effect-nats server`, which fetches one/)
      assert.include(missing, path.join(on.user, "<version>", "nats-server"))
      assert.strictEqual(none, "none")
      const both = (file: string): ReadonlyArray<string> => [file, file]
      assert.deepStrictEqual(found({ ...on }), [missing, "none"])
      const onPath = put(path.join(on.bin, "nats-server"), "2.10.1")
      assert.deepStrictEqual(found(on), both(onPath))
      put(path.join(on.user, "2.10.27", "nats-server"), "2.10.27")
      const ofUser = put(path.join(on.user, "2.15.1", "nats-server"), "2.15.1")
      assert.deepStrictEqual(found(on), both(ofUser))
      fs.mkdirSync(on.project, { recursive: true })
      assert.deepStrictEqual(found(on), both(ofUser))
      const ofProject = put(path.join(on.project, "2.11.0", "nats-server"), "2.11.0")
      assert.deepStrictEqual(found(on), both(ofProject))
      const named = put(path.join(on.bin, "other"), "2.9.9")
      assert.deepStrictEqual(found({ ...on, env: { ...on.env, NATS_SERVER: named } }), both(named))
      assert.strictEqual(projectCache(on.cwd)?.directory, on.project)
    }).pipe(Effect.scoped))

  it.live("is the newest of the series that is wanted, wherever it is", () =>
    Effect.gen(function*() {
      const on = yield* machine
      put(path.join(on.project, "2.11.0", "nats-server"), "2.11.0")
      const older = put(path.join(on.user, "2.10.9", "nats-server"), "2.10.9")
      const newer = put(path.join(on.user, "2.10.27", "nats-server"), "2.10.27")
      const onPath = put(path.join(on.bin, "nats-server"), "2.9.10")
      const named = { ...on, env: { ...on.env, NATS_SERVER: put(path.join(on.bin, "named"), "2.12.0") } }
      assert.strictEqual(found(named, "2.10")[1], newer)
      assert.strictEqual(found(named, "2.10.9")[1], older)
      assert.strictEqual(found(named, "2.9")[1], onPath)
      assert.strictEqual(found(named, "2.12")[1], named.env.NATS_SERVER)
      assert.strictEqual(found(named, "2.13")[1], "none")
    }).pipe(Effect.scoped))
})
