/** What spans, metrics and health tell of the messages of a consumer. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Metric, Schedule, Stream } from "effect"
import { NatsMetrics, NatsTracing } from "effect-nats"
import { JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { rawApi } from "../fixtures/jetStream.ts"
import { keepSpans } from "../fixtures/keptSpans.ts"
import { withWork } from "../fixtures/processing.ts"

class Poisoned extends Error {
  readonly _tag = "Poisoned"
}

const soon = Schedule.spaced("10 millis")

/** Runs with a registry of its own. */
const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const everything = Effect.provideService(NatsMetrics.Collect, "everything" as const)

const of = <Input, State>(metric: Metric.Metric<Input, State>, stream: string, more: object = {}) =>
  Metric.value(Metric.withAttributes(metric, { stream, consumer: "worker", ...more }))

const acks = (stream: string) =>
  Effect.map(
    Effect.forEach(["ack", "nak", "term", "in_progress"], (kind) => of(NatsMetrics.consumerAcks, stream, { kind })),
    (states) => states.map(({ count }) => count)
  )

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "of a consumer",
  (it) => {
    it.effect("each message has its span, a child of the sender's, which names its place; the dead letter is inside", () =>
      Effect.gen(function*() {
        const { spans, tracer } = keepSpans()
        const { acknowledged, dead, deadLetter, js, target, within } = yield* withWork("SPANS", 0, {
          consumer: { filter_subject: "spans.*.new" }
        })
        yield* js.publish("spans.7.new", "bad").pipe(Effect.withTracer(tracer))
        yield* within(JetStreamConsumer.processScoped(target, () => Effect.fail(new Poisoned("bad")), {
          maxDeliver: 2,
          retry: soon,
          deadLetter: "dead.SPANS"
        })).pipe(Effect.withTracer(tracer))
        yield* acknowledged
        assert.strictEqual(yield* dead, 1)
        const sent = spans.find(({ name }) => name === "publish spans.7.new")!
        const handled = spans.filter(({ name }) => name === "process spans.*.new")
        assert.strictEqual(handled.length, 2)
        for (const [i, span] of handled.entries()) {
          assert.deepStrictEqual([span.kind, span.traceId, span.status._tag], ["consumer", sent.traceId, "Ended"])
          assert.strictEqual(span.parent._tag === "Some" ? span.parent.value.spanId : "", sent.spanId)
          const attributes = Object.fromEntries(span.attributes)
          assert.deepInclude(attributes, {
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.destination.name": "spans.7.new",
            "messaging.destination.template": "spans.*.new",
            "messaging.consumer.group.name": "worker",
            "messaging.nats.stream": "SPANS",
            "messaging.nats.consumer": "worker",
            "messaging.nats.sequence": 1,
            "messaging.nats.deliveries": i + 1,
            "error.type": "Poisoned"
          })
        }
        const copied = spans.find(({ name }) => name === "publish dead.SPANS")!
        assert.strictEqual(copied.parent._tag === "Some" ? copied.parent.value.spanId : "", handled[1].spanId)
        const { headers } = yield* deadLetter
        assert.include(headers, copied.spanId)
      }))

    it.effect("the span is a root that links to the sender's where that is asked for", () =>
      Effect.gen(function*() {
        const { spans, tracer } = keepSpans()
        const { acknowledged, js, target, within } = yield* withWork("LINKS", 0)
        yield* js.publish("links.new", "x").pipe(Effect.withTracer(tracer))
        yield* within(JetStreamConsumer.processScoped(target, () => Effect.void)).pipe(
          Effect.withTracer(tracer),
          Effect.provideService(NatsTracing.ConsumerRelation, "link")
        )
        yield* acknowledged
        const sent = spans.find(({ name }) => name === "publish links.new")!
        const handled = spans.find(({ name }) => name.startsWith("process"))!
        assert.strictEqual(handled.parent._tag, "None")
        assert.deepStrictEqual(handled.links.map(({ span }) => span.spanId), [sent.spanId])
      }))

    it.effect("metrics count deliveries, acknowledgements by kind and dead letters, and time handlers", () =>
      fresh(everything(Effect.gen(function*() {
        const { acknowledged, target, within } = yield* withWork("COUNTS", 10)
        const worker = within(JetStreamConsumer.processScoped(target, (message) =>
          message.text === "3"
            ? Effect.fail(new Poisoned("bad"))
            : message.text === "5" && message.deliveries === 1
            ? Effect.fail("once")
            : Effect.void, { maxDeliver: 3, retry: soon, deadLetter: "dead.COUNTS", concurrency: 2 }))
        yield* Effect.scoped(Effect.andThen(worker, acknowledged))
        assert.deepStrictEqual(yield* acks("COUNTS"), [9, 3, 1, 0])
        assert.strictEqual((yield* of(NatsMetrics.consumerMessages, "COUNTS")).count, 13)
        assert.strictEqual((yield* of(NatsMetrics.consumerRedelivered, "COUNTS")).count, 3)
        assert.strictEqual((yield* of(NatsMetrics.consumerDeadLetters, "COUNTS")).count, 1)
        assert.strictEqual((yield* of(NatsMetrics.consumerTime, "COUNTS")).count, 13)
        assert.strictEqual((yield* of(NatsMetrics.consumerHeld, "COUNTS")).value, 0)
        // A second one adds to the first.
        yield* Effect.scoped(worker)
        assert.deepStrictEqual(yield* acks("COUNTS"), [9, 3, 1, 0])
      }))))

    it.effect("metrics count what a stop gives back: what waits, and what a handler had", () =>
      fresh(Effect.gen(function*() {
        const { target, within } = yield* withWork("RETURNED", 4)
        const begun = yield* Deferred.make<void>()
        const handler = () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
        const worker = within(JetStreamConsumer.processScoped(target, handler, { window: 4, drainTimeout: "1 millis" }))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* worker
          yield* Deferred.await(begun)
          // Here, and not only sent: it has a millisecond for what is on its way.
          yield* until(Effect.map(of(NatsMetrics.consumerHeld, "RETURNED"), ({ value }) => value === 4))
        }))
        assert.deepStrictEqual(yield* acks("RETURNED"), [0, 4, 0, 0])
      })))

    it.effect("metrics show what is held and what is behind, and how old it is; what is extended is counted", () =>
      fresh(Effect.gen(function*() {
        const { target, within } = yield* withWork("BEHIND", 10, { consumer: { ack_wait: 400_000_000 } })
        const [busy, finish] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        yield* within(JetStreamConsumer.processScoped(
          target,
          () => Effect.andThen(Deferred.succeed(busy, undefined), Deferred.await(finish)),
          { window: 4 }
        ))
        yield* Deferred.await(busy)
        yield* until(Effect.map(of(NatsMetrics.consumerHeld, "BEHIND"), ({ value }) => value === 4))
        assert.strictEqual((yield* of(NatsMetrics.consumerPending, "BEHIND")).value, 9)
        assert.isAbove((yield* of(NatsMetrics.consumerLag, "BEHIND")).value, 0)
        yield* until(Effect.map(acks("BEHIND"), ([, , , extended]) => extended >= 4))
        yield* Deferred.succeed(finish, undefined)
      })))

    it.effect("an acknowledgement of a consumer that is gone fails where it is to be confirmed, and counts nowhere", () =>
      fresh(Effect.gen(function*() {
        const { nats, target, within } = yield* withWork("DELETED", 1)
        const told = yield* Deferred.make<string>()
        const [begun, gone] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        yield* within(JetStreamConsumer.processScoped(target, (message) =>
          Effect.gen(function*() {
            yield* Deferred.succeed(begun, undefined)
            yield* Deferred.await(gone)
            const error = yield* Effect.flip(message.ackConfirmed)
            yield* Deferred.succeed(told, error._tag)
            return yield* error
          })))
        yield* Deferred.await(begun)
        yield* rawApi(nats, "CONSUMER.DELETE.DELETED.worker")
        yield* Deferred.succeed(gone, undefined)
        assert.strictEqual(yield* Deferred.await(told), "AckUnconfirmed")
        assert.strictEqual((yield* acks("DELETED"))[0], 0)
      })))

    it.effect("metrics of messages count what the reader had and what is answered by kind, also when it has ended", () =>
      fresh(Effect.gen(function*() {
        const { acknowledged, info, nats, target, within } = yield* withWork("READ", 10)
        const messages = JetStreamConsumer.messages(target)
        const [here, another, go] = [
          yield* Deferred.make<void>(),
          yield* Deferred.make<void>(),
          yield* Deferred.make<void>()
        ]
        const few = messages.pipe(
          Stream.tap(({ text }) =>
            text === "0" ? Effect.andThen(Deferred.succeed(here, undefined), Deferred.await(another)) : Effect.void
          ),
          Stream.take(5)
        )
        const reading = yield* Effect.forkScoped(within(Stream.runCollect(few)))
        yield* Deferred.await(here)
        yield* until(Effect.map(info, (answer) => answer["num_ack_pending"] === 10))
        // 2.9 gives to one that waits at once, and to others later.
        const second = yield* Effect.forkScoped(within(messages.pipe(
          Stream.take(6),
          Stream.mapEffect(({ ack }) =>
            Deferred.await(go).pipe(Effect.andThen(ack), Effect.andThen(acks("READ")), Effect.map(([count]) => count))
          ),
          Stream.runCollect
        )))
        yield* until(Effect.map(info, (answer) => answer["num_waiting"] === 2))
        yield* nats.flush
        yield* Deferred.succeed(another, undefined)
        const [one, two, three, four, last] = yield* Fiber.join(reading)
        // The five that it did not have were given back, three of them of the array that the last one was in.
        assert.deepStrictEqual(yield* acks("READ"), [0, 5, 0, 0])
        yield* one.ack
        yield* two.nak()
        yield* three.term("bad")
        yield* four.ack
        yield* last.inProgress
        yield* last.ackConfirmed
        assert.deepStrictEqual(yield* acks("READ"), [3, 6, 1, 1])
        assert.strictEqual((yield* of(NatsMetrics.consumerMessages, "READ")).count, 5)
        assert.strictEqual((yield* of(NatsMetrics.consumerRedelivered, "READ")).count, 0)
        yield* Deferred.succeed(go, undefined)
        const after = yield* Fiber.join(second)
        yield* acknowledged
        assert.deepStrictEqual(after, [4, 5, 6, 7, 8, 9])
        assert.strictEqual((yield* of(NatsMetrics.consumerMessages, "READ")).count, 11)
        assert.strictEqual((yield* of(NatsMetrics.consumerRedelivered, "READ")).count, 6)
      })))

    it.effect("metrics show what a reader of messages holds, what is behind and how old it is, and what is kept for it", () =>
      fresh(Effect.gen(function*() {
        // What waits is kept by the half of it. What the reader has is not, which is done with it by then.
        const { acknowledged, target, within } = yield* withWork("SLOW", 10, { consumer: { ack_wait: 4e9 } })
        const finish = yield* Deferred.make<void>()
        const reading = JetStreamConsumer.messages(target, { window: 4 }).pipe(
          Stream.take(10),
          Stream.runForEach((message) => Effect.andThen(Deferred.await(finish), message.ack))
        )
        const reader = yield* Effect.forkScoped(within(reading))
        yield* until(Effect.map(of(NatsMetrics.consumerHeld, "SLOW"), ({ value }) => value === 4))
        assert.strictEqual((yield* of(NatsMetrics.consumerPending, "SLOW")).value, 9)
        assert.isAbove((yield* of(NatsMetrics.consumerLag, "SLOW")).value, 0)
        yield* until(Effect.map(acks("SLOW"), ([, , , extended]) => extended >= 3))
        yield* Deferred.succeed(finish, undefined)
        yield* Fiber.join(reader)
        yield* acknowledged
        assert.strictEqual((yield* of(NatsMetrics.consumerHeld, "SLOW")).value, 0)
        assert.strictEqual((yield* acks("SLOW"))[0], 10)
      })))

    it.effect("messages are counted nowhere where nothing is to be collected", () =>
      fresh(Effect.gen(function*() {
        const { acknowledged, target, within } = yield* withWork("UNCOUNTED", 3)
        yield* within(Stream.runForEach(Stream.take(JetStreamConsumer.messages(target), 3), ({ ack }) => ack)).pipe(
          Effect.provideService(NatsMetrics.Collect, "nothing")
        )
        yield* acknowledged
        const names = (yield* Metric.snapshot).map(({ id }) => id)
        assert.notInclude(names, "nats_consumer_acks_total")
      })))
  }
)
