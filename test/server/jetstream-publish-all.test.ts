/** Many messages into streams: in order, so many at a time, and what is known when one of them fails. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Metric, Schedule, Stream } from "effect"
import { NatsClient, NatsMetrics } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsProxy } from "effect-nats/testing"
import { follow } from "../fixtures/following.ts"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"
import { keepSpans } from "../fixtures/keptSpans.ts"

const numbered = (subject: string, count: number) =>
  Stream.map(Stream.range(1, count), (n) => ({ subject, payload: String(n) }))

const stateOf = (nats: NatsClient.NatsClient, stream: string) =>
  Effect.map(rawApi(nats, `STREAM.INFO.${stream}`), ({ state }) => state.messages as number)

const textAt = (nats: NatsClient.NatsClient, stream: string, seq: number) =>
  Effect.map(
    rawApi(nats, `STREAM.MSG.GET.${stream}`, { seq }),
    ({ message }) => Buffer.from(message.data ?? "", "base64").toString()
  )

/** What a stream gave, and what it failed with. */
const collected = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.suspend(() => {
    const taken: Array<A> = []
    return Effect.map(
      Effect.flip(Stream.runForEach(stream, (value) => Effect.sync(() => taken.push(value)))),
      (error) => ({ taken, error })
    )
  })

/** A server whose answers the client does not get while the proxy swallows them. */
const throughProxy = Effect.gen(function*() {
  const { nats, server } = yield* withJetStream()
  yield* rawStream(nats, "ORDERS")
  const proxy = yield* TestNatsProxy.make({ port: server.port, record: false })
  const far = yield* NatsClient.make({ servers: proxy.url, reconnect: { initialDelay: "10 millis" } })
  const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, far)
  /** Ends the connection, and gives when the client knows it. */
  const lose = Effect.gen(function*() {
    const followed = yield* follow(far)
    yield* proxy.drop()
    yield* followed.until(({ tags }) => tags.includes("Disconnected"))
  })
  return { nats, proxy, js, server, lose }
})

const untilStored = (nats: NatsClient.NatsClient, messages: number) =>
  Effect.repeat(stateOf(nats, "ORDERS"), {
    until: (stored) => stored >= messages,
    schedule: Schedule.spaced("5 millis")
  })

