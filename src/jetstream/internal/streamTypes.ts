/** What users type of streams: options, and what operations give. `JetStreamStream` has it. */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type { CheckedPattern } from "./nameLiteral.ts"

export const StreamTypeId = "~effect-nats/JetStreamStream"

/**
 * Bytes: a whole number, or a text as `"10 GiB"` (1,024 each step) or `"10 GB"` (1,000 each).
 *
 * @category models
 * @since 0.2.0
 */
export type ByteSize = number | bigint | `${number} ${"B" | "KB" | "MB" | "GB" | "TB" | "KiB" | "MiB" | "GiB" | "TiB"}`

/**
 * An instant. Text is of RFC 3339, as `"2026-01-31T12:00:00.000000001Z"`, and keeps nanoseconds.
 *
 * @category models
 * @since 0.2.0
 */
export type Instant = Date | DateTime.DateTime | string

/**
 * How subjects become other ones: what matches `source` gets the subject `destination`, in which `{{wildcard(1)}}` stands
 * for the first wildcard of the source.
 *
 * @category options
 * @since 0.2.0
 */
export interface SubjectTransform {
  readonly source: string
  readonly destination: string
}

/**
 * A stream that another one copies.
 *
 * @category options
 * @since 0.2.0
 */
export interface Origin {
  readonly name: string
  /** Where the copy begins. Default: with the first message. */
  readonly from?: { readonly sequence: number | bigint } | { readonly time: Instant } | undefined
  /** Which subjects are copied. Default: all. Not together with `transforms`. */
  readonly filter?: string | undefined
  /** Which subjects are copied, and as what. From nats-server 2.10. */
  readonly transforms?: ReadonlyArray<SubjectTransform> | undefined
  /** The JetStream domain of the stream. The short form of `external`. */
  readonly domain?: string | undefined
  /** Where the API of another account or domain is imported, and what its messages are delivered to. */
  readonly external?: { readonly apiPrefix: string; readonly deliverPrefix?: string | undefined } | undefined
  /** A durable consumer that is there already for the copy. From nats-server 2.14. */
  readonly consumer?: { readonly name: string; readonly deliverSubject: string } | undefined
}

/**
 * What a stream is to be. What is left out is the server's default in a new stream, and stays as it is in one that is there.
 *
 * A duration is at least a nanosecond and at most 292 years; a size is at least one byte. Other values are
 * refused with `InvalidDefinition` before anything is sent, since a server takes nothing for its default.
 *
 * @category options
 * @since 0.2.0
 */
