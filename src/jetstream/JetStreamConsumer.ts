/**
 * Consumers: the state of a reader that the server keeps, and how it is read.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
 *
 * const Orders = JetStreamStream.make("ORDERS", { subjects: ["orders.>"] })
 * const Worker = JetStreamConsumer.make(Orders, "worker", { filter: "orders.created", ackWait: "30 seconds" })
 *
 * const program = Effect.gen(function*() {
 *   yield* JetStreamStream.provision([Orders, Worker])
 *   const { pending } = yield* JetStreamConsumer.info(Worker)
 *   yield* Effect.log(pending)
 * })
 * ```
 *
 * Pull consumers only: a push consumer is read with `@nats-io/jetstream` on `effect-nats/compat`.
 *
 * @since 0.2.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { watchEnd } from "../internal/operations/background.ts"
import type { Api } from "./internal/api.ts"
import * as Consumers from "./internal/consumers.ts"
import {
  type ConsumerDefinition,
  type ConsumerInfo,
  type ConsumerOptions,
  ConsumerTypeId,
  type EphemeralOptions,
  type PauseState,
  type Provisioned,
  type Target
} from "./internal/consumerTypes.ts"
import * as Consuming from "./internal/consuming.ts"
import type { FetchOptions, MessagesOptions, NextOptions, OrderedOptions } from "./internal/consumingTypes.ts"
import { consumerNames, isConsumerDefinition as hasConsumerTypeId, makeConsumer } from "./internal/definition.ts"
import type { CheckedName } from "./internal/nameLiteral.ts"
import * as Processing from "./internal/processOptions.ts"
import type { Handler, ProcessOptions, Worker } from "./internal/processTypes.ts"
import * as Provision from "./internal/provision.ts"
import type { PullTarget } from "./internal/pullSource.ts"
import type * as Targets from "./internal/target.ts"
import { pullTargetOf } from "./internal/target.ts"
import { withApi, withApiStream } from "./internal/withApi.ts"
import type { JetStream } from "./JetStream.ts"
import type {
  ApiError,
  ConsumerNotFound,
  CreateConsumerError,
  CreateEphemeralError,
  FetchError,
  InvalidName,
  MessagesError,
  OpenError,
  OpenOrderedError,
  OrderedError,
  PauseError,
  ProcessError,
  ProvisionError,
  ResetError,
  StreamNotFound,
  UnpinError,
  UpdateConsumerError
} from "./JetStreamError.ts"
import type { JetStreamMessage } from "./JetStreamMessage.ts"
import type { Instant, StreamDefinition, Target as StreamTarget } from "./JetStreamStream.ts"

/**
 * @category type IDs
 * @since 0.2.0
 */
export const TypeId: "~effect-nats/JetStreamConsumer" = ConsumerTypeId

export type {
  ConsumerConfig,
  ConsumerDefinition,
  ConsumerInfo,
  ConsumerOptions,
  EphemeralOptions,
  PauseState,
  PriorityGroup,
  Provisioned,
  Target
} from "./internal/consumerTypes.ts"

export type { FetchOptions, MessagesOptions, NextOptions, OrderedOptions } from "./internal/consumingTypes.ts"

export type { DeadLetterOptions, Handler, HandlingOptions, ProcessOptions, Worker } from "./internal/processTypes.ts"

// Definitions

/**
 * A definition of a durable pull consumer. A literal name or filter that is none does not compile; another one fails typed
 * where the definition is used.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = <const Stream extends string, const Name extends string, const Filter extends string = never>(
  stream: CheckedName<Stream> | StreamDefinition<Stream>,
  name: CheckedName<Name>,
  options: ConsumerOptions<Filter> = {}
): ConsumerDefinition<Stream, Name> =>
  makeConsumer(stream as StreamTarget, name as string, options as unknown as ConsumerOptions) as ConsumerDefinition<
    Stream,
    Name
  >

/**
 * @category guards
 * @since 0.2.0
 */
export const isConsumerDefinition = (value: unknown): value is ConsumerDefinition => hasConsumerTypeId(value)

/**
 * That the consumer has been provisioned, for what needs it: demands its `layer`, and gives what the consumer was then.
 *
 * @category services
 * @since 0.2.0
 */
