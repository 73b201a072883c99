import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Latch, Result, Stream } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"

const total = 10_000
const all = Array.from({ length: total }, (_, i) => i)

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

describe("10,000 requests at once", () => {
  it.live("are all answered, each with its own reply, over one subscription and no timer for each", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const service = yield* NatsClient.make({ servers: server.url })
      const proceed = yield* Latch.make()
      const { stream } = yield* service.subscription("echo")
      yield* Effect.forkScoped(
        Effect.andThen(proceed.await, Stream.runForEach(stream, (message) => message.respond(message.text)))
      )
      const before = timers()
      const asking = yield* Effect.forkChild(
        Effect.forEach(all, (i) => nats.request("echo", String(i)), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* until(Effect.map(nats.stats, (stats) => stats.pendingRequests === total))
      assert.isAtMost(timers() - before, 3)
      assert.strictEqual((yield* server.connz).map((connection) => connection.subscriptions).toSorted().join(), "1,1")
      yield* proceed.open
      const replies = yield* Fiber.join(asking)
      assert.isTrue(replies.every((reply, i) => reply.text === String(i)))
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))

  it.live("of which half are answered too late: those time out, and no late reply reaches another request", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const service = yield* NatsClient.make({ servers: server.url })
      const late: Array<NatsMessage.NatsMessage> = []
      const { stream } = yield* service.subscription("half")
      yield* Effect.forkScoped(Stream.runForEach(stream, (message) => {
        if (Number(message.text) % 2 === 0) return message.respond(message.text)
        late.push(message)
        return Effect.void
      }))
      const ask = (i: number) => Effect.result(nats.request("half", String(i), { timeout: "2 seconds" }))
      const [elapsed, results] = yield* Effect.timed(Effect.forEach(all, ask, { concurrency: "unbounded" }))
      assert.isAtLeast(Duration.toMillis(elapsed), 1999)
      for (const [i, result] of results.entries()) {
        if (i % 2 === 0) assert(Result.isSuccess(result) && result.success.text === String(i))
        else assert(Result.isFailure(result) && result.failure._tag === "RequestTimedOut")
      }
      assert.strictEqual(late.length, total / 2)
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)

      const heard = (yield* nats.stats).messagesIn
      yield* Effect.forEach(late, (message) => message.respond("late"), { discard: true })
      const again = yield* Effect.forEach(all.slice(0, 100), (i) => nats.request("half", String(i * 2)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(again.map((reply) => reply.text), again.map((_, i) => String(i * 2)))
      assert.strictEqual((yield* nats.stats).messagesIn, heard + late.length + again.length)
    }))
})
