/** What a client does that begins without its server: the three words of `reconnect.onFirstConnect`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { NatsClient, NatsHealth, NatsLayer } from "effect-nats"
import { TestFakeServer, TestNatsServer } from "effect-nats/testing"
import { follow, keepLedger, until } from "../fixtures/following.ts"
import { identity } from "../fixtures/identity.ts"

/** Anonymous, and counts how often it was asked, which is once a dial. */
const counted = () => {
  const asked = { times: 0 }
  const auth = Effect.sync(() => {
    asked.times++
    return { _tag: "Anonymous" } as const
  })
  return { asked, auth, reached: (times: number) => until(Effect.sync(() => asked.times >= times)) }
}
const fast = { initialDelay: "5 millis", maxDelay: "20 millis" } as const
const refusedSoon = { refusalTimeout: "300 millis" } as const

describe("fail and wait", () => {
  it.live("fail, the default: it fails at once, with one dial", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* server.kill
      const { asked, auth } = counted()
      const error = yield* Effect.flip(NatsClient.make({ servers: server.url, auth, reconnect: fast }))
      assert.strictEqual(error._tag, "ConnectionRefused")
      assert.strictEqual(asked.times, 1)
      const written = { servers: server.url, auth, reconnect: { ...fast, onFirstConnect: "fail" } } as const
      assert.strictEqual((yield* Effect.flip(NatsClient.make(written)))._tag, "ConnectionRefused")
      assert.strictEqual(asked.times, 2)
    }))

  it.live("wait: it waits for a broker that starts later", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* server.kill
      const { auth, reached } = counted()
      const making = yield* Effect.forkScoped(
        NatsClient.make({ servers: server.url, auth, reconnect: { ...fast, onFirstConnect: "wait" } })
      )
      yield* reached(5)
      yield* server.restart
      const app = yield* Fiber.join(making)
      yield* app.flush
      assert.strictEqual((yield* app.stats).reconnects, 0)
      assert.deepInclude(yield* app.state, { _tag: "Connected", session: 1 })
    }))

  it.live("wait: it is interrupted at once while it waits, and dials no more", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* server.kill
      const { asked, auth, reached } = counted()
      const making = yield* Effect.forkChild(Effect.scoped(
        NatsClient.make({
          servers: server.url,
          auth,
          reconnect: { initialDelay: "5 millis", maxDelay: "1 hour", factor: 100, onFirstConnect: "wait" }
        })
      ))
      yield* reached(3)
      const before = Date.now()
      yield* Fiber.interrupt(making)
      assert.isBelow(Date.now() - before, 500)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(making)))
      assert.strictEqual(asked.times, 3)
    }))

  it.live("wait: it gives up when its budget is spent, or its credentials are refused for good", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "right" })
      const refused = yield* Effect.flip(NatsClient.make({
        servers: server.url,
        auth: { token: "wrong" },
        reconnect: { ...fast, ...refusedSoon, onFirstConnect: "wait" }
      }))
      assert.strictEqual(refused._tag, "AuthorizationViolation")
      yield* server.kill
      const { asked, auth } = counted()
      const error = yield* Effect.flip(
        NatsClient.make({ servers: server.url, auth, reconnect: { ...fast, onFirstConnect: "wait", maxAttempts: 4 } })
      )
      assert.strictEqual(error._tag, "ConnectionRefused")
      assert.strictEqual(asked.times, 4)
    }))
})

describe("wait", () => {
  it.live("fails at once for what is no matter of time: something else that answers, a static JWT that has expired", () =>
    Effect.gen(function*() {
      const other = yield* TestFakeServer.make([{ send: "SSH-2.0-OpenSSH_9.2\r\n" }])
      const slow = { initialDelay: "1 hour", maxDelay: "1 hour", onFirstConnect: "wait" } as const
      const answered = yield* Effect.flip(NatsClient.make({ servers: other.url, reconnect: slow }))
      assert.strictEqual(answered._tag, "NotANatsServer")
      const john = identity(1)
      const auth = { _tag: "Jwt", jwt: john.jwt({ exp: 60 }), seed: john.seed } as const
      const refused = yield* Effect.flip(NatsClient.make({ servers: other.url, auth, reconnect: slow }))
      assert.strictEqual(refused._tag, "CredentialsExpired")
    }))
})

