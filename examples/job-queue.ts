/**
 * A queue of jobs: each is offered once by its id, tried again when its handler fails, and a dead letter in the end.
 *
 *   node examples/job-queue.ts
 *
 * Prints:
 *   offered order-1, order-2, order-3
 *   order-1 is paid
 *   order-2: the card is declined (attempt 1)
 *   order-3 is paid
 *   order-2: the card is declined (attempt 2)
 *   dead letter: order-2 after 2 attempts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schedule, Schema, Stream } from "effect"
import { JetStream } from "effect-nats/jetstream"
import { NatsPersistedQueue } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { PersistedQueue } from "effect/persistence"

const Payment = Schema.Struct({ order: Schema.String, amount: Schema.Number })

const program = Effect.gen(function*() {
  const payments = yield* PersistedQueue.make({
    name: "payments",
    schema: Payment,
    maxAttempts: 2,
    retrySchedule: Schedule.spaced("100 millis")
  })

  const ids = yield* Effect.forEach([12, -1, 30, 12], (amount, index) => {
    const order = `order-${index % 3 + 1}`
    // The second offer of order-1 stores nothing.
    return payments.offer({ order, amount }, { id: order })
  })
  yield* Console.log(`offered ${[...new Set(ids)].join(", ")}`)

  const worker = payments.take(({ amount, order }, { attempts }) =>
    amount < 0
      ? Effect.andThen(Console.log(`${order}: the card is declined (attempt ${attempts})`), Effect.fail("declined"))
      : Console.log(`${order} is paid`)
  )
  // Four turns: three jobs, and the second attempt of one.
  for (let turn = 0; turn < 4; turn++) yield* Effect.ignore(worker)

  const dead = yield* Stream.runCollect(NatsPersistedQueue.deadLetters({ prefix: "jobs", name: "payments" }))
  for (const { attempts, id } of dead) yield* Console.log(`dead letter: ${id} after ${attempts} attempts`)
})

program.pipe(
  Effect.provide(
    PersistedQueue.layer.pipe(
      Layer.provide(NatsPersistedQueue.layerStore({ prefix: "jobs" })),
      Layer.provideMerge(JetStream.layer()),
      Layer.provide(TestNatsServer.layerClient({ jetstream: true }))
    )
  ),
  NodeRuntime.runMain
)
