/**
 * Failures of building the stores of `effect-nats/persistence` and `effect-nats/cluster`. What their operations fail with is
 * what effect's interfaces name; the cause in it is one of `JetStreamError`.
 *
 * @since 0.2.0
 */
import * as Schema from "effect/Schema"
import { allShowingFields, quoted } from "../internal/protocol/shown.ts"
import type { CreateBucketError, CreateStreamError, UnsupportedByServer } from "../jetstream/JetStreamError.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * The installed `effect` is of another minor version than the one that the stores were built for. Interfaces that a store
 * implements are unstable, and change between minor versions: nothing was read or written.
 *
 * @category errors
 * @since 0.2.0
 */
export class UnsupportedEffect extends TaggedError<UnsupportedEffect>()("UnsupportedEffect", {
  /** The version of the `effect` that runs, as `"4.2.0"`. */
  installed: Schema.String,
  /** The minor that the stores were built for, as `"4.1"`. */
  builtFor: Schema.String
}) {
  override get message(): string {
    return `The installed effect is ${quoted(this.installed)}, and these stores are built for ${
      quoted(this.builtFor)
    }: install that one, or an effect-nats for the other.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * What building a store over a stream can fail with. `StreamExists`: there is one that is configured otherwise, and it was
 * left as it is. `UnsupportedByServer`: what every call needs is not there.
 *
 * @category unions
 * @since 0.2.0
 */
export type StreamStoreError = UnsupportedEffect | UnsupportedByServer | CreateStreamError

/**
 * What building a store over a bucket can fail with. `BucketExists`: there is one that is configured otherwise, and it was
 * left as it is. `UnsupportedByServer`: what every call needs is not there.
 *
 * @category unions
 * @since 0.2.0
 */
export type BucketStoreError = UnsupportedEffect | UnsupportedByServer | CreateBucketError