describe("background", () => {
  const background = { ...fast, onFirstConnect: "background" } as const

  it.live("the client is there at once, and what waits goes out when the server is", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxPayload: 2048 })
      yield* server.kill
      const app = yield* NatsClient.make({ servers: server.url, reconnect: background })
      const status = yield* follow(app)
      assert.strictEqual(status.events[0]._tag, "Connecting")
      assert.deepInclude(yield* NatsHealth.check(app), { live: true, ready: false })
      const listening = yield* Effect.forkScoped(keepLedger(app, "in"), { startImmediately: true })
      const info = yield* Effect.forkChild(app.serverInfo, { startImmediately: true })
      const waiting = yield* Effect.forEach(
        [
          app.flush,
          app.publish("out", "1"),
          app.publish("out", "2", { confirm: true }),
          Effect.flip(app.request("nobody")).pipe(
            Effect.flatMap((error) => Effect.sync(() => assert.strictEqual(error._tag, "NoResponders")))
          )
        ],
        (operation) => Effect.forkChild(operation, { startImmediately: true })
      )
      yield* status.seen("Reconnecting", 3)
      for (const fiber of waiting) assert.isUndefined(fiber.pollUnsafe())
      yield* server.restart
      yield* Effect.forEach(waiting, Fiber.join, { discard: true })
      const { ledger } = yield* Fiber.join(listening)
      assert.strictEqual((yield* Fiber.join(info)).max_payload, 2048)
      yield* app.publish("in", "7")
      yield* ledger.more(1)
      assert.deepStrictEqual(ledger.numbers, [7])
      assert.deepInclude(yield* app.state, { _tag: "Connected", session: 1 })
      assert.strictEqual((yield* app.stats).reconnects, 0)
    }))

  it.live("with whileDisconnected \"fail\" every operation is ConnectionLost, before and after the first dial has failed", () =>
    Effect.gen(function*() {
      // Accepts, and says nothing: the first dial does not end.
      const silent = yield* TestNatsServer.make({})
      yield* silent.pause
      const server = yield* TestNatsServer.make({})
      yield* server.kill
      const fails = { whileDisconnected: "fail", reconnect: background } as const
      for (
        const [servers, reason] of [[silent.url, "ConnectTimedOut"], [server.url, "ConnectionRefused"]] as const
      ) {
        const app = yield* NatsClient.make({ servers, ...fails })
        if (servers === server.url) yield* (yield* follow(app)).seen("Reconnecting")
        const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
          app.publish("out", "1"),
          app.publish("out", "1", { confirm: true }),
          app.request("out"),
          Stream.runDrain(app.requestMany("out")),
          app.flush,
          app.serverInfo,
          Effect.scoped(app.subscription("x"))
        ]
        for (const operation of operations) {
          const lost = yield* Effect.flip(operation)
          assert(lost._tag === "ConnectionLost" && "reason" in lost, lost._tag)
          assert.strictEqual((lost.reason as { readonly _tag: string })._tag, reason)
        }
      }
      // What one server said counts while the next is still dialled.
      const both = yield* NatsClient.make({ servers: [server.url, silent.url], randomizeServers: false, ...fails })
      yield* until(Effect.map(both.stats, ({ dials }) => dials === 2))
      const lost = yield* Effect.flip(both.publish("out", "1"))
      assert(lost._tag === "ConnectionLost", lost._tag)
      assert.strictEqual(lost.reason._tag, "ConnectionRefused")
    }))

  it.live("a payload is measured by the server's default first, and by what the server takes when it is sent", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxPayload: 1024 })
      yield* server.kill
      const options = { servers: server.url, reconnect: background } as const
      const app = yield* NatsClient.make(options)
      const keeping = yield* NatsClient.make({ ...options, whileDisconnected: { buffer: 10 } })
      const status = yield* follow(keeping)
      const tooLarge = yield* Effect.flip(app.publish("out", Buffer.alloc(1024 * 1024 + 1)))
      assert.deepInclude(tooLarge, { _tag: "MaxPayloadExceeded", limit: 1024 * 1024 })
      const payload = Buffer.alloc(1025)
      const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        app.publish("out", payload),
        app.publish("out", payload, { confirm: true }),
        app.request("out", payload),
        Stream.runDrain(app.requestMany("out", payload))
      ]
      const waiting = yield* Effect.forEach(
        operations,
        (operation) => Effect.forkChild(Effect.flip(operation), { startImmediately: true })
      )
      for (const size of [1025, 1024, 1025]) yield* keeping.publish("out", Buffer.alloc(size))
      yield* server.restart
      for (const fiber of waiting) {
        const error: object = yield* Fiber.join(fiber)
        assert.deepInclude(error, { _tag: "MaxPayloadExceeded", size: 1025, limit: 1024 })
      }
      yield* keeping.flush
      yield* status.seen("Undelivered")
      assert.deepStrictEqual(status.all("Undelivered"), [{ _tag: "Undelivered", messages: 2 }])
      assert.strictEqual((yield* keeping.stats).messagesOut, 1)
      assert.deepStrictEqual(status.losses, [])
    }))

  it.live("a final refusal fails neither make nor layer, and ends the client with all that waits", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make({ token: "right" })
      // Long enough for some more dials, also where each of them has to wait.
      const reconnect = { ...background, refusalTimeout: "1 second" } as const
      const options = { servers: url, auth: { token: "wrong" }, reconnect } as const
      const app = yield* NatsClient.make(options)
      const status = yield* follow(app)
      const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        app.publish("out", "1"),
        app.serverInfo,
        Stream.runDrain(app.subscribe("in")),
        app.closed
      ]
      const waiting = yield* Effect.forEach(
        operations,
        (operation) => Effect.forkChild(Effect.flip(operation), { startImmediately: true })
      )
      for (const fiber of waiting) {
        const error = yield* Fiber.join(fiber)
        assert(error._tag === "ConnectionClosed" && "reason" in error, error._tag)
        assert.strictEqual((error.reason as { readonly _tag: string })._tag, "AuthorizationViolation")
      }
      yield* status.seen("Closed")
      assert.isAbove((yield* app.stats).dials, 3)
      const program = Effect.flatMap(NatsClient.NatsClient, (nats) => nats.closed)
      const ended = yield* Effect.flip(Effect.provide(program, NatsLayer.fromUnknown(options)))
      assert.strictEqual(ended._tag, "ConnectionClosed")
    }))

  it.live("what is no matter of time is one of the outage too, up to its budget", () =>
    Effect.gen(function*() {
      const { port } = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({
        servers: `tls://127.0.0.1:${port}`,
        reconnect: { ...background, maxAttempts: 4 }
      })
      const status = yield* follow(app)
      const closed = yield* Effect.flip(app.closed)
      assert.strictEqual(closed.reason?._tag, "TlsUnavailable")
      assert.deepInclude(yield* NatsHealth.check(app), { live: false, ready: false, reason: closed.reason?.message })
      assert.strictEqual((yield* app.stats).dials, 4)
      assert.isTrue(status.all("Reconnecting").every(({ reason }) => reason._tag === "TlsUnavailable"))
    }))

  it.live("the scope closes at once while a dial or a delay goes on, and nothing is dialled any more", () =>
    Effect.gen(function*() {
      const silent = yield* TestNatsServer.make({})
      yield* silent.pause
      const dead = yield* TestNatsServer.make({})
      yield* dead.kill
      for (const { url } of [silent, dead]) {
        const { asked, auth, reached } = counted()
        const scope = yield* Scope.make()
        yield* Scope.provide(
          NatsClient.make({
            servers: url,
            auth,
            reconnect: { initialDelay: "1 hour", maxDelay: "1 hour", onFirstConnect: "background" }
          }),
          scope
        )
        yield* reached(1)
        const before = Date.now()
        yield* Scope.close(scope, Exit.void)
        assert.isBelow(Date.now() - before, 500)
        assert.strictEqual(asked.times, 1)
      }
    }))
})
