/**
 * What JetStream tells of itself: messages that came to their last delivery, streams and consumers that were made and
 * deleted, leaders, lost quorums. See `JetStream.advisories`.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { JetStream } from "effect-nats/jetstream"
 *
 * const givenUp = Effect.gen(function*() {
 *   const js = yield* JetStream.JetStream
 *   yield* js.advisories({ kinds: ["MaxDeliveries"], stream: "ORDERS" }).pipe(
 *     Stream.runForEach((advisory) => Effect.logWarning(advisory._tag))
 *   )
 * })
 * ```
 *
 * @since 0.2.0
 */

/**
 * What each of them has.
 *
 * @category models
 * @since 0.2.0
 */
export interface About {
  /** Of this advisory. */
  readonly id: string
  /** When it was, in milliseconds since 1970. */
  readonly timestampMillis: number
  /** The JetStream domain that it is of, where the server has one. */
  readonly domain: string | undefined
}

/**
 * What each of them has that is about a stream.
 *
 * @category models
 * @since 0.2.0
 */
export interface AboutStream extends About {
  readonly stream: string
}

/**
 * What each of them has that is about a consumer.
 *
 * @category models
 * @since 0.2.0
 */
export interface AboutConsumer extends AboutStream {
  readonly consumer: string
}

/**
 * What each of them has that is about a message of a consumer.
 *
 * @category models
 * @since 0.2.0
 */
export interface AboutMessage extends AboutConsumer {
  /** Its sequence in the stream. */
  readonly sequence: number
  /** How often it was delivered. */
  readonly deliveries: number
}

/**
 * A message was delivered as often as the consumer allows (`max_deliver`), and was not acknowledged. It stays in the stream
 * and is delivered no more.
 *
 * @category models
 * @since 0.2.0
 */
export interface MaxDeliveries extends AboutMessage {
  readonly _tag: "MaxDeliveries"
}

/**
 * A message was given back.
 *
 * @category models
 * @since 0.2.0
 */
export interface MessageNaked extends AboutMessage {
  readonly _tag: "MessageNaked"
  /** Its number among the deliveries of the consumer. */
  readonly consumerSequence: number
}

/**
 * A message was terminated: it is delivered no more.
 *
 * @category models
 * @since 0.2.0
 */
export interface MessageTerminated extends AboutMessage {
  readonly _tag: "MessageTerminated"
  readonly consumerSequence: number
  /** What the consumer gave for it (2.10). */
  readonly reason: string | undefined
}

/**
 * A stream was created, changed or deleted.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamAction extends AboutStream {
  readonly _tag: "StreamAction"
  readonly action: "create" | "modify" | "delete"
}

/**
 * A consumer was created, changed or deleted.
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerAction extends AboutConsumer {
  readonly _tag: "ConsumerAction"
  readonly action: "create" | "modify" | "delete"
}

/**
 * A consumer was paused, or goes on (2.11).
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerPaused extends AboutConsumer {
  readonly _tag: "ConsumerPaused"
  readonly paused: boolean
  /** Until when, in milliseconds since 1970. */
  readonly untilMillis: number | undefined
}

/**
 * A priority group of a consumer has a client that it is pinned to (2.11).
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerPinned extends AboutConsumer {
  readonly _tag: "ConsumerPinned"
  readonly group: string
  readonly pinnedId: string
}

/**
 * A priority group of a consumer has no client any more that it is pinned to (2.11).
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerUnpinned extends AboutConsumer {
  readonly _tag: "ConsumerUnpinned"
  readonly group: string
  /** `"admin"`: by hand. `"timeout"`: it asked for no more messages. */
  readonly reason: string
}

/**
 * An atomic batch was given up, and nothing of it is stored (2.12).
 *
 * @category models
 * @since 0.2.0
 */
export interface BatchAbandoned extends AboutStream {
  readonly _tag: "BatchAbandoned"
  readonly batch: string
  /** `"timeout"`, `"incomplete"`, … */
  readonly reason: string
}

/**
 * A server of a stream, a consumer or a domain.
 *
 * @category models
 * @since 0.2.0
 */
