/**
 * What the services of the shop have in common: who can be asked what, what can go wrong, and what is told to everybody.
 * No service imports another; all of them import this.
 */
import { Schema } from "effect"
import { Subject, SubjectSchema } from "effect-nats"
import { JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { Rpc, RpcGroup } from "effect/rpc"
import { Workflow } from "effect/workflow"

export const Line = Schema.Struct({
  item: Schema.NonEmptyString,
  quantity: Schema.Int.check(Schema.isGreaterThan(0))
})

export const Order = Schema.Struct({ id: Schema.String, ...Line.fields, price: Schema.Int })

// Failures with a name cross every wire as they are. The status is that of the gateway, and the code for other languages.

export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {
  item: Schema.String,
  left: Schema.Int
}, { httpApiStatus: 409 }) {
  override get message(): string {
    return `There are ${this.left} of ${this.item} left.`
  }
}

export class Declined extends Schema.TaggedError<Declined>()("Declined", {
  reason: Schema.String
}, { httpApiStatus: 402 }) {
  override get message(): string {
    return `The card was declined: ${this.reason}.`
  }
}

// Served as NATS micro services named `stock` and `payments`: any language can ask. What is asked again for an order is done
// once, so that who has not heard an answer may ask until there is one.

export const Stock = RpcGroup.make(
  Rpc.make("left", { payload: { item: Schema.String }, success: Schema.Int }),
  /** Answers with the price of the line. */
  Rpc.make("reserve", { payload: { order: Schema.String, ...Line.fields }, success: Schema.Int, error: OutOfStock }),
  Rpc.make("release", { payload: { order: Schema.String } })
)

export const Payments = RpcGroup.make(
  Rpc.make("charge", {
    payload: { order: Schema.String, card: Schema.String, amount: Schema.Int },
    error: Declined
  })
)

/** A durable workflow. Whoever starts it waits for its end; under one id there is one order, however often it is sent. */
export const PlaceOrder = Workflow.make("PlaceOrder", {
  payload: { id: Schema.NonEmptyString, ...Line.fields, card: Schema.String },
  idempotencyKey: ({ id }) => id,
  success: Order,
  error: Schema.Union([OutOfStock, Declined])
})

/** What has orders, and who only starts them, are of one cluster. Those of a killed process go on elsewhere after 3 seconds. */
export const cluster = {
  prefix: "shop",
  shardingConfig: { shardsPerGroup: 20, shardLockExpiration: "3 seconds" }
} as const

// What was placed is kept until it is shipped, whoever is there to do it.

export const OrderPlaced = SubjectSchema.make(Subject.template("orders.{id}.placed"), Order)

export const PlacedOrders = JetStreamStream.make("PLACED", { subjects: ["orders.*.placed"], retention: "workqueue" })

export const Shipping = JetStreamConsumer.make(PlacedOrders, "shipping", { filter: "orders.*.placed" })

// Events: whoever wants to know subscribes.

export const OrderShipped = SubjectSchema.make(Subject.template("orders.{id}.shipped"), Line)
