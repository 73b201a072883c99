/**
 * What takes the messages of one subscription of a connection: what the parser and the connection need of it, whatever
 * becomes of the messages.
 */
import type * as Cause from "effect/Cause"
import type { SubscriptionError } from "../../NatsError.ts"
import type { MessageTarget } from "../protocol/target.ts"
import type { Writer } from "../protocol/writer.ts"
import type { Responder } from "./message.ts"

export type OverflowPolicy = "fail" | "dropNewest" | "dropOldest"

export interface SubscriptionSettings {
  readonly subject: string
  readonly queue: string | undefined
  readonly capacity: number
  readonly capacityBytes: number
  readonly overflow: OverflowPolicy
  /** It ends after so many messages. */
  readonly max?: number | undefined
  /**
   * Is called right behind its SUB on each session that begins after it was opened: what it writes is what the server
   * handles next. It runs in the read loop: it is quick, throws nothing, and runs nothing of the user's.
   */
  readonly onReplay?: ((writer: Writer) => void) | undefined
}

export type End = SubscriptionError | Cause.Done

export interface Delivery extends MessageTarget {
  readonly sid: number
  readonly settings: SubscriptionSettings
  /** Messages that may still come, those that are dropped included. 0 without a `max`. */
  readonly left: number
  readonly dropped: number
  /** Messages and bytes that wait unread. */
  readonly pending: number
  readonly pendingBytes: number
  /** The server has the SUB of the current session. */
  confirmed: boolean
  confirm(): void
  /** Nothing more comes. What is there is still read. */
  end(end: End): void
  /** Calls back when everything was handled, or when nobody reads. */
  onFinished(resume: () => void): void
  /**
   * A new session has begun, and its SUB is about to be replayed: from here on `settings.subject` may be another one. Under
   * the same rules as `onReplay`.
   */
  renew?(): void
  /** The client begins to drain: its UNSUB is written, and from here on nothing is begun that others can do. `end` follows. */
  leaving?(): void
  /** The drain is out of time: what is still held goes to others now. A last round trip follows. Under the same rules. */
  late?(): void
}

/** What a delivery tells the client that owns it. */
export interface DeliveryOwner extends Responder {
  /** The buffer became full: once for each episode, which ends when the reader has emptied it. */
  overflowed(delivery: Delivery): void
  /** No more messages are wanted: tell the server. */
  unsubscribe(delivery: Delivery): void
  /** It has its `max`, which the server knows. */
  completed(delivery: Delivery): void
}
