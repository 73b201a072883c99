/** `effect-nats server`, as a process of its own. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { type CommandOptions, run, start } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"
import { fileServer } from "../fixtures/fileServer.ts"
import { until } from "../fixtures/following.ts"
import { script, sha256, tarball } from "../fixtures/serverFiles.ts"

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A machine with nothing on it but a user's cache. */
const machine = Effect.map(directory, (made) => {
  const cache = path.join(made, "caches", "effect-nats", "nats-server")
  const options: CommandOptions = {
    cwd: made,
    env: { PATH: path.join(made, "bin"), XDG_CACHE_HOME: path.join(made, "caches") }
  }
  return { cache, options, cached: () => fs.existsSync(cache) ? fs.readdirSync(cache).toSorted() : [] }
})

describe("effect-nats server", () => {
  it.live("prints the path of a server alone, and its progress apart; the next one asks nobody", () =>
    Effect.gen(function*() {
      const { cache, cached, options } = yield* machine
      const file = tarball(script())
      const files = yield* fileServer({ "/release.tar.gz": file })
      const args = ["server", "--from", `${files.url}release.tar.gz?signature=s3cr3t`, "--sha256", sha256(file)]
      const expected = path.join(cache, "2.15.1", "nats-server")
      const first = yield* run(args, options)
      assert.deepStrictEqual([first.code, first.stdout], [0, `${expected}\n`], first.stderr)
      assert.match(first.stderr, /downloading http:\S+\/release\.tar\.gz .*\n.*2\.15\.1 from http:/)
      assert.notInclude(first.stderr, "s3cr3t")
      yield* files.stop
      for (const more of [args, ["server"], ["server", "--version", "2.15"], ["server", "--version", "2.15.1"]]) {
        assert.deepStrictEqual(yield* run(more, options), { code: 0, stdout: `${expected}\n`, stderr: "" })
      }
      const found = yield* run(["server", "--json"], options)
      assert.deepStrictEqual(JSON.parse(found.stdout), { path: expected, version: "2.15.1", from: "the user's cache" })
      assert.deepStrictEqual(cached(), ["2.15.1"])
    }).pipe(Effect.scoped))

  it.live("lists what is cached, and fetches nothing for it", () =>
    Effect.gen(function*() {
      const { cache, options } = yield* machine
      assert.deepStrictEqual(yield* run(["server", "--list"], options), { code: 0, stdout: "", stderr: "" })
      for (const version of ["2.15.1", "2.9.10"]) {
        fs.mkdirSync(path.join(cache, version), { recursive: true })
        fs.writeFileSync(path.join(cache, version, "nats-server"), script(version), { mode: 0o755 })
      }
      const files = ["2.9.10", "2.15.1"].map((version) => path.join(cache, version, "nats-server"))
      const { stdout } = yield* run(["server", "--list"], options)
      assert.strictEqual(stdout, `2.9.10  ${files[0]}  the user's cache\n2.15.1  ${files[1]}  the user's cache\n`)
      const listed: ReadonlyArray<{ readonly path: string }> = JSON.parse(
        (yield* run(["server", "--list", "--json"], options)).stdout
      )
      assert.deepStrictEqual(listed.map(({ path }) => path), files)
    }).pipe(Effect.scoped))

  it.live("where a machine has none and gives none, it says what can be done", () =>
    Effect.gen(function*() {
      const { cached, options } = yield* machine
      for (const [args, name] of [[[], "nats-server"], [["--version", "2.15"], "nats-server 2.15"]] as const) {
        const { code, stderr, stdout } = yield* run(["server", ...args], options)
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.match(
          stderr,
          new RegExp(`^ServerUnavailable: No ${name} was found, and none could be fetched\\. You can `)
        )
        assert.include(stderr, "npx effect-nats server --from URL --sha256 HEX")
      }
      assert.deepStrictEqual(cached(), [])
      const named = { ...options, env: { ...options.env, NATS_SERVER: "/nowhere/nats-server" } }
      const { code, stderr } = yield* run(["server"], named)
      assert.strictEqual(code, 1)
      assert.include(stderr, `NATS_SERVER is "/nowhere/nats-server", but there is no such file. Set it to the path`)
    }).pipe(Effect.scoped))

  const zeros = "0".repeat(64)
  const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
    [["--from", "https://127.0.0.1/file"], "--from needs --sha256, the digest that the file must have. Take it from"],
    [["--sha256", zeros], "--sha256 is the digest of a file that --from names: give both, or neither."],
    [["--from", "https://john:s3cr3t@127.0.0.1/file", "--sha256", zeros], "--from has a user or a password in it"],
    [["--from", "s3cr3t", "--sha256", zeros], "--from is no address."],
    [["--from", "https://127.0.0.1/file", "--sha256", "s3cr3t"], "--sha256 has 6 characters"],
    [["--version", "newest"], "\"newest\" is no version. Give a series as 2.15"],
    [["--list", "--version", "2.15"], "--list stands alone"]
  ]
  it.live.each(wrong)(
    "what makes no sense is refused before anything is asked for: %#",
    ([args, problem]) =>
      Effect.gen(function*() {
        const { options } = yield* machine
        const { code, stderr, stdout } = yield* run(["server", ...args], options)
        assert.deepStrictEqual([code, stdout], [2, ""])
        assert.include(stderr, `UsageError: ${problem}`)
        assert.notInclude(stderr, "s3cr3t")
      }).pipe(Effect.scoped)
  )

  it.live("another file than that of the digest is an error with both, and JSON where that is asked for", () =>
    Effect.gen(function*() {
      const { cached, options } = yield* machine
      const file = tarball(script())
      const { url } = yield* fileServer({ "/file": file })
      const args = ["server", "--from", `${url}file`, "--sha256", zeros]
      const { code, stderr, stdout } = yield* run(args, options)
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.include(
        stderr,
        `${url}file is not the file that is wanted: its SHA-256 is ${sha256(file)}, and ${zeros} is`
      )
      const asJson = yield* run([...args, "--json"], options)
      const { error, exitCode } = JSON.parse(asJson.stdout)
      assert.deepStrictEqual([exitCode, asJson.code, error.tag], [1, 1, "ServerUnavailable"])
      assert.deepStrictEqual(cached(), [])
    }).pipe(Effect.scoped))

  it.live("a proxy is used where Node is told to, and else named where an address is out of reach", () =>
    Effect.gen(function*() {
      const { options } = yield* machine
      const file = tarball(script())
      const proxy = yield* fileServer({ "/file": file })
      const gone = yield* fileServer()
      yield* gone.stop
      const args = ["server", "--from", `${gone.url}file`, "--sha256", sha256(file)]
      const env = { ...options.env, HTTP_PROXY: proxy.url }
      const without = yield* run(args, { ...options, env })
      assert.strictEqual(without.code, 1)
      assert.match(
        without.stderr,
        /\/file cannot be reached: nothing listens there .*; HTTP_PROXY is used with NODE_USE_ENV_PROXY=1/
      )
      const { code, stderr } = yield* run(args, { ...options, env: { ...env, NODE_USE_ENV_PROXY: "1" } })
      assert.strictEqual(code, 0, stderr)
    }).pipe(Effect.scoped))

  it.live("several at once do not disturb each other", () =>
    Effect.gen(function*() {
      const { cache, cached, options } = yield* machine
      const file = tarball(script())
      const { url } = yield* fileServer({ "/file": file })
      const args = ["server", "--from", `${url}file`, "--sha256", sha256(file)]
      const all = yield* Effect.replicateEffect(run(args, options), 4, { concurrency: "unbounded" })
      for (const { code, stderr, stdout } of all) {
        assert.deepStrictEqual([code, stdout], [0, `${path.join(cache, "2.15.1", "nats-server")}\n`], stderr)
      }
      assert.deepStrictEqual(cached(), ["2.15.1"])
    }).pipe(Effect.scoped))

  it.live.each([["SIGINT", 130] as const, ["SIGTERM", 143] as const])(
    "%s ends it, and leaves nothing half",
    ([signal, expected]) =>
      Effect.gen(function*() {
        const { cached, options } = yield* machine
        const trace = path.join(yield* directory, "it-runs")
        const running = script("2.15.1", `echo $$ > ${trace}.part; /bin/mv ${trace}.part ${trace}; exec /bin/sleep 100`)
        const { url } = yield* fileServer({
          "/stalled": (_, response) => void response.writeHead(200, { "content-length": 100 }).write("half"),
          "/running": running
        })
        const downloading = yield* start(["server", "--from", `${url}stalled`, "--sha256", zeros], options)
        yield* downloading.until((_, stderr) => stderr.includes("downloading"))
        downloading.process.kill(signal)
        assert.strictEqual((yield* downloading.finished).code, expected)
        assert.deepStrictEqual(cached(), [])
        const trying = yield* start(["server", "--from", `${url}running`, "--sha256", sha256(running)], options)
        yield* until(Effect.sync(() => fs.existsSync(trace)))
        trying.process.kill(signal)
        assert.strictEqual((yield* trying.finished).code, expected)
        assert.deepStrictEqual(cached(), [])
        const pid = Number(fs.readFileSync(trace, "utf8"))
        yield* until(Effect.sync(() => !isAlive(pid)))
      }).pipe(Effect.scoped)
  )
})
