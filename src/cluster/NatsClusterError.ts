/**
 * Failures of building a cluster on NATS.
 *
 * @since 0.2.0
 */
import * as Schema from "effect/Schema"
import { allShowingFields, quoted } from "../internal/protocol/shown.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * Another process that lives has this runner's address. Nothing was taken from it.
 *
 * @category errors
 * @since 0.2.0
 */
export class RunnerAddressTaken extends TaggedError<RunnerAddressTaken>()("RunnerAddressTaken", {
  /** `host:port` of the runner. */
  address: Schema.String
}) {
  override get message(): string {
    return `Another process is the runner ${quoted(this.address)}: give each its own \`runnerName\`.`
  }
  /** A process that was killed holds its address until its lease is over. */
  get isRetryable(): boolean {
    return true
  }
}

export {
  /**
   * The installed `effect` is of another minor version than the one that the stores were built for.
   *
   * @category errors
   * @since 0.2.0
   */
  UnsupportedEffect
} from "../persistence/NatsPersistenceError.ts"
