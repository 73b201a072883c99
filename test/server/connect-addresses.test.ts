/**
 * Names with several addresses. At one address there is a real server; at the others stands what one that is away looks
 * like: nothing, a listener without a word, one that is full.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestFakeServer, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import type { Session } from "../../src/internal/wire/session.ts"
import {
  atOnce,
  type DialTestOptions,
  dialTo,
  password,
  pinged,
  Recorder,
  refusal,
  timed
} from "../fixtures/dialling.ts"
import { oneTurn, until } from "../fixtures/following.ts"
import { listenAt, names } from "../fixtures/names.ts"

const name = "nats.example.test"

const nobody = "127.0.0.7"

/** Dials the name, and gives the milliseconds that it took. */
const connects = (port: number, options: DialTestOptions = {}, scheme = "nats") =>
  Effect.gen(function*() {
    const owner = new Recorder()
    const [session, millis] = yield* timed(dialTo(`${scheme}://${name}:${port}`, { ...options, owner }))
    yield* pinged(session)
    assert.deepStrictEqual(owner.openedWith, [session])
    return { session, millis }
  })

describe("a name with several addresses", () => {
  it.live("is reached at the next one after a second, beside the one that does not answer, which is let go", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ websocket: true })
      yield* names({ [name]: ["127.0.0.2", "127.0.0.1"] })
      for (
        const [scheme, port] of [["nats", server.port], ["ws", Number(server.websocketUrl!.split(":")[2])]] as const
      ) {
        const hung = yield* listenAt("127.0.0.2", port)
        const { millis, session } = yield* connects(port, {}, scheme)
        assert.isAtLeast(millis, 990)
        assert.isBelow(millis, 4000)
        assert.include(session.server, name)
        yield* until(Effect.sync(() => hung.size === 0))
      }
    }))

  it.effect("is dialled at the next one after exactly a second, by the Clock", () =>
    Effect.gen(function*() {
      const { port } = yield* TestFakeServer.make([])
      yield* names({ [name]: ["127.0.0.2", "127.0.0.3"] })
      const first = yield* listenAt("127.0.0.2", port)
      const second = yield* listenAt("127.0.0.3", port)
      const dialled = yield* Effect.forkChild(refusal(`nats://${name}:${port}`, { connectTimeout: 60_000 }))
      yield* until(Effect.sync(() => first.size === 1))
      yield* oneTurn
      yield* TestClock.adjust("999 millis")
      yield* oneTurn
      assert.strictEqual(second.size, 0)
      yield* TestClock.adjust("1 milli")
      yield* until(Effect.sync(() => second.size === 1))
      yield* Fiber.interrupt(dialled)
    }))

  it.effect("is waited for at the last one, however long the others are refused what may pass", () =>
    Effect.gen(function*() {
      const { port } = yield* TestFakeServer.make([])
      yield* names({ [name]: [nobody, "127.0.0.3"] })
      const slow = yield* listenAt("127.0.0.3", port)
      const dialled = yield* Effect.forkChild(dialTo(`nats://${name}:${port}`, { connectTimeout: 60_000 }))
      yield* until(Effect.sync(() => slow.size === 1))
      yield* TestClock.adjust("50 seconds")
      for (const socket of slow) socket.write(`${TestFakeServer.info()}PONG\r\n`)
      assert.include((yield* Fiber.join(dialled)).server, name)
    }))

  it.live("is reached at the next one at once, when one refuses the connection or is full", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      yield* names({ [name]: [nobody, "127.0.0.3", "127.0.0.1"] })
      const full = `${TestFakeServer.info()}-ERR 'maximum connections exceeded'\r\n`
      yield* listenAt("127.0.0.3", server.port, (socket) => socket.end(full))
      yield* atOnce(connects(server.port))
    }))

  it.effect("is reached though a short timeout leaves no second for each", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      yield* names({ [name]: ["127.0.0.2", "127.0.0.3", "127.0.0.1"] })
      const first = yield* listenAt("127.0.0.2", server.port)
      const second = yield* listenAt("127.0.0.3", server.port)
      const dialled = yield* Effect.forkChild(connects(server.port, { connectTimeout: 1000 }))
      for (const each of [first, second]) {
        yield* until(Effect.sync(() => each.size === 1))
        yield* oneTurn
        yield* TestClock.adjust("250 millis")
      }
      yield* Fiber.join(dialled)
    }))

  it.live("that all refuse is a ConnectionRefused at once, of the name, with what each address said", () =>
    Effect.gen(function*() {
      yield* names({ [name]: ["127.0.0.2", "127.0.0.3", "::1", "127.0.0.3", "::1"] })
      const error = yield* atOnce(refusal(`nats://${name}:9`))
      assert.strictEqual(error._tag, "ConnectionRefused")
      assert.include(error.message, `nats://${name}:9`)
      // Each once, and the families by turns.
      assert.deepStrictEqual(
        error.attempts?.map(({ server }) => server),
        ["nats://127.0.0.2:9", "nats://[::1]:9", "nats://127.0.0.3:9"]
      )
      for (const { error: each } of error.attempts ?? []) assert.include(each, { server: `nats://${name}:9` })
      yield* names({ [name]: ["::1", "127.0.0.2", "127.0.0.3", "127.0.0.4"] })
      const other = yield* refusal(`nats://${name}:9`)
      assert.deepStrictEqual(
        other.attempts?.map(({ server }) => server),
        ["nats://[::1]:9", "nats://127.0.0.2:9", "nats://127.0.0.3:9", "nats://127.0.0.4:9"]
      )
    }))

  it.live("of which one refuses the credentials is that refusal, and nobody waits long for the others", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "p" }] })
      yield* names({ [name]: ["127.0.0.1", "127.0.0.2"] })
      const hung = yield* listenAt("127.0.0.2", server.port)
      const [error, millis] = yield* timed(
        refusal(`nats://${name}:${server.port}`, { credentials: password("john", "q") })
      )
      assert.strictEqual(error._tag, "AuthorizationViolation")
      assert.isBelow(millis, 3000)
      assert.deepStrictEqual(error.attempts?.map((each) => each.error._tag), [
        "AuthorizationViolation",
        "ConnectTimedOut"
      ])
      yield* until(Effect.sync(() => hung.size === 0))
      // A pod that is going down refuses what the next one takes.
      yield* names({ [name]: ["127.0.0.3", "127.0.0.1"] })
      const refusing = `${TestFakeServer.info()}-ERR 'Authorization Violation'\r\n`
      yield* listenAt("127.0.0.3", server.port, (socket) => socket.end(refusing))
      yield* connects(server.port, { credentials: password("john", "p") })
    }))

  it.live("has one timeout for all, and each address is told the time that it had", () =>
    Effect.gen(function*() {
      yield* names({ [name]: ["127.0.0.2", "127.0.0.3"] })
      const open = new Set<number>()
      const server = yield* TestFakeServer.make([])
      yield* listenAt("127.0.0.2", server.port)
      yield* listenAt("127.0.0.3", server.port, () => open.add(3))
      const [error, millis] = yield* timed(refusal(`nats://${name}:${server.port}`, { connectTimeout: 1500 }))
      assert.isAtLeast(millis, 1490)
      assert.isBelow(millis, 3000)
      assert(error._tag === "ConnectTimedOut", error._tag)
      assert.strictEqual(error.timeoutMillis, 1500)
      assert.strictEqual(open.size, 1)
      const second = error.attempts?.[1].error
      assert(second?._tag === "ConnectTimedOut")
      assert.isBelow(second.timeoutMillis, 1100)
      assert.include(second.message, `within ${second.timeoutMillis} ms`)
    }))

  it.effect("has ended then, also where the lookup has left no time to begin them all", () =>
    Effect.gen(function*() {
      const { port } = yield* TestFakeServer.make([])
      let know: (addresses: ReadonlyArray<string>) => void = () => {}
      const asked = yield* names({
        [name]: new Promise((resume) => {
          know = resume
        })
      })
      const first = yield* listenAt("127.0.0.2", port)
      const second = yield* listenAt("127.0.0.3", port)
      const dialled = yield* Effect.forkChild(refusal(`nats://${name}:${port}`, { connectTimeout: 60_000 }))
      yield* until(Effect.sync(() => asked() === 1))
      yield* TestClock.adjust("59900 millis")
      know(["127.0.0.2", "127.0.0.3"])
      yield* until(Effect.sync(() => first.size === 1))
      yield* TestClock.adjust("100 millis")
      const error = yield* Fiber.join(dialled)
      assert.deepInclude(error, { _tag: "ConnectTimedOut", timeoutMillis: 60_000 })
      // The other was not begun.
      assert.isUndefined(error.attempts)
      assert.strictEqual(second.size, 0)
    }))

  it.effect("is spoken to at each of them that keeps silent: one that waits for that is no NATS server", () =>
    Effect.gen(function*() {
      const { port } = yield* TestFakeServer.make([])
      yield* names({ [name]: ["127.0.0.2", "127.0.0.3"] })
      const spokenTo: Array<string> = []
      const first = yield* listenAt("127.0.0.2", port, (socket) => {
        socket.once("data", () => spokenTo.push("first"))
      })
      const second = yield* listenAt("127.0.0.3", port, (socket) => {
        socket.once("data", () => {
          spokenTo.push("second")
          socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")
        })
      })
      const dialled = yield* Effect.forkChild(refusal(`nats://${name}:${port}`, { connectTimeout: 60_000 }))
      yield* until(Effect.sync(() => first.size === 1))
      yield* oneTurn
      yield* TestClock.adjust("1 second")
      yield* until(Effect.sync(() => second.size === 1))
      for (let turns = 0; turns < 5; turns++) yield* oneTurn
      assert.deepStrictEqual(spokenTo, [])
      // In the last tenth, which lasts until both have had their say.
      yield* TestClock.adjust("53 seconds")
      yield* until(Effect.sync(() => spokenTo.length === 2 && second.size === 0))
      yield* TestClock.adjust("6 seconds")
      const error = yield* Fiber.join(dialled)
      assert.deepStrictEqual(error.attempts?.map((each) => each.error._tag), ["ConnectTimedOut", "NotANatsServer"])
    }))

  it.live("is verified as the name, whatever its addresses", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const ofName = yield* authority.issue({ names: [name] })
      const ofAddress = yield* authority.issue({ names: ["127.0.0.1", "127.0.0.7"] })
      yield* names({ [name]: [nobody, "127.0.0.1"] })
      const tls = { ca: authority.cert }
      const good = yield* TestNatsServer.make({ tls: ofName, websocket: { tls: ofName } })
      yield* connects(good.port, { tls }, "tls")
      yield* connects(Number(good.websocketUrl!.split(":")[2]), { tls }, "wss")
      const bad = yield* TestNatsServer.make({ tls: ofAddress })
      const error = yield* refusal(`tls://${name}:${bad.port}`, { tls })
      assert.strictEqual(error._tag, "TlsCertificateInvalid")
    }))

  it.effect("gives one session, though two addresses get through in the same turn", () =>
    Effect.gen(function*() {
      yield* names({ [name]: ["127.0.0.2", "127.0.0.3"] })
      const { port } = yield* TestFakeServer.make([])
      // Both have had the CONNECT before either is answered.
      const asked = new Set<{ write: (text: string) => unknown }>()
      const open: Array<ReadonlySet<unknown>> = []
      for (const address of ["127.0.0.2", "127.0.0.3"]) {
        open.push(
          yield* listenAt(address, port, (socket) => {
            socket.write(TestFakeServer.info())
            socket.on("data", (chunk) => {
              if (chunk.includes("CONNECT")) asked.add(socket)
              if (asked.size === 2) {
                for (const each of asked) each.write("PONG\r\n")
                asked.clear()
              }
            })
          })
        )
      }
      for (let i = 0; i < 5; i++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const owner = new Recorder()
          const dialled = yield* Effect.forkChild(dialTo(`nats://${name}:${port}`, { owner, connectTimeout: 1200 }))
          yield* until(Effect.sync(() => asked.size === 1))
          yield* TestClock.adjust("400 millis")
          const session = yield* Fiber.join(dialled)
          assert.deepStrictEqual(owner.openedWith, [session])
          yield* until(Effect.sync(() => open[0].size + open[1].size === 1))
          assert.deepStrictEqual(owner.ends, [])
        }))
      }
    }))

  it.live("is not dialled on when the owner had a session and let it go", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      yield* names({ [name]: ["127.0.0.1", "127.0.0.2"] })
      const second = yield* listenAt("127.0.0.2", server.port)
      const owner = new class extends Recorder {
        override opened(session: Session): void {
          super.opened(session)
          session.close()
        }
      }()
      const error = yield* atOnce(refusal(`nats://${name}:${server.port}`, { owner }))
      assert.strictEqual(error._tag, "ConnectionReset")
      assert.strictEqual(owner.openedWith.length, 1)
      assert.strictEqual(second.size, 0)
    }))

  it.effect("is let go at once when the dial is interrupted: in the lookup, at the first address, at both", () =>
    Effect.gen(function*() {
      const asked = yield* names({ [name]: ["127.0.0.2", "127.0.0.3"], "silent.example.test": "never" })
      const { port } = yield* TestFakeServer.make([])
      const first = yield* listenAt("127.0.0.2", port)
      const second = yield* listenAt("127.0.0.3", port)
      const owner = new Recorder()
      // The clock stands still meanwhile: nothing of it waits for a time.
      const interrupted = (host: string, reached: Effect.Effect<void>) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Effect.exit(dialTo(`nats://${host}:${port}`, { owner })))
          yield* reached
          yield* Fiber.interrupt(fiber)
          yield* until(Effect.sync(() => first.size + second.size === 0))
        })
      const atFirst = Effect.andThen(until(Effect.sync(() => first.size === 1)), oneTurn)
      yield* interrupted("silent.example.test", until(Effect.sync(() => asked() === 1)))
      yield* interrupted(name, atFirst)
      yield* interrupted(
        name,
        atFirst.pipe(
          Effect.andThen(TestClock.adjust("1 second")),
          Effect.andThen(until(Effect.sync(() => second.size === 1)))
        )
      )
      assert.deepStrictEqual(owner.openedWith, [])
    }))
})

