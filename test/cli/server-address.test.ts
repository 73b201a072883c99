/** A nats-server from an address with a digest: what is taken, what is refused, and what is left of either. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import * as zlib from "node:zlib"
import type { Cache, Server } from "../../src/cli/internal/server/caches.mjs"
import type { FromAddress } from "../../src/cli/internal/server/fromAddress.ts"
import { fromAddress } from "../../src/cli/internal/server/fromAddress.ts"
import { run as runChild } from "../../src/cli/internal/server/process.mjs"
import { ServerProblem } from "../../src/cli/internal/server/serverProblem.mjs"
import { TestNatsServer } from "../../src/testing/index.ts"
import { findBinary } from "../../src/testing/internal/serverBinary.ts"
import { directory } from "../fixtures/directory.ts"
import { fileServer } from "../fixtures/fileServer.ts"
import { script, sha256, tarball, zip } from "../fixtures/serverFiles.ts"

const emptyCache = Effect.map(
  directory,
  (made): Cache => ({ directory: path.join(made, "cache"), name: "the user's cache" })
)

const provide = (request: FromAddress): Effect.Effect<Server, ServerProblem> =>
  Effect.tryPromise({
    try: (signal) => fromAddress({ ...request, signal }),
    catch: (error) => {
      if (error instanceof ServerProblem) return error
      throw error
    }
  })

/** All files below a directory that is there or not, and what stands there while something arrives. */
const filesOf = ({ directory }: Cache): ReadonlyArray<string> =>
  fs.existsSync(directory)
    ? fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.startsWith(".") || !fs.statSync(path.join(directory, name)).isDirectory()
    ).toSorted()
    : []

const whole = (version = "2.15.1"): ReadonlyArray<string> => [`${version}/from.json`, `${version}/nats-server`]

const refused = Effect.fnUntraced(function*(request: FromAddress, reason: ServerProblem["reason"], message: RegExp) {
  const problem = yield* Effect.flip(provide(request))
  assert.strictEqual(problem.reason, reason, problem.message)
  assert.match(problem.message, message)
  assert.deepStrictEqual(filesOf(request.target), [])
  return problem
})

