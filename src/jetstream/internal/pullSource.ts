/**
 * What taking messages of a consumer is, for those that hand them on: whose they are, how many, and what a reader may ask.
 */
import type * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import { type InvalidName, type MessagesError } from "../JetStreamError.ts"
import type { ConsumerFacts } from "./consumerFacts.ts"
import type { PulledMessage } from "./message.ts"
import { invalidName } from "./names.ts"
import type { Batch } from "./pullInbox.ts"
import type { Tally } from "./tally.ts"

/** Whose messages. */
export interface PullTarget {
  readonly stream: string
  readonly consumer: string
}

export interface PullOptions {
  /** Messages that may be with this program and not handled, at most. */
  readonly window: number
  /** Their bytes. One message that is larger comes alone. */
  readonly windowBytes: number
  /** The server gives a sign of life so often: two that do not come are a pull that is lost. */
  readonly heartbeatMillis: number
  readonly onMissing: "fail" | "wait" | "recreate"
  /** Makes the consumer anew. Absent: from what the server said of it. */
  readonly recreate?: Effect.Effect<unknown, unknown> | undefined
  readonly group?: string | undefined
  readonly priority?: number | undefined
  readonly minPending?: number | undefined
  readonly minAckPending?: number | undefined
  /** What waits here while the reader goes on is told to take longer, well within its `ack_wait`. */
  readonly keepsAlive?: boolean | undefined
  readonly tally?: Tally | undefined
  readonly onLate?: (() => void) | undefined
  /** The consumer was looked at: `facts` may be others. */
  readonly onLooked?: (() => void) | undefined
}

export interface PullSource {
  readonly facts: ConsumerFacts
  /** Waits for messages, at most `limit`. Fails when it is over, with `Done` after a stop. */
  next(limit: number): Effect.Effect<Batch, MessagesError | Cause.Done>
  takeOne(): PulledMessage | undefined
  /** Takes everything that nobody has. */
  rest(): ReadonlyArray<PulledMessage>
  /** Looks at everything that nobody has. */
  forEachWaiting(look: (message: PulledMessage) => void): void
  /** The window has room for so many again. */
  handled(messages: number, bytes: number): void
  /** Looks at the consumer once more, soon and not often: it may have been changed. */
  review(): void
  /** Gives out nothing more, and asks for nothing. At once. */
  halt(): void
  /** No more pulls, and nothing more comes: gives what came and nobody has. */
  readonly stop: Effect.Effect<ReadonlyArray<PulledMessage>>
  /** Nobody holds anything of it any more: a drain of the client waits for this. The scope does it, too. */
  done(): void
}

export const checkTarget = ({ consumer, stream }: PullTarget): InvalidName | undefined =>
  invalidName("stream", stream) ?? invalidName("consumer", consumer)
