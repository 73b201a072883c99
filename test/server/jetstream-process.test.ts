/** Handlers over a consumer: what their exit makes of a message, and how many run at once. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, Stream } from "effect"
import { JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { rawApi } from "../fixtures/jetStream.ts"
import { keepingLogs, withWork } from "../fixtures/processing.ts"

class Broken extends Error {
  readonly _tag = "Broken"
}

const soon = Schedule.spaced("10 millis")

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "process",
  (it) => {
    it.effect("acknowledges each message once, in order, with one message at a time", () =>
      Effect.gen(function*() {
        const { acknowledged, nats, target, within } = yield* withWork("ORDER", 50)
        const acks = yield* nats.subscription("$JS.ACK.ORDER.>")
        const seen: Array<string> = []
        let [running, most] = [0, 0]
        const { stop } = yield* within(JetStreamConsumer.processScoped(target, (message) =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            yield* Effect.yieldNow
            seen.push(message.text)
            running--
          })))
        yield* acknowledged
        yield* stop
        yield* nats.flush
        assert.deepStrictEqual(seen, Array.from({ length: 50 }, (_, i) => String(i)))
        assert.strictEqual(most, 1)
        yield* acks.drain
        const told = yield* Stream.runCollect(acks.stream)
        assert.deepStrictEqual(told.map(({ text }) => text), Array(50).fill("+ACK"))
      }))

    it.effect("runs as many handlers at once as it is told, and no more; the window is twice as many", () =>
      Effect.gen(function*() {
        const { acknowledged, info, target, within } = yield* withWork("MANY", 100)
        let [running, most, held] = [0, 0, 0]
        const full = yield* Deferred.make<void>()
        yield* within(JetStreamConsumer.processScoped(target, () =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            // Only now are no acknowledgements on their way, which a server may see behind the pull that follows them.
            if (running === 10 && held === 0) {
              const pending = Effect.map(info, (answer) => Number(answer["num_ack_pending"]))
              yield* until(Effect.map(pending, (count) => count >= 20))
              held = yield* pending
              yield* Deferred.succeed(full, undefined)
            }
            yield* Deferred.await(full)
            yield* Effect.sleep("2 millis")
            running--
          }), { concurrency: 10 }))
        yield* acknowledged
        assert.strictEqual(most, 10)
        assert.strictEqual(held, 20)
      }))

    it.effect("gives back what its handler fails with, as the schedule says at that delivery, and reports it", () =>
      Effect.gen(function*() {
        const { acknowledged, nats, target, within } = yield* withWork("RETRY", 1)
        const acks = yield* nats.subscription("$JS.ACK.RETRY.>")
        const { logged, logs } = keepingLogs()
        const deliveries: Array<number> = []
        yield* within(JetStreamConsumer.processScoped(target, (message) =>
          Effect.suspend(() => {
            deliveries.push(message.deliveries)
            if (deliveries.length === 1) return Effect.fail(new Broken("first"))
            if (deliveries.length === 2) return Effect.die(new TypeError("second"))
            if (deliveries.length === 3) throw new Error("third")
            return Effect.void
          }), { retry: Schedule.exponential("20 millis") })).pipe(logged)
        yield* acknowledged
        assert.deepStrictEqual(deliveries, [1, 2, 3, 4])
        yield* acks.drain
        const told = yield* Stream.runCollect(acks.stream)
        assert.deepStrictEqual(told.map(({ text }) => text), [
          "-NAK {\"delay\":20000000}",
          "-NAK {\"delay\":40000000}",
          "-NAK {\"delay\":80000000}",
          "+ACK"
        ])
        assert.strictEqual(logs.length, 3)
        assert.deepInclude(logs[0].annotations, {
          stream: "RETRY",
          consumer: "worker",
          subject: "retry.new",
          sequence: 1,
          deliveries: 1
        })
      }))

    it.effect("leaves to its handler what that has settled itself", () =>
      Effect.gen(function*() {
        const { acknowledged, nats, target, within } = yield* withWork("OWN", 3)
        const acks = yield* nats.subscription("$JS.ACK.OWN.>")
        yield* within(JetStreamConsumer.processScoped(target, (message) =>
          message.text === "0"
            ? message.term("no use")
            : message.text === "1"
            ? Effect.andThen(message.ack, Effect.fail(new Broken("after it")))
            : Effect.void))
        yield* acknowledged
        yield* acks.drain
        const told = yield* Stream.runCollect(acks.stream)
        assert.deepStrictEqual(told.map(({ text }) => text.split(" ")[0]), ["+TERM", "+ACK", "+ACK"])
      }))

    it.effect("goes on when a handler interrupts itself: the message comes again", () =>
      Effect.gen(function*() {
        const { acknowledged, target, within } = yield* withWork("SELF", 2)
        const seen: Array<string> = []
        yield* within(JetStreamConsumer.processScoped(target, (message) =>
          Effect.suspend(() => {
            seen.push(message.text)
            return seen.length === 1 ? Effect.interrupt : Effect.void
          }), { retry: soon }))
        yield* acknowledged
        assert.deepStrictEqual(seen.toSorted(), ["0", "0", "1"])
      }))

    it.effect("keeps alive what handlers are busy with and what waits behind: nothing is delivered twice", () =>
      Effect.gen(function*() {
        // Extended by the half of it: the rest is for the machine.
        const { acknowledged, target, within } = yield* withWork("LONG", 6, { consumer: { ack_wait: 4e9 } })
        const deliveries: Array<number> = []
        yield* within(JetStreamConsumer.processScoped(target, (message) => {
          deliveries.push(message.deliveries)
          return Effect.sleep(message.text === "0" ? "6 seconds" : "400 millis")
        }, { window: 6 }))
        yield* acknowledged
        assert.deepStrictEqual(deliveries, Array(6).fill(1))
      }))

    it.effect("without `extend` lets the server deliver to others what takes longer than its ack wait", () =>
      Effect.gen(function*() {
        const { info, target, within } = yield* withWork("SHORT", 1, { consumer: { ack_wait: 300_000_000 } })
        const again = yield* Deferred.make<number>()
        yield* within(JetStreamConsumer.processScoped(
          target,
          ({ deliveries }) =>
            deliveries === 1 ? Effect.sleep("700 millis") : Effect.asVoid(Deferred.succeed(again, deliveries)),
          { extend: false, concurrency: 2 }
        ))
        assert.strictEqual(yield* Deferred.await(again), 2)
        assert.strictEqual((yield* info)["num_pending"], 0)
      }))

    it.effect("a handler of three heartbeats with a window of one misses none, and the next one follows at once", () =>
      Effect.gen(function*() {
        const { acknowledged, nats, target, within } = yield* withWork("BEATS", 2)
        const { logged, logs } = keepingLogs()
        const pulls = yield* nats.subscription("$JS.API.CONSUMER.MSG.NEXT.BEATS.worker")
        const times: Array<number> = []
        yield* within(JetStreamConsumer.processScoped(target, () =>
          Effect.gen(function*() {
            times.push(performance.now())
            if (times.length === 1) yield* Effect.sleep("3 seconds")
            times.push(performance.now())
          }), { window: 1, heartbeat: "1 second" })).pipe(logged)
        yield* acknowledged
        // Two heartbeats later is when a pull that was lost is made again.
        assert.isBelow(times[2] - times[1], 1_900)
        assert.deepStrictEqual(logs, [])
        yield* pulls.drain
        // One for each message, and one that waits for the next.
        assert.isAtMost((yield* Stream.runCollect(pulls.stream)).length, 3)
      }))

    it.effect("refuses a consumer that gives up by itself, or acknowledges more than a message, before it asks for one", () =>
      Effect.gen(function*() {
        const { info, target, within } = yield* withWork("UNFIT", 1, { consumer: { max_deliver: 5 } })
        const error = yield* Effect.flip(within(JetStreamConsumer.process(target, () => Effect.void)))
        assert.strictEqual(error._tag, "ConsumerUnfit")
        assert.deepInclude(error, { field: "maxDeliver", actual: "5", needed: "-1" })
        assert.include(error.message, "say `maxDeliver: \"unlimited\"` in its definition")
        assert.strictEqual((yield* info)["delivered"].consumer_seq, 0)
        const all = yield* withWork("ALL", 1, { consumer: { ack_policy: "all" } })
        const second = yield* Effect.flip(all.within(JetStreamConsumer.process(all.target, () => Effect.void)))
        assert.deepInclude(second, { _tag: "ConsumerUnfit", field: "ackPolicy", actual: "all" })
        assert.include(second.message, "take another consumer")
      }))

    it.effect("says at once what is wrong with its target and its options", () =>
      Effect.gen(function*() {
        const { target, within } = yield* withWork("WRONG", 0)
        const failing = (options: JetStreamConsumer.ProcessOptions, of = target) =>
          Effect.flip(within(JetStreamConsumer.process(of, () => Effect.void, options)))
        const tags = yield* Effect.forEach([
          failing({ concurrency: 0 }),
          failing({ concurrency: "unbounded" as never }),
          failing({ deadLetter: "dead.>" }),
          failing({}, { stream: "no such", consumer: "worker" }),
          failing({}, { stream: "NONE", consumer: "worker" }),
          failing({}, { stream: "WRONG", consumer: "none" })
        ], Effect.map(({ _tag }) => _tag))
        assert.deepStrictEqual(tags, [
          "InvalidOption",
          "InvalidOption",
          "InvalidSubject",
          "InvalidName",
          "StreamNotFound",
          "ConsumerNotFound"
        ])
      }))

    it.effect("ends with ConsumerDeleted when the consumer is deleted, once the running handler is done", () =>
      Effect.gen(function*() {
        const { nats, target, within } = yield* withWork("GONE", 1)
        const [begun, done] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const fiber = yield* Effect.forkScoped(
          within(
            JetStreamConsumer.process(
              target,
              () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(done))
            )
          )
        )
        yield* Deferred.await(begun)
        yield* rawApi(nats, "CONSUMER.DELETE.GONE.worker")
        yield* Deferred.succeed(done, undefined)
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.deepInclude(error, { _tag: "ConsumerDeleted", stream: "GONE", consumer: "worker" })
      }))
  }
)
