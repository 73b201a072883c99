/**
 * Failures that any request to JetStream can meet, and of names and versions.
 */
import * as Schema from "effect/Schema"
import { allShowingFields, quoted, shownProblem } from "../../internal/protocol/shown.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * The account has no JetStream: it is off on the server or for the account, or no server of the given domain is reachable.
 *
 * @category errors
 * @since 0.2.0
 */
export class JetStreamNotEnabled extends TaggedError<JetStreamNotEnabled>()("JetStreamNotEnabled", {
  /** The domain that was asked, where one was given. */
  domain: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.domain === undefined
      ? "This account has no JetStream: enable it on the server (`-js`, or `jetstream` in its configuration) and for the account."
      : `No server of the JetStream domain ${
        quoted(this.domain)
      } answers: check its name, and that the leaf node is connected.`
  }
  /** `true`: it can be a leaf node that is away. */
  get isRetryable(): boolean {
    return this.domain !== undefined
  }
}

/**
 * JetStream is there and cannot do this just now: no leader, no quorum, or too much to do.
 *
 * @category errors
 * @since 0.2.0
 */
export class JetStreamUnavailable extends TaggedError<JetStreamUnavailable>()("JetStreamUnavailable", {
  /** The server's number for it: 10008 temporarily unavailable, 10009 no quorum, … */
  errCode: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    return `JetStream cannot do this just now (${shownProblem(this.description)}, ${this.errCode}): try again.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The server refused a request to its API, for a cause that has no tag of its own.
 *
 * @category errors
 * @since 0.2.0
 */
export class JetStreamApiError extends TaggedError<JetStreamApiError>()("JetStreamApiError", {
  /** What was asked: `STREAM.CREATE`, `CONSUMER.INFO`, … */
  request: Schema.String,
  /** The server's number for it. Branch on this one, and not on `code`. */
  errCode: Schema.Number,
  /** A number like those of HTTP, which says little: a stream that is full is a 503. */
  code: Schema.Number,
  description: Schema.String
}) {
  override get message(): string {
    return `The server refused ${this.request}: ${shownProblem(this.description)} (${this.errCode}).`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Something answered in place of JetStream: what came is not one of its answers. Another program may be subscribed to the
 * subject and answer whatever it sees there.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidAnswer extends TaggedError<InvalidAnswer>()("InvalidAnswer", {
  /** What was asked: the name of an API request, or the subject of a publish. */
  request: Schema.String,
  /** What is wrong with the answer. */
  problem: Schema.String
}) {
  override get message(): string {
    return `The answer to ${quoted(this.request)} is not JetStream's (${
      shownProblem(this.problem)
    }): look for another program of this account that answers on the subject.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The name of a stream, a consumer or a store is one that no server can take. Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidName extends TaggedError<InvalidName>()("InvalidName", {
  what: Schema.Literals(["stream", "consumer", "bucket", "store", "domain", "priorityGroup"]),
  name: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `The name of the ${this.what} ${quoted(this.name)} is invalid: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server is too old for this, or one of its cluster that would have to do it. Older servers ignore what they do not
 * know without a word, so it is looked at before each use.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnsupportedByServer extends TaggedError<UnsupportedByServer>()("UnsupportedByServer", {
  /** What was asked for, by its name here: `"ttl"`, `"batch"`, `"priorityGroups"`, … */
  feature: Schema.String,
  /** The server version that has it, as `"2.11"`. */
  needs: Schema.String
}) {
  override get message(): string {
    return `The server has no ${this.feature}: it comes with nats-server ${this.needs}.`
  }
  get isRetryable(): boolean {
    return false
  }
}
