/**
 * Spans of a client's operations, and their trace across the wire.
 *
 * Spans are made wherever a tracer is installed, with the attributes that OpenTelemetry gives to messaging: `publish` is a
 * `producer`, `request` and `requestMany` are a `client`, and the handler of `consume` runs in a `consumer`, or in a
 * `server` when the message asks for an answer; the answer belongs to that span. Without a tracer there is no span, no
 * header and no cost. Elements of a stream get their span from `withMessageSpan`. A run of `publishAll` or of a sink is one
 * span, which all its messages carry.
 *
 * The span travels in the headers `traceparent` and `tracestate` (W3C trace context), beside the caller's headers; a
 * `traceparent` of the caller wins.
 *
 * Span names are bounded: the operation and the subject template, else the subscription's subject, else the message's
 * subject for the first 100 of a client, else the operation alone. Inboxes are `(temporary)`.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { NatsClient, NatsTracing } from "effect-nats"
 *
 * const program = Effect.gen(function*() {
 *   const nats = yield* NatsClient.NatsClient
 *   yield* nats.publish("orders.42.created", "{}", { subjectTemplate: "orders.{id}.created" })
 *   yield* nats.subscribe("orders.*.created").pipe(
 *     Stream.runForEach((message) =>
 *       Effect.log(message.subject).pipe(
 *         NatsTracing.withMessageSpan(message, { subjectTemplate: "orders.{id}.created" })
 *       )
 *     )
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { Message } from "./internal/delivery/message.ts"
import * as Switches from "./internal/telemetry/switches.ts"
import { isTraced, relationOf } from "./internal/telemetry/tracing.ts"
import type { NatsMessage } from "./NatsMessage.ts"

/**
 * Whether spans are made where a tracer is installed. Default `true`.
 *
 * A client that is made with `false` never makes one and never looks again: provide it to the client's layer to have
 * tracing elsewhere and none here. Around an operation it holds for that operation; around what handles messages
 * (`consume`, a listener, a typed handler, a service) for its handlers.
 *
 * @category references
 * @since 0.1.0
 */
export const Enabled: Context.Reference<boolean> = Switches.TracingEnabled

/**
 * Whether spans travel in headers. Default `true`. With `false` nothing is added to a message; what is received is still
 * read. `Tracer.DisablePropagation` of Effect goes further: no span is made.
 *
 * @category references
 * @since 0.1.0
 */
export const PropagationEnabled: Context.Reference<boolean> = Switches.PropagationEnabled

/**
 * How the span of a received message stands to the span that sent it: `"parent"`, one trace from end to end; or `"link"`,
 * a trace of its own with a link to the sender's, for messages that many consumers get or that wait for long. Default
 * `"parent"`. A message without a trace belongs to the span around its consumer either way.
 *
 * Read when `consume`, a listener or a typed handler begins, and by each `withMessageSpan`.
 *
 * @category references
 * @since 0.1.0
 */
export const ConsumerRelation: Context.Reference<"parent" | "link"> = Switches.ConsumerRelation

/**
 * @category options
 * @since 0.1.0
 */
export interface MessageSpanOptions {
  /** Names the span instead of the message's subject: `"orders.{id}.created"`, or the subscription's own `"orders.*"`. */
  readonly subjectTemplate?: string | undefined
  /** The queue group that the message was received in. */
  readonly queue?: string | undefined
  /** Default: `ConsumerRelation`. */
  readonly relation?: "parent" | "link" | undefined
}

/**
 * Runs an effect inside the span of the message it handles, as `consume` does with its handlers. The span ends with the
 * effect and has its failure. Without a tracer, and for messages of clients that make no spans, it is the effect alone.
 *
 * @category tracing
 * @since 0.1.0
 */
export const withMessageSpan: {
  (
    message: NatsMessage,
    options?: MessageSpanOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    message: NatsMessage,
    options?: MessageSpanOptions
  ): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    message: NatsMessage,
    options?: MessageSpanOptions
  ): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      if (!(message instanceof Message) || message.tracing === undefined || !isTraced(fiber)) return self
      return message.tracing.receive(
        message,
        {
          template: options?.subjectTemplate,
          queue: options?.queue,
          relation: options?.relation ?? relationOf(fiber)
        },
        () => self
      )
    })
)

/**
 * The span that a message carries, none when its headers name none that is right. For links and parents of your own.
 *
 * @category tracing
 * @since 0.1.0
 */
export const remoteSpan = (message: NatsMessage): Option.Option<Tracer.ExternalSpan> =>
  message instanceof Message ? Option.fromUndefinedOr(message.remote) : Option.none()
