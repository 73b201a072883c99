/**
 * Places orders: reserves the goods at `stock`, has `payments` charge the card, and keeps the order until it is shipped.
 *
 * An order is a durable workflow. The result of each step is stored, so that another process goes on behind the last one
 * that was done, whatever becomes of this one.
 */
import { Effect, Layer, Schedule, Schema } from "effect"
import { NatsCluster } from "effect-nats/cluster"
import { JetStream, JetStreamSchema } from "effect-nats/jetstream"
import { NatsService } from "effect-nats/service"
import { ClusterWorkflowEngine } from "effect/cluster"
import { Activity } from "effect/workflow"
import { cluster, Declined, OrderPlaced, OutOfStock, Payments, PlaceOrder, Stock } from "./contracts.ts"

const again = Schedule.spaced("100 millis")

// A contract's failures pass. A service that is away, or does not answer, is asked until it does; a fault there is one here.
const answered = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  call.pipe(
    Effect.retry({
      while: (error) => NatsService.isCallError(error) && error.isRetryable,
      schedule: again
    }),
    Effect.catchIf(NatsService.isCallError, Effect.die)
  )

const workflow = Layer.unwrap(Effect.gen(function*() {
  const stock = yield* NatsService.client(Stock, { name: "stock", timeout: "2 seconds" })
  const payments = yield* NatsService.client(Payments, { name: "payments", timeout: "2 seconds" })

  return PlaceOrder.toLayer(Effect.fnUntraced(function*({ card, id, item, quantity }) {
    const price = yield* Activity.make({
      name: "Reserve",
      success: Schema.Int,
      error: OutOfStock,
      execute: answered(stock.reserve({ order: id, item, quantity }))
    }).pipe(
      // Where the order fails later.
      PlaceOrder.withCompensation(() =>
        Activity.make({ name: "Release", execute: answered(stock.release({ order: id })) })
      )
    )
    yield* Activity.make({
      name: "Charge",
      error: Declined,
      execute: answered(payments.charge({ order: id, card, amount: price }))
    })
    const order = { id, item, quantity, price }
    // What is charged is placed, so this is tried until it is done. Under its id there is one copy of it.
    yield* Activity.make({
      name: "Place",
      execute: JetStreamSchema.publish(OrderPlaced, { id }, order, { msgId: id }).pipe(
        Effect.retry(again),
        Effect.orDie,
        Effect.asVoid
      )
    })
    return order
  }))
}))

/** One instance. It needs a connection of its own. */
export const instance = workflow.pipe(
  Layer.provide(ClusterWorkflowEngine.layer),
  Layer.provide(NatsCluster.layer(cluster)),
  Layer.provide(JetStream.layer())
)