describe("what is taken", () => {
  const program = script()
  const forms: Readonly<Record<string, Uint8Array>> = {
    "a .tar.gz": tarball(program),
    "a .zip": zip(program),
    "a program": program,
    "a gzipped program": zlib.gzipSync(program)
  }
  for (const [name, file] of Object.entries(forms)) {
    it.live(`${name} becomes a server of its version in the cache, and nothing else`, () =>
      Effect.gen(function*() {
        const target = yield* emptyCache
        const { url } = yield* fileServer({ "/file": file })
        const server = yield* provide({ from: `${url}file`, sha256: sha256(file), target })
        assert.strictEqual(server.path, path.join(target.directory, "2.15.1", "nats-server"))
        assert.strictEqual(server.version, "2.15.1")
        assert.include(execFileSync(server.path, ["--version"], { encoding: "utf8" }), "v2.15.1")
        assert.deepStrictEqual(filesOf(target), whole())
      }).pipe(Effect.scoped))
  }

  it.live("a real server, packed by tar, runs", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const real = yield* findBinary(undefined)
      const made = yield* directory
      const file = path.join(made, "release.tgz")
      execFileSync("tar", ["-czf", file, "-C", path.dirname(real), path.basename(real)])
      const found = yield* provide({ from: pathToFileURL(file).href, sha256: sha256(fs.readFileSync(file)), target })
      const server = yield* TestNatsServer.make({ binary: found.path })
      assert.strictEqual(server.version, found.version)
    }).pipe(Effect.scoped))

  it.live("the same file is not asked for again, and a damaged server is", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const file = tarball(script())
      const files = yield* fileServer({ "/file": file })
      const request = { from: `${files.url}file`, sha256: `sha256:${sha256(file).toUpperCase()}`, target }
      const first = yield* provide(request)
      const second = yield* provide({ ...request, from: "https://nowhere.invalid/file" })
      assert.strictEqual(second.path, first.path)
      assert.lengthOf(files.requests, 1)
      fs.appendFileSync(first.path, "# more\n")
      assert.strictEqual((yield* provide(request)).path, first.path)
      assert.lengthOf(files.requests, 2)
      assert.deepStrictEqual(fs.readFileSync(first.path), Buffer.from(script()))
    }).pipe(Effect.scoped))

  it.live("versions stand side by side", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const [older, newer] = [tarball(script("2.9.10")), tarball(script("2.15.1"))]
      const { url } = yield* fileServer({ "/older": older, "/newer": newer })
      yield* provide({ from: `${url}older`, sha256: sha256(older), target, wanted: "2.9" })
      yield* provide({ from: `${url}newer`, sha256: sha256(newer), target, wanted: "2.15.1" })
      assert.deepStrictEqual(filesOf(target), [...whole("2.15.1"), ...whole("2.9.10")])
    }).pipe(Effect.scoped))

  it.live("several at once each give a whole server, and leave nothing else", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const [one, other] = [tarball(script()), zip(script("2.15.1", "# another build"))]
      const { url } = yield* fileServer({ "/one": one, "/other": other })
      const servers = yield* Effect.forEach([one, other, one, other, one, other], (file) =>
        provide({ from: `${url}${file === one ? "one" : "other"}`, sha256: sha256(file), target }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        new Set(servers.map(({ version }) =>
          version
        )),
        new Set(["2.15.1"])
      )
      assert.deepStrictEqual(filesOf(target), whole())
    }).pipe(Effect.scoped))

  it.live("redirects are followed", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const file = tarball(script())
      const other = yield* fileServer({ "/file": file })
      const redirecting = yield* fileServer({
        "/moved": (_, response) => response.writeHead(302, { location: "/there" }).end(),
        "/there": (_, response) => response.writeHead(301, { location: `${other.url}file` }).end()
      })
      yield* provide({ from: `${redirecting.url}moved`, sha256: sha256(file), target })
      assert.deepStrictEqual(filesOf(target), whole())
      assert.lengthOf(other.requests, 1)
    }).pipe(Effect.scoped))
})

describe("what is refused before anything is asked for", () => {
  const cases: ReadonlyArray<readonly [string, Partial<FromAddress>, RegExp]> = [
    ["an address without a digest", { sha256: undefined }, /^--from needs --sha256, .* Take it from where the file is/],
    ["a short digest", { sha256: "abc" }, /--sha256 has 3 characters, and a digest has 64/],
    ["a digest of other characters", { sha256: "g".repeat(64) }, /64 hexadecimal digits/],
    ["what is no address", { from: "s3cr3t@nowhere" }, /^--from is no address\. Give it as https:/],
    [
      "a password in an address",
      { from: "https://john:s3cr3t@host/file" },
      /^--from has a user or a password in it, and/
    ],
    ["another protocol", { from: "ftp://john:s3cr3t@host/file" }, /^--from begins with ftp:, which is not known/]
  ]
  for (const [name, request, message] of cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const target = yield* emptyCache
        const files = yield* fileServer({ "/file": script() })
        const given: FromAddress = { from: `${files.url}file`, sha256: "0".repeat(64), target, ...request }
        const problem = yield* refused(given, "BadRequest", message)
        assert.notInclude(problem.message, "s3cr3t")
        assert.lengthOf(files.requests, 0)
      }).pipe(Effect.scoped))
  }
})

