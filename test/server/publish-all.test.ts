/** Publishing many messages: array by array, and what is known when one of them cannot be sent. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { follow } from "../fixtures/following.ts"
import { keepSpans } from "../fixtures/keptSpans.ts"

const connect = (options: Omit<NatsClient.Options, "servers"> = {}) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url, ...options } as NatsClient.Options)
    return { nats, server }
  })

const numbered = (count: number) => Stream.map(Stream.range(1, count), (n) => ({ subject: "a", payload: String(n) }))

/** The texts of all messages of a subscription so far, and of the last one that is published now. */
const heard = (nats: NatsClient.NatsClient, subscription: NatsClient.Subscription, end: string) =>
  Effect.andThen(
    nats.publish(end, "end"),
    Stream.runCollect(
      subscription.stream.pipe(Stream.takeUntil(({ text }) => text === "end"), Stream.map(({ text }) => text))
    )
  )

describe("publishAll and sink", () => {
  it.live("every message is sent once and in order, with its headers and its reply, and counted", () =>
    Effect.gen(function*() {
      const { nats } = yield* connect()
      const subscription = yield* nats.subscription(">")
      assert.strictEqual(yield* nats.publishAll(numbered(10_000)), 10_000)
      assert.strictEqual(yield* Stream.run(numbered(1_000), nats.sink), 1_000)
      assert.strictEqual(yield* nats.publishAll(Stream.empty), 0)
      const texts = yield* heard(nats, subscription, "b")
      assert.deepStrictEqual(
        texts,
        [
          ...Array.from({ length: 10_000 }, (_, i) => String(i + 1)),
          ...Array.from({ length: 1_000 }, (_, i) => String(i + 1)),
          "end"
        ]
      )
      assert.strictEqual((yield* nats.stats).messagesOut, 11_001)
      yield* nats.publishAll(Stream.make(
        { subject: "c", headers: { name: "value" }, payload: new Uint8Array([65]) },
        { subject: "d", reply: "there" },
        { subject: "e", payload: "ü" }
      ))
      const [c, d, e] = yield* Stream.runCollect(Stream.take(subscription.stream, 3))
      assert.deepStrictEqual([c.subject, c.text, c.header("name")], ["c", "A", "value"])
      assert.deepStrictEqual([d.subject, d.text, d.reply], ["d", "", "there"])
      assert.strictEqual(e.text, "ü")
    }))

  it.live("the first message that cannot be sent stops it, and tells how many were before", () =>
    Effect.gen(function*() {
      const { nats } = yield* connect()
      const subscription = yield* nats.subscription(">")
      const good = { subject: "a" }
      const failures = [
        [{ subject: "a b" }, "InvalidSubject"],
        [{ subject: "a", reply: "a b" }, "InvalidSubject"],
        [{ subject: "a", headers: { name: "two\nlines" } }, "InvalidHeader"],
        [{ subject: "a", payload: new Uint8Array(2 ** 20 + 1) }, "MaxPayloadExceeded"],
        [{ subject: "a", payload: 7 as never }, "InvalidPayload"]
      ] as const
      for (const [bad, tag] of failures) {
        const error = yield* Effect.flip(nats.publishAll(Stream.make(good, good, bad, good)))
        assert.deepStrictEqual([error._tag, error.published, error.reason._tag], ["PublishAllStopped", 2, tag])
        assert.include(error.message, "after 2 messages")
        const sunk = yield* Effect.flip(Stream.run(Stream.make(good, bad), nats.sink))
        assert.deepStrictEqual([sunk.published, sunk.reason._tag], [1, tag])
      }
      assert.strictEqual((yield* heard(nats, subscription, "b")).length, failures.length * 3 + 1)
      // Without types, anything can come: that is a defect, as of a publish.
      const defect = yield* Effect.exit(nats.publishAll(Stream.make(good, { subject: undefined as never })))
      assert.isTrue(Exit.isFailure(defect) && Cause.hasDies(defect.cause))
    }))

  it.live("what the source fails with comes through, when all that it gave was sent", () =>
    Effect.gen(function*() {
      const { nats } = yield* connect()
      const subscription = yield* nats.subscription(">")
      const source = Stream.concat(numbered(5_000), Stream.fail("broken" as const))
      assert.strictEqual(yield* Effect.flip(nats.publishAll(source)), "broken")
      assert.strictEqual((yield* heard(nats, subscription, "b")).length, 5_001)
    }))

  it.live("a run goes on with the next connection, and without one it does what `whileDisconnected` says", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const servers = proxy.url
      const reconnect = { initialDelay: "10 millis" } as const
      const waiting = yield* NatsClient.make({ servers, reconnect })
      const failing = yield* NatsClient.make({ servers, reconnect, whileDisconnected: "fail" })
      const reader = yield* NatsClient.make({ servers: server.url })
      const subscription = yield* reader.subscription(">")
      const followed = yield* Effect.forEach([waiting, failing], (nats) => follow(nats))
      yield* proxy.refuse
      yield* proxy.drop()
      yield* Effect.forEach(followed, (status) => status.seen("Disconnected"))
      const error = yield* Effect.flip(failing.publishAll(numbered(3)))
      assert.deepStrictEqual([error.published, error.reason._tag, error.isRetryable], [0, "ConnectionLost", true])
      const run = yield* Effect.forkChild(waiting.publishAll(numbered(3)), { startImmediately: true })
      yield* proxy.heal
      assert.strictEqual(yield* Fiber.join(run), 3)
      yield* waiting.flush
      assert.deepStrictEqual(yield* heard(reader, subscription, "b"), ["1", "2", "3", "end"])
    }))

  it.live("while more than 8 MiB are unsent nothing is pulled, and it goes on when there is room", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port, record: false })
      const nats = yield* NatsClient.make({ servers: proxy.url })
      const payload = new Uint8Array(2 ** 19)
      let pulled = 0
      const source = Stream.rechunk(Stream.range(1, 200), 1).pipe(
        Stream.map(() => {
          pulled++
          return { subject: "a", payload }
        })
      )
      yield* proxy.delay("300 millis", "toServer")
      const run = yield* Effect.forkChild(nats.publishAll(source), { startImmediately: true })
      yield* Effect.yieldNow
      assert.isAtLeast(pulled, 16)
      assert.isBelow(pulled, 60)
      yield* proxy.delay(0)
      assert.strictEqual(yield* Fiber.join(run), 200)
    }))

  it.live("one span stands for the whole run, tells how many there were, and is what the messages carry", () =>
    Effect.gen(function*() {
      const { nats } = yield* connect()
      const subscription = yield* nats.subscription(">")
      const { spans, tracer } = keepSpans()
      const own = { subject: "b", headers: { name: "value" } }
      yield* Effect.withTracer(nats.publishAll(Stream.concat(numbered(2), Stream.make(own))), tracer)
      yield* Effect.flip(Effect.withTracer(nats.publishAll(Stream.make({ subject: "" })), tracer))
      assert.strictEqual(spans.length, 2)
      const [span, failed] = spans
      assert.deepStrictEqual([span.name, span.kind], ["publish", "producer"])
      assert.strictEqual(span.attributes.get("messaging.batch.message_count"), 3)
      assert.strictEqual(span.attributes.get("messaging.operation.type"), "send")
      assert.strictEqual(failed.attributes.get("error.type"), "PublishAllStopped")
      const carried = yield* Stream.runCollect(Stream.take(subscription.stream, 3))
      for (const message of carried) assert.include(message.header("traceparent"), `${span.traceId}-${span.spanId}`)
      assert.strictEqual(carried[2].header("name"), "value")
    }))
})
