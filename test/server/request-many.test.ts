import { assert, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { TestClock } from "effect/testing"

const client = Effect.flatMap(
  TestNatsServer.TestNatsServer,
  (server) => NatsClient.make({ servers: server.url })
)

const texts = <E>(replies: Stream.Stream<{ readonly text: string }, E>) =>
  Effect.map(Stream.runCollect(replies), (all) => all.map((reply) => reply.text))

/** Answers every request with the given payloads. */
const answering = (nats: NatsClient.NatsClient, subject: string, payloads: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const service = yield* nats.subscription(subject)
    yield* Effect.forkScoped(
      Stream.runForEach(
        service.stream,
        (message) => Effect.forEach(payloads, (payload) => message.respond(payload), { discard: true })
      )
    )
  })

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("requestMany", (it) => {
  it.effect("ends after so many replies, and ignores those that come later", () =>
    Effect.gen(function*() {
      const nats = yield* client
      yield* answering(nats, "count", ["1", "2", "3", "4", "5"])
      assert.deepStrictEqual(yield* texts(nats.requestMany("count", "", { count: 3 })), ["1", "2", "3"])
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))

  it.effect("ends at an empty reply, which is no element", () =>
    Effect.gen(function*() {
      const nats = yield* client
      yield* answering(nats, "sentinel", ["1", "2", "", "4"])
      assert.deepStrictEqual(yield* texts(nats.requestMany("sentinel", "", { sentinel: true })), ["1", "2"])
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))

  it.effect("ends after a silence, counted from the first reply", () =>
    Effect.gen(function*() {
      const nats = yield* client
      const service = yield* nats.subscription("stall")
      yield* Effect.forkScoped(Stream.runForEach(service.stream, (message) =>
        Effect.andThen(Effect.sleep("150 millis"), message.respond("late first"))))
      const [elapsed, replies] = yield* Effect.timed(texts(nats.requestMany("stall", "", { stall: "50 millis" })))
      assert.deepStrictEqual(replies, ["late first"])
      assert.isBelow(Duration.toMillis(elapsed), 5_000)
    }))

  it.effect("ends with the time, with success and whatever came", () =>
    Effect.gen(function*() {
      const nats = yield* client
      yield* answering(nats, "time", ["1"])
      const came = yield* Deferred.make<void>()
      const replies = Stream.tap(
        nats.requestMany("time", "", { timeout: "100 millis" }),
        () => Deferred.succeed(came, undefined)
      )
      const asking = yield* Effect.forkChild(texts(replies), { startImmediately: true })
      yield* Deferred.await(came)
      yield* TestClock.adjust("99 millis")
      yield* nats.flush
      assert.isUndefined(asking.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* Fiber.join(asking), ["1"])
    }).pipe(Effect.provide(TestClock.layer()), Effect.scoped))

  it.effect("without a subscriber it is NoResponders, not an empty success", () =>
    Effect.gen(function*() {
      const nats = yield* client
      const error = yield* Effect.flip(texts(nats.requestMany("nobody")))
      assert.strictEqual(error._tag, "NoResponders")
    }))

  it.effect("a connection that breaks meanwhile fails it with ConnectionLost, after the replies that came", () =>
    Effect.gen(function*() {
      const nats = yield* client
      yield* answering(nats, "breaks", ["1"])
      const seen: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Effect.flip(Stream.runForEach(nats.requestMany("breaks"), (reply) =>
          Effect.andThen(
            Effect.sync(() => seen.push(reply.text)),
            Effect.forkDetach(nats.reconnect)
          )))
      )
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "ConnectionLost")
      assert.deepStrictEqual(seen, ["1"])
    }))
})
