import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import { TestFakeServer, TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a subscription", (it) => {
  it.effect("that drains leaves its queue group, and none of what the server sends meanwhile is lost", () =>
    Effect.gen(function*() {
      const publisher = yield* connect
      const seen = new Set<string>()
      const member = Effect.gen(function*() {
        const nats = yield* connect
        const subscription = yield* nats.subscription("work", { queue: "q" })
        const reading = yield* Effect.forkChild(Stream.runForEach(subscription.stream, (message) =>
          Effect.sync(() => {
            seen.add(message.text)
          })))
        return { drain: subscription.drain, reading, left: Effect.map(nats.stats, (stats) => stats.subscriptions) }
      })
      let next = 0
      let current = yield* member
      for (let round = 0; round < 20; round++) {
        const successor = yield* member
        // What is published right before is on its way to either while one leaves.
        for (let i = 0; i < 200; i++) yield* publisher.publish("work", String(next++))
        yield* Effect.yieldNow
        yield* current.drain
        yield* Fiber.join(current.reading)
        assert.strictEqual(yield* current.left, 0)
        current = successor
      }
      yield* until(Effect.sync(() => seen.size === next))
      yield* current.drain
      yield* current.drain
      yield* Fiber.join(current.reading)
    }))

  it.effect("that drains without a connection ends with what it has", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url, reconnect: { initialDelay: "1 hour", jitter: false } })
      const subscription = yield* nats.subscription("left")
      yield* nats.publish("left", "one")
      yield* nats.flush
      yield* server.kill
      yield* until(Effect.map(nats.state, (state) => state._tag !== "Connected"))
      yield* subscription.drain
      const read = yield* Stream.runCollect(subscription.stream)
      assert.deepStrictEqual(read.map((message) => message.text), ["one"])
    }))

  it.effect("that drains has what the server sends behind its first PONG", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([
        { send: TestFakeServer.info() },
        { expect: "PING" },
        { send: "PONG\r\n" },
        { expect: /^SUB late/ },
        { expect: "PING" },
        { send: "PONG\r\n" },
        { expect: /^UNSUB/ },
        { expect: "PING" },
        { send: "PONG\r\n" },
        { expect: "PING" },
        { send: "MSG late 2 4\r\nlate\r\nPONG\r\n" },
        { answerPings: true }
      ])
      const nats = yield* NatsClient.make({ servers: server.url })
      const subscription = yield* nats.subscription("late")
      yield* subscription.drain
      const read = yield* Stream.runCollect(subscription.stream)
      assert.deepStrictEqual(read.map((message) => message.text), ["late"])
      assert.deepStrictEqual(yield* server.problems, [])
    }))

  it.effect("whose handlers are still busy when it has left is waited for by the end of the client", () =>
    Effect.gen(function*() {
      const caller = yield* connect
      const nats = yield* connect
      const begun = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const listener = yield* NatsListener.make("busy", (message) =>
        Deferred.succeed(begun, undefined).pipe(
          Effect.andThen(Deferred.await(finish)),
          Effect.andThen(message.respond("done"))
        )).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      const asked = yield* Effect.forkChild(caller.request("busy"), { startImmediately: true })
      yield* Deferred.await(begun)
      const stopping = yield* Effect.forkChild(listener.stop, { startImmediately: true })
      yield* until(Effect.map(nats.stats, ({ subscriptions }) => subscriptions === 0))
      const draining = yield* Effect.forkChild(nats.drain, { startImmediately: true })
      yield* caller.flush
      yield* caller.flush
      yield* Deferred.succeed(finish, undefined)
      assert.strictEqual((yield* Fiber.join(asked)).text, "done")
      yield* Fiber.join(stopping)
      yield* Fiber.join(draining)
    }))
})
