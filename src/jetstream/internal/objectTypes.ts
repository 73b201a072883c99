/** What users type of objects and object stores, and what they are told of them. `ObjectStore` has it. */
import type * as Duration from "effect/Duration"
import type { Input, NatsHeaders } from "../../NatsHeaders.ts"
import type { ByteSize, StreamInfo } from "./streamTypes.ts"

/**
 * @category models
 * @since 0.2.0
 */
export interface ObjectLink {
  readonly store: string
  /** Absent where the link leads to the store as a whole. */
  readonly name?: string | undefined
}

/**
 * What is told of an object.
 *
 * @category models
 * @since 0.2.0
 */
export interface ObjectInfo {
  readonly _tag: "ObjectInfo"
  readonly store: string
  readonly name: string
  readonly description?: string | undefined
  readonly headers: NatsHeaders
  readonly metadata: Readonly<Record<string, string>>
  /** Under which its chunks are kept: another one for each put. Empty for a link. */
  readonly id: string
  /** In bytes. */
  readonly size: number
  readonly chunks: number
  /** In bytes: of each chunk but the last one. */
  readonly chunkSize?: number | undefined
  /** `SHA-256=` and base64 for URLs. */
  readonly digest?: string | undefined
  readonly link?: ObjectLink | undefined
  readonly deleted: boolean
  /** The sequence in the stream of what is told here. It grows with each change of the object. */
  readonly revision: number
  /** When it was put or changed last, by the server's clock, in milliseconds since 1970. */
  readonly modifiedMillis: number
}

/**
 * The marker in a watch: all that was there when it began has been told.
 *
 * @category models
 * @since 0.2.0
 */
export interface InitialDone {
  readonly _tag: "InitialDone"
}

/**
 * An element of a watch: what is told of an object now, deleted ones included, or the marker.
 *
 * @category models
 * @since 0.2.0
 */
export type WatchEvent = ObjectInfo | InitialDone

/**
 * @category options
 * @since 0.2.0
 */
export interface PutOptions {
  /** In bytes. Default: 128 KiB, or what the server takes at most if that is less. */
  readonly chunkSize?: number | undefined
  readonly description?: string | undefined
  /** Such as `Content-Type`. They are kept in the object's info and are no headers of a message. */
  readonly headers?: Input | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /**
   * How long the object lives, counted from the beginning of the put: a second at least. Needs nats-server 2.11 and a store
   * with `objectTtl`. Default: for ever, or the `ttl` of the store, which is also the most.
   */
  readonly ttl?: Duration.Input | undefined
}

/**
 * What is given is what is told of the object from then on, as a whole: headers and metadata are not joined with the former.
 *
 * @category options
 * @since 0.2.0
 */
export interface UpdateOptions {
  /** Another name for the object. */
  readonly name?: string | undefined
  readonly description?: string | undefined
  readonly headers?: Input | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface WatchOptions {
  /** Nothing of what is there: the marker comes at once. Default `false`. */
  readonly updatesOnly?: boolean | undefined
  /** Leaves deleted objects out. Default `false`. */
  readonly ignoreDeletes?: boolean | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface ListOptions {
  /** Also those that were deleted. Default `false`. */
  readonly includeDeleted?: boolean | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface StoreOptions {
  readonly description?: string | undefined
  /** How long objects live after they were put. Default: for ever. */
  readonly ttl?: Duration.Input | undefined
  /** What the store may keep; a put that does not fit fails with `StreamFull`. Default: no limit. */
  readonly maxBytes?: ByteSize | undefined
  /** Default `"file"`. */
  readonly storage?: "file" | "memory" | undefined
  /** Servers that keep a copy: 1 to 5. Default 1. */
  readonly replicas?: number | undefined
  readonly placement?: {
    readonly cluster?: string | undefined
    readonly tags?: ReadonlyArray<string> | undefined
  } | undefined
  /** Compresses files on the server. Needs nats-server 2.10. Default `false`. */
  readonly compression?: boolean | undefined
  /** Lets objects have a `ttl` of their own. Needs nats-server 2.11. Default `false`. */
  readonly objectTtl?: boolean | undefined
  /**
   * Lets the store be written from another domain although there is a store of its name on that side: see
   * `ObjectStoreAmbiguous`. Needs nats-server 2.10. Default: `true` where the store is made through a domain of another
   * server, if that server has it, else `false`.
   */
  readonly acrossDomains?: boolean | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/**
 * What a store is and how much is in it.
 *
 * @category models
 * @since 0.2.0
 */
export interface StoreStatus {
  readonly store: string
  readonly description: string | undefined
  /** How long objects live. `undefined`: for ever. */
  readonly ttl: Duration.Duration | undefined
  /** `undefined`: no limit. */
  readonly maxBytes: number | undefined
  readonly storage: "file" | "memory"
  readonly replicas: number
  readonly isSealed: boolean
  readonly isCompressed: boolean
  readonly objectTtl: boolean
  readonly acrossDomains: boolean
  /** Bytes of the stream: those of the objects, and some for each chunk. */
  readonly bytes: number
  readonly metadata: Readonly<Record<string, string>>
  /** The stream behind it. */
  readonly stream: StreamInfo
}
