/** A test clock stands still until the test moves it. A client of a real server does not wait for that. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import { TestClock } from "effect/testing"
import { until } from "../fixtures/following.ts"

const withClient = Effect.provide(TestNatsServer.layerClient({}, { drainTimeout: "200 millis" }))

describe("a client of TestNatsServer.layerClient, under a test clock", () => {
  it.effect("publishes, flushes, and is answered", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      yield* nats.publish("a", "b")
      yield* nats.flush
      yield* NatsListener.make("q", NatsListener.replying(() => Effect.succeed("x")))
      assert.strictEqual((yield* nats.request("q", "", { timeout: "20 seconds" })).text, "x")
    }).pipe(withClient))

  it.effect("lets a request time out", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      yield* nats.subscription("slow")
      assert.strictEqual(
        (yield* Effect.flip(nats.request("slow", "", { timeout: "50 millis" })))._tag,
        "RequestTimedOut"
      )
      assert.strictEqual(
        (yield* Effect.flip(nats.request("slow", "", { timeout: "50 millis" })))._tag,
        "RequestTimedOut"
      )
    }).pipe(withClient))

  it.effect("lets the replies to a request stall, and run out of time", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      yield* NatsListener.make("many", (message) => message.respond("one"))
      const stalled = yield* Stream.runCollect(
        nats.requestMany("many", "", { timeout: "20 seconds", stall: "50 millis" })
      )
      assert.strictEqual(stalled.length, 1)
      assert.strictEqual((yield* Stream.runCollect(nats.requestMany("many", "", { timeout: "2 seconds" }))).length, 1)
    }).pipe(withClient))

  it.effect("gives up what waits for a server that is away, and dials it again", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const server = yield* TestNatsServer.TestNatsServer
      yield* server.kill
      assert.strictEqual((yield* Effect.flip(nats.publish("a", "", { timeout: "50 millis" })))._tag, "ConnectionLost")
      yield* server.restart
      yield* nats.flush
    }).pipe(withClient))

  it.effect("lets go of a session whose server is silent, where that is asked for", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const server = yield* TestNatsServer.TestNatsServer
      yield* server.pause
      const asked = yield* Effect.forkChild(nats.reconnect, { startImmediately: true })
      yield* until(Effect.map(nats.state, ({ _tag }) => _tag !== "Connected"))
      yield* server.resume
      yield* Fiber.join(asked)
    }).pipe(Effect.provide(TestNatsServer.layerClient({}, { connectTimeout: "3 seconds" }))))

  it.effect("stops what does not end: a listener, and the client", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(TestNatsServer.layerClient({}, { drainTimeout: "200 millis" }), scope)
      const begun = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        const listener = yield* NatsListener.make("stuck", () =>
          Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        yield* nats.publish("stuck")
        yield* Deferred.await(begun)
        yield* listener.stop
        yield* nats.subscription("unread")
        yield* nats.publish("unread")
      }).pipe(Effect.provideContext(context), Scope.provide(scope))
      yield* Scope.close(scope, Exit.void)
    }))
})

describe("what runs on it, under a test clock", () => {
  it.effect("has the test clock: a handler that sleeps goes on when the test moves it", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const begun = yield* Deferred.make<void>()
      yield* NatsListener.make(
        "late",
        NatsListener.replying(() =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Effect.sleep("1 hour")),
            Effect.as("done")
          )
        )
      )
      const asked = yield* Effect.forkChild(nats.request("late"), { startImmediately: true })
      yield* Deferred.await(begun)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(asked)).text, "done")
    }).pipe(withClient))
})

describe("a client that is made under a test clock", () => {
  /** Whether it ends before several turns of the server and the client are over. */
  const endsByItself = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, fiber: Fiber.Fiber<unknown, unknown>) {
    for (let i = 0; i < 20; i++) yield* nats.flush
    return fiber.pollUnsafe() !== undefined
  })

  it.effect("publishes and is answered; a request that is not waits until the test moves the clock", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: url })
      yield* NatsListener.make("q", NatsListener.replying(() => Effect.succeed("x"))).pipe(
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      assert.strictEqual((yield* nats.request("q")).text, "x")
      yield* nats.subscription("slow")
      const asked = yield* Effect.forkChild(Effect.flip(nats.request("slow", "", { timeout: "1 millis" })), {
        startImmediately: true
      })
      assert.isFalse(yield* endsByItself(nats, asked))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(asked))._tag, "RequestTimedOut")
    }))

  it.effect("waits with a lost connection until the test moves the clock", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url, logStatus: false })
      const another = yield* NatsClient.make({ servers: (yield* TestNatsServer.make()).url })
      yield* server.restart
      const back = yield* Effect.forkChild(nats.flush, { startImmediately: true })
      assert.isFalse(yield* endsByItself(another, back))
      // A dial takes a few round trips, and has five seconds of this clock.
      const step = Effect.andThen(TestClock.adjust("100 millis"), another.flush)
      yield* until(Effect.map(step, () => back.pollUnsafe() !== undefined))
      yield* Fiber.join(back)
    }))

  it.effect("waits for a handler that does not end until the test moves the clock", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make()
      const another = yield* NatsClient.make({ servers: url })
      const begun = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const nats = yield* Scope.provide(NatsClient.make({ servers: url }), scope)
      yield* NatsListener.make("stuck", () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)).pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Scope.provide(scope)
      )
      yield* another.publish("stuck")
      yield* Deferred.await(begun)
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.isFalse(yield* endsByItself(another, closed))
      yield* until(Effect.map(TestClock.adjust("1 second"), () => closed.pollUnsafe() !== undefined))
    }))

  it.effect("leaves an expired JWT to the server, as it is 1970 here", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("orders")
      const { creds } = yield* account.user("alice", { expired: true })
      const { url } = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const refusal = Effect.flip(NatsClient.make({ servers: url, auth: { _tag: "Creds", creds } }))
      assert.strictEqual((yield* refusal)._tag, "AuthorizationViolation")
      assert.strictEqual((yield* TestClock.withLive(refusal))._tag, "CredentialsExpired")
    }))

  it.effect("fails to connect at once where it is refused, and where nobody listens", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "right" }] })
      const refused = yield* Effect.flip(
        NatsClient.make({ servers: server.url, auth: { user: "john", password: "wrong" } })
      )
      assert.strictEqual(refused._tag, "AuthorizationViolation")
      yield* server.stop
      assert.strictEqual((yield* Effect.flip(NatsClient.make({ servers: server.url })))._tag, "ConnectionRefused")
    }))
})
