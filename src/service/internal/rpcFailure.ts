/**
 * Why a call has no answer, and how it is put into the `RpcClientError` that the generated clients know.
 */
import { RpcClientDefect, RpcClientError } from "effect/rpc/RpcClientError"
import * as Schema from "effect/Schema"
import { allShowingFields, quoted } from "../../internal/protocol/shown.ts"
import {
  ConnectionClosed,
  ConnectionLost,
  type HeadersNotSupported,
  InvalidHeader,
  InvalidPayload,
  InvalidSubject,
  MaxPayloadExceeded,
  NoResponders,
  PermissionsViolation,
  type RespondError,
  SubscriptionLimitExceeded
} from "../../NatsError.ts"

const TaggedError = allShowingFields(Schema.TaggedError)

const problems = {
  shutdown: "it was shut down before the call had ended",
  ended: "it has ended because of an error",
  gone: "it has gone",
  silent: "it does not answer pings",
  forgotten: "it does not have the call any more",
  incomplete: "a part of its answer was lost on the way",
  unclaimed: "nobody said to have it"
} as const

export type LossReason = keyof typeof problems

const reasons = Object.keys(problems) as ReadonlyArray<LossReason>

/** Of the word that a server sends with the end of a call. One that is not known here is a server that stops, too. */
export const reasonOf = (word: string): LossReason => reasons.find((reason) => reason === word) ?? "shutdown"

/**
 * The server that had a call was shut down, is gone, does not answer, or has given the call up. Whether the call was
 * handled is unknown.
 *
 * @category errors
 * @since 0.1.0
 */
export class RpcServerLost extends TaggedError<RpcServerLost>()("RpcServerLost", {
  /** The subject of the service. */
  subject: Schema.String,
  /**
   * What was noticed: the server was shut down in order and has cut the call off (`"shutdown"`), or has ended because of
   * an error of its own (`"ended"`); it has `"gone"`; it is `"silent"` when it is pinged; it has `"forgotten"` the call; a
   * part of the answer was lost on the way (`"incomplete"`); no server said to have the call (`"unclaimed"`).
   *
   * @since 0.2.0
   */
  reason: Schema.Literals(reasons)
}) {
  /** `reason` in words. */
  get problem(): string {
    return problems[this.reason]
  }
  override get message(): string {
    return `The server that had a call on ${
      quoted(this.subject)
    } is lost (${this.problem}): whether the call was handled is unknown.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * What this transport puts into an `RpcClientError`.
 *
 * @category errors
 * @since 0.1.0
 */
export type RpcFailure =
  | NoResponders
  | RpcServerLost
  | MaxPayloadExceeded
  | ConnectionLost
  | ConnectionClosed
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | InvalidSubject
  | InvalidPayload
  | InvalidHeader

/** What keeps a message of this transport, which has no headers, from being sent. */
export type Unsent = Exclude<RespondError, HeadersNotSupported>

// The reasons of an `RpcClientError` are a closed union; the one for protocols of others takes any cause.
export const clientError = (failure: RpcFailure): RpcClientError =>
  new RpcClientError({
    reason: new RpcClientDefect({ message: `${failure._tag}: ${failure.message}`, cause: failure })
  })

export const protocolError = (message: string, cause: unknown): RpcClientError =>
  new RpcClientError({ reason: new RpcClientDefect({ message, cause }) })

const classes = [
  NoResponders,
  RpcServerLost,
  MaxPayloadExceeded,
  ConnectionLost,
  ConnectionClosed,
  PermissionsViolation,
  SubscriptionLimitExceeded,
  InvalidSubject,
  InvalidPayload,
  InvalidHeader
]

export const isRpcFailure = (value: unknown): value is RpcFailure => classes.some((each) => value instanceof each)
