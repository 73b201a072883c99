import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Latch, Result, Stream } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { connectionOf } from "../../src/internal/operations/connectionOf.ts"
import { follow, oneTurn, until } from "../fixtures/following.ts"

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
      assert.strictEqual((yield* server.connz).map((connection) => connection.subscriptions).toSorted().join(), "1,1")
      yield* nats.flush
      assert.isAtMost(timers() - before, 3)
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
      const timeout = (i: number) => i % 2 === 0 ? "20 seconds" : "2 seconds"
      const ask = (i: number) => Effect.result(nats.request("half", String(i), { timeout: timeout(i) }))
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

describe("requestMany", () => {
  it.live("keeps at most 65,536 replies unread, and fails after them", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const service = yield* NatsClient.make({ servers: server.url })
      const { stream } = yield* service.subscription("flood")
      const sent = yield* Latch.make()
      yield* Effect.forkScoped(Stream.runForEach(stream, (message) =>
        Effect.forEach(Array.from({ length: 80_000 }), () =>
          message.respond("more"), { discard: true }).pipe(
            Effect.andThen(service.flush),
            Effect.andThen(sent.open)
          )))
      const taken: Array<number> = []
      // However long so many take.
      const error = yield* nats.requestMany("flood", "", { timeout: "1 minute" }).pipe(
        Stream.runForEachArray((replies) => {
          taken.push(replies.length)
          return taken.length === 1 ? Effect.andThen(sent.await, Effect.ignore(nats.flush)) : Effect.void
        }),
        Effect.flip
      )
      assert.deepInclude(error, { _tag: "SlowConsumer", subject: "flood", messages: 65_536 })
      assert.deepStrictEqual(taken.slice(1), [65_536])
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))
})

describe("a server that takes nothing any more", () => {
  it.live("publishes and requests wait in their time, then are ConnectionLost and are never sent", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const heard = yield* witness.subscription("in")
      yield* server.pause
      const megabyte = new Uint8Array(1_000_000)
      const fill = nats.publish("other", megabyte, { timeout: "50 millis" })
      const connection = connectionOf(nats)
      const isFull = Effect.andThen(oneTurn, Effect.sync(() => connection.isCongested(connection.session!)))
      // One can be out of time because this process had no turn in it: what it has written is taken in the next.
      const full = yield* Effect.repeat(Effect.flip(Effect.forever(fill)), { until: () => isFull })
      const timeout = { timeout: "50 millis" } as const
      const failures = [
        full,
        yield* Effect.flip(nats.publish("in", "1", timeout)),
        yield* Effect.flip(nats.request("in", "2", timeout)),
        yield* Effect.flip(Stream.runDrain(nats.requestMany("in", "3", timeout)))
      ]
      for (const error of failures) {
        assert(error._tag === "ConnectionLost", error._tag)
        assert.strictEqual(error.reason._tag, "StaleConnection")
      }
      yield* server.resume
      yield* nats.publish("in", "4")
      yield* nats.flush
      const first = yield* Stream.runCollect(Stream.take(heard.stream, 1))
      assert.strictEqual(first[0].text, "4")
    }))

  it.live("and one that is away: a publish waits in its time, and is never sent", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url, reconnect: { initialDelay: "10 millis" } })
      const status = yield* follow(nats)
      yield* server.kill
      yield* status.seen("Reconnecting")
      for (const confirm of [false, true]) {
        const [elapsed, error] = yield* Effect.timed(
          Effect.flip(nats.publish("in", "1", { confirm, timeout: "100 millis" }))
        )
        assert(error._tag === "ConnectionLost", error._tag)
        assert.strictEqual(error.reason._tag, "ConnectionRefused")
        assert.isAtLeast(Duration.toMillis(elapsed), 99)
      }
      assert.strictEqual((yield* nats.stats).messagesOut, 0)
      yield* server.restart
      yield* nats.publish("in", "2", { confirm: true, timeout: "10 seconds" })
      assert.strictEqual((yield* nats.stats).messagesOut, 1)
    }))
})
