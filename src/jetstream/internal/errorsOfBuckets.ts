/**
 * Failures of key-value buckets, and of views and locks on them.
 */
import * as Schema from "effect/Schema"
import { allShowingFields, quoted, shownList, shownProblem } from "../../internal/protocol/shown.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

const differing = (fields: ReadonlyArray<string>): string =>
  fields.length === 0 ? "in what the definition does not say" : shownList(fields)

// The API

/**
 * There is no bucket of this name in the account (and domain), or it was deleted.
 *
 * @category errors
 * @since 0.2.0
 */
export class BucketNotFound extends TaggedError<BucketNotFound>()("BucketNotFound", { bucket: Schema.String }) {
  override get message(): string {
    return `There is no bucket ${quoted(this.bucket)}: create it, or correct the name.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A bucket is to be created, and there is one of this name with another configuration. It was left as it is.
 *
 * @category errors
 * @since 0.2.0
 */
export class BucketExists extends TaggedError<BucketExists>()("BucketExists", {
  bucket: Schema.String,
  /** The fields of its stream that differ. None: it differs in what was not said. */
  differences: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `There is a bucket ${quoted(this.bucket)} already, with another configuration (${
      differing(this.differences)
    }): open it, or change it by \`provision\`.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A text that is no key of a bucket, or no filter. Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidKey extends TaggedError<InvalidKey>()("InvalidKey", {
  /** As it was given, cut at 128 characters. */
  key: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `The key ${quoted(this.key)} is invalid: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A key is to be created, and it has a value.
 *
 * @category errors
 * @since 0.2.0
 */
export class KeyAlreadyExists extends TaggedError<KeyAlreadyExists>()("KeyAlreadyExists", {
  bucket: Schema.String,
  key: Schema.String,
  /** The revision of the value that is there. */
  revision: Schema.Number
}) {
  override get message(): string {
    return `The key ${quoted(this.key)} of the bucket ${
      quoted(this.bucket)
    } has a value (revision ${this.revision}): update it, or take another key.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A key is to live for a time, and its bucket has no times of single keys. Nothing was stored.
 *
 * @category errors
 * @since 0.2.0
 */
export class KeyTtlDisabled extends TaggedError<KeyTtlDisabled>()("KeyTtlDisabled", { bucket: Schema.String }) {
  override get message(): string {
    return `The bucket ${
      quoted(this.bucket)
    } has no \`ttl\` of single keys: create or provision it with \`keyTtl: true\`.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The view of a bucket is over, since its scope or its client was closed: what it has is not kept up to date any more.
 *
 * @category errors
 * @since 0.2.0
 */
export class ViewClosed extends TaggedError<ViewClosed>()("ViewClosed", { bucket: Schema.String }) {
  override get message(): string {
    return `The view of the bucket ${quoted(this.bucket)} was closed: use it inside its scope.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A lock needs a bucket whose keys can expire: else nobody would get it after its holder has died.
 *
 * @category errors
 * @since 0.2.0
 */
export class LockNeedsTtl extends TaggedError<LockNeedsTtl>()("LockNeedsTtl", { bucket: Schema.String }) {
  override get message(): string {
    return `No key of the bucket ${
      quoted(this.bucket)
    } expires, and a lock must: give the bucket \`keyTtl: true\` (nats-server 2.11) or a \`ttl\`.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A lock was not free within the time that was given to wait for it.
 *
 * @category errors
 * @since 0.2.0
 */
export class LockNotFree extends TaggedError<LockNotFree>()("LockNotFree", {
  bucket: Schema.String,
  key: Schema.String,
  waitedMillis: Schema.Number
}) {
  override get message(): string {
    return `The lock ${quoted(this.key)} of the bucket ${
      quoted(this.bucket)
    } was not free within ${this.waitedMillis} ms: another holds it.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * A lock was lost while it was held: its work has been interrupted. Another may hold it already, with a higher token.
 *
 * @category errors
 * @since 0.2.0
 */
export class LockLost extends TaggedError<LockLost>()("LockLost", {
  bucket: Schema.String,
  key: Schema.String,
  /** The fencing token that it was held with. */
  token: Schema.Number,
  /** `"notRefreshed"`: it could not be refreshed in time. `"taken"`: somebody deleted or replaced its key. */
  reason: Schema.Literals(["notRefreshed", "taken"])
}) {
  override get message(): string {
    const why = this.reason === "taken"
      ? "somebody deleted or replaced its key"
      : "it could not be refreshed in time"
    return `The lock ${quoted(this.key)} of the bucket ${quoted(this.bucket)} was lost (${why}): acquire it again.`
  }
  get isRetryable(): boolean {
    return true
  }
}
