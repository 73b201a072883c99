/**
 * From what the server, the network or the TLS library said to the error that names the cause.
 */
import * as ConnectError from "../../ConnectError.ts"
import { serverErrorKind, serverErrorText } from "../protocol/serverError.ts"
import { ServerWord } from "./transport.ts"

/** Whom an error is about. */
export interface Peer {
  readonly server: string
  /** Whom its certificate must be for, where that is not told by the configuration: of a server that another one named. */
  readonly hosts: ReadonlyArray<string>
  readonly method: ConnectError.AuthMethod
}

const codeOf = (error: unknown): string => {
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined
  return typeof code === "string" ? code : "UNKNOWN"
}

const causeOf = (error: unknown): { readonly cause?: unknown } => {
  if (error === undefined) return {}
  if (typeof error === "object" && error !== null && "cert" in error) {
    // The whole certificate chain: still there for who asks, but not printed with every error.
    Object.defineProperty(error, "cert", { enumerable: false })
  }
  return { cause: error }
}

/** The cause that an `-ERR` names, `undefined` when it leaves the connection open. */
export const fromServerText = (peer: Peer, raw: string): ConnectError.ConnectError | undefined => {
  const kind = serverErrorKind(raw)
  const { server, method } = peer
  const text = serverErrorText(raw)
  switch (kind) {
    case "open":
      return undefined
    case "AuthorizationViolation":
      return new ConnectError.AuthorizationViolation({ server, method })
    case "AuthenticationTimeout":
      return new ConnectError.AuthenticationTimeout({ server })
    case "AuthenticationExpired":
      return new ConnectError.AuthenticationExpired({ server })
    case "AuthenticationRevoked":
      return new ConnectError.AuthenticationRevoked({ server })
    case "AccountAuthenticationExpired":
      return new ConnectError.AccountAuthenticationExpired({ server })
    case "StaleConnection":
      return new ConnectError.StaleConnection({ server })
    case "MaxConnectionsExceeded":
      return new ConnectError.MaxConnectionsExceeded({ server, text })
    case "WrongPort":
      return new ConnectError.WrongPort({ server, text })
    case "ServerRejected":
      return new ConnectError.ServerRejected({ server, text })
  }
}

const cut = /^(ECONNRESET|EPIPE|ECONNABORTED|ENOTCONN|UNKNOWN)$/

/** The name has no address, or what knows names failed. */
export const fromLookup = (server: string, error: unknown): ConnectError.ConnectError =>
  new ConnectError.ServerNotFound({ server, ...causeOf(error) })

/** The connection could not be made, after the time that was waited for it. */
export const fromTcp = (peer: Peer, error: unknown, waitedMillis: number): ConnectError.ConnectError => {
  const { server } = peer
  const code = codeOf(error)
  if (error === undefined || cut.test(code)) {
    return new ConnectError.ConnectionReset({ server, stage: "tcp", ...causeOf(error) })
  }
  if (code === "ETIMEDOUT") return timedOut(server, "tcp", waitedMillis, error)
  // ECONNREFUSED, and what else keeps a connection from being made: no route, forbidden, impossible port.
  return new ConnectError.ConnectionRefused({ server, ...causeOf(error) })
}

export const timedOut = (
  server: string,
  stage: ConnectError.ConnectStage,
  waitedMillis: number,
  error?: unknown
): ConnectError.ConnectError =>
  new ConnectError.ConnectTimedOut({ server, stage, timeoutMillis: waitedMillis, ...causeOf(error) })

// Of the alerts (RFC 8446, 6.2, and those that came before it), those that are about a certificate of ours.
const certificateAlert =
  /_ALERT_(BAD_CERTIFICATE(_.+)?|UNSUPPORTED_CERTIFICATE|NO_CERTIFICATE|CERTIFICATE_.+|UNKNOWN_CA|ACCESS_DENIED)$/

/** Which of two things this one says is not told: that there is no common cipher, or that a certificate is missing. */
const openAlert = /_ALERT_HANDSHAKE_FAILURE$/

/** What is known about TLS when a connection that wants it, or has it, ends. */
export interface TlsState {
  /** The server asks for a client certificate. */
  readonly verify: boolean
  /** Why the server's certificate was not accepted. */
  readonly certificateFault: string | undefined
}

/** The connection ended without an `-ERR`, at `info` or later. `tls` when it was to be, or was, encrypted. */
export const fromEnd = (
  peer: Peer,
  stage: ConnectError.ConnectStage,
  error: unknown,
  tls: TlsState | undefined
): ConnectError.ConnectError => {
  const { server } = peer
  if (error instanceof ServerWord) return new ConnectError.ServerRejected({ server, text: error.message })
  if (tls !== undefined && stage !== "up") {
    if (tls.certificateFault !== undefined || codeOf(error) === "ERR_TLS_CERT_ALTNAME_INVALID") {
      const code = tls.certificateFault ?? codeOf(error)
      const hosts = peer.hosts.length === 0 ? {} : { hosts: peer.hosts }
      return new ConnectError.TlsCertificateInvalid({ server, code, ...hosts, ...causeOf(error) })
    }
    if (error !== undefined) {
      const code = codeOf(error)
      if (certificateAlert.test(code) || (tls.verify && openAlert.test(code))) {
        return new ConnectError.TlsHandshakeRejected({ server, code, ...causeOf(error) })
      }
      if (cut.test(code)) {
        // The alert about a client certificate can be overtaken by the reset that follows it.
        return tls.verify
          ? new ConnectError.TlsHandshakeRejected({ server, code, ...causeOf(error) })
          : new ConnectError.ConnectionReset({ server, stage, ...causeOf(error) })
      }
      if (code.startsWith("ERR_") || code === "EPROTO") {
        return new ConnectError.TlsHandshakeFailed({ server, code, ...causeOf(error) })
      }
    }
  }
  return new ConnectError.ConnectionReset({ server, stage, ...causeOf(error) })
}