describe("what does not come", () => {
  const half: Readonly<Record<string, readonly [Partial<FromAddress>, RegExp]>> = {
    missing: [{}, /\/missing is not there \(HTTP status 404\)\.$/],
    private: [{}, /\/private is not given to this user \(HTTP status 401\)\.$/],
    broken: [{}, /\/broken is not given \(HTTP status 503\)\.$/],
    round: [{}, /\/round cannot be reached: redirect count exceeded\.$/],
    silent: [{ stallMillis: 100 }, /\/silent gives nothing any more: 0\.1 s without a byte\.$/],
    stalled: [{ stallMillis: 100 }, /\/stalled gives nothing any more: 0\.1 s without a byte\.$/],
    cut: [{}, /\/cut ended before it was complete \(\w+\), after 0\.0 MiB\.$/],
    announced: [{ maxBytes: 100 }, /\/announced is no server: it has more than 0\.0 MiB\.$/],
    endless: [{ maxBytes: 100_000 }, /\/endless is no server: it has more than 0\.1 MiB\.$/]
  }
  for (const [name, [options, message]] of Object.entries(half)) {
    it.live(`an address that is ${name} is one sentence, without its secrets`, () =>
      Effect.gen(function*() {
        const target = yield* emptyCache
        const files = yield* fileServer({
          "/private": (_, response) => response.writeHead(401).end(),
          "/broken": (_, response) => response.writeHead(503).end("s3cr3t"),
          "/round": (_, response) => response.writeHead(302, { location: "/round" }).end(),
          "/silent": () => {},
          "/stalled": (_, response) => void response.writeHead(200, { "content-length": 100 }).write("half"),
          "/cut": (_, response) => {
            response.writeHead(200, { "content-length": 100 }).write("half", () => response.destroy())
          },
          // None of it has to come.
          "/announced": (_, response) => response.writeHead(200, { "content-length": 101 }).flushHeaders(),
          "/endless": (_, response) => {
            const more = (): void => void (response.writableEnded || response.write(new Uint8Array(50_000), more))
            more()
          }
        })
        const from = `${files.url}${name}?signature=s3cr3t`
        const problem = yield* refused({ from, sha256: "0".repeat(64), target, ...options }, "DownloadFailed", message)
        assert.notInclude(problem.message, "s3cr3t")
        assert.isUndefined(problem.cause)
      }).pipe(Effect.scoped))
  }

  it.live("nothing that listens, and no such file", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const files = yield* fileServer()
      yield* files.stop
      const digest = "0".repeat(64)
      yield* refused({ from: `${files.url}file`, sha256: digest, target }, "DownloadFailed", /nothing listens there/)
      const large = path.join(yield* directory, "large")
      fs.writeFileSync(large, new Uint8Array(101))
      const from = pathToFileURL(large).href
      yield* refused({ from, sha256: digest, target, maxBytes: 100 }, "DownloadFailed", /\/large is no server: it has/)
      yield* refused(
        { from: `${from}r`, sha256: digest, target },
        "DownloadFailed",
        /names a file that is not there\.$/
      )
    }).pipe(Effect.scoped))

  it.live("an interrupted download leaves nothing, and its connection is closed", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const gone = Promise.withResolvers<void>()
      const files = yield* fileServer({
        "/stalled": (_, response) => {
          response.on("close", gone.resolve)
          response.writeHead(200, { "content-length": 100 }).write("half", began.resolve)
        }
      })
      const began = Promise.withResolvers<unknown>()
      const from = `${files.url}stalled`
      const fiber = yield* Effect.forkChild(provide({ from, sha256: "0".repeat(64), target }))
      yield* Effect.promise(() => began.promise)
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => gone.promise)
      assert.deepStrictEqual(filesOf(target), [])
    }).pipe(Effect.scoped))
})

