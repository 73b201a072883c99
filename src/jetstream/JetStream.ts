/**
 * JetStream of a client, as a service: publishing with an acknowledgement, and the account.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { JetStream } from "effect-nats/jetstream"
 *
 * const program = Effect.gen(function*() {
 *   const js = yield* JetStream.JetStream
 *   const { sequence } = yield* js.publish("orders.created", "{}")
 *   yield* Effect.log(sequence)
 * })
 *
 * const Live = JetStream.layer().pipe(Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" })))
 *
 * const main = Effect.provide(program, Live)
 * ```
 *
 * @since 0.2.0
 */
import type * as Arr from "effect/Array"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import { connectionOf } from "../internal/operations/connectionOf.ts"
import { collectingOf } from "../internal/telemetry/collector.ts"
import { publishMeter } from "../internal/telemetry/publishMetrics.ts"
import { NatsClient } from "../NatsClient.ts"
import type { Checked } from "../Subject.ts"
import { account } from "./internal/account.ts"
import { advisories } from "./internal/advisory.ts"
import { Api, ApiKey, ownPrefix } from "./internal/api.ts"
import { batch } from "./internal/batch.ts"
import { noteLevel } from "./internal/level.ts"
import { invalidName } from "./internal/names.ts"
import { outcomeLabels } from "./internal/outcome.ts"
import * as Publish from "./internal/publish.ts"
import { publishAll, sink } from "./internal/publishAll.ts"
import type {
  BatchAck,
  BatchOptions,
  Expectation,
  OutgoingMessage,
  PubAck,
  PublishAllOptions,
  PublishOptions,
  PublishSummary
} from "./internal/publishTypes.ts"
import type { Filter, JetStreamAdvisory } from "./JetStreamAdvisory.ts"
import type {
  AdvisoryError,
  ApiError,
  BatchError,
  ExpectationError,
  InvalidName,
  PublishError,
  SinkStopped,
  UnsupportedByServer
} from "./JetStreamError.ts"

/**
 * @category type IDs
 * @since 0.2.0
 */
export const TypeId = "~effect-nats/JetStream"

export type {
  BatchAck,
  BatchOptions,
  Expectation,
  MessageOptions,
  OutgoingMessage,
  PubAck,
  PublishAllOptions,
  PublishOnceOptions,
  PublishOptions,
  PublishRetryOptions,
  PublishSummary
} from "./internal/publishTypes.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** The JetStream domain that is asked, as one behind a leaf node. Default: that of the server. */
  readonly domain?: string | undefined
  /** Where the account has the API of another one, in place of `$JS.API`. Not together with `domain`. */
  readonly apiPrefix?: string | undefined
  /**
   * How long to wait for an answer of the API. Default: `requestTimeout` of the client's config, 10 seconds. Within it what asks
   * for information is sent again while there is no answer, as servers that elect a leader drop what they are asked.
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What an account uses, in bytes and counts.
 *
 * @category models
 * @since 0.2.0
 */
export interface AccountUsage {
  readonly memory: number
  readonly storage: number
  /** What streams may take by their limits. */
  readonly reservedMemory: number
  readonly reservedStorage: number
  readonly streams: number
  readonly consumers: number
}

/**
 * What an account may use, in bytes and counts. `undefined`: any number.
 *
 * @category models
 * @since 0.2.0
 */
export interface AccountLimits {
  readonly memory: number | undefined
  readonly storage: number | undefined
  readonly streams: number | undefined
  readonly consumers: number | undefined
  /** The most that a consumer may have delivered and not acknowledged. */
  readonly ackPending: number | undefined
  /** The most that one stream in memory may take. */
  readonly memoryStreamBytes: number | undefined
  /** The most that one stream in files may take. */
  readonly storageStreamBytes: number | undefined
  /** A stream has to say how many bytes it takes at most. */
  readonly maxBytesRequired: boolean
}

/**
 * @category models
 * @since 0.2.0
 */
