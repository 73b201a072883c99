// Wrong uses stand alone here, for the compiler to refuse.
// @effect-diagnostics floatingEffect:off missingEffectError:off
/** What the compiler says of typed subjects. Checked by `tsc`; never run. */
import {
  type NatsClient,
  type NatsError,
  type NatsListener,
  type NatsMessage,
  Subject,
  SubjectSchema
} from "effect-nats"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { holds, type Same } from "./assert.ts"

const Order = Schema.Struct({ total: Schema.Number })
interface OrderType {
  readonly total: number
}
class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { id: Schema.String }) {}
class Audit extends Context.Service<Audit, { readonly note: (text: string) => Effect.Effect<void> }>()("Audit") {}
class Full extends Schema.TaggedError<Full>()("Full", {}) {}

const plain = SubjectSchema.make("orders.created", Order)
const templated = SubjectSchema.make(Subject.template("orders.{id}.created"), Order)
// @ts-expect-error it has an empty token
SubjectSchema.make("orders..created", Order)
// @ts-expect-error wildcards are for subscribing
SubjectSchema.make("orders.*", Order)
declare const anyString: string
SubjectSchema.make(anyString, Order)
SubjectSchema.make(Subject.literal("orders.created"), Order)

// Codecs fit what the schema encodes to.
SubjectSchema.make("a", Schema.String, { codec: SubjectSchema.string })
SubjectSchema.make("a", Schema.NumberFromString, { codec: SubjectSchema.string })
SubjectSchema.make("a", Schema.Uint8Array, { codec: SubjectSchema.raw })
SubjectSchema.make("a", Order, { codec: SubjectSchema.binary })
// @ts-expect-error an object is no text
SubjectSchema.make("a", Order, { codec: SubjectSchema.string })
// @ts-expect-error a text is no bytes
SubjectSchema.make("a", Schema.String, { codec: SubjectSchema.raw })

// Publishing.
const published = plain.publish({ total: 1 })
holds<
  Same<
    typeof published,
    Effect.Effect<
      void,
      Exclude<NatsError.PublishError, NatsError.PermissionsViolation> | NatsError.MessageEncodeError,
      NatsClient.NatsClient
    >
  >
>()
const confirmed = plain.publish({ total: 1 }, { confirm: true })
holds<
  Same<
    typeof confirmed,
    Effect.Effect<void, NatsError.PublishError | NatsError.MessageEncodeError, NatsClient.NatsClient>
  >
>()
templated.publish({ id: "1" }, { total: 1 })
// @ts-expect-error the value does not fit
plain.publish({ total: "1" })
// @ts-expect-error the parameters are missing
templated.publish({ total: 1 })
// @ts-expect-error no such parameter
templated.publish({ no: "1" }, { total: 1 })

// Subscribing, and what each policy leaves.
const failing = plain.subscribe()
holds<
  Same<
    typeof failing,
    Stream.Stream<
      SubjectSchema.Received<OrderType, {}>,
      NatsError.SubscribeError | NatsError.SubscriptionError | NatsError.MessageDecodeError,
      NatsClient.NatsClient
    >
  >
>()
const skipping = templated.subscribe({ onInvalid: "skip", parameters: { id: "1" }, queue: "q" })
holds<
  Same<
    typeof skipping,
    Stream.Stream<
      SubjectSchema.Received<OrderType, { readonly id: string }>,
      NatsError.SubscribeError | NatsError.SubscriptionError,
      NatsClient.NatsClient
    >
  >
>()
const handled = plain.subscribe({
  onInvalid: (error, message) => {
    holds<Same<typeof error, NatsError.MessageDecodeError>>()
    holds<Same<typeof message, NatsMessage.NatsMessage>>()
    return Effect.flatMap(Audit, (audit) => Effect.andThen(audit.note(error.path), Effect.fail(new Full())))
  }
})
holds<
  Same<
    typeof handled,
    Stream.Stream<
      SubjectSchema.Received<OrderType, {}>,
      NatsError.SubscribeError | NatsError.SubscriptionError | Full,
      NatsClient.NatsClient | Audit
    >
  >
