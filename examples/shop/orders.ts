/**
 * Places orders: reserves the goods at `stock`, has `payments` charge the card, and keeps the order until it is shipped.
 */
import { Effect, Layer, Schedule } from "effect"
import { JetStream, JetStreamSchema } from "effect-nats/jetstream"
import { NatsRpc, NatsService } from "effect-nats/service"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { randomUUID } from "node:crypto"
import { OrderPlaced, Orders, ordersSubject, Payments, Stock, Unavailable } from "./contracts.ts"

// A contract's failures pass. A service that is away is a failure of this one's contract; a fault there is a fault here.
const asOurs = (service: string) => <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.catchIf(
    call,
    NatsService.isCallError,
    (error) =>
      error.isRetryable
        ? Effect.fail(new Unavailable({ service, cause: error._tag }))
        : Effect.die(error)
  )

const handlers = Orders.toLayer(Effect.gen(function*() {
  const js = yield* JetStream.JetStream
  const stock = yield* NatsService.client(Stock, { name: "stock", timeout: "2 seconds" })
  const payments = yield* NatsService.client(Payments, { name: "payments", timeout: "2 seconds" })
  return Orders.of({
    place: Effect.fnUntraced(function*({ card, item, quantity }) {
      const price = yield* asOurs("stock")(stock.reserve({ item, quantity }))
      yield* payments.charge({ card, amount: price }).pipe(
        asOurs("payments"),
        Effect.onError(() => Effect.ignore(stock.release({ item, quantity })))
      )
      const order = { id: randomUUID(), item, quantity, price }
      // Under its id there is one copy of it, however often it has to be sent.
      yield* JetStreamSchema.publish(OrderPlaced, { id: order.id }, order, {
        msgId: order.id,
        retry: Schedule.exponential("50 millis")
      }).pipe(Effect.provideService(JetStream.JetStream, js), Effect.orDie)
      return order
    })
  })
}))

/** One instance. It needs a connection of its own. */
export const instance = RpcServer.layer(Orders, {
  // A fault ends the call that has it, not all calls of the gateway that made it.
  disableFatalDefects: true,
  spanPrefix: "orders"
}).pipe(
  Layer.provide(handlers),
  Layer.provide(JetStream.layer()),
  Layer.provide(NatsRpc.layerServerProtocol({ subject: ordersSubject })),
  Layer.provide(RpcSerialization.layerJson)
)
