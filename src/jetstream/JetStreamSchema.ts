/**
 * Definitions of `SubjectSchema` with JetStream: what is published by a schema is stored, read and handled by it.
 *
 * A definition says what a message is, and knows nothing of how it travels: core's own operations are methods of it, and
 * those of JetStream are functions here, which take it first.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Subject, SubjectSchema } from "effect-nats"
 * import { JetStreamSchema } from "effect-nats/jetstream"
 *
 * const Order = Schema.Struct({ item: Schema.String, quantity: Schema.Int })
 * const Placed = SubjectSchema.make(Subject.template("orders.{id}.placed"), Order)
 *
 * const place = JetStreamSchema.publish(Placed, { id: "7" }, { item: "pen", quantity: 2 }, { msgId: "order-7" })
 *
 * const ship = JetStreamSchema.process(
 *   Placed,
 *   { stream: "ORDERS", consumer: "shipping" },
 *   ({ parameters, value }) => Effect.log(parameters.id, value.item),
 *   { deadLetter: "dead.orders", onInvalid: "deadLetter" }
 * )
 * ```
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { watchEnd } from "../internal/operations/background.ts"
import type { MessageDecodeError, MessageEncodeError } from "../NatsError.ts"
import type { Parameters } from "../Subject.ts"
import type { SubjectSchema, TemplateSchema } from "../SubjectSchema.ts"
import type { Api } from "./internal/api.ts"
import { consumerNames } from "./internal/definition.ts"
import * as Processing from "./internal/processOptions.ts"
import * as Publish from "./internal/publish.ts"
import { pullTargetOf } from "./internal/target.ts"
import * as Typed from "./internal/typed.ts"
import { withApi } from "./internal/withApi.ts"
import type { JetStream, PubAck, PublishOptions } from "./JetStream.ts"
import * as Consumer from "./JetStreamConsumer.ts"
import type {
  ExpectationError,
  MessagesError,
  OpenError,
  OpenOrderedError,
  OrderedError,
  ProcessError,
  PublishError,
  UnsupportedByServer
} from "./JetStreamError.ts"
import type { JetStreamMessage } from "./JetStreamMessage.ts"

// Models

/**
 * A value, the values in its subject, and the message that has both, with its place in the stream and its acknowledgements.
 *
 * @category models
 * @since 0.2.0
 */
export interface Received<A, Values = {}> {
  readonly value: A
  readonly parameters: Values
  readonly message: JetStreamMessage
}

/**
 * Handles one value. What it comes to decides what becomes of the message: see `JetStreamConsumer.process`.
 *
 * @category models
 * @since 0.2.0
 */
export type Handler<A, Values, E, R> = (received: Received<A, Values>) => Effect.Effect<unknown, E, R>

/**
 * What is done with a message that is none of the definition.
 *
 * @category models
 * @since 0.2.0
 */
export type InvalidHandler<E, R> = (
  error: MessageDecodeError,
  message: JetStreamMessage
) => Effect.Effect<unknown, E, R>

// Options

/**
 * What becomes of a message that is none of the definition: its payload, its `Content-Type` or its subject is another.
 *
 * - left out: it is a failure of the handler, `MessageDecodeError`: logged at level Error with the path of the problem, given
 *   back by `retry`, and dead-lettered after `maxDeliver`, since a newer version of the program may read it;
 * - `"deadLetter"`: it is copied to `deadLetter` at once, and ended when the copy is stored;
 * - `"term"`: it is logged and ended, and there is no copy;
 * - a handler: what that comes to decides, as of any other handler.
 *
 * @category options
 * @since 0.2.0
 */
export type ProcessOptions<E = never, R = never> =
  & Consumer.ProcessOptions
  & (
    | { readonly onInvalid?: "term" | InvalidHandler<E, R> | undefined }
    | { readonly onInvalid: "deadLetter"; readonly deadLetter: string }
  )

/**
 * @category options
 * @since 0.2.0
 */
