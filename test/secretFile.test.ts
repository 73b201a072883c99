/** Files that hold secrets: what is no file, and what hangs, is told by path and option, and holds up nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, type Scope } from "effect"
import { NatsClient, NatsConfig } from "effect-nats"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import { resolveCredentials } from "../src/internal/wire/credentials.ts"
import { readSecretFile } from "../src/internal/wire/secretFile.ts"
import { resolveTls } from "../src/internal/wire/tlsMaterial.ts"
import { atOnce } from "./fixtures/dialling.ts"
import { directory } from "./fixtures/directory.ts"
import { until } from "./fixtures/following.ts"

const tls = { mode: "require", handshakeFirst: false, dangerouslyDisableVerification: false } as const
const creds = (file: string) => resolveCredentials({ _tag: "CredsFile", path: file }, Duration.millis(300))

/** Who reads a path that is given, and what its failure begins with. */
const readers: Readonly<
  Record<string, readonly [(file: string) => Effect.Effect<unknown, Error>, (file: string) => string]>
> = {
  "auth.path": [creds, (file) => `The credentials could not be had from ${file}: `],
  "tls.caFile": [(caFile) => resolveTls({ ...tls, caFile }, Duration.millis(300)), (file) => `tls.caFile (${file}) `],
  "tls.certFile": [
    (certFile) => resolveTls({ ...tls, certFile }, Duration.millis(300)),
    (file) => `tls.certFile (${file}) `
  ],
  "tls.keyFile": [
    (keyFile) => resolveTls({ ...tls, keyFile }, Duration.millis(300)),
    (file) => `tls.keyFile (${file}) `
  ],
  "configuration": [NatsConfig.fromFile, (file) => file]
}

