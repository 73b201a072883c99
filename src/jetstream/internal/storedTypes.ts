/** What users type of single messages in a stream: which one is meant, and what it is. `JetStreamStream` has it. */
import type { NatsHeaders } from "../../NatsHeaders.ts"

/**
 * Which message: that of a sequence, the last one of a subject, or the first one of a pattern from a sequence on.
 *
 * @category options
 * @since 0.2.0
 */
export type Which =
  | { readonly sequence: number }
  | { readonly last: string }
  | { readonly next: string; readonly from?: number | undefined }

/**
 * @category options
 * @since 0.2.0
 */
export interface GetOptions {
  /**
   * `true`: the leader is asked, which has everything that was acknowledged. Default `false`: where the stream has
   * `allowDirect`, any server that has a copy answers, which may be behind.
   */
  readonly consistent?: boolean | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface GetManyOptions {
  /** Default 1. */
  readonly from?: number | undefined
  /** Only subjects that this pattern matches. Default: all. */
  readonly subject?: string | undefined
  /** At most so many. Default: all that there are. */
  readonly limit?: number | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface DeleteMessageOptions {
  /** `true`: its bytes are overwritten on disk, which takes longer. Default `false`. */
  readonly secure?: boolean | undefined
}

/**
 * A message as a stream has it.
 *
 * @category models
 * @since 0.2.0
 */
export interface StoredMessage {
  readonly stream: string
  readonly subject: string
  readonly sequence: number
  /** When the server stored it, in nanoseconds since 1970: they do not fit a number. */
  readonly timestampNanos: bigint
  /** The same in milliseconds. */
  readonly timestampMillis: number
  readonly data: Uint8Array
  /** The payload as UTF-8 text. */
  readonly text: string
  readonly headers: NatsHeaders
}
