/**
 * Subjects bound to schemas: publish, subscribe, request and respond with values instead of bytes.
 *
 * A definition is a plain value that opens nothing. Its operations ask for the `NatsClient` in their requirements, so that
 * definitions are shared by both sides and services compose as layers do. For services that others discover and watch, with
 * several endpoints, there is `effect-nats/service`.
 *
 * ```ts
 * import { Effect, Schema, Stream } from "effect"
 * import { Subject, SubjectSchema } from "effect-nats"
 *
 * const Order = Schema.Struct({ total: Schema.Number })
 * const Created = SubjectSchema.make(Subject.template("orders.{id}.created"), Order)
 *
 * const program = Effect.gen(function*() {
 *   const created = yield* Created.subscription({ onInvalid: "skip" })
 *   yield* Created.publish({ id: "7" }, { total: 12.5 })
 *   yield* created.stream.pipe(
 *     Stream.take(1),
 *     Stream.runForEach(({ parameters, value }) => Effect.log(parameters.id, value.total))
 *   )
 * }).pipe(Effect.scoped)
 *
 * // A handler for as long as a layer lives.
 * const Billing = Created.layer(
 *   ({ total }, { parameters }) => Effect.log(parameters.id, total),
 *   { queue: "billing", concurrency: 8 }
 * )
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Codecs from "./internal/payload/codec.ts"
import { ofSubject, ofTemplate } from "./internal/subjectSchema/address.ts"
import * as Definitions from "./internal/subjectSchema/definitions.ts"
import type { NatsClient, PublishOptions, SubscribeOptions } from "./NatsClient.ts"
import type {
  HandleError,
  InvalidSubject,
  MessageDecodeError,
  MessageEncodeError,
  PermissionsViolation,
  PublishError,
  SubscribeError,
  SubscriptionError
} from "./NatsError.ts"
import type { Input } from "./NatsHeaders.ts"
import type { ServeOptions } from "./NatsListener.ts"
import type { NatsMessage } from "./NatsMessage.ts"
import * as RequestSchemas from "./RequestSchema.ts"
import type { Checked, Parameters, Template } from "./Subject.ts"
import { isTemplate } from "./Subject.ts"

export type {
  AskOptions,
  Contract,
  RequestContext,
  RequestSchema,
  Responder,
  RespondOptions,
  TemplateRequestSchema
} from "./RequestSchema.ts"

/**
 * How values become payloads. `Encoded` is what a schema must encode to: anything for JSON and binary.
 *
 * @category models
 * @since 0.1.0
 */
export interface Codec<in Encoded> extends Codecs.Codec<Encoded> {}

export type { Payload } from "./internal/payload/codec.ts"
export type { Problem } from "./internal/payload/decodeProblem.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface Options<Encoded> {
  /** How values become payloads. Default `json`. */
  readonly codec?: Codec<Encoded> | undefined
  /**
   * The largest payload that is decoded, in bytes. A larger one is a `MessageDecodeError`, before anything of it is read.
   * Default 1 MiB, the largest that a server takes unless it is configured otherwise.
   */
  readonly maxBytes?: number | undefined
}

/**
 * What is done with a message that cannot be decoded: its payload does not fit the schema or is too large, its
 * `Content-Type` is another, or its subject is not one of the template.
 *
 * `"fail"`: the stream fails with the `MessageDecodeError`, after what came before. `"skip"`: the message is left out, and
 * a warning is logged that names subject and path.
 *
 * @category models
 * @since 0.1.0
 */
export type Policy = "fail" | "skip"

/**
 * Is run with a message that cannot be decoded. The message is left out; a failure is the stream's.
 *
 * @category models
 * @since 0.1.0
 */
export type InvalidHandler<E, R> = (error: MessageDecodeError, message: NatsMessage) => Effect.Effect<unknown, E, R>

/**
 * What a stream fails with by its policy.
 *
 * @category models
 * @since 0.1.0
 */
export type PolicyError<P extends Policy> = P extends "fail" ? MessageDecodeError : never

/**
 * @category options
 * @since 0.1.0
 */
export interface PolicyOptions<P extends Policy> extends SubscribeOptions {
  /** What is done with a message that cannot be decoded. Default `"fail"`. */
  readonly onInvalid?: P | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface HandlerOptions<E, R> extends SubscribeOptions {
  /** What is done with a message that cannot be decoded. */
  readonly onInvalid: InvalidHandler<E, R>
}

/**
 * A decoded message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Received<A, Values = {}> {
  readonly value: A
  /** The values in the message's subject. */
  readonly parameters: Values
  readonly message: NatsMessage
}

