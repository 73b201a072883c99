/**
 * Failures of the client as the errors of nats-core that its libraries look for. Each has the failure as its `cause`; where
 * nats-core itself wraps an error of its own (`RequestError.isNoResponders` looks there), that one has it.
 */
import { errors } from "@nats-io/nats-core"
import type { ConnectError } from "../../ConnectError.ts"
import type { FlushError, PublishError, RequestError, RequestManyError, SubscribeError } from "../../NatsError.ts"

export type Failure = PublishError | RequestError | RequestManyError | SubscribeError | FlushError

/** Its constructor takes no cause. */
export const closedError = (cause: unknown): Error =>
  Object.assign(new errors.ClosedConnectionError(), cause === undefined ? {} : { cause })

/** The error as a subscription, a publish or a flush has it. */
export const errorOf = (cause: Failure): Error => {
  switch (cause._tag) {
    case "NoResponders":
      return new errors.NoRespondersError(cause.subject, { cause })
    case "RequestTimedOut":
      return new errors.TimeoutError({ cause })
    case "ConnectionLost":
      return new errors.RequestError("connection disconnected", { cause })
    case "ConnectionClosed":
      return closedError(cause)
    case "PermissionsViolation":
      return new errors.PermissionViolationError(
        cause.message,
        cause.operation === "subscribe" ? "subscription" : "publish",
        cause.subject,
        cause.queue,
        { cause }
      )
    case "SubscriptionLimitExceeded":
      return new errors.ProtocolError(cause.message, { cause })
    case "InvalidSubject":
      return new errors.InvalidSubjectError(cause.subject, { cause })
    case "MaxPayloadExceeded":
    case "InvalidHeader":
    case "HeadersNotSupported":
      return new errors.InvalidArgumentError(cause.message, { cause })
    case "InvalidPayload":
      return new TypeError(cause.message, { cause })
    case "SlowConsumer":
      return new errors.RequestError(cause.message, { cause })
  }
}

/** The error as a request rejects with it. */
export const requestErrorOf = (cause: Failure): Error => {
  const error = errorOf(cause)
  const isInside = cause._tag === "NoResponders" || cause._tag === "PermissionsViolation" ||
    cause._tag === "SubscriptionLimitExceeded"
  return isInside ? new errors.RequestError(error.message, { cause: error }) : error
}

/** Why there is no session, where nats-core tells it as an error. */
export const authErrorOf = (cause: ConnectError): Error | undefined => {
  switch (cause._tag) {
    case "AuthenticationExpired":
      return new errors.UserAuthenticationExpiredError(cause.message, { cause })
    case "AuthorizationViolation":
    case "AuthenticationTimeout":
    case "AuthenticationRevoked":
    case "AccountAuthenticationExpired":
    case "CredentialsInvalid":
    case "CredentialsExpired":
    case "CredentialsUnavailable":
      return new errors.AuthorizationError(cause.message, { cause })
    default:
      return undefined
  }
}

/** What ended the client, as `closed()` tells it. */
export const endErrorOf = (cause: ConnectError): Error =>
  authErrorOf(cause) ?? new errors.ConnectionError(cause.message, { cause })

/** What a connection of nats.js has, and this one cannot. */
export const unsupported = (member: string, remedy: string): Error =>
  new errors.InvalidOperationError(`${member} is not there on a connection over an effect-nats client: ${remedy}`)