export const provisioned = <const Stream extends string, const Name extends string>(
  definition: ConsumerDefinition<Stream, Name>
): Context.Service<Provisioned<Stream, Name>, ConsumerInfo> =>
  Context.Service<Provisioned<Stream, Name>, ConsumerInfo>(
    `effect-nats/JetStreamConsumer/${definition.stream}/${definition.name}`
  )

// Operations

/**
 * Creates a durable consumer. One that is there and is as the definition says is taken for it; else it is `ConsumerExists`,
 * which names the fields that differ.
 *
 * Fails before anything is sent where the definition is invalid, or has a field that the server does not know, and with
 * `UnsupportedByServer` where the answer shows that a field was dropped: the consumer is there then, without it.
 *
 * @category operations
 * @since 0.2.0
 */
export const create = (definition: ConsumerDefinition): Effect.Effect<ConsumerInfo, CreateConsumerError, JetStream> =>
  withApi((api) => Consumers.create(api, definition))

/**
 * Changes a consumer to the definition: what it declares; the rest stays as it is. What cannot be changed is `ConsumerRefused`.
 * Of two updates at once one can undo the other.
 *
 * @category operations
 * @since 0.2.0
 */
export const update = (definition: ConsumerDefinition): Effect.Effect<ConsumerInfo, UpdateConsumerError, JetStream> =>
  withApi((api) => Consumers.update(api, definition))

/**
 * Creates a consumer that nobody else is meant to use. It is deleted when the scope is closed, and by the server when
 * nobody pulls for `inactiveThreshold`. Under a `name` of yours it is an error if there is one already.
 *
 * @category operations
 * @since 0.2.0
 */
export const ephemeral = <const Filter extends string = never>(
  stream: StreamTarget,
  options: EphemeralOptions<Filter> = {}
): Effect.Effect<ConsumerInfo, CreateEphemeralError, JetStream | Scope.Scope> =>
  withApi((api) => Consumers.ephemeral(api, stream, options as unknown as EphemeralOptions))

/**
 * What a consumer is and how far it is.
 *
 * @category operations
 * @since 0.2.0
 */
export const info = (
  target: Target
): Effect.Effect<ConsumerInfo, ApiError | StreamNotFound | ConsumerNotFound | InvalidName, JetStream> =>
  withApi((api) => Consumers.info(api, target))

/**
 * All consumers of a stream, each once, read page by page: push consumers, too. Fails where a page does.
 *
 * @category operations
 * @since 0.2.0
 */
export const list = (
  stream: StreamTarget
): Stream.Stream<ConsumerInfo, ApiError | StreamNotFound | InvalidName, JetStream> =>
  withApiStream((api) => Consumers.list(api, stream))

/**
 * The names of all consumers of a stream, each once, read page by page.
 *
 * @category operations
 * @since 0.2.0
 */
export const names = (
  stream: StreamTarget
): Stream.Stream<string, ApiError | StreamNotFound | InvalidName, JetStream> =>
  withApiStream((api) => Consumers.names(api, stream))

export {
  /**
   * Deletes a consumer. Whoever reads it fails with `ConsumerDeleted`.
   *
   * @category operations
   * @since 0.2.0
   */
  remove as delete
}

const remove = (
  target: Target
): Effect.Effect<void, ApiError | StreamNotFound | ConsumerNotFound | InvalidName, JetStream> =>
  withApi((api) => Consumers.remove(api, target))

/**
 * Lets a consumer deliver nothing until then. Needs nats-server 2.11.
 *
 * @category operations
 * @since 0.2.0
 */
export const pause = (target: Target, until: Instant): Effect.Effect<PauseState, PauseError, JetStream> =>
  withApi((api) => Consumers.pause(api, target, until))

/**
 * Ends a pause. A server does not wake the pulls that wait meanwhile: they are served with the next message that is stored, or
 * their next heartbeat. So `messages` goes on within its `heartbeat`, and a `fetch` or `next` of less than 10 seconds, which has
 * none, can end without what is there. Needs nats-server 2.11.
 *
 * @category operations
 * @since 0.2.0
 */
export const resume = (target: Target): Effect.Effect<PauseState, PauseError, JetStream> =>
  withApi((api) => Consumers.pause(api, target, undefined))

/**
 * Lets a consumer begin anew: at a sequence of the stream, or, without one, behind the last message below which all are
 * acknowledged. Gives the sequence that it begins at; deliveries are counted from 1 again. A consumer whose definition begins
 * at a sequence cannot be reset to one before that: `ConsumerRefused`. Needs nats-server 2.14.
 *
 * @category operations
 * @since 0.2.0
 */
