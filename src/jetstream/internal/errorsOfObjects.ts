/**
 * Failures of object stores.
 */
import * as Schema from "effect/Schema"
import { ConnectError } from "../../ConnectError.ts"
import { allShowingFields, quoted, shownProblem } from "../../internal/protocol/shown.ts"
import { ConnectionLost, RequestTimedOut } from "../../NatsError.ts"
import { NoStreamForSubject } from "./errorsOfPublishing.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * There is no object store of this name in the account (and domain), or it was deleted.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectStoreNotFound extends TaggedError<ObjectStoreNotFound>()("ObjectStoreNotFound", {
  store: Schema.String
}) {
  override get message(): string {
    return `There is no object store ${quoted(this.store)}: create it, or correct the name.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is an object store of this name already, and its configuration is another one.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectStoreExists extends TaggedError<ObjectStoreExists>()("ObjectStoreExists", {
  store: Schema.String,
  /** What differs, by the names of a stream's definition. */
  differences: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const how = this.differences.length === 0
      ? "with another configuration"
      : `with another ${this.differences.join(", ")}`
    return `The object store ${quoted(this.store)} is there ${how}: open it, or take another name.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The store is sealed: what is in it stays as it is for ever.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectStoreSealed extends TaggedError<ObjectStoreSealed>()("ObjectStoreSealed", { store: Schema.String }) {
  override get message(): string {
    return `The object store ${quoted(this.store)} is sealed: nothing in it can be changed. Take another store.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The name of an object is one that cannot be kept. Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidObjectName extends TaggedError<InvalidObjectName>()("InvalidObjectName", {
  name: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `The name of the object ${quoted(this.name)} is invalid: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The store has no object of this name, or it was deleted.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectNotFound extends TaggedError<ObjectNotFound>()("ObjectNotFound", {
  store: Schema.String,
  name: Schema.String
}) {
  override get message(): string {
    return `The object store ${quoted(this.store)} has no object ${quoted(this.name)}: put it, or correct the name.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * There is an object of this name, which a link or a new name would hide.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectExists extends TaggedError<ObjectExists>()("ObjectExists", {
  store: Schema.String,
  name: Schema.String
}) {
  override get message(): string {
    return `The object store ${quoted(this.store)} has an object ${
      quoted(this.name)
    } already: delete it, or take another name.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A link cannot be made or followed: it leads to a link, to a deleted object, to a whole store, or round in a circle.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidObjectLink extends TaggedError<InvalidObjectLink>()("InvalidObjectLink", {
  store: Schema.String,
  name: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `The link ${quoted(this.name)} of the object store ${quoted(this.store)} is invalid: ${
      shownProblem(this.problem)
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * What the store keeps of an object is not what an object store writes: another program may publish on its subjects.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidObjectInfo extends TaggedError<InvalidObjectInfo>()("InvalidObjectInfo", {
  store: Schema.String,
  name: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `What the object store ${quoted(this.store)} says of the object ${quoted(this.name)} cannot be read (${
      shownProblem(this.problem)
    }): put it anew, and look for who else publishes there.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * What was read is not what was put: the digest or the number of bytes is another one. Do not use what was read.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectDigestMismatch extends TaggedError<ObjectDigestMismatch>()("ObjectDigestMismatch", {
  store: Schema.String,
  name: Schema.String,
  /** In bytes, as it was put. */
  size: Schema.Number,
  /** In bytes, as it was read. */
  read: Schema.Number,
  /** Of what was put: `SHA-256=` and base64 for URLs. */
  expected: Schema.String,
  /** Of what was read. */
  actual: Schema.String
}) {
  override get message(): string {
    const what = this.read === this.size
      ? "its digest differs"
      : `${this.read} of its ${this.size} bytes are there`
    return `The object ${quoted(this.name)} of the object store ${
      quoted(this.store)
    } is damaged (${what}): do not use what was read, and put it anew.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The object was replaced or deleted while it was read. What was read is a part of the former one.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectChanged extends TaggedError<ObjectChanged>()("ObjectChanged", {
  store: Schema.String,
  name: Schema.String
}) {
  override get message(): string {
    return `The object ${quoted(this.name)} of the object store ${
      quoted(this.store)
    } was replaced or deleted while it was read: read it again.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The object was not put, since the connection was away or died, or an answer did not come: nothing of it is there, and the
 * former object of that name is as it was. Putting it again is safe.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectNotStored extends TaggedError<ObjectNotStored>()("ObjectNotStored", {
  store: Schema.String,
  name: Schema.String,
  /** `"lost"`: the server had acknowledged a part of it and has it no more, since it was killed. */
  reason: Schema.Union([ConnectError, RequestTimedOut, ConnectionLost, NoStreamForSubject, Schema.Literal("lost")])
}) {
  override get message(): string {
    const why = this.reason === "lost" ? "the server has lost a part of it." : this.reason.message
    return `The object ${quoted(this.name)} was not put into the object store ${
      quoted(this.store)
    }, put it again: ${why}`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * What would be put into the store of a domain would be stored on this side, too, as a stream here takes the subjects of
 * a store of that name. Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class ObjectStoreAmbiguous extends TaggedError<ObjectStoreAmbiguous>()("ObjectStoreAmbiguous", {
  store: Schema.String,
  /** The one that was meant. */
  domain: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const where = this.domain === undefined ? "elsewhere" : `of the domain ${quoted(this.domain)}`
    return `A stream on this side takes the subjects of the object store ${quoted(this.store)} ${where}, too: ` +
      "connect to the other side, or create the store there with `acrossDomains: true`."
  }
  get isRetryable(): boolean {
    return false
  }
}
