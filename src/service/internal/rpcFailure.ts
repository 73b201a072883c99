/**
 * Why a call has no answer, and how it is put into the `RpcClientError` that the generated clients know.
 */
import { RpcClientDefect, RpcClientError } from "effect/rpc/RpcClientError"
import * as Schema from "effect/Schema"
import {
  ConnectionClosed,
  ConnectionLost,
  type HeadersNotSupported,
  InvalidHeader,
  InvalidSubject,
  MaxPayloadExceeded,
  NoResponders,
  PermissionsViolation,
  type RespondError,
  SubscriptionLimitExceeded
} from "../../NatsError.ts"

/**
 * The server that had a call is gone, does not answer, or has given the call up. Whether the call was handled is unknown.
 *
 * @category errors
 * @since 0.1.0
 */
export class RpcServerLost extends Schema.TaggedError<RpcServerLost>()("RpcServerLost", {
  /** The subject of the service. */
  subject: Schema.String,
  /** What was noticed. */
  problem: Schema.String
}) {
  override get message(): string {
    return `The server that had a call on "${this.subject}" is lost (${this.problem}): whether the call was handled is unknown.`
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
  InvalidHeader
]

export const isRpcFailure = (value: unknown): value is RpcFailure => classes.some((each) => value instanceof each)
