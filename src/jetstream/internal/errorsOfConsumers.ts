/**
 * Failures of consumers: their definitions, taking messages, and acknowledging them.
 */
import * as Schema from "effect/Schema"
import { allShowingFields, quoted, shownList, shownProblem } from "../../internal/protocol/shown.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

const differing = (fields: ReadonlyArray<string>): string =>
  fields.length === 0 ? "in what the definition does not say" : shownList(fields)

// The API

/**
 * The stream has no consumer of this name.
 *
 * @category errors
 * @since 0.2.0
 */
export class ConsumerNotFound extends TaggedError<ConsumerNotFound>()("ConsumerNotFound", {
  stream: Schema.String,
  consumer: Schema.String
}) {
  override get message(): string {
    return `The stream ${quoted(this.stream)} has no consumer ${quoted(this.consumer)}: create it, or correct the name.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is a consumer of this name already, and it is not as the definition says.
 *
 * @category errors
 * @since 0.2.0
 */
export class ConsumerExists extends TaggedError<ConsumerExists>()("ConsumerExists", {
  stream: Schema.String,
  consumer: Schema.String,
  /** The declared fields that differ. None: it differs in what the definition does not say. */
  differences: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The stream ${quoted(this.stream)} has a consumer ${
      quoted(this.consumer)
    } already, with another configuration (${differing(this.differences)}): use \`update\` or \`provision\`.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server refused a configuration of a consumer, or a change of it.
 *
 * @category errors
 * @since 0.2.0
 */
export class ConsumerRefused extends TaggedError<ConsumerRefused>()("ConsumerRefused", {
  stream: Schema.String,
  consumer: Schema.String,
  /** The server's number for it: 10012 for nearly all changes. */
  errCode: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    return `The server refused the configuration of the consumer ${quoted(this.consumer)} of the stream ${
      quoted(this.stream)
    }: ${shownProblem(this.description)} (${this.errCode}).`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The consumer was deleted, or is gone with the server that had it, while messages were taken from it.
 *
 * @category errors
 * @since 0.2.0
 */
export class ConsumerDeleted extends TaggedError<ConsumerDeleted>()("ConsumerDeleted", {
  stream: Schema.String,
  consumer: Schema.String
}) {
  override get message(): string {
    return `The consumer ${quoted(this.consumer)} of the stream ${
      quoted(this.stream)
    } was deleted: create it anew, or take \`onMissing: "recreate"\` or \`"wait"\`.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The consumer pushes its messages to a subject of its own. Messages are pulled here: use a consumer without
 * `deliver_subject`, or a library that takes such ones over `effect-nats/compat`.
 *
 * @category errors
 * @since 0.2.0
 */
export class ConsumerIsPush extends TaggedError<ConsumerIsPush>()("ConsumerIsPush", {
  stream: Schema.String,
  consumer: Schema.String
}) {
  override get message(): string {
    return `The consumer ${quoted(this.consumer)} of the stream ${
      quoted(this.stream)
    } is a push consumer, and messages are pulled here: create a pull consumer, or use effect-nats/compat.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server refuses to give messages, for a cause that does not pass by itself.
 *
 * @category errors
 * @since 0.2.0
 */
export class PullRefused extends TaggedError<PullRefused>()("PullRefused", {
  stream: Schema.String,
  consumer: Schema.String,
  /** The status of the refusal: 400 a bad request, 409 over a limit of the consumer, … */
  code: Schema.Number,
  /** The server's words, which name the limit. */
  description: Schema.String
}) {
  override get message(): string {
    return `The server gives no messages of the consumer ${quoted(this.consumer)} of the stream ${
      quoted(this.stream)
    }: ${shownProblem(this.description)} (${this.code}).`
  }
  /** `true` where it is that too many others wait: "Exceeded MaxWaiting". */
  get isRetryable(): boolean {
    return this.description.startsWith("Exceeded MaxWaiting")
  }
}

/**
 * There was no session before `ack_wait` was over, so the acknowledgement was not sent: the server delivers the message again.
 *
 * @category errors
 * @since 0.2.0
 */
export class AckLate extends TaggedError<AckLate>()("AckLate", {
  stream: Schema.String,
  sequence: Schema.Number
}) {
  override get message(): string {
    return `The message ${this.sequence} of the stream ${
      quoted(this.stream)
    } was not acknowledged in time, as the connection was away: it is delivered again.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * This delivery of the message has been acknowledged, given back or ended before: it is done once. Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class AlreadySettled extends TaggedError<AlreadySettled>()("AlreadySettled", {
  stream: Schema.String,
  sequence: Schema.Number,
  /** What was done before. */
  by: Schema.Literals(["ack", "nak", "term"])
}) {
  override get message(): string {
    return `The message ${this.sequence} of the stream ${
      quoted(this.stream)
    } was settled before, by \`${this.by}\`: settle each delivery once.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The consumer asks for no acknowledgements (its policy is "none", as that of every ordered read). Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class AckNotExpected extends TaggedError<AckNotExpected>()("AckNotExpected", {
  stream: Schema.String,
  consumer: Schema.String
}) {
  override get message(): string {
    return `The consumer ${quoted(this.consumer)} of the stream ${
      quoted(this.stream)
    } takes no acknowledgements: give it the policy "explicit", or leave them out.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * It is not known whether the server has the acknowledgement: it was sent, or was to be, and nothing answered.
 *
 * @category errors
 * @since 0.2.0
 */
export class AckUnconfirmed extends TaggedError<AckUnconfirmed>()("AckUnconfirmed", {
  stream: Schema.String,
  consumer: Schema.String,
  sequence: Schema.Number,
  /** Why: nobody takes it, as the consumer is gone or has no leader just now; no answer in time; the session was lost. */
  reason: Schema.Literals(["noConsumer", "timeout", "connectionLost"])
}) {
  override get message(): string {
    const why = {
      noConsumer: "nobody takes it: the consumer is gone, or has no leader just now",
      timeout: "no answer came in time",
      connectionLost: "the connection was lost before the answer"
    }[this.reason]
    return `The acknowledgement of the message ${this.sequence} of the stream ${
      quoted(this.stream)
    } is not confirmed: ${why}. It may be delivered again.`
  }
  /** `true`: confirmed a second time it is still one acknowledgement. */
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The consumer is not one whose messages `process` can answer for: each is acknowledged for itself, and what is given up goes to
 * the dead letter and not out of sight. Raised at the start, before a message is asked for.
 *
 * @category errors
 * @since 0.2.0
 */
export class ConsumerUnfit extends TaggedError<ConsumerUnfit>()("ConsumerUnfit", {
  stream: Schema.String,
  consumer: Schema.String,
  /** What of the consumer does not fit. */
  field: Schema.Literals(["maxDeliver", "ackPolicy"]),
  /** What the server has. */
  actual: Schema.String,
  needed: Schema.String
}) {
  override get message(): string {
    const [why, remedy] = this.field === "maxDeliver"
      ? [
        "the server would stop delivering a message without a word, before the dead letter has it",
        `say \`maxDeliver: "unlimited"\` in its definition, and give the limit to \`process\` as \`maxDeliver\``
      ]
      : ["each message is acknowledged for itself", "take another consumer"]
    return `The consumer ${quoted(this.consumer)} of the stream ${quoted(this.stream)} has ${this.field} ${
      quoted(this.actual)
    }, and \`process\` needs ${this.needed}, as ${why}: ${remedy}.`
  }
  get isRetryable(): boolean {
    return false
  }
}