describe("what came and is not taken", () => {
  it.live("another file than that of the digest is neither unpacked, nor run, nor kept", () =>
    Effect.gen(function*() {
      const target = yield* emptyCache
      const trace = path.join(yield* directory, "it-ran")
      const file = script("2.15.1", `touch ${trace}`)
      const wanted = sha256(script())
      const { url } = yield* fileServer({ "/file": file })
      const problem = yield* refused(
        { from: `${url}file`, sha256: wanted, target },
        "DigestMismatch",
        /Nothing of it is kept\.$/
      )
      assert.include(problem.message, wanted)
      assert.include(problem.message, sha256(file))
      assert.isFalse(fs.existsSync(trace))
      yield* provide({ from: `${url}file`, sha256: sha256(file), target })
      assert.isTrue(fs.existsSync(trace))
    }).pipe(Effect.scoped))

  const link = (): Uint8Array => {
    const bytes = zlib.gunzipSync(tarball(script()))
    const header = bytes.indexOf("nats-server-v2.15.1-linux-amd64/nats-server")
    bytes.write("2", header + 156, "latin1")
    return zlib.gzipSync(bytes)
  }
  const unfit: ReadonlyArray<readonly [string, Uint8Array, RegExp, string?]> = [
    ["an archive without a server", tarball(script(), "nats"), /\/file has no nats-server in it\. A nats-server by/],
    ["a zip without a server", zip(script(), "nats"), /\/file has no nats-server in it/],
    ["a link for a server", link(), /\/file has no nats-server in it/],
    ["a broken archive", tarball(script()).subarray(0, 100), /\/file cannot be unpacked \(unexpected end of file\)/],
    ["a broken zip", zip(script()).subarray(0, 100), /\/file cannot be unpacked \(invalid zip data\)/],
    ["what does not run", Buffer.from("no program"), /\/file holds no nats-server that runs on this machine/],
    ["what is no server", Buffer.from("#!/bin/sh\necho 'nats: v2.15.1'\n"), /holds no nats-server that runs/],
    [
      "what never stops to speak",
      Buffer.from("#!/bin/sh\nexec yes 'nats-server: v2.15.1'\n"),
      /holds no nats-server that/
    ],
    ["a version that leads elsewhere", script("2.15.1/../../../elsewhere"), /holds no nats-server that runs/],
    [
      "another version",
      tarball(script("2.10.27")),
      /\/file is nats-server 2\.10\.27, and 2\.15 is asked for\.$/,
      "2.15"
    ],
    ["a version that is too old", script("2.8.4"), /is nats-server 2\.8\.4, and at least 2\.9\.0 is needed\.$/]
  ]
  for (const [name, file, message, wanted] of unfit) {
    it.live(name, () =>
      Effect.gen(function*() {
        const target = yield* emptyCache
        const { url } = yield* fileServer({ "/file": file })
        yield* refused({ from: `${url}file`, sha256: sha256(file), target, wanted }, "NotAServer", message)
      }).pipe(Effect.scoped))
  }

  it.live("a program that leaves another one behind with its output keeps nobody", () =>
    Effect.gen(function*() {
      const { code, output } = yield* Effect.promise(() => runChild("/bin/sh", ["-c", "sleep 1000 & echo $!"]))
      assert.strictEqual(code, 0)
      process.kill(Number(output), "SIGKILL")
    }))

  it.live("names in an archive lead nowhere", () =>
    Effect.gen(function*() {
      for (const pack of [tarball, zip]) {
        const made = yield* directory
        const target = { directory: path.join(made, "a", "b", "cache"), name: "the user's cache" }
        const file = pack(script(), "../../../nats-server")
        const { url } = yield* fileServer({ "/file": file })
        yield* provide({ from: `${url}file`, sha256: sha256(file), target })
        assert.deepStrictEqual(filesOf({ directory: made, name: "" }), whole().map((name) => `a/b/cache/${name}`))
      }
    }).pipe(Effect.scoped))

  it.live("a cache that cannot be written says so", () =>
    Effect.gen(function*() {
      const made = yield* directory
      fs.writeFileSync(path.join(made, "file"), "")
      const target = { directory: path.join(made, "file", "cache"), name: "the user's cache" }
      const file = script()
      const { url } = yield* fileServer({ "/file": file })
      yield* refused(
        { from: `${url}file`, sha256: sha256(file), target },
        "CacheUnusable",
        /\/file\/cache \(the user's cache\) cannot be used: mkdir gives ENOTDIR\. Make it .* XDG_CACHE_HOME/
      )
    }).pipe(Effect.scoped))
})