export interface StreamOptions<Subjects extends string = string> {
  /** At most 4 KiB. */
  readonly description?: string | undefined
  /** Patterns of the subjects that it stores. Default: its name, or none for a mirror. A subject is stored by one stream. */
  readonly subjects?: ReadonlyArray<CheckedPattern<Subjects>> | undefined
  /** Default `"file"`. Cannot be changed. */
  readonly storage?: "file" | "memory" | undefined
  /**
   * When messages go: by the limits alone, once no consumer waits for them (`"interest"`), or once they are acknowledged
   * (`"workqueue"`). Default `"limits"`. Cannot be changed to or from `"workqueue"`, and before nats-server 2.10 not at all.
   */
  readonly retention?: "limits" | "interest" | "workqueue" | undefined
  /** What goes at a limit: the oldest message, or the new one, which is refused with `StreamFull`. Default `"old"`. */
  readonly discard?: "old" | "new" | undefined
  /** With `discard: "new"`, refuses what is above `maxMessagesPerSubject`, too. Default `false`. */
  readonly discardNewPerSubject?: boolean | undefined
  /** Default `"unlimited"`. */
  readonly maxMessages?: number | "unlimited" | undefined
  /** Default `"unlimited"`. */
  readonly maxMessagesPerSubject?: number | "unlimited" | undefined
  /** Bytes of all messages. Default `"unlimited"`. */
  readonly maxBytes?: ByteSize | "unlimited" | undefined
  /** At least 100 ms. Default `"Infinity"`. */
  readonly maxAge?: Duration.Input | undefined
  /** Bytes of one message with its headers, below 2 GiB. Default `"unlimited"`: the server's `max_payload` counts. */
  readonly maxMessageSize?: ByteSize | "unlimited" | undefined
  /** Default `"unlimited"`, which nats-server 2.15 takes for 1,000. Cannot be changed before nats-server 2.11. */
  readonly maxConsumers?: number | "unlimited" | undefined
  /** `true`: publishing is not acknowledged. Default `false`. */
  readonly noAck?: boolean | undefined
  /** How long a `msgId` is remembered: at least 100 ms, at most `maxAge`. Default: 2 minutes, or `maxAge` if that is less. */
  readonly duplicateWindow?: Duration.Input | undefined
  /** Servers that have it: 1 to 5. Default 1. More than one needs a cluster. */
  readonly replicas?: number | undefined
  /** Which servers of a cluster have it. */
  readonly placement?:
    | { readonly cluster?: string | undefined; readonly tags?: ReadonlyArray<string> | undefined }
    | "none"
    | undefined
  /** Makes it a copy of another stream. `"none"` makes it a stream of its own for good, from nats-server 2.12. */
  readonly mirror?: Origin | "none" | undefined
  /** Other streams whose messages it takes in. */
  readonly sources?: ReadonlyArray<Origin> | undefined
  /** Of a file. Default `"none"`. From nats-server 2.10. */
  readonly compression?: "none" | "s2" | undefined
  /** The sequence of its first message. Default 1. From nats-server 2.10; cannot be changed. */
  readonly firstSequence?: number | bigint | undefined
  /** What happens to a subject before its message is stored. From nats-server 2.10. */
  readonly subjectTransform?: SubjectTransform | "none" | undefined
  /** Publishes what is stored once more, to core NATS. `source` is `">"` by default. */
  readonly republish?:
    | {
      readonly source?: string | undefined
      readonly destination: string
      readonly headersOnly?: boolean | undefined
    }
    | "none"
    | undefined
  /** Lets every server that has it answer reads of single messages, which may be behind. Default `false`. */
  readonly allowDirect?: boolean | undefined
  /** The same for a mirror, which then answers for its origin, too. A server makes it what the origin's `allowDirect` is. */
  readonly mirrorDirect?: boolean | undefined
  /** `true`: takes and loses nothing any more, for ever. Default `false`. */
  readonly sealed?: boolean | undefined
  /** `true`: no message can be deleted by itself, for ever. Default `false`. */
  readonly denyDelete?: boolean | undefined
  /** `true`: it cannot be purged, for ever. Default `false`. */
  readonly denyPurge?: boolean | undefined
  /** Lets a message take the place of all before it (`Nats-Rollup`). Default `false`. */
  readonly allowRollup?: boolean | undefined
  /** What consumers may have at most, and have where they say nothing. From nats-server 2.10. */
  readonly consumerLimits?:
    | { readonly inactiveThreshold?: Duration.Input | undefined; readonly maxAckPending?: number | undefined }
    | "none"
    | undefined
  /** Lets messages have a time to live of their own. From nats-server 2.11; cannot be taken back. Default `false`. */
  readonly ttl?: boolean | undefined
  /**
   * Leaves a marker for so long where the last message of a subject goes by age: at least a second. Switches `ttl` and
   * `allowRollup` on. From nats-server 2.11.
   */
  readonly deleteMarkerTtl?: Duration.Input | undefined
  /** Makes its messages counters. From nats-server 2.12; cannot be changed. Default `false`. */
  readonly counter?: boolean | undefined
  /** Lets batches be stored whole or not at all. From nats-server 2.12. Default `false`. */
  readonly atomicBatch?: boolean | undefined
  /** Lets batches be stored fast, with few acknowledgements. From nats-server 2.14. Default `false`. */
  readonly fastBatch?: boolean | undefined
  /** Lets messages be sent at a time, or again and again. From nats-server 2.12; cannot be taken back. Default `false`. */
  readonly schedules?: boolean | undefined
  /** `"async"`: acknowledges before a file has it, for one replica. From nats-server 2.12; cannot be changed. */
  readonly persistMode?: "default" | "async" | undefined
  /** Texts of yours, at most 128 KiB. From nats-server 2.10. Keys that start with `_nats.` are the server's. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/**
 * What a stream is on the server, in the words of `StreamOptions`: it can be given to `make`.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamConfig extends StreamOptions {
  readonly subjects: ReadonlyArray<string>
  readonly storage: "file" | "memory"
  readonly retention: "limits" | "interest" | "workqueue"
  readonly discard: "old" | "new"
  readonly maxMessages: number | "unlimited"
  readonly maxMessagesPerSubject: number | "unlimited"
  readonly maxBytes: number | bigint | "unlimited"
  readonly maxMessageSize: number | "unlimited"
  readonly maxConsumers: number | "unlimited"
  readonly maxAge: Duration.Duration
  readonly duplicateWindow?: Duration.Duration | undefined
  readonly deleteMarkerTtl?: Duration.Duration | undefined
  readonly replicas: number
  readonly allowDirect: boolean
  readonly sealed: boolean
  /** Without what servers write into it. */
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * That the stream of this name has been provisioned, as something that an effect can demand: see `layer`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Provisioned<out Name extends string> {
  readonly "~effect-nats/JetStreamStream/Provisioned": Name
}

/**
 * What a stream is to be.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamDefinition<out Name extends string = string> {
  readonly [StreamTypeId]: "~effect-nats/JetStreamStream"
  readonly name: Name
  readonly options: StreamOptions
}

/**
 * A stream, by its name or its definition.
 *
 * @category models
 * @since 0.2.0
 */
export type Target = string | StreamDefinition

/**
 * What is in a stream.
 *
 * @category models
 * @since 0.2.0
 */
export interface StreamState {
  readonly messages: number
  readonly bytes: number
  readonly firstSequence: number
  /** Of the last message, and of the last that there was where it is gone. */
  readonly lastSequence: number
  readonly firstTime: DateTime.Utc | undefined
  readonly lastTime: DateTime.Utc | undefined
  readonly consumers: number
  /** How many different subjects its messages have. */
  readonly subjectCount: number
  /** How many messages between the first and the last are gone. */
  readonly deletedCount: number
  /** Their sequences, where they were asked for. */
  readonly deleted: ReadonlyArray<number> | undefined
  /** Messages by subject, where they were asked for. */
  readonly subjects: ReadonlyMap<string, number> | undefined
}

/**
 * A server that has a copy of a stream or consumer.
 *
 * @category models
 * @since 0.2.0
 */
export interface Replica {
  readonly name: string
  readonly isCurrent: boolean
  readonly isOffline: boolean
  /** How long it was not heard of. */
  readonly active: Duration.Duration
  /** Operations that it is behind. */
  readonly lag: number
}

/**
 * Where a stream or consumer is.
 *
 * @category models
 * @since 0.2.0
 */
export interface ClusterInfo {
  /** Of the cluster. */
  readonly name: string
  /** `undefined` while there is none. */
  readonly leader: string | undefined
  readonly replicas: ReadonlyArray<Replica>
}

/**
 * How far the copy of another stream is.
 *
 * @category models
 * @since 0.2.0
 */
export interface OriginInfo {
  readonly name: string
  /** Messages that it is behind. */
  readonly lag: number
  /** How long the origin was not heard of. `undefined` if it never was. */
  readonly active: Duration.Duration | undefined
  /** Why it is not copied. */
  readonly error: string | undefined
}

/**
 * @category models
 * @since 0.2.0
 */
export interface StreamInfo {
  readonly name: string
  readonly created: DateTime.Utc | undefined
  readonly config: StreamConfig
  readonly state: StreamState
  readonly domain: string | undefined
  /** `undefined` where the server is alone. */
  readonly cluster: ClusterInfo | undefined
  readonly mirror: OriginInfo | undefined
  readonly sources: ReadonlyArray<OriginInfo>
}

/**
 * @category options
 * @since 0.2.0
 */
export interface InfoOptions {
  /** Counts the messages of each subject that this pattern matches. All of them are read, however many. Default: none. */
  readonly subjects?: string | undefined
  /** Lists the sequences that are gone. Default `false`. */
  readonly deletedDetails?: boolean | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface ListOptions {
  /** Only streams that store subjects which this pattern matches. Default: all streams. */
  readonly subject?: string | undefined
}

/**
 * What is deleted. Without any, everything; `keep` and `upTo` are not for both at once.
 *
 * @category options
 * @since 0.2.0
 */
export interface PurgeOptions {
  /** Only messages whose subject this pattern matches. */
  readonly filter?: string | undefined
  /** All but so many of the newest. */
  readonly keep?: number | undefined
  /** Only those before this sequence. */
  readonly upTo?: number | undefined
}

/**
 * What of a report may be applied. `"nothing"`: it is only said. `"safe"`: what can be done where it stands without a loss.
 * `"lossy"`: also what loses messages and what can never be taken back. What needs another stream or consumer is never
 * applied: delete the old one yourself.
 *
 * @category options
 * @since 0.2.0
 */
export type Apply = "safe" | "nothing" | "lossy"

/**
 * @category options
 * @since 0.2.0
 */
export interface ProvisionOptions {
  /** Default `"safe"`. */
  readonly apply?: Apply | undefined
}
