/**
 * Of several servers' failures, the one that says most about what to do.
 */
import type { Attempt, ConnectError } from "../ConnectError.ts"

// From the most telling to the least: what the user has to change comes before what may pass by itself.
const order: ReadonlyArray<ConnectError["_tag"]> = [
  "CredentialsInvalid",
  "CredentialsExpired",
  "CredentialsUnavailable",
  "TlsConfigInvalid",
  "AuthenticationRevoked",
  "AuthenticationExpired",
  "AccountAuthenticationExpired",
  "AuthorizationViolation",
  "AuthenticationTimeout",
  "MaxConnectionsExceeded",
  "TlsHandshakeRejected",
  "TlsCertificateInvalid",
  "TlsUnavailable",
  "TlsRequired",
  "TlsHandshakeFailed",
  "WrongPort",
  "ServerRejected",
  "NotANatsServer",
  "StaleConnection",
  "ConnectTimedOut",
  "ConnectionReset",
  "ServerNotFound",
  "ConnectionRefused"
]

/** The error to raise for a round over several servers. With more than one attempt it carries them all. */
export const mostTelling = (attempts: ReadonlyArray<Attempt>): ConnectError => {
  let best = attempts[0].error
  for (const { error } of attempts) {
    if (order.indexOf(error._tag) < order.indexOf(best._tag)) best = error
  }
  return attempts.length === 1 ? best : withAttempts(best, attempts)
}

const withAttempts = (error: ConnectError, attempts: ReadonlyArray<Attempt>): ConnectError => {
  const Self = error.constructor as new(fields: object) => ConnectError
  const { _tag, ...fields } = error
  return new Self({ ...fields, ...(error.cause === undefined ? {} : { cause: error.cause }), attempts })
}
