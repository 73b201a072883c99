/** What users type to publish into streams, and what streams answer. `JetStream` has it. */
import type * as Duration from "effect/Duration"
import type * as Schedule from "effect/Schedule"
import type { Input } from "../../NatsHeaders.ts"
import type { ExpectationError, PublishError, UnsupportedByServer } from "../JetStreamError.ts"

/**
 * What a stream has to look like for a message to be stored. What is not met refuses it, and nothing is stored. All
 * sequences are *stream* sequences, as `PubAck.sequence` and `JetStreamMessage.sequence` are: each message of the stream
 * has the next one, whatever its subject.
 *
 * @category options
 * @since 0.2.0
 */
export interface Expectation {
  /** The stream that takes the subject. Else: `WrongStream`. */
  readonly stream?: string | undefined
  /** The sequence of the last message of the stream, 0 for none there ever was. Else: `WrongLastSequence`. */
  readonly lastSequence?: number | undefined
  /**
   * The *stream* sequence of the last message of this message's subject, 0 for none: the `sequence` of the `PubAck` of that
   * message. It is no count of the messages of the subject. Else: `WrongLastSequence`, whose `actual` is that sequence.
   */
  readonly lastSubjectSequence?: number | undefined
  /**
   * The subject or pattern that `lastSubjectSequence` is about, in place of the message's own subject: with it, a message is
   * stored only if the last one of all that the pattern matches is as expected. Not without `lastSubjectSequence`. Needs
   * nats-server 2.11, else `UnsupportedByServer` and nothing is sent.
   */
  readonly forSubject?: string | undefined
  /**
   * The `msgId` of the last message of the stream, whatever its subject. Else: `WrongLastMessageId`. A server knows ids for
   * the stream's duplicate window only.
   */
  readonly lastMsgId?: string | undefined
}

/**
 * What goes with a message into its stream.
 *
 * @category options
 * @since 0.2.0
 */
export interface MessageOptions {
  /**
   * Makes the message one that is stored once: a second one with the same id, within the stream's duplicate window (2
   * minutes, if it does not say otherwise), is not stored, and succeeds with `duplicate: true` and the sequence of the
   * first. It is neither a failure nor a new message. Not empty, and without white space around it.
   */
  readonly msgId?: string | undefined
  /** What the stream has to look like. */
  readonly expect?: Expectation | undefined
  /**
   * How long the message lives, by seconds that are rounded up; `"never"` for as long as the stream holds it, whatever its
   * maximum age is. Needs nats-server 2.11, else `UnsupportedByServer` and nothing is sent, and a stream that has it
   * switched on (`allow_msg_ttl`), else `MessageRefused` (10166). Default: the maximum age of the stream.
   */
  readonly ttl?: Duration.Input | "never" | undefined
  /** Headers of the message. Those that options make (`Nats-Msg-Id`, `Nats-TTL`, `Nats-Expected-…`) win over these. */
  readonly headers?: Input | undefined
}

/**
 * A message of `publishAll`, `sink` and `batch`.
 *
 * @category models
 * @since 0.2.0
 */
export interface OutgoingMessage extends MessageOptions {
  readonly subject: string
  /** Default: empty. */
  readonly payload?: string | Uint8Array | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface PublishOnceOptions extends MessageOptions {
  /**
   * How long one try may take: the wait for a connection, and for the answer. Default: that of the service, else
   * `requestTimeout` of the client's config, 10 seconds.
   */
  readonly timeout?: Duration.Input | undefined
  /** Names the span of this message instead of its subject: `"orders.{id}.created"`. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
  readonly retry?: undefined
  readonly retryWithin?: undefined
}

/**
 * The options of a publish that is tried again, which a message id is needed for.
 *
 * @category options
 * @since 0.2.0
 */
export interface PublishRetryOptions extends Omit<PublishOnceOptions, "retry" | "retryWithin" | "msgId"> {
  readonly msgId: string
  /**
   * Tries again what was not stored for a cause that passes (`NotPublished`, `NoStreamForSubject`, `JetStreamUnavailable`)
   * or is not known to be stored (`PublishOutcomeUnknown`, `InvalidAnswer`): under the message id there is one copy. What
   * the stream refuses is not tried again. Once a try may have been stored, that is what it fails with in the end. Default:
   * one try.
   */
  readonly retry?: Schedule.Schedule<unknown, PublishError | ExpectationError | UnsupportedByServer> | undefined
  /**
   * No try is written later than this after the first one began, since a stream knows an id for its duplicate window
   * only; the answer to the last one has its `timeout`. Default 1 minute, under the server's default window of 2: set this where the stream's window is smaller.
   */
  readonly retryWithin?: Duration.Input | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export type PublishOptions = PublishOnceOptions | PublishRetryOptions

/**
 * What a stream answers to a message that it has stored.
 *
 * @category models
 * @since 0.2.0
 */
export interface PubAck {
  readonly stream: string
  /** Its sequence in the stream; of a duplicate, that of the first copy. */
  readonly sequence: number
  /** A message of this `msgId` was stored before, and this one was not. */
  readonly duplicate: boolean
  /** The JetStream domain of the stream, where the server has one. */
  readonly domain: string | undefined
  /** What a counter came to, of a stream of counters (2.12). It has any number of digits. */
  readonly value: bigint | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface PublishAllOptions {
  /**
   * Messages that are on their way, or whose acknowledgements nobody has taken yet, at most. A whole number
   * from 1 to 65,536. Default 256.
   */
  readonly inFlight?: number | undefined
  /** While their bytes on the wire are below this, another message is written. Default 8 MiB. */
  readonly inFlightBytes?: number | undefined
  /** For each message: the wait for a connection, and that for its answer. Default: as that of `publish`. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What a sink has published.
 *
 * @category models
 * @since 0.2.0
 */
export interface PublishSummary {
  /** All that were acknowledged, duplicates included. */
  readonly messages: number
  /** Of these, messages whose `msgId` was stored before. */
  readonly duplicates: number
  /** The acknowledgement of the last message. */
  readonly last: PubAck | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface BatchOptions {
  /** For each message: the wait for its answer. Default: as that of `publish`. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What a stream answers to a batch that it has stored.
 *
 * @category models
 * @since 0.2.0
 */
export interface BatchAck {
  readonly stream: string
  /** The sequence of its last message. The others have those before it. */
  readonly sequence: number
  /** The JetStream domain of the stream, where the server has one. */
  readonly domain: string | undefined
  /** Its messages. */
  readonly count: number
}
