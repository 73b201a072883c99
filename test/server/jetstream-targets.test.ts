/** A consumer that is given by its definition. */
import { assert, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { JetStream, JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { withJetStream } from "../fixtures/jetStream.ts"

const Orders = JetStreamStream.make("ORDERS", { subjects: ["orders.>"], storage: "memory" })

it.live("a consumer given by its definition is made, changed in what is safe, and refused in the rest", () =>
  Effect.gen(function*() {
    const { js } = yield* withJetStream()
    yield* Effect.gen(function*() {
      yield* JetStreamStream.create(Orders)
      for (const each of ["a", "b", "c"]) yield* js.publish(`orders.${each}`)
      const Worker = JetStreamConsumer.make(Orders, "worker", { ackWait: "20 seconds" })
      const first = Option.getOrThrow(yield* JetStreamConsumer.next(Worker))
      assert.deepStrictEqual([first.subject, first.consumer], ["orders.a", "worker"])
      yield* first.ack
      const Slower = JetStreamConsumer.make(Orders, "worker", { ackWait: "40 seconds" })
      const second = Option.getOrThrow(yield* Stream.runHead(JetStreamConsumer.messages(Slower)))
      assert.strictEqual(second.subject, "orders.b")
      yield* second.ack
      const { config } = yield* JetStreamConsumer.info(Worker)
      assert.strictEqual(config.ackWait?.toString(), "40000 millis")
      const Other = JetStreamConsumer.make(Orders, "worker", { from: "new" })
      const refused = yield* Effect.flip(JetStreamConsumer.next(Other))
      assert.strictEqual(refused._tag, "ProvisionRefused")
      assert.include(refused.message, "from")
      assert.deepStrictEqual(
        (yield* Stream.runCollect(JetStreamConsumer.fetch({ stream: Orders, consumer: "worker" }, 5, { maxWait: 0 })))
          .map(({ subject }) => subject),
        ["orders.c"]
      )
    }).pipe(Effect.provideService(JetStream.JetStream, js))
  }))
