/**
 * Knows what is there: reserves it for orders, and ships it when one is placed.
 */
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { NatsClient, type NatsMessage, NatsTracing } from "effect-nats"
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

const ship = Effect.fnUntraced(function*(message: NatsMessage.NatsMessage) {
  const { id, item, quantity } = yield* OrderPlaced.decode(message)
  yield* OrderShipped.publish({ id }, { item, quantity }, { subjectTemplate: OrderShipped.template.template })
})

// Events are shared by the instances, as requests are: each goes to one member of the queue group.
const shipping = Layer.effectDiscard(Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  const queue = "shipping"
  const { drain, stream } = yield* nats.subscription(OrderPlaced.template.pattern, { queue })
  const reader = yield* stream.pipe(
    Stream.runForEach((message) =>
      ship(message).pipe(
        Effect.catch((error) => Effect.logError("An order is not shipped", error)),
        NatsTracing.withMessageSpan(message, { subjectTemplate: OrderPlaced.template.template, queue })
      )
    ),
    Effect.forkScoped
  )
  // An instance that goes handles the events that it was given. Without this they would go with it.
  yield* Effect.addFinalizer(() => Effect.andThen(drain, Fiber.await(reader)))
}))

/** One instance. It needs a connection of its own. */
export const instance = Layer.merge(endpoints, shipping)
