/**
 * What the answer to a published message means, and what the lack of one does.
 */
import type { PendingError } from "../../internal/delivery/requests.ts"
import {
  type ConnectionClosed,
  type ConnectionLost,
  type PermissionsViolation,
  type RequestTimedOut,
  type SubscriptionLimitExceeded
} from "../../NatsError.ts"
import {
  type ExpectationError,
  InvalidAnswer,
  JetStreamUnavailable,
  MessageRefused,
  NoStreamForSubject,
  type PublishError,
  PublishOutcomeUnknown,
  StreamFull,
  type UnsupportedByServer,
  WrongLastMessageId,
  WrongLastSequence,
  WrongStream
} from "../JetStreamError.ts"
import { type Api, isUnavailable } from "./api.ts"
import type { Outgoing } from "./outgoing.ts"
import type { Refusal } from "./pubAck.ts"

/** Everything that a publish can fail with, whatever its options. */
export type AnyPublishError = PublishError | ExpectationError | UnsupportedByServer

// A record, so that the compiler asks for a name that is missing.
const labels: Record<
  AnyPublishError["_tag"] | "BatchNotAllowed" | "BatchRefused" | "success" | "duplicate" | "interrupted",
  true
> = {
  success: true,
  duplicate: true,
  interrupted: true,
  InvalidSubject: true,
  InvalidPayload: true,
  InvalidHeader: true,
  HeadersNotSupported: true,
  MaxPayloadExceeded: true,
  PermissionsViolation: true,
  NotPublished: true,
  PublishOutcomeUnknown: true,
  InvalidAnswer: true,
  NoStreamForSubject: true,
  StreamFull: true,
  MessageRefused: true,
  JetStreamUnavailable: true,
  ConnectionClosed: true,
  WrongLastSequence: true,
  WrongLastMessageId: true,
  WrongStream: true,
  UnsupportedByServer: true,
  BatchNotAllowed: true,
  BatchRefused: true
}

/** What a publish can come to, as the label of a metric. */
export const outcomeLabels: ReadonlyArray<string> = Object.keys(labels)

/** What an outcome needs of its message. */
export type Published = Pick<Outgoing, "subject" | "msgId" | "expect">

/** The stream could not store it; only the text tells that it is full: `maximum messages exceeded`, bytes, per subject. */
const storeFailed = 10077
const saysFull = /^maximum .* exceeded/
/** The sequence, of the stream or of the subject. Without a number where another message is on its way. */
const wrongLastSequence = new Set([10071, 10164])
const wrongLastMessageId = 10070
const wrongStream = 10060
/** More is waiting than may be: messages of a stream (`max_buffered_msgs`, 2.11), batches of a stream or a server. */
const tooMany = new Set([10167, 10210])

/** The number at the end of `wrong last sequence: 7`, which stands nowhere else. */
const sequenceIn = (description: string): number | undefined => {
  const digits = /: (\d+)$/.exec(description)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** What `expect` asks for is not so. */
export const unmet = (
  { expect, subject }: Published,
  stream: string,
  errCode: number,
  description: string
): ExpectationError | undefined => {
  if (expect === undefined) return undefined
  if (wrongLastSequence.has(errCode)) {
    const actual = sequenceIn(description)
    return new WrongLastSequence({ subject, ...(actual === undefined ? {} : { actual }) })
  }
  if (errCode === wrongLastMessageId) {
    return new WrongLastMessageId({ subject, actual: description.replace(/^[^:]*: ?/, "") })
  }
  return errCode === wrongStream
    ? new WrongStream({ subject, expected: expect.stream ?? "", actual: stream })
    : undefined
}

/** The server's word about a message that it did not store. */
export const refused = (api: Api, published: Published, { error, stream: answering }: Refusal): AnyPublishError => {
  const { subject } = published
  // Anybody on the subject can have answered.
  const stream = api.shown(answering)
  const { description, errCode } = api.refusal(subject, error)
  if (errCode === storeFailed && saysFull.test(description)) return new StreamFull({ subject, stream, description })
  if (isUnavailable(errCode) || tooMany.has(errCode)) return new JetStreamUnavailable({ errCode, description })
  return unmet(published, stream, errCode, description) ?? new MessageRefused({ subject, errCode, description })
}

/** Something answered that is not JetStream. */
export const strange = (subject: string, problem: string): InvalidAnswer =>
  new InvalidAnswer({ request: subject, problem })

type Silence =
  | RequestTimedOut
  | ConnectionLost
  | ConnectionClosed
  | PermissionsViolation
  | SubscriptionLimitExceeded

export const unknown = ({ msgId, subject }: Published, reason: Silence): PublishOutcomeUnknown =>
  new PublishOutcomeUnknown({ subject, ...(msgId === undefined ? {} : { msgId }), reason })

/** A message that was written will get no answer. */
export const unanswered = (published: Published, error: PendingError): PublishError => {
  switch (error._tag) {
    case "PermissionsViolation":
      // The server did not take the message. Where it is the inbox that is denied, it did.
      return error.operation === "publish" ? error : unknown(published, error)
    case "ConnectionLost":
    case "ConnectionClosed":
    case "SubscriptionLimitExceeded":
      return unknown(published, error)
    case "NoResponders":
      return new NoStreamForSubject({ subject: published.subject })
    // Of messages before they are written.
    default:
      return error
  }
}
