/**
 * What the services of the shop have in common: who can be asked what, what can go wrong, and what is told to everybody.
 * No service imports another; all of them import this.
 */
import { Schema } from "effect"
import { Subject, SubjectSchema } from "effect-nats"
import { JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { Rpc, RpcGroup } from "effect/rpc"

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

export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  service: Schema.String,
  cause: Schema.String
}, { httpApiStatus: 503 }) {
  override get message(): string {
    return `The service ${this.service} cannot be had now: ${this.cause}.`
  }
}

/** Served as a NATS micro service named `stock`: any language can ask. */
export const Stock = RpcGroup.make(
  Rpc.make("left", { payload: { item: Schema.String }, success: Schema.Int }),
  /** Answers with the price of the line. */
  Rpc.make("reserve", { payload: Line, success: Schema.Int, error: OutOfStock }),
  Rpc.make("release", { payload: Line })
)

/** Served as a NATS micro service named `payments`. */
export const Payments = RpcGroup.make(
  Rpc.make("charge", { payload: { card: Schema.String, amount: Schema.Int }, error: Declined })
)

/** Served by the protocol of `effect/rpc` on the subject `rpc.orders`: Effect on both sides. */
export const Orders = RpcGroup.make(
  Rpc.make("place", {
    payload: { ...Line.fields, card: Schema.String },
    success: Order,
    error: Schema.Union([OutOfStock, Declined, Unavailable])
  })
)

export const ordersSubject = "rpc.orders"

// What was placed is kept until it is shipped, whoever is there to do it.

export const OrderPlaced = SubjectSchema.make(Subject.template("orders.{id}.placed"), Order)

export const PlacedOrders = JetStreamStream.make("PLACED", { subjects: ["orders.*.placed"], retention: "workqueue" })

export const Shipping = JetStreamConsumer.make(PlacedOrders, "shipping", { filter: "orders.*.placed" })

// Events: whoever wants to know subscribes.

export const OrderShipped = SubjectSchema.make(Subject.template("orders.{id}.shipped"), Line)