export const reset = (
  target: Target,
  options?: { readonly sequence?: number | undefined }
): Effect.Effect<number, ResetError, JetStream> => withApi((api) => Consumers.reset(api, target, options?.sequence))

/**
 * Lets go of the client that is pinned in a priority group: another one is, with its next pull. Fails with `ConsumerRefused`
 * where the consumer has no such group. Needs nats-server 2.11.
 *
 * @category operations
 * @since 0.2.0
 */
export const unpin = (target: Target, group: string): Effect.Effect<void, UnpinError, JetStream> =>
  withApi((api) => Consumers.unpin(api, target, group))

/**
 * Provisions a consumer when the layer is built, and provides that it is there. What demands it says so:
 * `yield* JetStreamConsumer.provisioned(Worker)`. Its stream must be there: provide the stream's layer to this one. Closing the scope leaves the
 * consumer as it is.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = <Stream extends string, Name extends string>(
  definition: ConsumerDefinition<Stream, Name>,
  options?: { readonly apply?: "safe" | "lossy" | undefined }
): Layer.Layer<Provisioned<Stream, Name>, ProvisionError, JetStream> =>
  Layer.effect(provisioned(definition), withApi((api) => Provision.ensureConsumer(api, definition, options)))

// Taking messages

/**
 * The messages of a consumer, for as long as the stream is read, each at least once. Restarts of servers, other leaders, lost
 * connections and lost pulls are survived without a word; what ends it is in `MessagesError`.
 *
 * At most `window` messages are here and not handled: a message counts as handled when the stream is asked for the next one
 * behind it. What was never pulled out of the stream goes to other readers at once when the stream ends, is interrupted, or
 * the client is drained; what was pulled out and not acknowledged comes again after `ack_wait`.
 *
 * @category consuming
 * @since 0.2.0
 */
export const messages = <T extends Target>(
  target: T & MessagesOptions,
  options?: MessagesOptions
): Stream.Stream<JetStreamMessage, OpenError | MessagesError | DeclaredError<T>, JetStream> =>
  withApiStream((api) =>
    fromTarget(api, target as T, (named) => Consuming.messagesOf(api, named, { ...target, ...options }))
  )

/**
 * The messages of a stream in its order, each once, without acknowledgements. It survives what `messages` survives, and goes
 * on behind the last message that it gave. A slow reader holds at most `window` messages here.
 *
 * The server keeps a consumer in memory behind it, which is deleted when the stream ends, or by itself when nobody pulled from
 * it for `inactiveThreshold`.
 *
 * @category consuming
 * @since 0.2.0
 */
export const ordered = (
  options: OrderedOptions
): Stream.Stream<JetStreamMessage, OpenOrderedError | OrderedError, JetStream> =>
  withApiStream((api) => Consuming.orderedOf(api, options))

/**
 * At most `count` messages, each as it comes, within `maxWait` in all. Fewer, or none, is no failure.
 *
 * @category consuming
 * @since 0.2.0
 */
export const fetch = <T extends Target>(
  target: T,
  count: number,
  options?: FetchOptions
): Stream.Stream<JetStreamMessage, FetchError | DeclaredError<T>, JetStream> =>
  withApiStream((api) => fromTarget(api, target, (named) => Consuming.fetchOf(api, named, count, options)))

/**
 * The next message, or none within `maxWait`.
 *
 * @category consuming
 * @since 0.2.0
 */
export const next = <T extends Target>(
  target: T,
  options?: NextOptions
): Effect.Effect<Option.Option<JetStreamMessage>, FetchError | DeclaredError<T>, JetStream> =>
  withApi((api) => Effect.flatMap(pullTargetOf(api, target), (named) => Consuming.nextOf(api, named, options)))

/**
 * What taking messages can fail with besides, where the consumer is given by its definition: see `provision`.
 *
 * @category unions
 * @since 0.2.0
 */
export type DeclaredError<T> = Targets.DeclaredError<T>

