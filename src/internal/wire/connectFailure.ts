/**
 * From what the server, the network or the TLS library said to the error that names the cause.
 */
import * as ConnectError from "../../ConnectError.ts"
import { bannerText } from "../protocol/greeting.ts"
import { printable } from "../protocol/printable.ts"
import { serverErrorKind, serverErrorText } from "../protocol/serverError.ts"
import { certificateFaultOf } from "./certificateFault.ts"
import { codeOf, type SecretFilter, withheld } from "./secretFilter.ts"
import { ServerWord } from "./transport.ts"

/** Whom an error is about. */
export interface Peer {
  readonly server: string
  /** Whom its certificate must be for, where that is not told by the configuration: of a server that another one named. */
  readonly hosts: ReadonlyArray<string>
  readonly method: ConnectError.AuthMethod
  /** What the other side says goes through it into every error. */
  readonly filter: SecretFilter
}

/** A reason that has no name of its own: the other side's word for it. */
export const fromWord = (peer: Peer, raw: string): ConnectError.ConnectError =>
  rejected(peer, peer.filter.shown(raw, serverErrorText))

/** A reason that has no name of its own, in words of this client. */
export const rejected = ({ filter, server }: Peer, text: string, cause?: unknown): ConnectError.ConnectError =>
  new ConnectError.ServerRejected({ server, text, ...filter.cause(cause) })

/** Something else answers, and begins with `banner`. */
export const notNats = ({ filter, server }: Peer, banner: string, problem?: string): ConnectError.ConnectError =>
  new ConnectError.NotANatsServer({
    server,
    banner: filter.shown(banner, bannerText),
    ...(problem === undefined ? {} : { problem })
  })

/** The cause that an `-ERR` names, `undefined` when it leaves the connection open. It is told by what it says, and then shown. */
export const fromServerText = (peer: Peer, raw: string): ConnectError.ConnectError | undefined => {
  const kind = serverErrorKind(raw)
  const { server, method } = peer
  const shown = (): string => peer.filter.shown(raw, serverErrorText)
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
      return new ConnectError.MaxConnectionsExceeded({ server, text: shown() })
    case "WrongPort":
      return new ConnectError.WrongPort({ server, text: shown() })
    case "ServerRejected":
      return fromWord(peer, raw)
  }
}

const cut = /^(ECONNRESET|EPIPE|ECONNABORTED|ENOTCONN)$/

/** Whom an error is about that comes before any address is known. */
export type Named = Pick<Peer, "server" | "filter">

/** The name has no address, or what knows names failed. */
export const fromLookup = ({ filter, server }: Named, error: unknown): ConnectError.ConnectError =>
  new ConnectError.ServerNotFound({ server, ...filter.cause(error) })

/** The connection could not be made, after the time that was waited for it. */
export const fromTcp = (peer: Peer, error: unknown, waitedMillis: number): ConnectError.ConnectError => {
  const { filter, server } = peer
  const code = codeOf(error)
  if (code === undefined || cut.test(code)) {
    return new ConnectError.ConnectionReset({ server, stage: "tcp", ...filter.cause(error) })
  }
  if (code === "ETIMEDOUT") return timedOut(peer, "tcp", waitedMillis, error)
  // ECONNREFUSED, and what else keeps a connection from being made: no route, forbidden, impossible port.
  return new ConnectError.ConnectionRefused({ server, ...filter.cause(error) })
}

export const timedOut = (
  { filter, server }: Named,
  stage: ConnectError.ConnectStage,
  waitedMillis: number,
  error?: unknown
): ConnectError.ConnectError =>
  new ConnectError.ConnectTimedOut({ server, stage, timeoutMillis: waitedMillis, ...filter.cause(error) })

// Of the alerts (RFC 8446, 6.2, and those that came before it), those that are about a certificate of ours.
const certificateAlert =
  /_ALERT_(BAD_CERTIFICATE(_.+)?|UNSUPPORTED_CERTIFICATE|NO_CERTIFICATE|CERTIFICATE_.+|UNKNOWN_CA|ACCESS_DENIED)$/

/** Which of two things this one says is not told: that there is no common cipher, or that a certificate is missing. */
const openAlert = /_ALERT_HANDSHAKE_FAILURE$/

/** What is wrong with a certificate is a code, and only of a runtime that gives none a text. */
const longestFault = 64

/** What is known about TLS when a connection that wants it, or has it, ends. */
export interface TlsState {
  /** The server asks for a client certificate. */
  readonly verify: boolean
  /** Why the server's certificate was not accepted. */
  readonly certificateFault: string | undefined
  /** The prefix of the variables that `tls` was read from, if it was. */
  readonly variables: string | undefined
}

/** The connection ended without an `-ERR`, at `info` or later. `tls` when it was to be, or was, encrypted. */
export const fromEnd = (
  peer: Peer,
  stage: ConnectError.ConnectStage,
  error: unknown,
  tls: TlsState | undefined
): ConnectError.ConnectError => {
  const { filter, server } = peer
  if (error instanceof ServerWord) {
    const said = error.said === "" ? "" : `: ${filter.shown(error.said, serverErrorText)}`
    return rejected(peer, `${error.message}${said}`)
  }
  const cause = filter.cause(error)
  if (tls !== undefined && stage !== "up") {
    const variables = tls.variables === undefined ? {} : { variables: tls.variables }
    const code = codeOf(error) ?? "UNKNOWN"
    const fault = tls.certificateFault ?? certificateFaultOf(error)
    if (fault !== undefined) {
      const hosts = peer.hosts.map((host) => filter.repeats(host) ? withheld : host)
      return new ConnectError.TlsCertificateInvalid({
        server,
        code: filter.shown(fault, (raw) => printable(raw, longestFault)),
        ...(hosts.length === 0 ? {} : { hosts }),
        ...variables,
        ...cause
      })
    }
    if (error !== undefined) {
      if (certificateAlert.test(code) || (tls.verify && openAlert.test(code))) {
        return new ConnectError.TlsHandshakeRejected({ server, code, ...variables, ...cause })
      }
      if (code === "UNKNOWN" || cut.test(code)) {
        // The alert about a client certificate can be overtaken by the reset that follows it.
        return tls.verify
          ? new ConnectError.TlsHandshakeRejected({ server, code, ...variables, ...cause })
          : new ConnectError.ConnectionReset({ server, stage, ...cause })
      }
      if (code.startsWith("ERR_") || code === "EPROTO") {
        return new ConnectError.TlsHandshakeFailed({ server, code, ...variables, ...cause })
      }
    }
  }
  return new ConnectError.ConnectionReset({ server, stage, ...cause })
}