describe("a name", () => {
  it.live("without an address is a ServerNotFound", () =>
    Effect.gen(function*() {
      yield* names({ [name]: [] })
      const error = yield* refusal(`nats://${name}:4222`)
      assert.strictEqual(error._tag, "ServerNotFound")
      assert.propertyVal(error.cause, "code", "ENOTFOUND")
    }))

  it.live("that cannot even be looked up is one, too", () =>
    Effect.gen(function*() {
      const cause = new Error("no threads")
      yield* names({
        get [name](): never {
          throw cause
        }
      })
      const error = yield* refusal(`nats://${name}:4222`)
      assert.strictEqual(error._tag, "ServerNotFound")
      assert.strictEqual(error.cause, cause)
    }))

  it.effect("that the name service does not answer for is a ConnectTimedOut at stage lookup, by the Clock", () =>
    Effect.gen(function*() {
      const asked = yield* names({ [name]: "never" })
      const fiber = yield* Effect.forkChild(refusal(`nats://${name}:4222`, { connectTimeout: 60_000 }))
      yield* until(Effect.sync(() => asked() === 1))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)
      assert(error._tag === "ConnectTimedOut", error._tag)
      assert.deepInclude(error, { stage: "lookup", timeoutMillis: 60_000 })
      assert.include(error.message, "name service")
    }))

  it.live("with one address is looked up once for each dial, and its error stands alone", () =>
    Effect.gen(function*() {
      const asked = yield* names({ [name]: [nobody] })
      const error = yield* refusal(`nats://${name}:9`)
      assert.strictEqual(error._tag, "ConnectionRefused")
      assert.isUndefined(error.attempts)
      assert.strictEqual(asked(), 1)
    }))
})