export interface MessagesOptions<E = never, R = never> extends Consumer.MessagesOptions {
  /**
   * What is done with a message that is none of the definition: its handler acknowledges or ends it, and the stream goes on.
   * Left out, the stream fails with `MessageDecodeError`, and the message comes again.
   */
  readonly onInvalid?: InvalidHandler<E, R> | undefined
}

/**
 * `filter` is that of the definition by default.
 *
 * @category options
 * @since 0.2.0
 */
export interface OrderedOptions<E = never, R = never> extends Consumer.OrderedOptions {
  /** Without its payload a message is none of the definition. */
  readonly headersOnly?: false | undefined
  /** What is done with a message that is none of the definition. Left out, the stream fails with `MessageDecodeError`. */
  readonly onInvalid?: InvalidHandler<E, R> | undefined
}

type AnyPublishError = PublishError | MessageEncodeError | ExpectationError | UnsupportedByServer

// Operations

/**
 * Publishes a value into a stream: encoded as `publish` of the definition does it, and acknowledged as `publish` of JetStream
 * is. Fails with `MessageEncodeError` when the value does not fit the schema; nothing was sent then.
 *
 * @category publishing
 * @since 0.2.0
 */
export const publish: {
  <S extends Schema.Constraint>(
    definition: SubjectSchema<S>,
    value: S["Type"],
    options?: PublishOptions & { readonly expect?: undefined; readonly ttl?: undefined }
  ): Effect.Effect<PubAck, PublishError | MessageEncodeError, JetStream | S["EncodingServices"]>
  <S extends Schema.Constraint>(
    definition: SubjectSchema<S>,
    value: S["Type"],
    options: PublishOptions
  ): Effect.Effect<PubAck, AnyPublishError, JetStream | S["EncodingServices"]>
  <T extends string, S extends Schema.Constraint>(
    definition: TemplateSchema<T, S>,
    parameters: Parameters<T>,
    value: S["Type"],
    options?: PublishOptions & { readonly expect?: undefined; readonly ttl?: undefined }
  ): Effect.Effect<PubAck, PublishError | MessageEncodeError, JetStream | S["EncodingServices"]>
  <T extends string, S extends Schema.Constraint>(
    definition: TemplateSchema<T, S>,
    parameters: Parameters<T>,
    value: S["Type"],
    options: PublishOptions
  ): Effect.Effect<PubAck, AnyPublishError, JetStream | S["EncodingServices"]>
} = (definition: AnyDefinition, ...given: ReadonlyArray<unknown>): Effect.Effect<PubAck, never, never> =>
  withApi((api) => {
    const isTemplate = "template" in definition
    const [value, options] = (isTemplate ? given.slice(1) : given) as [never, PublishOptions | undefined]
    const encoded = isTemplate
      ? definition.encode(given[0] as never, value, options?.headers)
      : definition.encode(value, options?.headers)
    return Effect.flatMap(
      encoded,
      ({ headers, payload, subject }) =>
        Publish.publish(api, subject, payload, { subjectTemplate: Typed.nameOf(definition), ...options, headers })
    )
  }) as never

/**
 * The values of a consumer's messages: see `JetStreamConsumer.messages`. Acknowledge each by its `message`.
 *
 * @category consuming
 * @since 0.2.0
 */