export interface AccountInfo extends AccountUsage {
  /** The JetStream domain that answered, where it has one. */
  readonly domain: string | undefined
  readonly limits: AccountLimits
  /** The same by tier (`"R1"`, `"R3"`), where limits depend on the replicas; else empty. */
  readonly tiers: Readonly<Record<string, AccountUsage & { readonly limits: AccountLimits }>>
  /** Requests to the API of this account, and those of them that failed. */
  readonly api: {
    /** What the server can do (ADR-44): 1 is 2.11, 2 is 2.12, 4 is 2.14; 0 before there were levels. */
    readonly level: number
    readonly total: number
    readonly errors: number
  }
}

/**
 * JetStream of a client. All operations can be interrupted at once; a message that was written then may be stored.
 *
 * @category models
 * @since 0.2.0
 */
export interface JetStream {
  readonly [TypeId]: typeof TypeId
  /**
   * Publishes a message and waits until its stream has stored it. The stream is the one that takes the subject, whatever
   * `domain` and `apiPrefix` are: these are about the API, and a message goes where its subject leads. The payload is
   * copied; default empty.
   *
   * While there is no connection it waits (`whileDisconnected: "fail"`: it fails at once), within its `timeout`. It is
   * never written twice without `retry`. Failures tell apart what was never written (`NotPublished`), what was written and
   * has no answer (`PublishOutcomeUnknown`), and what was refused: see `PublishError`. Interruption forgets the answer:
   * whether the message is stored is not known then.
   *
   * Where something else answers, as a program that is subscribed to `>`, it waits on for JetStream's answer, and fails
   * with `InvalidAnswer` when the time is over.
   */
  publish<const S extends string>(
    subject: Checked<S>,
    payload?: string | Uint8Array,
    options?: PublishOptions & { readonly expect?: undefined; readonly ttl?: undefined }
  ): Effect.Effect<PubAck, PublishError>
  publish<const S extends string>(
    subject: Checked<S>,
    payload: string | Uint8Array | undefined,
    options: PublishOptions & { readonly expect?: undefined }
  ): Effect.Effect<PubAck, PublishError | UnsupportedByServer>
  publish<const S extends string>(
    subject: Checked<S>,
    payload: string | Uint8Array | undefined,
    options: PublishOptions & {
      readonly ttl?: undefined
      readonly expect?: (Expectation & { readonly forSubject?: undefined }) | undefined
    }
  ): Effect.Effect<PubAck, PublishError | ExpectationError>
  publish<const S extends string>(
    subject: Checked<S>,
    payload: string | Uint8Array | undefined,
    options: PublishOptions
  ): Effect.Effect<PubAck, PublishError | ExpectationError | UnsupportedByServer>
  /**
   * Publishes a stream of messages, `inFlight` of them on their way at a time, and gives their acknowledgements in the
   * order of the messages. They are written in that order on one connection, so that a stream stores them in it. Nothing is
   * made for a message but its acknowledgement: no fiber, no timer. Back-pressure goes through: who takes no
   * acknowledgements gets no more messages published.
   *
   * The first failure, in the order of the messages, ends the stream, after the acknowledgements of those before it: so
   * many acknowledgements, so many messages are stored, and the next one is the one that failed. No message is written any
   * more then, and those that were written behind it, less than `inFlight`, are waited for, so that nothing of the run is
   * on its way when the stream fails; they may be stored. Give the messages a `msgId`, and all from the failed one on can
   * be published again. When the connection dies, the first message that is not answered fails with
   * `PublishOutcomeUnknown`; a message that has still to be written waits for the next one. A failure of `messages` comes
   * after the acknowledgements of all that it gave.
   *
   * Closing or interrupting the stream forgets what is on its way, which may be stored. One span for the whole run: see
   * `NatsTracing`.
   */
  publishAll<E, R>(
    messages: Stream.Stream<OutgoingMessage, E, R>,
    options?: PublishAllOptions
  ): Stream.Stream<PubAck, PublishError | ExpectationError | UnsupportedByServer | E, R>
  /**
   * `publishAll` as a sink, which tells how many there were. Fails with `SinkStopped`: how many are stored, and what the
   * next one failed with.
   */
  sink(options?: PublishAllOptions): Sink.Sink<PublishSummary, OutgoingMessage, never, SinkStopped>
  /**
   * Stores messages together or not at all (ADR-50, nats-server 2.12): with one after the other in the stream, and nothing
   * of others between them. All go into one stream, which has to allow it (`allow_atomic`), else `BatchNotAllowed`. An
   * older server fails it with `UnsupportedByServer` before anything is sent: it would store each message by itself. Where
   * the stream's leader is older than the server at hand, it stores the first message, and nothing else is sent.
   *
   * `expect` of each message is looked at as of before the batch; `lastMsgId` is refused. Servers take 1,000 messages at
   * most if they are not configured otherwise. A failure says that nothing is stored, but for `PublishOutcomeUnknown` and
   * `InvalidAnswer`: give the messages a `msgId`, publish the batch again, and the stream either stores it or tells by
   * `BatchRefused` (10201) that it has. A batch that was interrupted is not stored, if its last message was not written.
   */
  batch(
    messages: Arr.NonEmptyReadonlyArray<OutgoingMessage>,
    options?: BatchOptions
  ): Effect.Effect<BatchAck, BatchError>
  /** What the account uses of JetStream and may use, asked of the server. */
  readonly account: Effect.Effect<AccountInfo, ApiError>
  /**
   * What JetStream tells of itself from now on (`$JS.EVENT.ADVISORY.>`), which needs the right to subscribe to it; of one
   * kind, to the subjects of that one only. What is told while there is no connection is missed: advisories are no record.
   * One that this version does not know, or cannot read, is an `UnknownAdvisory`, and ends nothing. Buffers are those of
   * `NatsClient.subscription`. `apiPrefix` and `domain` do not change where they come from: those of another account come
   * where that is imported.
   */
  advisories(filter?: Filter): Stream.Stream<JetStreamAdvisory, AdvisoryError>
}

