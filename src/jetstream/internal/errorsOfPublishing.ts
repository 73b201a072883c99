/**
 * Failures of publishing into streams: what was never written, what is not known, and what was refused.
 */
import * as Schema from "effect/Schema"
import { ConnectError } from "../../ConnectError.ts"
import { allShowingFields, quoted, shownProblem } from "../../internal/protocol/shown.ts"
import {
  ConnectionClosed,
  ConnectionLost,
  HeadersNotSupported,
  InvalidHeader,
  InvalidPayload,
  InvalidSubject,
  MaxPayloadExceeded,
  PermissionsViolation,
  RequestTimedOut,
  SubscriptionLimitExceeded
} from "../../NatsError.ts"
import { InvalidAnswer, JetStreamUnavailable, UnsupportedByServer } from "./errorsOfApi.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/** What helps, by the server's number. */
const refusalHints: Readonly<Record<number, string>> = {
  10054: "make it smaller, or raise the stream's limit",
  10109: "the stream is sealed for ever",
  10165: "give a `ttl` of a whole second or more",
  10166: "let the stream have it: `ttl: true` in its definition",
  10169: "a stream of counters takes increments only",
  10071: "the headers expect another last sequence"
}

/**
 * The message was never written: there was no connection for it in its time, or none at all with
 * `whileDisconnected: "fail"`. It is in no stream, and publishing it again is safe.
 *
 * @category errors
 * @since 0.2.0
 */
