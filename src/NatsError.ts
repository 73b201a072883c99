/**
 * Failures of single operations on a connection that exists, and the named union of each operation.
 *
 * Failures of becoming and of staying connected are in `ConnectError`; here they appear as the `reason` of
 * `ConnectionLost` (the session died under one operation, the client dials again) and of `ConnectionClosed` (the client
 * has ended for good).
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsClient } from "effect-nats"
 *
 * const time = NatsClient.NatsClient.use((nats) => nats.request("time.now")).pipe(
 *   Effect.map(({ text }) => text),
 *   Effect.catchTag("NoResponders", (error) => Effect.succeed(error.message))
 * )
 * ```
 *
 * @since 0.1.0
 */
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { ConnectError } from "./ConnectError.ts"
import { noName } from "./internal/protocol/headers.ts"
import { keptBody, keptHeaders } from "./internal/protocol/keptReply.ts"
import { describePart } from "./internal/protocol/partName.ts"
import { printable } from "./internal/protocol/printable.ts"
import { allShowingFields, quoted, shownName, shownProblem } from "./internal/protocol/shown.ts"
import type { NatsHeaders } from "./NatsHeaders.ts"

declare module "effect/Schema" {
  namespace Annotations {
    interface Augment {
      /**
       * The `Nats-Service-Error-Code` that a failure with this schema is answered with. Default: `httpApiStatus`, so that
       * one schema serves HTTP and NATS, else 422. A whole number from 1 to 999,999,999: any other is as if it was not
       * there, and a service says so in a warning when it starts.
       */
      readonly natsServiceErrorCode?: number | undefined
    }
  }
}

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * The server does not allow this user to publish or subscribe to the subject. The connection stays open.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermissionsViolation extends TaggedError<PermissionsViolation>()("PermissionsViolation", {
  /** What was refused. A request whose inbox is refused is a `"subscribe"`. */
  operation: Schema.Literals(["publish", "subscribe"]),
  subject: Schema.String,
  /** The queue group of the refused subscription, where it had one. */
  queue: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const queue = this.queue === undefined ? "" : ` in queue group ${quoted(this.queue)}`
    return `This user may not ${this.operation} to ${
      quoted(this.subject)
    }${queue}: allow it in the user's permissions on the server.`
  }
  /** `false`: it is refused again until the server's configuration changes. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server, the account or the user has as many subscriptions as are allowed, and the server does not take this one. The
 * connection stays open. Of a request it is the inbox that is refused, and the next request tries it again; of a stream it
 * comes when the limit was lowered while the client was away.
 *
 * @category errors
 * @since 0.2.0
 */
export class SubscriptionLimitExceeded extends TaggedError<SubscriptionLimitExceeded>()("SubscriptionLimitExceeded", {
  subject: Schema.String,
  /** The queue group of the refused subscription, where it had one. */
  queue: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const queue = this.queue === undefined ? "" : ` in queue group ${quoted(this.queue)}`
    return `The server takes no more subscriptions, and refused ${
      quoted(this.subject)
    }${queue}: close some, or raise the limit of the server, the account or the user.`
  }
  /** `false`: it is refused again until others are closed or the limit is raised. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Nobody is subscribed to the subject of a request.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoResponders extends TaggedError<NoResponders>()("NoResponders", {
  subject: Schema.String
}) {
  override get message(): string {
    return `Nobody answers requests on ${quoted(this.subject)}: start the service, or correct the subject.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * No reply came within the request's timeout. Whether the request was handled is unknown.
 *
 * @category errors
 * @since 0.1.0
 */
export class RequestTimedOut extends TaggedError<RequestTimedOut>()("RequestTimedOut", {
  subject: Schema.String,
  /** The time that was allowed, in milliseconds. */
  timeoutMillis: Schema.Number
}) {
  override get message(): string {
    return `No reply on ${
      quoted(this.subject)
    } within ${this.timeoutMillis} ms: check the service, or raise \`timeout\`.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The message is larger than the server accepts. Nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class MaxPayloadExceeded extends TaggedError<MaxPayloadExceeded>()("MaxPayloadExceeded", {
  subject: Schema.String,
  /** Headers and payload, in bytes. */
  size: Schema.Number,
  /** The server's `max_payload`, in bytes. */
  limit: Schema.Number
}) {
  override get message(): string {
    return `A message of ${this.size} bytes to ${
      quoted(this.subject)
    } is over the server's limit of ${this.limit}: send less, or raise max_payload.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A subject, queue group, reply subject, inbox prefix or subject template that NATS does not allow. Nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidSubject extends TaggedError<InvalidSubject>()("InvalidSubject", {
  /** Which of the strings it was. */
  what: Schema.Literals(["subject", "pattern", "queue", "reply", "inboxPrefix", "template"]),
  /** The string as it was given, cut at 128 characters. */
  subject: Schema.String,
  /** The token at fault, counted from 1, where a single token is. */
  token: Schema.optionalKey(Schema.Int),
  /** Why it is not allowed. */
  problem: Schema.String
}) {
  override get message(): string {
    const at = this.token === undefined ? "" : ` (token ${this.token})`
    const what = this.what === "inboxPrefix" ? "inbox prefix" : this.what === "queue" ? "queue group" : this.what
    return `The ${what} ${quoted(this.subject)} is invalid${at}: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Headers that cannot be sent: a name or value that NATS does not allow, or what is no record of names and values. Nothing
 * was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidHeader extends TaggedError<InvalidHeader>()("InvalidHeader", {
  /** The header's name, cut at 128 characters. Empty where it is the headers as a whole. Its value is not kept. */
  header: Schema.String,
  /** Why it is not allowed. */
  problem: Schema.String
}) {
  override get message(): string {
    const whole = this.header === "" && this.problem !== noName
    return `The ${whole ? "headers are" : `header ${quoted(this.header)} is`} invalid: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A payload that is neither a text nor a `Uint8Array`, which no type allows: an object, an array, a number, a `String`
 * object, a typed array of another width; or a `Uint8Array` without its bytes, since its buffer was transferred. Nothing was
 * sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidPayload extends TaggedError<InvalidPayload>()("InvalidPayload", {
  subject: Schema.String,
  /** What it was instead, such as `an array`. Nothing of the value. */
  given: Schema.String
}) {
  override get message(): string {
    const hint = this.given.startsWith("a Uint8Array ")
      ? "give one that has its bytes, such as a copy from before the transfer"
      : /Array$|ArrayBuffer|DataView/.test(this.given)
      ? "make a Uint8Array of its bytes"
      : "JSON.stringify the value, or bind a schema (SubjectSchema, RequestSchema)"
    return `The payload for ${quoted(this.subject)} is ${
      printable(this.given, 64)
    }. Payloads are text or bytes: ${hint}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server takes no headers (`no_header_support`), and this message has some. Nothing was sent.
 *
 * @category errors
 * @since 0.2.0
 */
export class HeadersNotSupported extends TaggedError<HeadersNotSupported>()("HeadersNotSupported", {
  /** The server's URL. */
  server: Schema.String
}) {
  override get message(): string {
    return `${shownName(this.server)} takes no messages with headers: send without them, or turn headers on there.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The connection broke under this operation, or there is none and `whileDisconnected` does not let it wait. The client
 * dials again by itself. Whether a request was handled is unknown.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionLost extends TaggedError<ConnectionLost>()("ConnectionLost", {
  /** What ended the connection. */
  reason: ConnectError
}) {
  override get message(): string {
    return `The connection was lost and is being dialled again: ${this.reason.message}`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The client has ended for good, and every operation, stream and `closed` says so.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionClosed extends TaggedError<ConnectionClosed>()("ConnectionClosed", {
  /** What ended it. Absent when it was closed on purpose: by its scope, or by `drain`. */
  reason: Schema.optionalKey(ConnectError)
}) {
  override get message(): string {
    return this.reason === undefined
      ? "The client was closed: use it inside the scope of its layer."
      : `The client has ended and does not dial again: ${this.reason.message}`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A subscription's buffer was full and its `overflow` is `"fail"`.
 *
 * @category errors
 * @since 0.1.0
 */
export class SlowConsumer extends TaggedError<SlowConsumer>()("SlowConsumer", {
  subject: Schema.String,
  /** Messages that were waiting. */
  messages: Schema.Number,
  /** Bytes that were waiting. */
  bytes: Schema.Number
}) {
  override get message(): string {
    return `${this.messages} messages (${this.bytes} bytes) of ${
      quoted(this.subject)
    } wait unread, which is the bound: read faster, raise \`capacity\`, or choose an \`overflow\` that drops.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * A message's payload does not fit the schema, or makes its decoder throw: one that is nested too deeply for a recursive
 * schema, some thousands of levels, or that a transformation does not survive.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageDecodeError extends TaggedError<MessageDecodeError>()("MessageDecodeError", {
  subject: Schema.String,
  /**
   * Where in the payload, such as `items[2].price`. Empty for the payload as a whole. `<key>` stands for a key that the schema
   * does not name: that of a record is its sender's text.
   */
  path: Schema.String,
  /** What was expected there. Never the payload. */
  problem: Schema.String
}) {
  override get message(): string {
    const at = this.path === "" ? "" : ` at ${shownName(this.path)}`
    return `A message on ${quoted(this.subject)} does not fit its schema${at}: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A value does not fit the schema of the message it is for, or makes its encoder throw. Nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class MessageEncodeError extends TaggedError<MessageEncodeError>()("MessageEncodeError", {
  subject: Schema.String,
  /** Where in the value, such as `items[2].price`, and `<key>` as in `MessageDecodeError`. Empty for the value as a whole. */
  path: Schema.String,
  /** What was expected there. Never the value. */
  problem: Schema.String
}) {
  override get message(): string {
    const at = this.path === "" ? "" : ` at ${shownName(this.path)}`
    return `A value for ${quoted(this.subject)} does not fit its schema${at}: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The service answered a request with an error: the reply has the headers `Nats-Service-Error` and
 * `Nats-Service-Error-Code`. A handler that fails with one answers with its code and description: where the schema of the
 * failures names it, and under `NatsListener.replying`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceError extends TaggedError<ServiceError>()("ServiceError", {
  subject: Schema.String,
  /** The service's code, such as 400 for a payload that it does not understand. 0 when it gave none that is a number. */
  code: Schema.Number,
  /**
   * The code as it stands in the reply, where it is no whole number from 0 to 999,999,999 or is written otherwise: services
   * of other languages send any text, such as `BAD_INPUT`, `-5` or `007`. Cut at 64 characters.
   *
   * @since 0.2.0
   */
  codeText: Schema.optionalKey(Schema.String),
  /** The service's words, cut at 1,024 characters. */
  description: Schema.String
}) {
  override get message(): string {
    const code = this.codeText === undefined ? this.code : printable(this.codeText, 64)
    return `The service on ${quoted(this.subject)} answered with ${
      code === 0 ? "an error without a code" : `error ${code}`
    }${this.description === "" ? "" : ` (${quoted(this.description, 1024)})`}: ${
      this.code >= 500 ? "" : "correct the request, or "
    }see the service's log.`
  }
  /**
   * The payload of the reply as text, cut at 64 KiB, and empty where there was none. No message or JSON of the error has it.
   *
   * @since 0.2.0
   */
  get body(): string {
    return keptBody(this)
  }
  /**
   * The headers of the reply, such as `Retry-After`, cut at 16 KiB. No message or JSON of the error has them.
   *
   * @since 0.2.0
   */
  get headers(): NatsHeaders {
    return keptHeaders(this)
  }
  /**
   * `true` for 503, it is stopping (and may have interrupted the handler), and for 429, it is asked too often: another
   * instance or a later try can answer. Below 500 the request is at fault, and a 500 may have done half of its work.
   */
  get isRetryable(): boolean {
    return this.code === 503 || this.code === 429
  }
}

/**
 * An option that cannot be what it was given as. Nothing was begun.
 *
 * @category errors
 * @since 0.2.0
 */
export class InvalidOption extends TaggedError<InvalidOption>()("InvalidOption", {
  option: Schema.Literals(["concurrency"]),
  /** As it was given, as text. */
  given: Schema.String,
  /** What it has to be. */
  problem: Schema.String
}) {
  override get message(): string {
    return `The option \`${this.option}\` is ${printable(this.given, 64)}: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * `publishAll` or `sink` has stopped at a message that could not be handed to the connection. Those before it were, and
 * none behind it.
 *
 * @category errors
 * @since 0.2.0
 */
export class PublishAllStopped extends TaggedError<PublishAllStopped>()("PublishAllStopped", {
  /** Messages that were handed to the connection before: the index of the one that was not. */
  published: Schema.Number,
  /** What that one failed with: a failure of `publish`. */
  reason: Schema.Union([
    InvalidSubject,
    InvalidPayload,
    InvalidHeader,
    HeadersNotSupported,
    MaxPayloadExceeded,
    ConnectionLost,
    ConnectionClosed
  ])
}) {
  override get message(): string {
    return `Publishing stopped after ${this.published} messages: ${this.reason.message}`
  }
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/** The path of a file can be in it. */
const longestReason = 2048

/**
 * What a part of a program in the background can end with.
 *
 * @category errors
 * @since 0.2.0
 */
export type BackgroundReason =
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | ConnectionClosed
  | SlowConsumer
  | PlatformError
  | ConsumerEnd

/**
 * What handles a consumer can end with besides: errors of `effect-nats/jetstream`, which this module does not load.
 *
 * @category models
 * @since 0.2.0
 */
export interface ConsumerEnd extends Error {
  readonly _tag:
    | "ConsumerDeleted"
    | "StreamNotFound"
    | "PullRefused"
    | "ConsumerNotFound"
    | "ConsumerIsPush"
    | "ConsumerUnfit"
  readonly isRetryable: boolean
  readonly stream: string
}

/**
 * A part of a program that was to run in the background has ended: a listener, a typed handler, a service, an rpc
 * server, a recorder, what handles a consumer, a store that could not be opened, or the client itself. Raised by `NatsLayer.launch`. Its message names the part,
 * and then has that of the reason.
 *
 * @category errors
 * @since 0.2.0
 */
export class BackgroundEnded extends TaggedError<BackgroundEnded>()("BackgroundEnded", {
  part: Schema.Struct({
    kind: Schema.Literals([
      "client",
      "listener",
      "responder",
      "service",
      "rpcServer",
      "recorder",
      "consumer",
      "store"
    ]),
    /** Its subjects, its file, its name; of a client without a name its servers. */
    name: Schema.String
  }),
  /** What ended it. A client that was closed on purpose while the program was to run: `ConnectionClosed` without a reason. */
  reason: Schema.declare((u: unknown): u is BackgroundReason => u instanceof Error, {
    identifier: "BackgroundReason",
    // What property tests generate.
    toCodecArbitrary: () =>
      Schema.link<BackgroundReason>()(Schema.toType(SlowConsumer), {
        decode: SchemaGetter.passthroughSubtype(),
        encode: SchemaGetter.forbiddenEncoding
      })
  })
}) {
  override get message(): string {
    const [first, ...others] = describePart(this.part)
    return `${first.toUpperCase()}${others.join("")} has ended: ${printable(this.reason.message, longestReason)}`
  }
  override get cause(): unknown {
    return this.reason
  }
  get isRetryable(): boolean {
    return "isRetryable" in this.reason && this.reason.isRetryable
  }
}

/**
 * What `publish` can fail with. `PermissionsViolation` occurs with `confirm: true` only: without it the server's refusal
 * comes later, as a status event.
 *
 * @category errors
 * @since 0.1.0
 */
export type PublishError = RespondError | PermissionsViolation

/**
 * What `respond` can fail with: what a `publish` without `confirm` can.
 *
 * @category errors
 * @since 0.1.0
 */
export type RespondError =
  | InvalidSubject
  | InvalidPayload
  | InvalidHeader
  | HeadersNotSupported
  | MaxPayloadExceeded
  | ConnectionLost
  | ConnectionClosed

/**
 * What `request` can fail with. `SubscriptionLimitExceeded` is about the inbox that the replies of all requests come to.
 *
 * @category errors
 * @since 0.1.0
 */
export type RequestError = PublishError | SubscriptionLimitExceeded | NoResponders | RequestTimedOut

/**
 * What the replies of `requestMany` can fail with: the time ends them with success.
 *
 * @category errors
 * @since 0.1.0
 */
export type RequestManyError = Exclude<RequestError, RequestTimedOut> | SlowConsumer

/**
 * What opening a subscription can fail with. `ConnectionLost` occurs with `whileDisconnected: "fail"`, and where the
 * opening cannot be interrupted: otherwise it waits for the next session.
 *
 * @category errors
 * @since 0.1.0
 */
export type SubscribeError =
  | InvalidSubject
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | ConnectionLost
  | ConnectionClosed

/**
 * What beginning to handle messages can fail with: `consume`, listeners and typed handlers.
 *
 * @category errors
 * @since 0.2.0
 */
export type HandleError = SubscribeError | InvalidOption

/**
 * What a subscription's stream can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type SubscriptionError =
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | ConnectionClosed
  | SlowConsumer

/**
 * What `flush` and `rtt` can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type FlushError = ConnectionLost | ConnectionClosed
