/**
 * Knows what is there: reserves it for orders, and ships it when one is placed.
 */
import { Context, Effect, Layer } from "effect"
import { NatsService } from "effect-nats/service"
import { OrderPlaced, OrderShipped, OutOfStock, Stock } from "./contracts.ts"

/** What a database would be: instances of the service come and go, this stays. */
export class Warehouse extends Context.Service<Warehouse>()("shop/Warehouse", {
  make: Effect.sync(() => ({
    price: 3,
    left: new Map([["pen", 100_000]])
  }))
}) {
  static readonly layer = Layer.effect(this, this.make)
}

const handlers = Stock.toLayer(Effect.gen(function*() {
  const { left, price } = yield* Warehouse
  const take = (item: string, quantity: number): void => void left.set(item, (left.get(item) ?? 0) - quantity)
  return Stock.of({
    left: ({ item }) => Effect.sync(() => left.get(item) ?? 0),
    reserve: ({ item, quantity }) =>
      Effect.suspend(() => {
        const there = left.get(item) ?? 0
        if (there < quantity) return Effect.fail(new OutOfStock({ item, left: there }))
        take(item, quantity)
        return Effect.succeed(price * quantity)
      }),
    release: ({ item, quantity }) => Effect.sync(() => take(item, -quantity))
  })
}))

const endpoints = NatsService.layer(Stock, { name: "stock", version: "1.0.0", description: "What is there" }).pipe(
  Layer.provide(handlers)
)

// Events are shared by the instances, as requests are: each goes to one member of the queue group. An instance that goes
// handles what it was given.
const shipping = OrderPlaced.layer(
  ({ id, item, quantity }) => OrderShipped.publish({ id }, { item, quantity }),
  { queue: "shipping" }
)

/** One instance. It needs a connection of its own. */
export const instance = Layer.merge(endpoints, shipping)
