/** A test clock stands still until the test moves it. A client of a real server does not wait for that. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"

const withClient = Effect.provide(TestNatsServer.layerClient({}, { drainTimeout: "200 millis" }))

describe("a client of TestNatsServer.layerClient, under a test clock", () => {
  it.effect("publishes, flushes, and is answered", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      yield* nats.publish("a", "b")
      yield* nats.flush
      yield* NatsListener.make("q", NatsListener.replying(() => Effect.succeed("x")))
      assert.strictEqual((yield* nats.request("q", "", { timeout: "1 second" })).text, "x")
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
    }).pipe(Effect.provide(TestNatsServer.layerClient({}, { connectTimeout: "500 millis" }))))

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

describe("a client that is made under a test clock", () => {
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
