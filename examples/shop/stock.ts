/**
 * Knows what is there: reserves it for orders, and ships it when one is placed.
 */
import { Context, Effect, Layer } from "effect"
import { JetStream, JetStreamSchema } from "effect-nats/jetstream"
import { NatsService } from "effect-nats/service"
import { type Line, OrderPlaced, OrderShipped, OutOfStock, Shipping, Stock } from "./contracts.ts"

/** What a database would be: instances of the service come and go, this stays. */
export class Warehouse extends Context.Service<Warehouse>()("shop/Warehouse", {
  make: Effect.sync(() => ({
    price: 3,
    left: new Map([["pen", 100_000]]),
    /** By order. */
    reserved: new Map<string, typeof Line.Type>()
  }))
}) {
  static readonly layer = Layer.effect(this, this.make)
}

const handlers = Stock.toLayer(Effect.gen(function*() {
  const { left, price, reserved } = yield* Warehouse
  const take = (item: string, quantity: number): void => void left.set(item, (left.get(item) ?? 0) - quantity)
  return Stock.of({
    left: ({ item }) => Effect.sync(() => left.get(item) ?? 0),
    reserve: ({ item, order, quantity }) =>
      Effect.suspend(() => {
        const there = left.get(item) ?? 0
        if (!reserved.has(order)) {
          if (there < quantity) return Effect.fail(new OutOfStock({ item, left: there }))
          take(item, quantity)
          reserved.set(order, { item, quantity })
        }
        return Effect.succeed(price * quantity)
      }),
    release: ({ order }) =>
      Effect.sync(() => {
        const line = reserved.get(order)
        if (line !== undefined) take(line.item, -line.quantity)
        reserved.delete(order)
      })
  })
}))

const endpoints = NatsService.layer(Stock, { name: "stock", version: "1.0.0", description: "What is there" }).pipe(
  Layer.provide(handlers)
)

// The instances share what is to be shipped. An instance that goes finishes what it has begun, and gives the rest back to the
// others; what none of them has shipped stays.
const shipping = JetStreamSchema.processLayer(
  OrderPlaced,
  Shipping,
  ({ parameters, value: { item, quantity } }) => OrderShipped.publish(parameters, { item, quantity }),
  { concurrency: 4 }
).pipe(Layer.provide(JetStream.layer()))

/** One instance. It needs a connection of its own. */
export const instance = Layer.merge(endpoints, shipping)
