import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
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
})