const socketAt = (file: string) =>
  Effect.acquireRelease(
    Effect.callback<net.Server>((resume) => {
      const server = net.createServer().listen(file, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )

/** Whatever is no regular file, and the words for it. */
const irregular: Readonly<
  Record<string, readonly [(file: string) => Effect.Effect<unknown, never, Scope.Scope>, string]>
> = {
  "a pipe": [(file) => Effect.sync(() => execFileSync("mkfifo", [file])), "it is a pipe"],
  "a socket": [socketAt, "it is a socket"],
  "a device": [(file) => Effect.sync(() => fs.symlinkSync("/dev/zero", file)), "it is a device"],
  "a directory": [(file) => Effect.sync(() => fs.mkdirSync(file)), "it is a directory"]
}

describe("a path that leads to no regular file", () => {
  for (const [what, [make, words]] of Object.entries(irregular)) {
    it.live(`is refused at once, by name, and is not waited for: ${what}`, () =>
      Effect.gen(function*() {
        const file = `${yield* directory}/it`
        yield* make(file)
        for (const [option, [read, beginning]] of Object.entries(readers)) {
          const error = yield* atOnce(Effect.flip(read(file)))
          assert.include(error.message, beginning(file), option)
          assert.include(error.message, words, option)
        }
        // Four reads that wait for the other side of a pipe would leave no thread.
        assert.isAbove((yield* Effect.promise(() => fs.promises.readFile(import.meta.filename))).length, 0)
      }))
  }
})

/** As a network file system that is away: files in this folder are opened when it is back. The opens that hang, by path. */
const stall = (away: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const promises = process.getBuiltinModule("node:fs/promises")
      const { open } = promises
      const hanging: Array<string> = []
      let back = (): void => {}
      const isBack = new Promise<void>((resume) => {
        back = resume
      })
      promises.open = (file, ...rest) => {
        if (!String(file).startsWith(away)) return open(file, ...rest)
        hanging.push(String(file))
        return isBack.then(() => open(file, ...rest))
      }
      return { hanging, back, restore: () => Object.assign(promises, { open }) }
    }),
    ({ back, restore }) =>
      Effect.sync(() => {
        restore()
        back()
      })
  )

describe("a path that hangs", () => {
  it.live("fails in its time, naming path and option, and is not opened again while it hangs", () =>
    Effect.gen(function*() {
      const away = yield* directory
      const { hanging } = yield* stall(away)
      for (let i = 0; i < 3; i++) {
        for (const option of ["auth.path", "tls.caFile"]) {
          const file = `${away}/${option}`
          const [read, beginning] = readers[option]
          const error = yield* Effect.flip(read(file))
          assert.include(error.message, beginning(file))
          assert.include(error.message, `it was not read within 300 ms (${option})`)
          assert.include(error.message, "does not answer")
        }
      }
      assert.deepStrictEqual(hanging, [`${away}/auth.path`, `${away}/tls.caFile`])
    }))

  it.live("leaves threads for others, however many hang, and those that wait behind it say so", () =>
    Effect.gen(function*() {
      const away = yield* directory
      const { hanging } = yield* stall(away)
      const names = ["a", "b", "c", "d", "e"]
      const errors = yield* Effect.forEach(names, (name) => Effect.flip(creds(`${away}/${name}`)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(hanging, [`${away}/a`, `${away}/b`])
      assert.include(errors[0].message, "the file system that it is on does not answer")
      assert.include(errors[4].message, `it waits behind ${away}/a and ${away}/b, whose file system does not answer`)
    }))

  it.live("fails the connect after connectTimeout: CredentialsUnavailable or TlsConfigInvalid", () =>
    Effect.gen(function*() {
      const away = yield* directory
      yield* stall(away)
      const options = { servers: "nats://127.0.0.1:1", connectTimeout: "200 millis", reconnect: false } as const
      const source = Effect.succeed({ _tag: "CredsFile", path: `${away}/a` } as const)
      for (const auth of [{ _tag: "CredsFile", path: `${away}/a` } as const, source]) {
        const error = yield* Effect.flip(NatsClient.make({ ...options, auth }))
        assert.strictEqual(error._tag, "CredentialsUnavailable")
        assert.include(error.message, `${away}/a`)
      }
      const error = yield* Effect.flip(NatsClient.make({ ...options, tls: { caFile: `${away}/b` } }))
      assert.strictEqual(error._tag, "TlsConfigInvalid")
      assert.include(error.message, `${away}/b`)
    }))

  it.effect("fails NatsConfig.fromFile after five seconds", () =>
    Effect.gen(function*() {
      const away = yield* directory
      const { hanging } = yield* stall(away)
      const reading = yield* Effect.forkChild(Effect.flip(NatsConfig.fromFile(`${away}/config.json`)))
      yield* until(Effect.sync(() => hanging.length === 1))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.include((yield* Fiber.join(reading)).message, "cannot be read: it was not read within 5000 ms")
    }))

  it.live("is read when it answers again, by who has asked last, too, and anew", () =>
    Effect.gen(function*() {
      const away = yield* directory
      const { back, hanging } = yield* stall(away)
      const file = `${away}/it`
      fs.writeFileSync(file, "old")
      const read = readSecretFile(file, { secret: false, option: "it", timeout: Duration.seconds(20) })
      const late = { secret: false, option: "it", timeout: Duration.millis(10) }
      assert.isTrue(Exit.isFailure(yield* Effect.exit(readSecretFile(file, late))))
      const reading = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(read, { startImmediately: true }))
      fs.writeFileSync(file, "new")
      back()
      assert.deepStrictEqual(yield* Effect.forEach(reading, Fiber.join), ["new", "new", "new"])
      assert.deepStrictEqual(hanging, [file, file])
    }))
})

describe("a path that many read", () => {
  it.live("is open once at a time, also where one who has read it reads it again, and is closed each time", () =>
    Effect.gen(function*() {
      const file = `${yield* directory}/it`
      fs.writeFileSync(file, "text")
      const promises = process.getBuiltinModule("node:fs/promises")
      const open = { now: 0, most: 0, ever: 0 }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const { open: before } = promises
          promises.open = async (...args) => {
            open.now++
            open.ever++
            open.most = Math.max(open.most, open.now)
            const handle = await before(...args)
            const { close } = handle
            handle.close = () => {
              open.now--
              return Reflect.apply(close, handle, [])
            }
            return handle
          }
          return before
        }),
        (before) => Effect.sync(() => Object.assign(promises, { open: before }))
      )
      const read = readSecretFile(file, { secret: false, option: "it", timeout: Duration.seconds(20) })
      const thrice = Effect.andThen(read, Effect.andThen(read, read))
      yield* Effect.forEach([1, 2, 3, 4], () => thrice, { concurrency: "unbounded" })
      assert.deepInclude(open, { now: 0, most: 1 })
      // Those that ask while it is being read share the next one.
      assert.isBelow(open.ever, 12)
    }))
})
