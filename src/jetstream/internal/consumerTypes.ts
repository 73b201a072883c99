/** What users type of consumers: options, and what operations give. `JetStreamConsumer` has it. */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type { CheckedPattern } from "./nameLiteral.ts"
import type { ByteSize, ClusterInfo, Instant, Target as StreamTarget } from "./streamTypes.ts"

export const ConsumerTypeId = "~effect-nats/JetStreamConsumer"

/**
 * What a consumer is to be. What is left out is the server's default in a new consumer, and stays as it is in one that is
 * there; but `ackPolicy`, which is `"explicit"`.
 *
 * A duration is at least a nanosecond and at most 292 years. Other values are refused with `InvalidDefinition` before
 * anything is sent, since a server takes nothing for its default.
 *
 * @category options
 * @since 0.2.0
 */
export interface ConsumerOptions<Filter extends string = string> {
  /** At most 4 KiB. */
  readonly description?: string | undefined
  /** Patterns of the subjects that it reads. Several, from nats-server 2.10, may not overlap. Default: all. */
  readonly filter?: CheckedPattern<Filter> | ReadonlyArray<CheckedPattern<Filter>> | undefined
  /**
   * Where it begins: with the first message, with the next one, with the last one, with the last one of each subject (which
   * needs a `filter`), at a sequence, or at a time. Default `"all"`. Cannot be changed.
   */
  readonly from?:
    | "all"
    | "new"
    | "last"
    | "lastPerSubject"
    | { readonly sequence: number | bigint }
    | { readonly time: Instant }
    | undefined
  /** Whether each message is acknowledged, all up to one at once, or none. Default `"explicit"`. Cannot be changed. */
  readonly ackPolicy?: "explicit" | "all" | "none" | undefined
  /** How long a message may be unacknowledged before it is delivered again. Default 30 seconds, or the first of `backoff`. */
  readonly ackWait?: Duration.Input | undefined
  /** So many messages may be unacknowledged: then no more are delivered. Default 1,000. */
  readonly maxAckPending?: number | "unlimited" | undefined
  /**
   * So often a message is delivered at most; then it stays in the stream, and nobody gets it. `process` wants it
   * `"unlimited"`, which is the default, and counts by itself.
   */
  readonly maxDeliver?: number | "unlimited" | undefined
  /** The ack wait of the first delivery, the second and so on; the last one counts for all that follow. Default: none. */
  readonly backoff?: ReadonlyArray<Duration.Input> | undefined
  /** `"original"`: messages come at the pace at which they were stored. Default `"instant"`. Cannot be changed. */
  readonly replayPolicy?: "instant" | "original" | undefined
  /** `true`: messages come without payload, with its size in `Nats-Msg-Size`. Default `false`. */
  readonly headersOnly?: boolean | undefined
  /** How many percent of the acknowledgements are told of in advisories. Default 0. */
  readonly sampleFrequency?: number | undefined
  /** It is deleted where nobody pulls for so long. Default: never for a durable one, 5 seconds for an ephemeral one. */
  readonly inactiveThreshold?: Duration.Input | undefined
  /** So many pulls may wait at once. Default 512. Cannot be changed. */
  readonly maxWaiting?: number | undefined
  /** So many messages may be asked for by one pull. Default: any number. */
  readonly maxBatch?: number | undefined
  /** So long may one pull wait: at least a millisecond. Default: any time. */
  readonly maxExpires?: Duration.Input | undefined
  /** So many bytes may be asked for by one pull. Default: any number. */
  readonly maxBytes?: ByteSize | undefined
  /** Servers that keep its state. Default: as the stream has. */
  readonly replicas?: number | undefined
  /** `true`: its state is in memory. Default `false`. Cannot be changed. */
  readonly memoryStorage?: boolean | undefined
  /** Nothing is delivered before. From nats-server 2.11. See also `pause`. */
  readonly pauseUntil?: Instant | undefined
  /** How several clients share it. From nats-server 2.11, `"prioritized"` from 2.12. Needs `priorityGroups`. */
  readonly priorityPolicy?: "none" | "pinnedClient" | "overflow" | "prioritized" | undefined
  /** The groups that a pull can be of. A server takes one for now. From nats-server 2.11. */
  readonly priorityGroups?: ReadonlyArray<string> | undefined
  /** How long a pinned client may not pull before another one is pinned. From nats-server 2.11. Default 2 minutes. */
  readonly pinnedTtl?: Duration.Input | undefined
  /** Texts of yours, at most 128 KiB. From nats-server 2.10. Keys that start with `_nats.` are the server's. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/**
 * What a consumer is on the server, in the words of `ConsumerOptions`.
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerConfig extends ConsumerOptions {
  readonly from: Exclude<ConsumerOptions["from"], undefined>
  readonly ackPolicy: "explicit" | "all" | "none"
  readonly ackWait?: Duration.Duration | undefined
  readonly maxAckPending: number | "unlimited"
  readonly maxDeliver: number | "unlimited"
  readonly backoff: ReadonlyArray<Duration.Duration>
  readonly replayPolicy: "instant" | "original"
  readonly headersOnly: boolean
  readonly memoryStorage: boolean
  readonly maxBytes?: number | undefined
  readonly maxExpires?: Duration.Duration | undefined
  readonly inactiveThreshold?: Duration.Duration | undefined
  readonly priorityPolicy: "none" | "pinnedClient" | "overflow" | "prioritized"
  readonly priorityGroups: ReadonlyArray<string>
  readonly pinnedTtl?: Duration.Duration | undefined
  /** Without what servers write into it. */
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * That the consumer has been provisioned, as something that an effect can demand: see `layer`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Provisioned<out Stream extends string, out Name extends string> {
  readonly "~effect-nats/JetStreamConsumer/Provisioned": readonly [Stream, Name]
}

/**
 * What a durable pull consumer is to be.
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerDefinition<out Stream extends string = string, out Name extends string = string> {
  readonly [ConsumerTypeId]: "~effect-nats/JetStreamConsumer"
  readonly stream: Stream
  readonly name: Name
  readonly options: ConsumerOptions
}

/**
 * A consumer, by its names or its definition.
 *
 * @category models
 * @since 0.2.0
 */
export type Target = ConsumerDefinition | { readonly stream: StreamTarget; readonly consumer: string }

/**
 * A priority group, and who is pinned in it.
 *
 * @category models
 * @since 0.2.0
 */
export interface PriorityGroup {
  readonly name: string
  readonly pinnedId: string | undefined
  readonly pinnedAt: DateTime.Utc | undefined
}

/**
 * How far a consumer is.
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerInfo {
  readonly stream: string
  readonly name: string
  readonly created: DateTime.Utc | undefined
  readonly config: ConsumerConfig
  /** `false`: it goes when nobody pulls for `inactiveThreshold`, and its name is not kept. */
  readonly isDurable: boolean
  /** Where a push consumer delivers to. `undefined`: it is pulled from. */
  readonly deliverSubject: string | undefined
  /** The last message that was delivered: its sequence in the stream, and the number of the delivery. */
  readonly delivered: { readonly sequence: number; readonly consumerSequence: number }
  /** The last message below which all are acknowledged. */
  readonly ackFloor: { readonly sequence: number; readonly consumerSequence: number }
  /** Messages that were not delivered yet. */
  readonly pending: number
  /** Messages that were delivered and not acknowledged. */
  readonly ackPending: number
  /** Messages of those that were delivered more than once. */
  readonly redelivered: number
  /** Pulls that wait. */
  readonly waiting: number
  readonly isPaused: boolean
  /** How long it stays paused. */
  readonly pauseRemaining: Duration.Duration | undefined
  readonly priorityGroups: ReadonlyArray<PriorityGroup>
  readonly cluster: ClusterInfo | undefined
}

/**
 * @category models
 * @since 0.2.0
 */
export interface PauseState {
  readonly isPaused: boolean
  readonly pauseRemaining: Duration.Duration | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface EphemeralOptions<Filter extends string = string> extends ConsumerOptions<Filter> {
  /** Default: one of chance. */
  readonly name?: string | undefined
}
