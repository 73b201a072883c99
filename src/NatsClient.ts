/**
 * A NATS client as a service: one connection that is dialled again when it is lost, and the operations on it.
 *
 * The client is the core: publish, request, subscribe, and the life of the connection. Layers from outside input
 * (environment, file, unknown values) are in `NatsLayer`.
 *
 * ```ts
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Effect } from "effect"
 * import { NatsClient } from "effect-nats"
 *
 * const program = Effect.gen(function*() {
 *   const nats = yield* NatsClient.NatsClient
 *   yield* nats.publish("greetings", "hello")
 * })
 *
 * program.pipe(
 *   Effect.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" })),
 *   NodeRuntime.runMain
 * )
 * ```
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { ConnectError } from "./ConnectError.ts"
import { readWrapped } from "./internal/config/wrapped.ts"
import * as Client from "./internal/operations/client.ts"
import { decodeOptions } from "./internal/operations/options.ts"
import type { ServerInfo as InternalServerInfo } from "./internal/protocol/info.ts"
import type * as NatsAuth from "./NatsAuth.ts"
import * as NatsConfig from "./NatsConfig.ts"
import type {
  ConnectionClosed,
  FlushError,
  HandleError,
  PublishAllStopped,
  PublishError,
  RequestError,
  RequestManyError,
  RespondError,
  SubscribeError,
  SubscriptionError
} from "./NatsError.ts"
import type { Input } from "./NatsHeaders.ts"
import type { NatsMessage } from "./NatsMessage.ts"
import type { ConnectionState, StatusEvent } from "./NatsStatus.ts"

/**
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: "~effect-nats/NatsClient" = Client.TypeId

/**
 * What the server says of itself: version, limits, cluster.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerInfo extends InternalServerInfo {}

/**
 * What a client has done so far, over all its sessions.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stats {
  readonly messagesIn: number
  readonly messagesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Dials, successful or not. */
  readonly dials: number
  /** Sessions after the first. */
  readonly reconnects: number
  /** Handlers of `consume`, listeners and typed handlers that failed or died. */
  readonly handlerFailures: number
  /** Open subscriptions, without the one for replies. */
  readonly subscriptions: number
  /** Requests that wait for a reply. */
  readonly pendingRequests: number
}

/**
 * @category options
 * @since 0.1.0
 */