describe("publishAll and the sink", () => {
  it.live("all are stored in their order, and their acknowledgements come in it", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS")
      const acks = yield* Stream.runCollect(js.publishAll(numbered("orders.a", 10_000)))
      assert.deepStrictEqual(acks.map(({ sequence }) => sequence), Array.from({ length: 10_000 }, (_, i) => i + 1))
      assert.strictEqual(yield* textAt(nats, "ORDERS", 7_777), "7777")
      const again = Stream.map(numbered("orders.b", 1_000), (message, i) => ({ ...message, msgId: String(i % 600) }))
      assert.deepStrictEqual(yield* Stream.run(again, js.sink()), {
        messages: 1_000,
        duplicates: 400,
        last: { stream: "ORDERS", sequence: 10_400, duplicate: true, domain: undefined, value: undefined }
      })
      assert.deepStrictEqual(yield* Stream.run(Stream.empty, js.sink()), {
        messages: 0,
        duplicates: 0,
        last: undefined
      })
      // One after the other, and from several streams at once, through the one inbox.
      const runs = yield* Effect.forEach(
        [1, 2, 3],
        (n) => Stream.runCollect(js.publishAll(numbered(`orders.run${n}`, 500), { inFlight: n })),
        { concurrency: "unbounded" }
      )
      for (const run of runs) assert.strictEqual(new Set(run.map(({ sequence }) => sequence)).size, 500)
      assert.strictEqual(yield* stateOf(nats, "ORDERS"), 12_100)
    }))

  it.live("no more than `inFlight` messages, and one over `inFlightBytes`, are on their way or taken by nobody", () =>
    Effect.gen(function*() {
      const { js, lose, nats, proxy } = yield* throughProxy
      let pulled = 0
      const counted = (payload: string) =>
        Stream.rechunk(Stream.range(1, 100), 1).pipe(Stream.map((n) => {
          pulled = n
          return { subject: "orders.a", payload }
        }))
      yield* proxy.swallow("toClient")
      const ten = yield* Effect.forkChild(Stream.runDrain(js.publishAll(counted("x"), { inFlight: 10 })), {
        startImmediately: true
      })
      yield* untilStored(nats, 10)
      assert.isAtMost(pulled, 11)
      yield* Fiber.interrupt(ten)
      const bytes = yield* Effect.forkChild(
        Stream.runDrain(js.publishAll(counted("x".repeat(1_000)), { inFlightBytes: 4_500 })),
        { startImmediately: true }
      )
      yield* untilStored(nats, 15)
      assert.isAtMost(pulled, 6)
      yield* Fiber.interrupt(bytes)
      yield* proxy.heal
      yield* lose
      // Who takes no more acknowledgements holds the rest back: those of one array were taken.
      const before = yield* stateOf(nats, "ORDERS")
      const stuck = yield* Effect.forkChild(
        Stream.runForEach(js.publishAll(counted("x"), { inFlight: 5 }), () => Effect.never),
        { startImmediately: true }
      )
      yield* untilStored(nats, before + 5)
      for (let i = 0; i < 50; i++) yield* stateOf(nats, "ORDERS")
      assert.isAtMost((yield* stateOf(nats, "ORDERS")) - before, 10)
      yield* Fiber.interrupt(stuck)
      for (const wrong of [{ inFlight: 0 }, { inFlight: 1.5 }, { inFlight: 1e6 }, { inFlightBytes: -1 }]) {
        const exit = yield* Effect.exit(Stream.runDrain(js.publishAll(counted("x"), wrong)))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
    }))

  it.live("the first failure in order ends it behind the acknowledgements before it, and nothing of it is on its way", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS")
      yield* rawStream(nats, "FULL", { max_msgs: 3, discard: "new" })
      const good = numbered("orders.a", 300)
      const failures = [
        [{ subject: "nobody.there" }, "NoStreamForSubject"],
        [{ subject: "a b" }, "InvalidSubject"],
        [{ subject: "orders.a", expect: { lastSequence: 7 } }, "WrongLastSequence"],
        [{ subject: "orders.a", msgId: "" }, "InvalidHeader"],
        [{ subject: "orders.a", payload: new Uint8Array(2 ** 20 + 1) }, "MaxPayloadExceeded"]
      ] as const
      for (const [bad, tag] of failures) {
        const before = yield* stateOf(nats, "ORDERS")
        const { error, taken } = yield* collected(
          js.publishAll(Stream.concat(Stream.concat(good, Stream.make(bad)), numbered("orders.behind", 50)))
        )
        assert.deepStrictEqual([error._tag, taken.length], [tag, 300])
        // What was written behind it has come to its end: the stream does not change any more.
        const stored = yield* stateOf(nats, "ORDERS")
        assert.isAtLeast(stored, before + 300)
        assert.strictEqual(yield* stateOf(nats, "ORDERS"), stored)
      }
      const full = yield* Effect.flip(Stream.run(numbered("full.a", 10), js.sink()))
      assert.deepStrictEqual([full._tag, full.acknowledged, full.reason._tag], ["SinkStopped", 3, "StreamFull"])
      assert.include(full.message, "after 3 messages")
      const source = Stream.concat(good, Stream.fail("broken" as const))
      const { error, taken } = yield* collected(js.publishAll(source))
      assert.deepStrictEqual([error, taken.length], ["broken", 300])
      const defect = yield* Effect.exit(Stream.runDrain(js.publishAll(Stream.make({ subject: undefined as never }))))
      assert.isTrue(Exit.isFailure(defect) && Cause.hasDies(defect.cause))
    }))

  it.live("when the connection dies, all that has no answer is unknown, and published again under its id it is stored once", () =>
    Effect.gen(function*() {
      const { js, nats, proxy } = yield* throughProxy
      const messages = Stream.map(numbered("orders.a", 1_000), (message) => ({ ...message, msgId: message.payload }))
      yield* proxy.swallow("toClient")
      const run = yield* Effect.forkChild(collected(js.publishAll(messages)), { startImmediately: true })
      yield* untilStored(nats, 256)
      yield* proxy.drop()
      yield* proxy.heal
      const { error, taken } = yield* Fiber.join(run)
      assert.deepInclude({ ...error }, { _tag: "PublishOutcomeUnknown", msgId: String(taken.length + 1) })
      // Stored, and unanswered.
      assert.isAtLeast((yield* stateOf(nats, "ORDERS")) - taken.length, 200)
      const rest = yield* Stream.run(Stream.drop(messages, taken.length), js.sink())
      assert.strictEqual(rest.messages, 1_000 - taken.length)
      assert.isAtLeast(rest.duplicates, 200)
      assert.strictEqual(yield* stateOf(nats, "ORDERS"), 1_000)
      for (const n of [1, 256, 257, 1_000]) assert.strictEqual(yield* textAt(nats, "ORDERS", n), String(n))
    }))

  it.live("nobody's answer in time is unknown, too; what was not written yet waits for the next connection", () =>
    Effect.gen(function*() {
      const { js, lose, nats, proxy } = yield* throughProxy
      yield* proxy.swallow("toClient")
      const late = yield* collected(js.publishAll(numbered("orders.a", 3), { timeout: "100 millis" }))
      assert.deepInclude({ ...late.error }, { _tag: "PublishOutcomeUnknown", subject: "orders.a" })
      // It was given up while it was on its way.
      assert.strictEqual(yield* untilStored(nats, 3), 3)
      yield* proxy.refuse
      yield* lose
      const never = yield* collected(js.publishAll(numbered("orders.a", 3), { timeout: "100 millis" }))
      assert.deepStrictEqual([never.error._tag, never.taken.length], ["NotPublished", 0])
      const waiting = yield* Effect.forkChild(Stream.runCollect(js.publishAll(numbered("orders.a", 3))), {
        startImmediately: true
      })
      yield* proxy.heal
      assert.deepStrictEqual((yield* Fiber.join(waiting)).map(({ sequence }) => sequence), [4, 5, 6])
    }))

  it.live("the server is killed with a window on its way: what was acknowledged is there, and each id once in the end", () =>
    Effect.gen(function*() {
      const { js, nats, server } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS", { storage: "file" })
      const messages = Stream.map(
        Stream.rechunk(numbered("orders.a", 4_000), 16),
        (message) => ({ ...message, msgId: message.payload })
      )
      let acknowledged = 0
      let kills = 0
      const publishing: Effect.Effect<void> = Effect.suspend(() =>
        Stream.runForEach(
          js.publishAll(Stream.drop(messages, acknowledged)),
          () => ++acknowledged % 1_500 === 0 && kills++ < 2 ? Effect.andThen(server.kill, server.restart) : Effect.void
        ).pipe(
          Effect.catchTag(["PublishOutcomeUnknown", "NoStreamForSubject"], () => publishing),
          Effect.orDie
        )
      )
      yield* publishing
      assert.strictEqual(kills >= 2, true)
      assert.strictEqual(yield* stateOf(nats, "ORDERS"), 4_000)
      for (const n of [1, 1_500, 1_501, 3_000, 4_000]) {
        assert.strictEqual(yield* textAt(nats, "ORDERS", n), String(n))
      }
    }))
})

