/**
 * The copy of a message that is given up: what it says of where it comes from, and why.
 */
import * as Cause from "effect/Cause"
import { hasProperty } from "effect/Predicate"
import { printable } from "../../internal/protocol/printable.ts"
import type { Input, NatsHeaders } from "../../NatsHeaders.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"

const prefix = "Dead-Letter-"

/** Why a message is given up. */
export interface Reason {
  /** The tag of the failure, or the name of the error that the handler died of. */
  readonly error: string
  readonly text: string
}

const longestTag = 128
const longestText = 512

const messageOf = (failure: unknown): string => {
  if (typeof failure === "string") return failure
  return hasProperty(failure, "message") && typeof failure.message === "string" ? failure.message : ""
}

/**
 * What a failure is called, and its words as a person may see them. It can be anything of the user's, such as an object that
 * throws when it is looked at.
 */
export const reasonOf = (cause: Cause.Cause<unknown>, shown: (text: string) => string): Reason => {
  if (Cause.hasInterruptsOnly(cause)) return { error: "Interrupted", text: "the handler interrupted itself" }
  try {
    const failure = Cause.squash(cause)
    const tag = hasProperty(failure, "_tag") && typeof failure._tag === "string"
      ? failure._tag
      : failure instanceof Error
      ? failure.name
      : "Unknown"
    return { error: printable(shown(tag), longestTag), text: printable(shown(messageOf(failure)), longestText) }
  } catch {
    return { error: "Unknown", text: "the failure cannot be shown" }
  }
}

/** A message that came too often without a failure that was seen: its handler ends its process, or never ends. */
export const tooOften = (deliveries: number): Reason => ({
  error: "TooManyDeliveries",
  text: `it was delivered ${deliveries} times, and no handler has come to an end with it here`
})

/** What the server reads of a publish is that of the copy, and not of the message. */
const isControl = (name: string): boolean => name.toLowerCase().startsWith("nats-")

/** Its headers without those. */
export const ownHeaders = (headers: NatsHeaders): NatsHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !isControl(name) && !name.startsWith(prefix)))

/** Its own headers, and those that tell of it. */
export const copiedHeaders = (
  message: JetStreamMessage,
  headers: NatsHeaders,
  { error, text }: Reason
): Input => ({
  ...ownHeaders(headers),
  [`${prefix}Stream`]: message.stream,
  [`${prefix}Consumer`]: message.consumer,
  [`${prefix}Sequence`]: String(message.sequence),
  [`${prefix}Subject`]: message.subject,
  [`${prefix}Deliveries`]: String(message.deliveries),
  [`${prefix}Time`]: new Date(message.timestampMillis).toISOString(),
  [`${prefix}Error`]: error,
  [`${prefix}Message`]: text
})

/** A copy that is published again within the window of duplicates is one copy. */
export const copyId = ({ sequence, stream }: JetStreamMessage): string => `${stream}.${sequence}`
