/**
 * Every judgement about why there is no connection: which error is about credentials, which one says that the next server
 * would not help, which of several is told. Nothing else in the client asks for the tag of a `ConnectError` to decide what
 * to do.
 */
import type { Attempt, ConnectError } from "../../ConnectError.ts"

interface Cause {
  /**
   * What it says of authentication: `"refused"` that these credentials are not taken, `"ended"` that a session ended for
   * them, `"failed"` that it did not come to an answer.
   */
  readonly auth?: "refused" | "ended" | "failed"
  /** Found before anything is dialled, so that the next server would not change it. */
  readonly local?: true
}

// From the most telling to the least: what the user has to change comes before what may pass by itself. A record, so that
// the compiler asks for every error.
const causes: { readonly [Tag in ConnectError["_tag"]]: Cause } = {
  CredentialsInvalid: { auth: "refused", local: true },
  CredentialsExpired: { auth: "refused", local: true },
  CredentialsUnavailable: { auth: "failed", local: true },
  TlsConfigInvalid: { local: true },
  AuthenticationRevoked: { auth: "ended" },
  AuthenticationExpired: { auth: "ended" },
  AccountAuthenticationExpired: { auth: "ended" },
  AuthorizationViolation: { auth: "refused" },
  AuthenticationTimeout: { auth: "failed" },
  MaxConnectionsExceeded: {},
  TlsHandshakeRejected: {},
  TlsCertificateInvalid: {},
  TlsUnavailable: {},
  TlsRequired: {},
  TlsHandshakeFailed: {},
  WrongPort: {},
  WebSocketRefused: {},
  ServerRejected: {},
  NotANatsServer: {},
  StaleConnection: {},
  ConnectTimedOut: {},
  ConnectionReset: {},
  ServerNotFound: {},
  ConnectionRefused: {}
}

const tags = Object.keys(causes) as ReadonlyArray<ConnectError["_tag"]>

/** Whether a failure is counted as one of authentication. */
export const isAuthFailure = ({ _tag }: ConnectError): boolean => causes[_tag].auth !== undefined

/** The tags of what `isAuthFailure` counts. */
export const authFailures: ReadonlyArray<ConnectError["_tag"]> = tags.filter((tag) => causes[tag].auth !== undefined)

/** Whether the credentials were refused, by a server or before any was asked. */
export const isRefusal = ({ _tag }: ConnectError): boolean => causes[_tag].auth === "refused"

/** Whether other credentials would help: these were refused, or a session ended for them. */
export const isAboutCredentials = (error: ConnectError): boolean =>
  isRefusal(error) || causes[error._tag].auth === "ended"

/** Whether no other server would help, as nothing was dialled. Credentials can also turn out unusable at one server only. */
export const isLocal = (error: ConnectError): boolean =>
  causes[error._tag].local === true && !("server" in error && error.server !== undefined)

/** Whether a refusal passes by itself: a JWT that is not valid yet, or an NKey that another server, away just now, may know. */
export const mayPass = (error: ConnectError): boolean =>
  (error._tag === "CredentialsExpired" && error.notYetValid) ||
  (error._tag === "CredentialsInvalid" && error.attempts?.some((attempt) => !isRefusal(attempt.error)) === true)

/** Whether the client let go of the session itself, to dial again. */
export const isRequested = (error: ConnectError): boolean =>
  error._tag === "ConnectionReset" && error.requested === true

/** Whether to wait for a server that has not been reached yet: what is not a matter of time stays as it is. */
export const isWorthWaiting = (error: ConnectError): boolean => error.isRetryable || isRefusal(error)

/** The error to raise for a round over several servers. With more than one attempt it carries them all. */
export const mostTelling = (attempts: ReadonlyArray<Attempt>): ConnectError => {
  let best = attempts[0].error
  for (const { error } of attempts) {
    if (tags.indexOf(error._tag) < tags.indexOf(best._tag)) best = error
  }
  return attempts.length === 1 ? best : withAttempts(best, attempts)
}

const withAttempts = (error: ConnectError, attempts: ReadonlyArray<Attempt>): ConnectError => {
  const Self = error.constructor as new(fields: object) => ConnectError
  const { _tag, ...fields } = error
  return new Self({ ...fields, ...(error.cause === undefined ? {} : { cause: error.cause }), attempts })
}