/**
 * What is known of a message besides its value.
 *
 * @category models
 * @since 0.2.0
 */
export interface EventContext<Values> {
  /** The values in the message's subject. */
  readonly parameters: Values
  readonly message: NatsMessage
}

/**
 * How a typed handler is served.
 *
 * @category options
 * @since 0.2.0
 */
export interface HandleOptions<E = never, R = never> extends ServeOptions {
  /** What is done with a message that cannot be decoded. Default: it is a failed handler. */
  readonly onInvalid?: InvalidHandler<E, R> | undefined
}

/**
 * An open subscription: as `NatsClient.Subscription`, with decoded messages.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subscription<A, Values, E, R> {
  /** The messages. Runs of the same stream share them. */
  readonly stream: Stream.Stream<Received<A, Values>, SubscriptionError | E, R>
  /** Takes no more messages. What was received can still be read; then the stream ends. */
  readonly unsubscribe: Effect.Effect<void>
  /** Leaves without losing a message: as `drain` of `NatsClient.Subscription`. */
  readonly drain: Effect.Effect<void>
  /** Messages dropped so far by `overflow`. */
  readonly dropped: Effect.Effect<number>
}

/**
 * The receiving half of a definition.
 *
 * @category models
 * @since 0.1.0
 */
export interface Receiver<S extends Schema.Constraint, Values, Options> {
  /**
   * Opens a subscription. Succeeds when the server has it, so that what is published afterwards is received. Closing the
   * scope unsubscribes at once and drops what is unread.
   */
  subscription<const P extends Policy = "fail">(
    options?: PolicyOptions<P> & Options
  ): Effect.Effect<
    Subscription<S["Type"], Values, PolicyError<P>, S["DecodingServices"]>,
    SubscribeError,
    NatsClient | Scope.Scope
  >
  subscription<E, R>(
    options: HandlerOptions<E, R> & Options
  ): Effect.Effect<
    Subscription<S["Type"], Values, E, S["DecodingServices"] | R>,
    SubscribeError,
    NatsClient | Scope.Scope
  >
  /** The stream of a `subscription` that is opened when the stream is run and closed with it. */
  subscribe<const P extends Policy = "fail">(
    options?: PolicyOptions<P> & Options
  ): Stream.Stream<
    Received<S["Type"], Values>,
    SubscribeError | SubscriptionError | PolicyError<P>,
    NatsClient | S["DecodingServices"]
  >
  subscribe<E, R>(
    options: HandlerOptions<E, R> & Options
  ): Stream.Stream<
    Received<S["Type"], Values>,
    SubscribeError | SubscriptionError | E,
    NatsClient | S["DecodingServices"] | R
  >
  /**
   * Handles every message for as long as the layer lives: see `NatsListener.layer`, of which it is the typed form. The
   * handler gets the value, and what else is known of the message.
   *
   * A message that cannot be decoded is a failed handler: it is logged at level Error with the path of the problem,
   * counted, and left out. With `onInvalid` it is that handler's.
   *
   * @since 0.2.0
   */
  layer<E, R, E2 = never, R2 = never>(
    handler: (value: S["Type"], event: EventContext<Values>) => Effect.Effect<unknown, E, R>,
    options?: HandleOptions<E2, R2> & Options
  ): Layer.Layer<never, HandleError, NatsClient | Exclude<S["DecodingServices"] | R | R2, Scope.Scope>>
  /** Decodes a message that came another way. */
  decode(message: NatsMessage): Effect.Effect<S["Type"], MessageDecodeError, S["DecodingServices"]>
}

/**
 * A value as the message that it is published as.
 *
 * @category models
 * @since 0.2.0
 */
export interface Outgoing {
  readonly subject: string
  readonly payload: string | Uint8Array
  readonly headers: Input
}

/**
 * A subject bound to a schema.
 *
 * @category models
 * @since 0.1.0
 */