export class NotPublished extends TaggedError<NotPublished>()("NotPublished", {
  subject: Schema.String,
  /** Why there was no connection. */
  reason: ConnectError
}) {
  override get message(): string {
    return `The message for ${quoted(this.subject)} was never sent, publish it again: ${this.reason.message}`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The message was written, and no answer came: it may be in the stream, or not. Publish it again under the same `msgId`,
 * inside the stream's duplicate window, or look into the stream.
 *
 * @category errors
 * @since 0.2.0
 */
export class PublishOutcomeUnknown extends TaggedError<PublishOutcomeUnknown>()("PublishOutcomeUnknown", {
  subject: Schema.String,
  msgId: Schema.optionalKey(Schema.String),
  /** Why there is no answer: the time was over, the connection died or was closed, or the server refuses the inbox. */
  reason: Schema.Union([
    RequestTimedOut,
    ConnectionLost,
    ConnectionClosed,
    PermissionsViolation,
    SubscriptionLimitExceeded
  ])
}) {
  override get message(): string {
    const what = `Whether the message for ${quoted(this.subject)} was stored is unknown`
    const then = this.msgId === undefined
      ? "look into the stream before it is published again, or give it a `msgId`"
      : "publish it again under its `msgId`"
    return `${what}, ${then}: ${this.reason.message}`
  }
  /** `true` under a `msgId`, inside the duplicate window: without one the second copy would be another message. */
  get isRetryable(): boolean {
    return this.msgId !== undefined
  }
}

/**
 * The server says that nobody takes the subject: no stream has it, JetStream is off, or the stream is without a leader
 * just now. The message was not stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class NoStreamForSubject extends TaggedError<NoStreamForSubject>()("NoStreamForSubject", {
  subject: Schema.String
}) {
  override get message(): string {
    return `No stream takes ${
      quoted(this.subject)
    }: create it or correct the subject, or try again where the stream can be without a leader just now.`
  }
  /** `true`: it can be a stream whose leader is away. */
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The stream refuses new messages, since it is full (`discard: "new"`): its messages, its bytes, or those of the subject.
 * The message was not stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class StreamFull extends TaggedError<StreamFull>()("StreamFull", {
  subject: Schema.String,
  stream: Schema.String,
  /** Which limit it is, in the words of the server. */
  description: Schema.String
}) {
  override get message(): string {
    return `The stream ${quoted(this.stream)} takes no message for ${quoted(this.subject)} (${
      shownProblem(this.description)
    }): wait until there is room, or raise the limit.`
  }
  /** `false`: it is full until something makes room, which no client can know. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The last sequence is another one than `expect` says: of the stream with `lastSequence`, of the message's subject with
 * `lastSubjectSequence`. The message was not stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class WrongLastSequence extends TaggedError<WrongLastSequence>()("WrongLastSequence", {
  subject: Schema.String,
  /**
   * What it is: the stream sequence of the last message of the stream, or of the subject; 0 where there is none. Absent
   * where the server does not say it, since a message that comes first is still on its way into the stream.
   */
  actual: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    const is = this.actual === undefined ? "another one" : this.actual
    return `The last sequence that was expected for ${
      quoted(this.subject)
    } is ${is}: read what has changed, and decide anew.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The message id of the stream's last message is another one than `expect.lastMsgId`. The message was not stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class WrongLastMessageId extends TaggedError<WrongLastMessageId>()("WrongLastMessageId", {
  subject: Schema.String,
  /** What it is. Empty where the last message has none, or where it is so old that the server does not know it. */
  actual: Schema.String
}) {
  override get message(): string {
    return `The id of the last message of the stream of ${quoted(this.subject)} is ${
      quoted(this.actual)
    }, which was not expected: read what has changed, and decide anew.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Another stream than `expect.stream` takes the subject. The message was not stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class WrongStream extends TaggedError<WrongStream>()("WrongStream", {
  subject: Schema.String,
  expected: Schema.String,
  /** The stream that takes it. */
  actual: Schema.String
}) {
  override get message(): string {
    return `${quoted(this.subject)} goes into the stream ${quoted(this.actual)} and not ${
      quoted(this.expected)
    }: correct the subject, or the subjects of the streams.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The stream refused the message, for a cause that has no tag of its own. It was not stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class MessageRefused extends TaggedError<MessageRefused>()("MessageRefused", {
  subject: Schema.String,
  /** The server's number for it. */
  errCode: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    const hint = refusalHints[this.errCode]
    return `The message for ${quoted(this.subject)} was refused: ${shownProblem(this.description)} (${this.errCode})${
      hint === undefined ? "" : `: ${hint}`
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A sink has stopped at a message that failed: the first one in the order of the messages. What was written behind it has
 * come to its end, too, and may be stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class SinkStopped extends TaggedError<SinkStopped>()("SinkStopped", {
  /** Messages before it, all of them stored: its index. */
  acknowledged: Schema.Number,
  /** What it failed with. */
  reason: Schema.Union([
    InvalidSubject,
    InvalidPayload,
    InvalidHeader,
    HeadersNotSupported,
    MaxPayloadExceeded,
    PermissionsViolation,
    NotPublished,
    PublishOutcomeUnknown,
    InvalidAnswer,
    NoStreamForSubject,
    StreamFull,
    MessageRefused,
    JetStreamUnavailable,
    ConnectionClosed,
    WrongLastSequence,
    WrongLastMessageId,
    WrongStream,
    UnsupportedByServer
  ])
}) {
  override get message(): string {
    return `The sink stopped after ${this.acknowledged} messages: ${this.reason.message}`
  }
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * The stream takes no atomic batches: they are off in its definition (`allow_atomic`). Nothing was stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class BatchNotAllowed extends TaggedError<BatchNotAllowed>()("BatchNotAllowed", { stream: Schema.String }) {
  override get message(): string {
    return `The stream ${quoted(this.stream)} takes no atomic batches: allow them in its definition.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The stream refused a whole batch, for what it is as a batch: too many messages (10199), a message id that is stored
 * already or twice in it (10201), a message of another stream (10176), `expect.lastMsgId` (10177). Nothing was stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class BatchRefused extends TaggedError<BatchRefused>()("BatchRefused", {
  stream: Schema.String,
  /** The message that it was the answer to, from 0. What only the whole can show is the answer to the last one. */
  index: Schema.Number,
  /** The server's number for it. */
  errCode: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    return `The stream ${quoted(this.stream)} refused the batch at message ${this.index + 1}: ${
      shownProblem(this.description)
    } (${this.errCode}).`
  }
  get isRetryable(): boolean {
    return false
  }
}
