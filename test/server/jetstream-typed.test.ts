/** Values of a definition, published into a stream, read and handled; and messages that are none of it. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Schedule, Schema, Stream } from "effect"
import { Subject, SubjectSchema } from "effect-nats"
import { JetStreamSchema } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { keepingLogs, withWork } from "../fixtures/processing.ts"

const Order = Schema.Struct({ item: Schema.String, quantity: Schema.Int, at: Schema.DateTimeUtcFromString })

// One of the same type for each test.
const place = (name: string) =>
  SubjectSchema.make(Subject.template(`${name.toLowerCase()}.{id}.placed` as "some.{id}.placed"), Order)

const order = Schema.decodeUnknownSync(Order)({ item: "pen", quantity: 2, at: "2026-11-26T12:00:00.000Z" })

const soon = Schedule.spaced("10 millis")

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "a definition",
  (it) => {
    it.effect("publishes, reads and handles values, each with its parameters and its place in the stream", () =>
      Effect.gen(function*() {
        const { target, within } = yield* withWork("TYPED", 0)
        const Placed = place("TYPED")
        const value = order
        const ack = yield* within(JetStreamSchema.publish(Placed, { id: "7" }, value, { msgId: "7" }))
        assert.deepInclude(ack, { stream: "TYPED", sequence: 1, duplicate: false })
        assert.isTrue((yield* within(JetStreamSchema.publish(Placed, { id: "7" }, value, { msgId: "7" }))).duplicate)
        const read = yield* JetStreamSchema.ordered(Placed, { stream: "TYPED" }).pipe(Stream.runHead, within)
        assert.strictEqual(read._tag, "Some")
        if (read._tag !== "Some") return
        assert.deepStrictEqual([read.value.parameters, read.value.value], [{ id: "7" }, value])
        assert.strictEqual(read.value.message.header("Content-Type"), "application/json")
        const handled = yield* Deferred.make<unknown>()
        yield* within(JetStreamSchema.processScoped(
          Placed,
          target,
          ({ message, parameters, value }) =>
            Deferred.succeed(handled, [parameters.id, value.quantity, message.sequence])
        ))
        assert.deepStrictEqual(yield* Deferred.await(handled), ["7", 2, 1])
      }))

    it.effect("of one subject works without parameters, and messages of a consumer are acknowledged by hand", () =>
      Effect.gen(function*() {
        const { acknowledged, target, within } = yield* withWork("PLAIN", 0)
        const Numbers = SubjectSchema.make("plain.numbers", Schema.Int)
        for (let i = 0; i < 3; i++) yield* within(JetStreamSchema.publish(Numbers, i))
        const seen = yield* JetStreamSchema.messages(Numbers, target).pipe(
          Stream.mapEffect(({ message, value }) => Effect.as(message.ack, value)),
          Stream.take(3),
          Stream.runCollect,
          within
        )
        assert.deepStrictEqual(seen, [0, 1, 2])
        yield* acknowledged
      }))

    it.effect("does not send a value that does not fit", () =>
      Effect.gen(function*() {
        const { left, within } = yield* withWork("UNFITTING", 0)
        const Short = SubjectSchema.make("unfitting.x", Schema.String.check(Schema.isMaxLength(2)))
        const error = yield* Effect.flip(within(JetStreamSchema.publish(Short, "abc")))
        assert.strictEqual(error._tag, "MessageEncodeError")
        assert.strictEqual(yield* left, 0)
      }))

    it.effect("loses nothing that does not decode: stream and dead letter together have all, and each is reported", () =>
      Effect.gen(function*() {
        const { acknowledged, dead, js, left, target, within } = yield* withWork("STRANGE", 0, {
          stream: { retention: "workqueue" }
        })
        const Placed = place("STRANGE")
        for (let i = 0; i < 100; i++) yield* js.publish(`strange.${i}.placed`, "not an order")
        const { logged, logs } = keepingLogs()
        yield* within(JetStreamSchema.processScoped(Placed, target, () => Effect.void, {
          concurrency: 10,
          retry: soon,
          maxDeliver: 2,
          deadLetter: "dead.STRANGE"
        })).pipe(logged)
        yield* acknowledged
        assert.deepStrictEqual([yield* left, yield* dead], [0, 100])
        const failed = logs.filter(({ text }) => text.includes("A message handler failed"))
        assert.strictEqual(
          new Set(failed.map(({ annotations }) => (annotations as { sequence: number }).sequence)).size,
          100
        )
        assert.strictEqual(failed.length, 200)
      }))

    it.effect("without a dead letter leaves what does not decode in the stream", () =>
      Effect.gen(function*() {
        const { js, left, target, within } = yield* withWork("KEPT", 0, { stream: { retention: "workqueue" } })
        const Placed = place("KEPT")
        for (let i = 0; i < 5; i++) yield* js.publish(`kept.${i}.placed`, "not an order")
        const { logged, logs } = keepingLogs()
        const value = order
        const good = yield* Deferred.make<void>()
        yield* within(JetStreamSchema.processScoped(Placed, target, () => Deferred.succeed(good, undefined), {
          retry: Schedule.spaced("1 minute")
        })).pipe(logged)
        yield* within(JetStreamSchema.publish(Placed, { id: "good" }, value))
        yield* Deferred.await(good)
        assert.strictEqual(logs.length, 5)
        assert.isAtLeast(yield* left, 5)
      }))

    it.effect("sends what does not decode to the dead letter at once, where that is asked for, and no other failure", () =>
      Effect.gen(function*() {
        const { acknowledged, dead, deadLetter, js, left, target, within } = yield* withWork("ATONCE", 0, {
          stream: { retention: "workqueue" }
        })
        const Placed = place("ATONCE")
        yield* js.publish("atonce.1.placed", "{\"item\":1}")
        yield* within(JetStreamSchema.publish(Placed, { id: "2" }, order))
        const deliveries: Array<number> = []
        yield* within(JetStreamSchema.processScoped(Placed, target, ({ message }) =>
          Effect.suspend(() => {
            deliveries.push(message.deliveries)
            return message.deliveries < 3 ? Placed.decode({ ...message, text: "no" } as never) : Effect.void
          }), { retry: soon, onInvalid: "deadLetter", deadLetter: "dead.ATONCE" }))
        yield* acknowledged
        assert.deepStrictEqual([deliveries, yield* left, yield* dead], [[1, 2, 3], 0, 1])
        const { headers } = yield* deadLetter
        assert.include(headers, "Dead-Letter-Error: MessageDecodeError")
        assert.include(headers, "Dead-Letter-Deliveries: 1")
        assert.include(headers, "Dead-Letter-Subject: atonce.1.placed")
      }))

    it.effect("ends what does not decode, or gives it to a handler, where that is asked for", () =>
      Effect.gen(function*() {
        const ending = yield* withWork("ENDING", 0, { stream: { retention: "workqueue" } })
        yield* ending.js.publish("ending.1.placed", "no order")
        const { logged, logs } = keepingLogs()
        yield* ending.within(JetStreamSchema.processScoped(place("ENDING"), ending.target, () => Effect.void, {
          onInvalid: "term"
        })).pipe(logged)
        yield* ending.acknowledged
        assert.deepStrictEqual([yield* ending.left, logs.length], [0, 2])

        const own = yield* withWork("HANDLER", 0)
        yield* own.js.publish("handler.1.other", "{}")
        const seen: Array<unknown> = []
        yield* own.within(JetStreamSchema.processScoped(place("HANDLER"), own.target, () => Effect.void, {
          onInvalid: (error, { sequence, subject }) => Effect.sync(() => seen.push([error.problem, subject, sequence]))
        }))
        yield* own.acknowledged
        assert.deepStrictEqual(seen, [["its subject is not one of handler.{id}.placed", "handler.1.other", 1]])
      }))

    it.effect("fails a stream with what does not decode, or goes on where a handler settles it", () =>
      Effect.gen(function*() {
        const { js, target, within } = yield* withWork("STREAMED", 0)
        const Placed = place("STREAMED")
        yield* js.publish("streamed.1.placed", "no order")
        yield* within(JetStreamSchema.publish(Placed, { id: "2" }, order))
        const error = yield* JetStreamSchema.ordered(Placed, { stream: "STREAMED" }).pipe(
          Stream.runDrain,
          within,
          Effect.flip
        )
        assert.deepInclude(error, { _tag: "MessageDecodeError", subject: "streamed.1.placed" })
        const read = yield* JetStreamSchema.messages(Placed, target, {
          onInvalid: (_, message) => message.term("no order")
        }).pipe(Stream.runHead, within)
        assert.strictEqual(read._tag === "Some" ? read.value.parameters.id : "", "2")
      }))
  }
)