export const messages: {
  <S extends Schema.Constraint, C extends Consumer.Target>(
    definition: SubjectSchema<S>,
    target: C,
    options?: MessagesOptions & { readonly onInvalid?: undefined }
  ): Stream.Stream<
    Received<S["Type"]>,
    OpenError | MessagesError | Consumer.DeclaredError<C> | MessageDecodeError,
    JetStream | S["DecodingServices"]
  >
  <S extends Schema.Constraint, E, R, C extends Consumer.Target>(
    definition: SubjectSchema<S>,
    target: C,
    options: MessagesOptions<E, R>
  ): Stream.Stream<
    Received<S["Type"]>,
    OpenError | MessagesError | Consumer.DeclaredError<C> | E,
    JetStream | S["DecodingServices"] | R
  >
  <T extends string, S extends Schema.Constraint, C extends Consumer.Target>(
    definition: TemplateSchema<T, S>,
    target: C,
    options?: MessagesOptions & { readonly onInvalid?: undefined }
  ): Stream.Stream<
    Received<S["Type"], Parameters<T>>,
    OpenError | MessagesError | Consumer.DeclaredError<C> | MessageDecodeError,
    JetStream | S["DecodingServices"]
  >
  <T extends string, S extends Schema.Constraint, E, R, C extends Consumer.Target>(
    definition: TemplateSchema<T, S>,
    target: C,
    options: MessagesOptions<E, R>
  ): Stream.Stream<
    Received<S["Type"], Parameters<T>>,
    OpenError | MessagesError | Consumer.DeclaredError<C> | E,
    JetStream | S["DecodingServices"] | R
  >
} = (definition: AnyDefinition, target: Consumer.Target, options: MessagesOptions<unknown, unknown> = {}) =>
  Typed.values(definition, Consumer.messages(target, options), options.onInvalid) as never

/**
 * The values of a stream's messages in its order: see `JetStreamConsumer.ordered`.
 *
 * @category consuming
 * @since 0.2.0
 */
export const ordered: {
  <S extends Schema.Constraint>(
    definition: SubjectSchema<S>,
    options: OrderedOptions & { readonly onInvalid?: undefined }
  ): Stream.Stream<
    Received<S["Type"]>,
    OpenOrderedError | OrderedError | MessageDecodeError,
    JetStream | S["DecodingServices"]
  >
  <S extends Schema.Constraint, E, R>(
    definition: SubjectSchema<S>,
    options: OrderedOptions<E, R>
  ): Stream.Stream<Received<S["Type"]>, OpenOrderedError | OrderedError | E, JetStream | S["DecodingServices"] | R>
  <T extends string, S extends Schema.Constraint>(
    definition: TemplateSchema<T, S>,
    options: OrderedOptions & { readonly onInvalid?: undefined }
  ): Stream.Stream<
    Received<S["Type"], Parameters<T>>,
    OpenOrderedError | OrderedError | MessageDecodeError,
    JetStream | S["DecodingServices"]
  >
  <T extends string, S extends Schema.Constraint, E, R>(
    definition: TemplateSchema<T, S>,
    options: OrderedOptions<E, R>
  ): Stream.Stream<
    Received<S["Type"], Parameters<T>>,
    OpenOrderedError | OrderedError | E,
    JetStream | S["DecodingServices"] | R
  >
} = (definition: AnyDefinition, options: OrderedOptions<unknown, unknown>) =>
  Typed.values(
    definition,
    Consumer.ordered({ ...options, filter: options.filter ?? Typed.patternOf(definition) }),
    options.onInvalid
  ) as never

/**
 * Handles the values of a consumer's messages: see `JetStreamConsumer.process`, and `onInvalid`.
 *
 * @category processing
 * @since 0.2.0
 */
export const process: {
  <S extends Schema.Constraint, E, R, C extends Consumer.Target, E2 = never, R2 = never>(
    definition: SubjectSchema<S>,
    target: C,
    handler: Handler<S["Type"], {}, E, R>,
    options?: ProcessOptions<E2, R2>
  ): Effect.Effect<void, ProcessError | Consumer.DeclaredError<C>, JetStream | S["DecodingServices"] | R | R2>
  <T extends string, S extends Schema.Constraint, E, R, C extends Consumer.Target, E2 = never, R2 = never>(
    definition: TemplateSchema<T, S>,
    target: C,
    handler: Handler<S["Type"], Parameters<T>, E, R>,
    options?: ProcessOptions<E2, R2>
  ): Effect.Effect<void, ProcessError | Consumer.DeclaredError<C>, JetStream | S["DecodingServices"] | R | R2>
} = (definition: AnyDefinition, target: Consumer.Target, handler: AnyHandler, options?: AnyOptions) =>
  Effect.scopedWith((scope) =>
    Effect.flatMap(
      withApi((api) => started(api, definition, target, handler, options, scope, false)),
      ({ ended }) => ended
    )
  ) as never