export interface Replica {
  readonly name: string
  /** It has all that the leader has. */
  readonly current: boolean
  readonly offline: boolean
}

/**
 * A stream has a new leader.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamLeaderElected extends AboutStream {
  readonly _tag: "StreamLeaderElected"
  readonly leader: string
  readonly replicas: ReadonlyArray<Replica>
}

/**
 * A consumer has a new leader.
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerLeaderElected extends AboutConsumer {
  readonly _tag: "ConsumerLeaderElected"
  readonly leader: string
  readonly replicas: ReadonlyArray<Replica>
}

/**
 * A stream has too few of its servers, and stands still.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamQuorumLost extends AboutStream {
  readonly _tag: "StreamQuorumLost"
  readonly replicas: ReadonlyArray<Replica>
}

/**
 * A consumer has too few of its servers, and stands still.
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerQuorumLost extends AboutConsumer {
  readonly _tag: "ConsumerQuorumLost"
  readonly replicas: ReadonlyArray<Replica>
}

/**
 * A snapshot of a stream has begun.
 *
 * @category models
 * @since 0.2.0
 */
export interface SnapshotStarted extends AboutStream {
  readonly _tag: "SnapshotStarted"
}

/**
 * A snapshot of a stream is done.
 *
 * @category models
 * @since 0.2.0
 */
export interface SnapshotCompleted extends AboutStream {
  readonly _tag: "SnapshotCompleted"
}

/**
 * A stream is being restored from a snapshot.
 *
 * @category models
 * @since 0.2.0
 */
export interface RestoreStarted extends AboutStream {
  readonly _tag: "RestoreStarted"
}

/**
 * A stream was restored from a snapshot.
 *
 * @category models
 * @since 0.2.0
 */
export interface RestoreCompleted extends AboutStream {
  readonly _tag: "RestoreCompleted"
  readonly bytes: number
}

/**
 * Somebody asked the API. Every request that changes something is told, and those that fail.
 *
 * @category models
 * @since 0.2.0
 */
export interface ApiAudit extends About {
  readonly _tag: "ApiAudit"
  readonly server: string
  /** `$JS.API.STREAM.CREATE.ORDERS` */
  readonly subject: string
  /** The JSON of the request, empty where it had none. */
  readonly request: string
  /** The JSON of the answer. */
  readonly response: string
}

/**
 * More requests of the API waited than a server lets wait, and it dropped some.
 *
 * @category models
 * @since 0.2.0
 */
export interface ApiLimitReached extends About {
  readonly _tag: "ApiLimitReached"
  readonly server: string
  readonly dropped: number
}

/**
 * What this version does not know, or cannot read: a later server tells more.
 *
 * @category models
 * @since 0.2.0
 */
export interface UnknownAdvisory {
  readonly _tag: "UnknownAdvisory"
  /** The subject that it came on. */
  readonly subject: string
  /** `io.nats.jetstream.advisory.v1.…`, where it says it. */
  readonly type: string | undefined
  /** What was in it, where it is JSON; else its text. */
  readonly json: unknown
}

/**
 * @category models
 * @since 0.2.0
 */
export type JetStreamAdvisory =
  | MaxDeliveries
  | MessageNaked
  | MessageTerminated
  | StreamAction
  | ConsumerAction
  | ConsumerPaused
  | ConsumerPinned
  | ConsumerUnpinned
  | BatchAbandoned
  | StreamLeaderElected
  | ConsumerLeaderElected
  | StreamQuorumLost
  | ConsumerQuorumLost
  | SnapshotStarted
  | SnapshotCompleted
  | RestoreStarted
  | RestoreCompleted
  | ApiAudit
  | ApiLimitReached
  | UnknownAdvisory

/**
 * Which of them are wanted. Default: all.
 *
 * @category options
 * @since 0.2.0
 */
export interface Filter {
  readonly kinds?: ReadonlyArray<JetStreamAdvisory["_tag"]> | undefined
  /** Those about this stream and its consumers only. */
  readonly stream?: string | undefined
  /** Of `stream`, those about this consumer only. */
  readonly consumer?: string | undefined
}