>()
const opened = plain.subscription()
holds<
  Same<
    typeof opened,
    Effect.Effect<
      SubjectSchema.Subscription<OrderType, {}, NatsError.MessageDecodeError, never>,
      NatsError.SubscribeError,
      NatsClient.NatsClient | Scope.Scope
    >
  >
>()
// @ts-expect-error no such policy
plain.subscribe({ onInvalid: "ignore" })
// @ts-expect-error no such parameter
templated.subscribe({ parameters: { no: "1" } })

// Requests.
const getOrder = SubjectSchema.makeRequest("orders.get", { payload: Schema.String, success: Order, error: NotFound })
const asked = getOrder.request("1")
holds<
  Same<
    typeof asked,
    Effect.Effect<
      OrderType,
      | NotFound
      | NatsError.RequestError
      | NatsError.ServiceError
      | NatsError.MessageEncodeError
      | NatsError.MessageDecodeError,
      NatsClient.NatsClient
    >
  >
>()
const served = getOrder.respond((id) =>
  Effect.flatMap(Audit, () => id === "" ? Effect.fail(new NotFound({ id })) : Effect.succeed({ total: 1 }))
)
holds<
  Same<
    typeof served,
    Effect.Effect<
      NatsListener.Listener,
      NatsError.HandleError,
      NatsClient.NatsClient | Scope.Scope | Audit
    >
  >
>()
// @ts-expect-error an error that is not in the contract
getOrder.respond(() => Effect.fail(new Full()))

// The same as a layer, which needs what the handler needs and fails as its start does.
const servedAsLayer = getOrder.layer((id, request) => {
  request.setReplyHeader("Retry-After", "3")
  return Effect.flatMap(Audit, () => id === "" ? Effect.fail(new NotFound({ id })) : Effect.succeed({ total: 1 }))
})
holds<
  Same<typeof servedAsLayer, Layer.Layer<never, NatsError.HandleError, NatsClient.NatsClient | Audit>>
>()
// @ts-expect-error an error that is not in the contract
getOrder.layer(() => Effect.fail(new Full()))
getOrder.request("1", { onReply: (reply) => reply.header("Served-On") })

// Handlers of events: what they fail with is reported, what they need the layer needs.
const told = SubjectSchema.make(Subject.template("orders.{id}.told"), Order)
const toldHandled = told.layer(
  (order, { message, parameters }) => {
    holds<Same<typeof order, OrderType>>()
    holds<Same<typeof parameters, { readonly id: string }>>()
    holds<Same<typeof message, NatsMessage.NatsMessage>>()
    return Effect.flatMap(Audit, () => Effect.fail(new Full()))
  },
  { queue: "q", concurrency: "unbounded", parameters: { id: "7" } }
)
holds<Same<typeof toldHandled, Layer.Layer<never, NatsError.HandleError, NatsClient.NatsClient | Audit>>>()
// @ts-expect-error a parameter that the template does not have
told.layer(() => Effect.void, { parameters: { name: "7" } })
// @ts-expect-error a result that does not fit
getOrder.respond(() => Effect.succeed("1"))

// What is left out of a contract is void, and nothing fails.
const ping = SubjectSchema.makeRequest("ping", {})
const pinged = ping.request()
holds<
  Same<
    typeof pinged,
    Effect.Effect<
      void,
      NatsError.RequestError | NatsError.ServiceError | NatsError.MessageEncodeError | NatsError.MessageDecodeError,
      NatsClient.NatsClient
    >
  >
>()
ping.respond(() => Effect.void)
// @ts-expect-error no error in the contract
ping.respond(() => Effect.fail(new Full()))

const item = SubjectSchema.makeRequest(Subject.template("items.{id}.get"), { success: Order })
item.request({ id: "1" })
item.respond((_, { parameters }) => {
  holds<Same<typeof parameters, { readonly id: string }>>()
  return Effect.succeed({ total: 1 })
})
// @ts-expect-error the parameters are missing
item.request()