/**
 * The same in the background, until the scope closes: see `JetStreamConsumer.processScoped`.
 *
 * @category processing
 * @since 0.2.0
 */
export const processScoped: {
  <S extends Schema.Constraint, E, R, C extends Consumer.Target, E2 = never, R2 = never>(
    definition: SubjectSchema<S>,
    target: C,
    handler: Handler<S["Type"], {}, E, R>,
    options?: ProcessOptions<E2, R2>
  ): Effect.Effect<
    Consumer.Worker,
    ProcessError | Consumer.DeclaredError<C>,
    JetStream | Scope.Scope | S["DecodingServices"] | R | R2
  >
  <T extends string, S extends Schema.Constraint, E, R, C extends Consumer.Target, E2 = never, R2 = never>(
    definition: TemplateSchema<T, S>,
    target: C,
    handler: Handler<S["Type"], Parameters<T>, E, R>,
    options?: ProcessOptions<E2, R2>
  ): Effect.Effect<
    Consumer.Worker,
    ProcessError | Consumer.DeclaredError<C>,
    JetStream | Scope.Scope | S["DecodingServices"] | R | R2
  >
} = (definition: AnyDefinition, target: Consumer.Target, handler: AnyHandler, options?: AnyOptions) =>
  Effect.flatMap(
    Effect.scope,
    (scope) => withApi((api) => started(api, definition, target, handler, options, scope, true))
  ) as never

/**
 * Handles values for as long as the layer lives: see `JetStreamConsumer.processLayer`.
 *
 * @category layers
 * @since 0.2.0
 */
export const processLayer: {
  <S extends Schema.Constraint, E, R, C extends Consumer.Target, E2 = never, R2 = never>(
    definition: SubjectSchema<S>,
    target: C,
    handler: Handler<S["Type"], {}, E, R>,
    options?: ProcessOptions<E2, R2>
  ): Layer.Layer<
    never,
    ProcessError | Consumer.DeclaredError<C>,
    JetStream | Exclude<S["DecodingServices"] | R | R2, Scope.Scope>
  >
  <T extends string, S extends Schema.Constraint, E, R, C extends Consumer.Target, E2 = never, R2 = never>(
    definition: TemplateSchema<T, S>,
    target: C,
    handler: Handler<S["Type"], Parameters<T>, E, R>,
    options?: ProcessOptions<E2, R2>
  ): Layer.Layer<
    never,
    ProcessError | Consumer.DeclaredError<C>,
    JetStream | Exclude<S["DecodingServices"] | R | R2, Scope.Scope>
  >
} = (definition: AnyDefinition, target: Consumer.Target, handler: AnyHandler, options?: AnyOptions) =>
  Layer.effectDiscard(
    Effect.flatMap(
      processScoped(definition as SubjectSchema<Schema.Constraint>, target, handler as never, options as never),
      ({ ended }) => watchEnd(Processing.partOf(consumerNames(target)), ended)
    )
  ) as never

// internal

type AnyDefinition = Typed.AnyDefinition<Schema.Constraint>

type AnyHandler = (received: Received<unknown, never>) => Effect.Effect<unknown, unknown, unknown>

type AnyOptions = ProcessOptions<unknown, unknown>

const started = (
  api: Api,
  definition: AnyDefinition,
  target: Consumer.Target,
  handler: AnyHandler,
  options: AnyOptions | undefined,
  scope: Scope.Scope,
  isPart: boolean
) => {
  if (options?.onInvalid === "deadLetter" && typeof options.deadLetter !== "string") {
    throw new RangeError("`onInvalid: \"deadLetter\"` needs `deadLetter`: a subject")
  }
  const { handle, hopeless } = Typed.handling(definition, handler as never, options?.onInvalid)
  return Processing.start(
    api,
    consumerNames(target),
    pullTargetOf(api, target),
    handle,
    { subjectTemplate: Typed.nameOf(definition), ...options },
    scope,
    isPart,
    hopeless
  )
}
