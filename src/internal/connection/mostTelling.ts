/**
 * Of several servers' failures, the one that says most about what to do.
 */
import type { Attempt, ConnectError } from "../../ConnectError.ts"

// From the most telling to the least: what the user has to change comes before what may pass by itself. A record, so that
// the compiler asks for the rank of every error.
const ranks: { readonly [Tag in ConnectError["_tag"]]: number } = {
  CredentialsInvalid: 1,
  CredentialsExpired: 2,
  CredentialsUnavailable: 3,
  TlsConfigInvalid: 4,
  AuthenticationRevoked: 5,
  AuthenticationExpired: 6,
  AccountAuthenticationExpired: 7,
  AuthorizationViolation: 8,
  AuthenticationTimeout: 9,
  MaxConnectionsExceeded: 10,
  TlsHandshakeRejected: 11,
  TlsCertificateInvalid: 12,
  TlsUnavailable: 13,
  TlsRequired: 14,
  TlsHandshakeFailed: 15,
  WrongPort: 16,
  ServerRejected: 17,
  NotANatsServer: 18,
  StaleConnection: 19,
  ConnectTimedOut: 20,
  ConnectionReset: 21,
  ServerNotFound: 22,
  ConnectionRefused: 23
}

/** The error to raise for a round over several servers. With more than one attempt it carries them all. */
export const mostTelling = (attempts: ReadonlyArray<Attempt>): ConnectError => {
  let best = attempts[0].error
  for (const { error } of attempts) {
    if (ranks[error._tag] < ranks[best._tag]) best = error
  }
  return attempts.length === 1 ? best : withAttempts(best, attempts)
}

const withAttempts = (error: ConnectError, attempts: ReadonlyArray<Attempt>): ConnectError => {
  const Self = error.constructor as new(fields: object) => ConnectError
  const { _tag, ...fields } = error
  return new Self({ ...fields, ...(error.cause === undefined ? {} : { cause: error.cause }), attempts })
}
