/**
 * What is wrong with a service. A file of its own: the checks make it, and the public module, which needs the checks,
 * exports it.
 */
import * as Schema from "effect/Schema"
import { allShowingFields, quoted, shownProblem } from "../../internal/protocol/shown.ts"

const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * A service that cannot be served, called or searched for as it is described. Nothing was subscribed or sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidService extends TaggedError<InvalidService>()("InvalidService", {
  /** The service's name as it was given, cut at 128 characters. */
  service: Schema.String,
  /** Which part of the description is wrong. */
  what: Schema.Literals(["name", "id", "version", "endpoint", "subject", "queue", "concurrency"]),
  /** The part as it was given, cut at 128 characters. */
  given: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `The service ${quoted(this.service)} cannot be used: its ${this.what} ${quoted(this.given)} is invalid: ${
      shownProblem(this.problem)
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}