/**
 * The service.
 *
 * @category services
 * @since 0.2.0
 */
export const JetStream: Context.Service<JetStream, JetStream> = Context.Service<JetStream>("effect-nats/JetStream")

/**
 * JetStream of the client. Asks once whether it is there; where the client connects in the background
 * (`onFirstConnect: "background"`) and has no session yet, it asks nothing.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: (options?: Options) => Effect.Effect<JetStream, ApiError | InvalidName, NatsClient> = Effect
  .fnUntraced(
    function*(options: Options = {}) {
      const nats = yield* NatsClient
      const { domain } = options
      const problem = domain === undefined ? undefined : invalidName("domain", domain)
      if (problem !== undefined) return yield* problem
      const prefix = options.apiPrefix ?? (domain === undefined ? ownPrefix : `$JS.${domain}.API`)
      const context = yield* Effect.context<never>()
      const { clock, metrics } = connectionOf(nats).settings
      const collecting = collectingOf(context, metrics)
      const meter = collecting === "nothing"
        ? undefined
        : publishMeter(context, outcomeLabels, collecting === "everything", clock)
      const api = new Api(nats, prefix, domain, options.timeout, meter)
      if (!api.connection.isComing) noteLevel(api, yield* api.call("INFO"))
      const js: JetStream = {
        [TypeId]: TypeId,
        // The overloads tell apart what the options add to the failures.
        publish: (subject: string, payload?: string | Uint8Array, options?: PublishOptions) =>
          Publish.publish(api, subject, payload, options) as Effect.Effect<PubAck, never>,
        publishAll: (messages, options) => publishAll(api, messages, options),
        sink: (options) => sink(api, options),
        batch: (messages, options) => batch(api, messages, options),
        account: account(api),
        advisories: (filter) => advisories(api, filter)
      }
      return Object.assign(js, { [ApiKey]: () => api })
    }
  )

/**
 * A layer of `make`.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options?: Options): Layer.Layer<JetStream, ApiError | InvalidName, NatsClient> =>
  Layer.effect(JetStream, make(options))
