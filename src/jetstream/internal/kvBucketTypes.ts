/**
 * What a key-value bucket is made as, and what it is then. Published by `KeyValue`.
 */
import type * as Duration from "effect/Duration"
import type { ByteSize, Origin, StreamInfo, StreamOptions } from "./streamTypes.ts"

/**
 * Another bucket that a bucket is a mirror of, or takes values from.
 *
 * @category options
 * @since 0.2.0
 */
export interface BucketOrigin extends Omit<Origin, "name" | "transforms"> {
  readonly bucket: string
}

/**
 * How a bucket is made. What is left out is as the server has it, or as it is said here.
 *
 * @category options
 * @since 0.2.0
 */
export interface BucketConfig {
  readonly description?: string | undefined
  /** Values that are kept of each key, 1 to 64. Default 1. */
  readonly history?: number | undefined
  /** How long every value lives. Default: for ever. */
  readonly ttl?: Duration.Input | undefined
  /** Whether keys can have a `ttl` of their own: nats-server 2.11. It cannot be switched off again. Default `false`. */
  readonly keyTtl?: boolean | undefined
  /**
   * Marks values that expired, so that watches are told, and keeps the marks for so long: nats-server 2.11. Brings `keyTtl`
   * with it, and no `ttl` of a key is shorter than this then. Default: none, and a watch does not see that a value expired.
   */
  readonly deleteMarkers?: Duration.Input | undefined
  /** The largest value. Default: what the server takes as a message. */
  readonly maxValueSize?: ByteSize | "unlimited" | undefined
  /** The most that the bucket holds; then writes fail with `StreamFull`. Default: no bound. */
  readonly maxBytes?: ByteSize | "unlimited" | undefined
  /** Default `"file"`. */
  readonly storage?: "file" | "memory" | undefined
  /** Default 1. */
  readonly replicas?: number | undefined
  /** Default `false`. */
  readonly compression?: boolean | undefined
  readonly placement?: StreamOptions["placement"]
  readonly republish?: StreamOptions["republish"]
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** The bucket that this one is a copy of: it is read here, and written there. */
  readonly mirror?: string | BucketOrigin | undefined
  /** Buckets whose values this one takes. */
  readonly sources?: ReadonlyArray<string | BucketOrigin> | undefined
}

/**
 * What a bucket is, and what is in it.
 *
 * @category models
 * @since 0.2.0
 */
export interface BucketStatus {
  readonly bucket: string
  /** Values and marks of deletions, with their history. */
  readonly values: number
  readonly bytes: number
  readonly lastRevision: number
  readonly history: number | "unlimited"
  readonly ttl: Duration.Duration | undefined
  readonly keyTtl: boolean
  readonly deleteMarkers: Duration.Duration | undefined
  readonly storage: "file" | "memory"
  readonly replicas: number
  readonly isCompressed: boolean
  readonly description: string | undefined
  readonly metadata: Readonly<Record<string, string>>
  /** All that its stream tells. */
  readonly stream: StreamInfo
}
