/**
 * Failures of streams: their definitions, what is done with them, and provisioning.
 */
import * as Schema from "effect/Schema"
import { allShowingFields, quoted, shownList, shownProblem } from "../../internal/protocol/shown.ts"
import { Change, explained, ProvisionReport } from "./report.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

const differing = (fields: ReadonlyArray<string>): string =>
  fields.length === 0 ? "in what the definition does not say" : shownList(fields)

// The API

/**
 * There is no stream of this name in the account (and domain).
 *
 * @category errors
 * @since 0.2.0
 */
export class StreamNotFound extends TaggedError<StreamNotFound>()("StreamNotFound", { stream: Schema.String }) {
  override get message(): string {
    return `There is no stream ${quoted(this.stream)}: create it, or correct the name.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A definition of a stream or consumer has a value that no server can take, or would take for something else: a duration
 * that is nothing in nanoseconds, a size that does not fit the wire, fields that exclude each other. Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidDefinition extends TaggedError<InvalidDefinition>()("InvalidDefinition", {
  of: Schema.Literals(["stream", "consumer"]),
  name: Schema.String,
  /** Where it stands: `"maxAge"`, `"sources[0].filter"`. */
  field: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `The definition of the ${this.of} ${quoted(this.name)} is invalid: ${shownProblem(this.field)}: ${
      shownProblem(this.problem)
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is a stream of this name already, and it is not as the definition says.
 *
 * @category errors
 * @since 0.2.0
 */
export class StreamExists extends TaggedError<StreamExists>()("StreamExists", {
  stream: Schema.String,
  /** The declared fields that differ. None: it differs in what the definition does not say. */
  differences: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `There is a stream ${quoted(this.stream)} already, with another configuration (${
      differing(this.differences)
    }): use \`update\` or \`provision\`.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The stream of this name would store subjects that another stream stores.
 *
 * @category errors
 * @since 0.2.0
 */
export class SubjectsOverlap extends TaggedError<SubjectsOverlap>()("SubjectsOverlap", {
  stream: Schema.String,
  subjects: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The subjects of the stream ${quoted(this.stream)} overlap with those of another stream (${
      shownList(this.subjects)
    }): a subject is stored by one stream. Find it with \`names({ subject })\`.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server refused a configuration of a stream, or a change of it.
 *
 * @category errors
 * @since 0.2.0
 */
export class StreamRefused extends TaggedError<StreamRefused>()("StreamRefused", {
  stream: Schema.String,
  /** The server's number for it: 10052 for nearly all of them. */
  errCode: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    return `The server refused the configuration of the stream ${quoted(this.stream)}: ${
      shownProblem(this.description)
    } (${this.errCode}).`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A limit of the account, of the server or of the stream does not allow one more: streams, consumers, storage, memory.
 *
 * @category errors
 * @since 0.2.0
 */
export class ResourcesExceeded extends TaggedError<ResourcesExceeded>()("ResourcesExceeded", {
  /** The server's number for it: 10026 consumers, 10027 streams, 10028 memory, 10047 storage, 10002 the account, … */
  errCode: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    return `A limit does not allow it (${
      shownProblem(this.description)
    }, ${this.errCode}): delete what is not needed, or raise the limit.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Nothing goes out of this stream or into it any more: it is sealed.
 *
 * @category errors
 * @since 0.2.0
 */
export class StreamSealed extends TaggedError<StreamSealed>()("StreamSealed", { stream: Schema.String }) {
  override get message(): string {
    return `The stream ${quoted(this.stream)} is sealed: it cannot be changed any more.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server did not delete a message: the stream has `denyDelete`, or it could not be done.
 *
 * @category errors
 * @since 0.2.0
 */
export class DeleteRefused extends TaggedError<DeleteRefused>()("DeleteRefused", {
  stream: Schema.String,
  sequence: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    return `The server did not delete message ${this.sequence} of the stream ${quoted(this.stream)}: ${
      shownProblem(this.description)
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server did not purge a stream: it has `denyPurge`, or it could not be done.
 *
 * @category errors
 * @since 0.2.0
 */
export class PurgeRefused extends TaggedError<PurgeRefused>()("PurgeRefused", {
  stream: Schema.String,
  description: Schema.String
}) {
  override get message(): string {
    return `The server did not purge the stream ${quoted(this.stream)}: ${shownProblem(this.description)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The stream has no such message, or not any more.
 *
 * @category errors
 * @since 0.2.0
 */
export class MessageNotFound extends TaggedError<MessageNotFound>()("MessageNotFound", {
  stream: Schema.String,
  sequence: Schema.optionalKey(Schema.Number),
  subject: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const which = [
      this.sequence === undefined ? undefined : `of the sequence ${this.sequence}`,
      this.subject === undefined ? undefined : `on ${quoted(this.subject)}`
    ].filter((each) => each !== undefined)
    return `The stream ${quoted(this.stream)} has no message ${which.join(" ")}: it was never there, or is gone.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Definitions were not applied: some changes are not allowed, or a server dropped a field that it does not know. The report
 * has everything that was compared. Where no change is of the kind `unsupported`, nothing was done at all.
 *
 * @category errors
 * @since 0.2.0
 */
export class ProvisionRefused extends TaggedError<ProvisionRefused>()("ProvisionRefused", {
  /** The changes that were not applied. */
  changes: Schema.Array(Change),
  report: ProvisionReport
}) {
  override get message(): string {
    const fields = this.changes.map((change) =>
      `${change.field} of ${change.of} ${quoted(change.name)} ${explained(change)}`
    )
    return `Not provisioned: ${shownList(fields, "; ")}.`
  }
  get isRetryable(): boolean {
    return false
  }
}