export interface PublishOptions {
  readonly headers?: Input | undefined
  /** Where an answer is expected. */
  readonly reply?: string | undefined
  /**
   * Waits until the server has handled the message, so that a refusal fails this publish with `PermissionsViolation`.
   * Costs a round trip. Default `false`.
   */
  readonly confirm?: boolean | undefined
  /**
   * How long it may wait before it is sent: for a connection, with `whileDisconnected: "wait"`, and for room while more
   * than 8 MiB are unsent. Then it fails with `ConnectionLost`, and is never sent. Default: no bound, but where it cannot
   * be interrupted that of all waits: see `NatsClient`.
   */
  readonly timeout?: Duration.Input | undefined
  /** Names the spans of this message instead of its subject: `"orders.{id}.created"`. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
}

/**
 * A message of `publishAll` and `sink`.
 *
 * @category models
 * @since 0.2.0
 */
export interface OutgoingMessage {
  readonly subject: string
  /** Default: empty. */
  readonly payload?: string | Uint8Array | undefined
  readonly headers?: Input | undefined
  /** Where an answer is expected. */
  readonly reply?: string | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface RequestOptions {
  /** How long to wait for the reply. Default: `requestTimeout` of the config, 10 seconds. */
  readonly timeout?: Duration.Input | undefined
  readonly headers?: Input | undefined
  /** Names the spans of this message instead of its subject: `"orders.{id}.created"`. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
}

/**
 * What ends the replies of a `requestMany`: whatever comes first.
 *
 * @category options
 * @since 0.1.0
 */
export interface RequestManyOptions {
  /** The whole time. Default: `requestTimeout` of the config, 10 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** So many replies. Default: any number. */
  readonly count?: number | undefined
  /** So long without a reply, counted from the first one. Default: not considered. */
  readonly stall?: Duration.Input | undefined
  /** `true`: an empty reply ends it and is not an element. Default `false`. */
  readonly sentinel?: boolean | undefined
  readonly headers?: Input | undefined
  /** Names the spans of this message instead of its subject: `"orders.{id}.created"`. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface SubscribeOptions {
  /** The queue group: each message goes to one of its members. */
  readonly queue?: string | undefined
  /** Messages that may wait unread. Default 65,536. */
  readonly capacity?: number | undefined
  /** Bytes that may wait unread: subjects, headers and payloads. One message of any size is taken. Default 64 MiB. */
  readonly capacityBytes?: number | undefined
  /**
   * What happens to a message that finds the buffer full. `"fail"`: the stream fails with `SlowConsumer` after what is
   * buffered. `"dropNewest"`: that message is dropped. `"dropOldest"`: the oldest ones are dropped for it. Drops are
   * counted in `dropped`, and each episode is one `Overflow` event of `status`. Default `"fail"`.
   */
  readonly overflow?: "fail" | "dropNewest" | "dropOldest" | undefined
  /**
   * Messages after which it unsubscribes and the stream ends with success, those that `overflow` drops included. The
   * server knows it, so that it gives a queue group's other messages to other members; after a reconnect it is told what
   * is left. A whole number from 1 to 999,999,999. Default: no end.
   */
  readonly max?: number | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface ConsumeOptions extends SubscribeOptions {
  /**
   * Messages that are handled at the same time. With 1, the default, they are handled in order. A whole number above 0, or
   * `"unbounded"`; anything else is an `InvalidOption`.
   */
  readonly concurrency?: number | "unbounded" | undefined
  /** Names the spans of the messages instead of the subscription's subject. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
}

/**
 * An open subscription.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subscription {
  /**
   * The messages. A reconnect does not end it; messages published in between are not seen. It ends with success after
   * `unsubscribe`, after `max` messages and when the client is closed on purpose, after what was buffered. Runs of the
   * same stream share the messages.
   *
   * It can be run again: what a run was given and did not hand on, as after `Stream.take` or `Stream.runHead`, is read
   * next. Of a run that is cut off in the middle of an array (a handler of `runForEach` or `mapEffect` fails or is
   * interrupted), the rest of that array is gone: nothing in the first 128 messages of a run, later at most a 64th of
   * what it had. Where each message counts, handle the failure in the stream, or use `consume`.
   */
  readonly stream: Stream.Stream<NatsMessage, SubscriptionError>
  /** Takes no more messages. What was received can still be read; then the stream ends. */
  readonly unsubscribe: Effect.Effect<void>
  /**
   * Leaves without losing a message: the server sends no more, what it sent before it knew can still be read, then the
   * stream ends. Succeeds when the server has let go, or when there is no connection. Never fails; an interruption is an
   * `unsubscribe`.
   */
  readonly drain: Effect.Effect<void>
  /** Messages dropped so far by `overflow`. */
  readonly dropped: Effect.Effect<number>
}

/**
 * A NATS client.
 *
 * Every operation can be interrupted at once. All of them fail with `ConnectionClosed` when the client has ended: when
 * its scope was closed, or, with a `reason`, when it gave up to reconnect.
 *
 * While there is no connection, operations do what `whileDisconnected` of the config says: wait (the default), fail with
 * `ConnectionLost`, or, for publishes, be kept up to a bound.
 *
 * A wait for the server that cannot be interrupted, as one in a finalizer, fails with `ConnectionLost` when nothing has
 * moved on the connection for `drainTimeout` of the config, at least a second; those that follow it then fail at once. So a
 * program whose server is away can be shut down. Fibers that a finalizer starts itself (a race, a fork) can be interrupted
 * and wait on: give them a `timeout`.
 *
 * A copy that replaces some operations, `{ ...nats, request }`, is a client, too. What runs on a client (listeners, typed
 * handlers, services) and `NatsHealth` reach the connection of the original, and refuse an object that has none.
 *
 * @category models
 * @since 0.1.0
 */
export interface NatsClient {
  readonly [TypeId]: typeof TypeId
  /**
   * Sends a message. It succeeds when the message is handed to the connection: NATS confirms nothing, and a message on a
   * connection that breaks just then is lost. With `confirm: true` it succeeds when the server has handled it. The
   * payload is copied; default empty. Suspends while more than 8 MiB are unsent.
   */
  publish(
    subject: string,
    payload?: string | Uint8Array,
    options?: PublishOptions & { readonly confirm?: false | undefined }
  ): Effect.Effect<void, RespondError>
  publish(
    subject: string,
    payload?: string | Uint8Array,
    options?: PublishOptions
  ): Effect.Effect<void, PublishError>
  /**
   * Publishes a stream of messages, array by array, without an Effect for each, and gives how many there were. What holds
   * for each is what holds for `publish` without `confirm`: it was handed to the connection, at most once, and is lost with
   * a connection that breaks just then; `flush` behind it waits until the server has handled them all. Suspends while more
   * than 8 MiB are unsent, and pulls nothing meanwhile.
   *
   * Fails with `PublishAllStopped` at the first message that cannot be handed over: `published` is how many were before, and
   * so its index. A failure of `messages` itself comes through as it is, when everything that it gave was handed over.
   * Interruption stops it where it waits, and between two arrays. One span for the whole run: see `NatsTracing`.
   *
   * @since 0.2.0
   */
  publishAll<E, R>(messages: Stream.Stream<OutgoingMessage, E, R>): Effect.Effect<number, PublishAllStopped | E, R>
  /**
   * `publishAll` as a sink.
   *
   * @since 0.2.0
   */
  readonly sink: Sink.Sink<number, OutgoingMessage, never, PublishAllStopped>
  /**
   * Sends a message and waits for one reply. A connection that breaks meanwhile fails it with `ConnectionLost`; a
   * request is never sent twice. The reply of an interrupted request is ignored.
   */
  request(
    subject: string,
    payload?: string | Uint8Array,
    options?: RequestOptions
  ): Effect.Effect<NatsMessage, RequestError>
  /**
   * Sends a message and takes many replies: a stream that ends with success by time, count, silence or an empty reply.
   * Fails with `NoResponders` when nobody is subscribed, with `ConnectionLost` when the connection breaks meanwhile, and
   * with `SlowConsumer` when more than 65,536 replies or 64 MiB wait unread, each after the replies that came.
   */
  requestMany(
    subject: string,
    payload?: string | Uint8Array,
    options?: RequestManyOptions
  ): Stream.Stream<NatsMessage, RequestManyError>
  /**
   * Opens a subscription. Succeeds when the server has it, so that what is published afterwards is received; fails with
   * `PermissionsViolation` or `SubscriptionLimitExceeded` when the server refuses it. Closing the scope unsubscribes at once and drops what is unread.
   */
  subscription(
    subject: string,
    options?: SubscribeOptions
  ): Effect.Effect<Subscription, SubscribeError, Scope.Scope>
  /** The stream of a `subscription` that is opened when the stream is run and closed with it. */
  subscribe(
    subject: string,
    options?: SubscribeOptions
  ): Stream.Stream<NatsMessage, SubscribeError | SubscriptionError>
  /**
   * Handles every message with `handler`, `concurrency` at a time. A handler that fails or dies is logged, counted in
   * `stats`, and stops nothing. Runs until the client ends: it succeeds after an intended close, or after `max` messages,
   * once everything received is handled. Interruption unsubscribes, lets the handlers finish what was received within
   * `drainTimeout` of the config, then interrupts them, and tells by a warning how many messages are left; while nothing
   * is being handled that is a round trip or two.
   */
  consume<E, R>(
    subject: string,
    handler: (message: NatsMessage) => Effect.Effect<unknown, E, R>,
    options?: ConsumeOptions
  ): Effect.Effect<void, HandleError | SubscriptionError, R>
  /**
   * A new inbox: a subject for replies that nobody else has, under `inboxPrefix` of the config, behind which it has one
   * token of 24 random hexadecimal digits. Each run gives another one. Subscribe to it, or to subjects below it, before it
   * is given away; the user needs the permission to. It is a name only: nothing is opened or sent, and it never fails.
   *
   * `request` and `requestMany` have inboxes of their own. This is for protocols that they do not cover: replies that come
   * for as long as somebody listens, or to a subject that others are told of.
   *
   * @since 0.2.0
   */
  readonly inbox: Effect.Effect<string>
  /** Waits until the server has handled everything sent so far on this connection. */
  readonly flush: Effect.Effect<void, FlushError>
  /** Measures a round trip to the server. */
  readonly rtt: Effect.Effect<Duration.Duration, FlushError>
  /**
   * The current state, then every change of it and what else happens to the connection. Any number of consumers; one
   * that falls 1,024 events behind misses the oldest. Ends when the client has ended.
   */
  readonly status: Stream.Stream<StatusEvent>
  /** The current state. */
  readonly state: Effect.Effect<ConnectionState>
  /**
   * The latest description of the server, of the last connection while there is none. Before the first one, with
   * `onFirstConnect: "background"`, it does what `whileDisconnected` says of an operation. Its texts are as they came, but for
   * those that repeat a secret of the client.
   */
  readonly serverInfo: Effect.Effect<ServerInfo, FlushError>
  readonly stats: Effect.Effect<Stats>
  /** Waits for the end of the client. Succeeds after an intended close, fails with the reason otherwise. */
  readonly closed: Effect.Effect<void, ConnectionClosed>
  /**
   * Closes the client: takes no more messages, lets the readers of streams handle what was received, sends what they
   * answer, closes. All of it within `drainTimeout` of the config, and a second for what was answered last; what is not
   * done by then is given up. Never fails. Closing the client's scope does the same, in the time that the ends of what runs
   * on the client (consumers, listeners, services) have left of these.
   */
  readonly drain: Effect.Effect<void>
  /**
   * Lets go of the connection and dials again, with fresh credentials. Succeeds when connected. Requests in flight fail
   * with `ConnectionLost`. With `reconnect: false` in the config it is one try, and the client ends if it fails.
   */
  readonly reconnect: Effect.Effect<void, ConnectionClosed>
}

/**
 * The service.
 *
 * @category services
 * @since 0.1.0
 */
export const NatsClient: Context.Service<NatsClient, NatsClient> = Context.Service<NatsClient>("effect-nats/NatsClient")

/**
 * The options of a client: a config, each field in its plain or its decoded form. `auth` may also be an Effect that yields
 * a form of it: it is run before every dial, so that a vault, a rotated secret or a refreshed JWT just works, and its
 * failure is a `CredentialsUnavailable`.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<R = never> extends NatsConfig.Settings {
  /** Who this client is: a form of `NatsAuth`, or an Effect of one that is run before every dial. Default: anonymous. */
  readonly auth?: NatsAuth.Input | NatsAuth.AuthSource<R> | undefined
}

/**
 * Connects a client. It is closed with the scope: see `NatsClient.drain`.
 *
 * Fails with the `ConnectError` of the first connect, at once, unless `reconnect.onFirstConnect` says `"wait"`. With
 * `"background"` it succeeds at once, and what would have failed it ends the client: `closed` fails with it. Fails with
 * `NatsConfigError` when the options do not decode. Interruption releases whatever was opened.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <R = never>(
  options: Options<R> = {}
): Effect.Effect<NatsClient, ConnectError | NatsConfig.NatsConfigError, R | Scope.Scope> =>
  Effect.flatMap(decodeOptions(options), (config) => Client.makeClient(config))

/**
 * A layer from options. Where the client ends for good, a program that was started with `NatsLayer.launch` fails with
 * `BackgroundEnded`; else it is logged at level Error.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  options: Options<R> = {}
): Layer.Layer<NatsClient, ConnectError | NatsConfig.NatsConfigError, R> =>
  Layer.effect(NatsClient, makeForLayer(options))

/**
 * A layer from options whose values are read with Effect's `Config`, when the layer is built.
 *
 * Variables that are not set, are empty or do not fit fail with one `NatsConfigError` that has all of them by name, each
 * with the option that it is for, and no value; nothing is dialled then. `ConfigError` is left for a `ConfigProvider` that
 * cannot be read.
 *
 * ```ts
 * import { Config } from "effect"
 * import { NatsClient } from "effect-nats"
 *
 * // BROKER: is not set, and is needed for `servers`: set it, or give a default with Config.withDefault
 * const layer = NatsClient.layerConfig({
 *   servers: Config.String("BROKER"),
 *   name: Config.withDefault(Config.String("CLIENT_NAME"), undefined)
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<NatsConfig.Input> = {}
): Layer.Layer<NatsClient, ConnectError | NatsConfig.NatsConfigError | Config.ConfigError> =>
  Layer.effect(
    NatsClient,
    Effect.flatMap(readWrapped(options), (read) =>
      Result.isSuccess(read)
        ? makeForLayer(read.success as NatsConfig.Input)
        : Effect.fail(new NatsConfig.NatsConfigError({ source: "options", problems: read.failure })))
  )

// internal

/** A client whose end is told by its layer. */
const makeForLayer = <R>(options: Options<R>) =>
  Effect.flatMap(decodeOptions(options), (config) => Client.makeWatched(config))
