/** Messages and replies as they stand in the stream: JSON, which has everything that their encoded forms have. */
import type * as Envelope from "effect/cluster/Envelope"
import type * as Reply from "effect/cluster/Reply"
import { hasProperty } from "effect/Predicate"
import type { StoredMessage } from "../../jetstream/JetStreamStream.ts"

/** An envelope on its own subject. */
export interface Entry {
  readonly envelope: Envelope.Encoded
  /** When a request is due, in milliseconds since 1970. `null`: at once. */
  readonly deliverAt: number | null
}

/** A reply, and where the entry is that it answers. */
export interface SavedReply {
  readonly reply: Reply.Encoded
  /** The subject of the request while it was not processed. Absent where nobody knew it. */
  readonly entry?: string | undefined
}

/** The last chunk that was acknowledged. */
export interface Acknowledged {
  readonly replyId: string
  /** The sequence of the chunk in the stream. */
  readonly upTo: number
}

/** What a server leaves in the place of a message that expired, and what was put in the place of an exit that was cleared. */
export const isMarker = (message: StoredMessage): boolean => message.data.length === 0

const parse = <A>(message: StoredMessage, property: string): A | undefined => {
  if (isMarker(message)) return undefined
  try {
    const value: unknown = JSON.parse(message.text)
    return hasProperty(value, property) ? value as A : undefined
  } catch {
    return undefined
  }
}

/** `undefined` for what is no entry, or none any more. */
export const entryOf = (message: StoredMessage): Entry | undefined => parse(message, "envelope")

export const replyOf = (message: StoredMessage): SavedReply | undefined => parse(message, "reply")

export const acknowledgedOf = (message: StoredMessage): Acknowledged | undefined => parse(message, "upTo")