/**
 * Handles the messages of a durable consumer, at least once each. The handler's exit decides:
 *
 * - success acknowledges the message, once;
 * - a failure gives it back for as long as `retry` says; it is logged at level Error and counted, and so is a defect;
 * - what has failed too often goes to the dead letter: see `maxDeliver` and `deadLetter`;
 * - an interruption by a stop gives it back at once.
 *
 * What a handler settles itself (`message.term("…")`) stays so. Restarts of the server, a change of leader, lost heartbeats
 * and reconnects are survived. It ends with `ConsumerDeleted`, `StreamNotFound`, `PullRefused`, `PermissionsViolation` or
 * `ConnectionClosed`, and succeeds when the client is closed on purpose.
 *
 * A stop, which an interruption is, and a drain of the client: from its beginning no handler begins here; what was received
 * and no handler has begun is given back at once, for another instance; running handlers finish inside `drainTimeout`, and
 * are interrupted and given back then.
 *
 * The consumer has to acknowledge explicitly and to have no limit of deliveries of its own (`max_deliver` -1):
 * `ConsumerUnfit` otherwise, since the server would stop delivering a message without a word.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { JetStreamConsumer } from "effect-nats/jetstream"
 *
 * const program = JetStreamConsumer.process(
 *   { stream: "ORDERS", consumer: "billing" },
 *   (message) => Effect.log(message.subject, message.sequence),
 *   { concurrency: 10, deadLetter: "dead.orders" }
 * )
 * ```
 *
 * @category processing
 * @since 0.2.0
 */
export const process = <Handled extends Effect.Effect<unknown, unknown, unknown>, T extends Target>(
  target: T,
  handler: Handler<Handled>,
  options?: ProcessOptions
): Effect.Effect<void, ProcessError | DeclaredError<T>, JetStream | Effect.Services<Handled>> =>
  Effect.scopedWith((scope) =>
    Effect.flatMap(
      withApi((api) => startOn(api, target, handler, options, scope, false)),
      ({ ended }) => ended
    )
  )

/**
 * The same in the background, until the scope closes, which is a stop. Succeeds when the consumer was found. It counts for
 * `NatsHealth`: a client on which it is stopping, or has ended and was not stopped, is not ready.
 *
 * Of a client that connects in the background (`reconnect.onFirstConnect`) it succeeds at once, and begins when there is a
 * session: what is wrong with the consumer then is its end.
 *
 * @category processing
 * @since 0.2.0
 */
export const processScoped = <Handled extends Effect.Effect<unknown, unknown, unknown>, T extends Target>(
  target: T,
  handler: Handler<Handled>,
  options?: ProcessOptions
): Effect.Effect<
  Worker<DeclaredError<T>>,
  ProcessError | DeclaredError<T>,
  JetStream | Scope.Scope | Effect.Services<Handled>
> =>
  Effect.flatMap(
    Effect.scope,
    (scope) => withApi((api) => startOn(api, target, handler, options, scope, true))
  )

/**
 * Handles messages for as long as the layer lives: see `processScoped`.
 *
 * A layer cannot fail after it was built. Where it ends with a failure, a program that was started with `NatsLayer.launch`
 * fails with `BackgroundEnded`; else that is logged at level Error.
 *
 * @category layers
 * @since 0.2.0
 */
export const processLayer = <Handled extends Effect.Effect<unknown, unknown, unknown>, T extends Target>(
  target: T,
  handler: Handler<Handled>,
  options?: ProcessOptions
): Layer.Layer<never, ProcessError | DeclaredError<T>, JetStream | Exclude<Effect.Services<Handled>, Scope.Scope>> =>
  Layer.effectDiscard(
    Effect.flatMap(
      processScoped(target, handler, options),
      ({ ended }) => watchEnd(Processing.partOf(consumerNames(target)), ended)
    )
  )

// internal

const fromTarget = <T extends Target, A, E>(
  api: Api,
  target: T,
  use: (named: PullTarget) => Stream.Stream<A, E>
): Stream.Stream<A, E | DeclaredError<T>> => Stream.unwrap(Effect.map(pullTargetOf(api, target), use))

const startOn = <Handled extends Effect.Effect<unknown, unknown, unknown>, T extends Target>(
  api: Api,
  target: T,
  handler: Handler<Handled>,
  options: ProcessOptions | undefined,
  scope: Scope.Scope,
  isPart: boolean
) =>
  Processing.start(
    api,
    consumerNames(target),
    pullTargetOf(api, target),
    servicesOf(handler),
    options,
    scope,
    isPart
  )

const servicesOf = <Handled extends Effect.Effect<unknown, unknown, unknown>>(handler: Handler<Handled>) =>
  handler as Handler<Effect.Effect<unknown, unknown, Effect.Services<Handled>>>