describe("telemetry of publishes", () => {
  it.live("they are counted by what became of them, each once, with their times where these are wanted", () =>
    Effect.gen(function*() {
      const { nats } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS", { max_msgs: 106, discard: "new" })
      const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats).pipe(
        Effect.provideService(NatsMetrics.Collect, "everything")
      )
      const count = (outcome: string) =>
        Effect.map(
          Metric.value(Metric.withAttributes(NatsMetrics.jetStreamPublishes, { outcome })),
          ({ count }) => count
        )
      yield* js.publish("orders.a", "", { msgId: "1" })
      yield* js.publish("orders.a", "", { msgId: "1" })
      yield* Effect.exit(js.publish("nobody.a"))
      yield* Effect.exit(js.publish("a b" as string))
      yield* Stream.runDrain(js.publishAll(numbered("orders.a", 100)))
      yield* Stream.run(numbered("orders.a", 5), js.sink())
      yield* Effect.exit(Stream.run(numbered("orders.a", 3), js.sink()))
      yield* Effect.flip(js.publish("nobody.b", "", { retry: Schedule.recurs(3), msgId: "1" }))
      assert.strictEqual(yield* count("success"), 106)
      assert.strictEqual(yield* count("duplicate"), 1)
      assert.strictEqual(yield* count("NoStreamForSubject"), 2)
      assert.strictEqual(yield* count("InvalidSubject"), 1)
      assert.strictEqual(yield* count("StreamFull"), 3)
      assert.strictEqual((yield* Metric.value(NatsMetrics.jetStreamPublishesInFlight)).value, 0)
      const times = yield* Metric.value(
        Metric.withAttributes(NatsMetrics.jetStreamPublishTime, { outcome: "success" })
      )
      assert.strictEqual(times.count, 106)
      assert.isAbove(times.sum, 0)
      // On its way, and then given up.
      const slow = yield* nats.subscription("slow.>")
      const waiting = yield* Effect.forkChild(js.publish("slow.a"), { startImmediately: true })
      const several = yield* Effect.forkChild(Stream.runDrain(js.publishAll(numbered("slow.b", 5))), {
        startImmediately: true
      })
      yield* Stream.runDrain(Stream.take(slow.stream, 6))
      assert.strictEqual((yield* Metric.value(NatsMetrics.jetStreamPublishesInFlight)).value, 6)
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(several)
      assert.strictEqual((yield* Metric.value(NatsMetrics.jetStreamPublishesInFlight)).value, 0)
      assert.strictEqual(yield* count("interrupted"), 6)
      // What was written behind a failure comes to its end before the failure is told.
      const behind = Stream.make({ subject: "nobody.a" }, { subject: "slow.a" })
      // Time enough to hear that nobody is there.
      yield* Effect.flip(Stream.runDrain(js.publishAll(behind, { timeout: "1500 millis" })))
      assert.strictEqual(yield* count("PublishOutcomeUnknown"), 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.live("a publish has a span until its acknowledgement, a run has one for all, and messages carry them", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS")
      const { spans, tracer } = keepSpans()
      const carriedBy = (seq: number) =>
        Effect.map(
          rawApi(nats, `STREAM.MSG.GET.ORDERS`, { seq }),
          ({ message }) => Buffer.from(message.hdrs ?? "", "base64").toString()
        )
      yield* Effect.withTracer(js.publish("orders.7", "xy", { subjectTemplate: "orders.{id}" }), tracer)
      yield* Effect.withTracer(
        Effect.flip(js.publish("nobody.a", "", { msgId: "1", retry: Schedule.recurs(2) })),
        tracer
      )
      yield* Effect.withTracer(Stream.runDrain(js.publishAll(numbered("orders.a", 300))), tracer)
      yield* Effect.withTracer(Effect.flip(Stream.run(numbered("nobody.a", 3), js.sink())), tracer)
      assert.deepStrictEqual(spans.map(({ name }) => name), [
        "publish orders.{id}",
        "publish nobody.a",
        "publish",
        "publish"
      ])
      for (const span of spans) {
        assert.strictEqual(span.kind, "producer")
        assert.strictEqual(span.status._tag, "Ended")
      }
      const [one, none, run, stopped] = spans
      assert.strictEqual(one.attributes.get("messaging.message.body.size"), 2)
      assert.strictEqual(none.attributes.get("error.type"), "NoStreamForSubject")
      assert.strictEqual(run.attributes.get("messaging.batch.message_count"), 300)
      assert.strictEqual(stopped.attributes.get("error.type"), "NoStreamForSubject")
      assert.include(yield* carriedBy(1), `${one.traceId}-${one.spanId}`)
      for (const seq of [2, 301]) assert.include(yield* carriedBy(seq), `${run.traceId}-${run.spanId}`)
    }))
})