export interface SubjectSchema<S extends Schema.Constraint> extends Receiver<S, {}, {}> {
  readonly subject: string
  readonly schema: S
  /**
   * Publishes a value, with a `Content-Type` unless the headers have one. Fails with `MessageEncodeError` when the value
   * does not fit the schema, else as `NatsClient.publish` does.
   */
  publish(
    value: S["Type"],
    options?: PublishOptions & { readonly confirm?: false | undefined }
  ): Effect.Effect<
    void,
    Exclude<PublishError, PermissionsViolation> | MessageEncodeError,
    NatsClient | S["EncodingServices"]
  >
  publish(
    value: S["Type"],
    options?: PublishOptions
  ): Effect.Effect<void, PublishError | MessageEncodeError, NatsClient | S["EncodingServices"]>
  /**
   * Encodes a value, to send it another way: what `publish` would send, with a `Content-Type` unless `headers` have one.
   *
   * @since 0.2.0
   */
  encode(value: S["Type"], headers?: Input): Effect.Effect<Outgoing, MessageEncodeError, S["EncodingServices"]>
}

/**
 * @category options
 * @since 0.1.0
 */
export interface Narrowed<T extends string> {
  /** Subscribes to the subjects with these values only. Parameters that are left out have any value. */
  readonly parameters?: Partial<Parameters<T>> | undefined
}

/**
 * A template of subjects bound to a schema.
 *
 * @category models
 * @since 0.1.0
 */
export interface TemplateSchema<T extends string, S extends Schema.Constraint>
  extends Receiver<S, Parameters<T>, Narrowed<T>>
{
  readonly template: Template<T>
  readonly schema: S
  /** Publishes a value to the subject with these parameters, as `SubjectSchema.publish` does. */
  publish(
    parameters: Parameters<T>,
    value: S["Type"],
    options?: PublishOptions & { readonly confirm?: false | undefined }
  ): Effect.Effect<
    void,
    Exclude<PublishError, PermissionsViolation> | MessageEncodeError,
    NatsClient | S["EncodingServices"]
  >
  publish(
    parameters: Parameters<T>,
    value: S["Type"],
    options?: PublishOptions
  ): Effect.Effect<void, PublishError | MessageEncodeError, NatsClient | S["EncodingServices"]>
  /**
   * Encodes a value for the subject with these parameters, as `SubjectSchema.encode` does.
   *
   * @since 0.2.0
   */
  encode(
    parameters: Parameters<T>,
    value: S["Type"],
    headers?: Input
  ): Effect.Effect<Outgoing, InvalidSubject | MessageEncodeError, S["EncodingServices"]>
}

/**
 * Payloads of JSON (`application/json`), by the schema's JSON codec. `Schema.Void` is an empty payload.
 *
 * @category codecs
 * @since 0.1.0
 */
export const json: Codec<unknown> = Codecs.json

/**
 * Payloads of Effect's `SchemaBinary`: smaller, and readable only with the same schema or a compatible one.
 *
 * @category codecs
 * @since 0.1.0
 */
export const binary: Codec<unknown> = Codecs.binary

/**
 * Payloads of UTF-8 text (`text/plain`), for schemas that encode to a string.
 *
 * @category codecs
 * @since 0.1.0
 */
export const string: Codec<string> = Codecs.string

/**
 * Payloads as they are (`application/octet-stream`), for schemas that encode to a `Uint8Array`. What is decoded is a view
 * of the bytes received: copy what is kept for long.
 *
 * @category codecs
 * @since 0.1.0
 */
export const raw: Codec<Uint8Array> = Codecs.raw

/**
 * Binds a subject, or a template of subjects, to a schema. A literal that is no subject does not compile; any other wrong
 * string is the `InvalidSubject` of the operations.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  <const T extends string, S extends Schema.Constraint>(
    template: Template<T>,
    schema: S,
    options?: Options<S["Encoded"]>
  ): TemplateSchema<T, S>
  <const T extends string, S extends Schema.Constraint>(
    subject: Checked<T>,
    schema: S,
    options?: Options<S["Encoded"]>
  ): SubjectSchema<S>
} = (<S extends Schema.Constraint>(
  target: string | Template,
  schema: S,
  options?: Options<S["Encoded"]>
): SubjectSchema<S> | TemplateSchema<string, S> =>
  isTemplate(target)
    ? Definitions.ofTemplate(target, ofTemplate(target), schema, options)
    : Definitions.ofSubject(target, ofSubject(target), schema, options)) as typeof make

/**
 * Binds a subject, or a template of subjects, to the schemas of a request: `RequestSchema.make`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeRequest: typeof RequestSchemas.make = RequestSchemas.make
