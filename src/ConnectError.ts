/**
 * Failures of becoming and of staying connected to a NATS server.
 *
 * There is one tagged error per distinguishable cause, so that `Effect.catchTag("AuthorizationViolation", …)` catches
 * exactly that. Every error has a `message` of one sentence that says what to do, `isRetryable`, and, where a library or
 * the operating system reported something, that as `cause`. None holds a secret, and none shows one that somebody sent back.
 * The `stack` of an error of this package is its name and message, without frames of the package: the place in a program is
 * told by `Effect.fn` and spans. Failures of single operations (publish, request, subscribe) are in `NatsError`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsClient } from "effect-nats"
 *
 * const program = Effect.void.pipe(
 *   Effect.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" })),
 *   Effect.catchTag("AuthorizationViolation", (error) => Effect.logError(error.message))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { allShowingFields, shownList, shownName, shownProblem } from "./internal/protocol/shown.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * How far a connection had come when it failed: `lookup` (the addresses of its name), `tcp` (TCP connect), `info` (waiting
 * for the server's first line), `tls` (handshake), `connect` (credentials sent, waiting for the server's answer), `up`
 * (connected).
 *
 * @category models
 * @since 0.1.0
 */
export const ConnectStage = Schema.Literals(["lookup", "tcp", "info", "tls", "connect", "up"])

/**
 * @category models
 * @since 0.1.0
 */
export type ConnectStage = typeof ConnectStage.Type

/**
 * The way a client proved who it is: the `_tag` of the `NatsAuth` value that was used.
 *
 * @category models
 * @since 0.1.0
 */
export const AuthMethod = Schema.Literals(["Anonymous", "UserPassword", "Token", "NKey", "Jwt", "Creds", "CredsFile"])

/**
 * @category models
 * @since 0.1.0
 */
export type AuthMethod = typeof AuthMethod.Type

/**
 * One server that was tried and why it was not taken. Listed in `attempts` when several servers were tried, or several
 * addresses of one: `server` then has the address, and `error` names the server as it was configured.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  /** The server's URL, without user info. */
  readonly server: string
  readonly error: ConnectError
}

/**
 * @category schemas
 * @since 0.1.0
 */
export const Attempt: Schema.Codec<Attempt, unknown> = Schema.Struct({
  server: Schema.String,
  error: Schema.suspend((): Schema.Codec<ConnectError, unknown> => ConnectError)
})

const common = {
  /** All servers that were tried in this round, or all addresses of the server, when there was more than one. */
  attempts: Schema.optionalKey(Schema.Array(Attempt)),
  /**
   * What the operating system or the runtime reported. If that repeats words of the other side, which are not to be shown, an
   * error with the same `code` stands in its place, and the original is the `cause` of that one, as `Redacted`. The failure of
   * an Effect that the user gave is `Redacted`, too.
   */
  cause: Schema.optionalKey(Schema.Defect())
}

const atServer = {
  /** The server's URL, without user info. */
  server: Schema.String,
  ...common
}

const withTls = {
  ...atServer,
  /** What the names of the variables begin with that `tls` was read from, such as `NATS`. Absent for options and files. */
  variables: Schema.optionalKey(Schema.String)
}

/** Settings of `tls` as whoever wrote them calls them. */
const ofTls = (variables: string | undefined, text: string): string =>
  variables === undefined ? text : text.replace(/`tls\.(\w+)`/g, (_, key: string) => {
    const name = `TLS_${key.replace(/[A-Z]/g, "_$&").toUpperCase()}`
    return variables === "" ? name : `${shownName(variables)}_${name}`
  })

const methodText = (method: AuthMethod): string => {
  switch (method) {
    case "Anonymous":
      return "no credentials"
    case "UserPassword":
      return "a user and a password"
    case "Token":
      return "a token"
    case "NKey":
      return "an NKey"
    case "Jwt":
      return "a JWT"
    case "Creds":
    case "CredsFile":
      return "a credentials file"
  }
}

/**
 * The server refused the credentials, or there were none and it wants some. The server gives no further reason: wrong
 * password, unknown user, revoked JWT and a forbidden connection type all look alike; its log has the reason.
 *
 * It ends a client that has been connected, or that waits for its first session, when the same credentials have been refused
 * for `reconnect.refusalTimeout`.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthorizationViolation
  extends TaggedError<AuthorizationViolation>()("AuthorizationViolation", { ...atServer, method: AuthMethod })
{
  override get message(): string {
    return this.method === "Anonymous"
      ? `${shownName(this.server)} wants credentials and none were sent: set \`auth\` (or NATS_USER and NATS_PASSWORD).`
      : `${shownName(this.server)} refused ${
        methodText(this.method)
      }: check \`auth\` against the server's configuration; its log names the reason.`
  }
  /** `false`: the same credentials are refused again. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server waited for credentials longer than its own `authorization.timeout`.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthenticationTimeout extends TaggedError<AuthenticationTimeout>()("AuthenticationTimeout", atServer) {
  override get message(): string {
    return `${
      shownName(this.server)
    } got the credentials too late for its authorization timeout: try again, or raise that timeout on the server.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The user's JWT expired while connected.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthenticationExpired extends TaggedError<AuthenticationExpired>()("AuthenticationExpired", atServer) {
  override get message(): string {
    return `The user JWT expired and ${
      shownName(this.server)
    } closed the connection: give \`auth\` as an Effect that fetches a fresh one.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The user was revoked by its account while connected.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthenticationRevoked extends TaggedError<AuthenticationRevoked>()("AuthenticationRevoked", atServer) {
  override get message(): string {
    return `The user was revoked and ${shownName(this.server)} closed the connection: issue new credentials for it.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The account's JWT expired, which closes the connections of all its users.
 *
 * @category errors
 * @since 0.1.0
 */
export class AccountAuthenticationExpired
  extends TaggedError<AccountAuthenticationExpired>()("AccountAuthenticationExpired", atServer)
{
  override get message(): string {
    return `The account of this user expired and ${
      shownName(this.server)
    } closed the connection: the operator has to renew the account's JWT.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The credentials cannot be used as they are. Found locally; nothing was dialled, or, where `server` is there, nothing of
 * them was sent to it: an NKey cannot prove itself to a server that sends no nonce.
 *
 * @category errors
 * @since 0.1.0
 */
export class CredentialsInvalid extends TaggedError<CredentialsInvalid>()("CredentialsInvalid", {
  ...common,
  method: AuthMethod,
  /** Where they came from: a path, an environment variable, or a name such as `auth.seed`. Never the content. */
  source: Schema.String,
  /** The line in the source that is at fault, where there is one. Counts from 1. */
  line: Schema.optionalKey(Schema.Int),
  /** What is wrong, in words that follow "the credentials are unusable:". */
  problem: Schema.String,
  /** The server that they cannot be used with, as a URL. Absent where nothing was dialled. */
  server: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const at = this.line === undefined ? shownProblem(this.source) : `${shownProblem(this.source)}, line ${this.line}`
    const whom = this.server === undefined ? "" : ` with ${shownName(this.server)}`
    const remedy = this.server === undefined ? "" : ": check `servers` and the server's configuration"
    return `The credentials from ${at} are unusable${whom}: ${shownProblem(this.problem)}${remedy}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/** A JWT can tell any number, and a date has an end. */
const momentOf = (at: number): string => {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? `${at} ms since the epoch` : date.toISOString()
}

/**
 * The JWT's `exp` is in the past, or its `nbf` in the future, by more than a minute of this machine's clock; or a server has
 * ended a session with it as expired, and nothing else is there to dial with. Found locally; nothing was dialled.
 *
 * @category errors
 * @since 0.1.0
 */
export class CredentialsExpired extends TaggedError<CredentialsExpired>()("CredentialsExpired", {
  ...common,
  method: AuthMethod,
  /** Where they came from. Never the content. */
  source: Schema.String,
  /** `true` when the JWT is not valid yet, `false` when it is not valid any more. */
  notYetValid: Schema.Boolean,
  /** The moment of `exp` or `nbf`, in milliseconds since the epoch. */
  at: Schema.Number
}) {
  override get message(): string {
    const at = momentOf(this.at)
    return this.notYetValid
      ? `The JWT from ${shownProblem(this.source)} is not valid before ${at}: check the clock of this machine, or wait.`
      : `The JWT from ${shownProblem(this.source)} expired at ${at}: issue a new one.`
  }
  get isRetryable(): boolean {
    return this.notYetValid
  }
}

/**
 * The credentials could not be had: the Effect given as `auth` failed, or a file could not be read. Nothing was dialled. A
 * failure of the Effect is told by its name alone; `Redacted.value` of `cause` gives it.
 *
 * @category errors
 * @since 0.1.0
 */
export class CredentialsUnavailable extends TaggedError<CredentialsUnavailable>()("CredentialsUnavailable", {
  ...common,
  /** Where they were to come from. */
  source: Schema.String,
  /** What went wrong, without content. */
  problem: Schema.String
}) {
  override get message(): string {
    return `The credentials could not be had from ${shownProblem(this.source)}: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * Nothing listens at the server's address.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionRefused extends TaggedError<ConnectionRefused>()("ConnectionRefused", atServer) {
  override get message(): string {
    return `Nothing listens at ${shownName(this.server)}: start the server, or correct \`servers\` (or NATS_URL).`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The server's name has no address, or the name service did not answer.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerNotFound extends TaggedError<ServerNotFound>()("ServerNotFound", atServer) {
  override get message(): string {
    return `The name of ${
      shownName(this.server)
    } has no address: correct \`servers\` (or NATS_URL), or check the name service.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The server did not get us to the end of `stage` within `connectTimeout`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectTimedOut extends TaggedError<ConnectTimedOut>()("ConnectTimedOut", {
  ...atServer,
  stage: ConnectStage,
  /** The time that was waited, in milliseconds: `connectTimeout`, or what was left of it for one of several addresses. */
  timeoutMillis: Schema.Number
}) {
  override get message(): string {
    const waited = {
      lookup: "has a name that the name service did not find an address for",
      tcp: "did not accept a connection",
      info: "accepted a connection but sent no NATS greeting",
      tls: "did not finish the TLS handshake",
      connect: "did not answer the credentials",
      up: "did not answer"
    }[this.stage]
    const remedy = this.stage === "info"
      ? "check that a NATS server listens there (one with `handshake_first` needs `tls.handshakeFirst`)"
      : this.stage === "lookup"
      ? "check the name service of this machine, or raise `connectTimeout`"
      : "check the server and the network, or raise `connectTimeout`"
    return `${shownName(this.server)} ${waited} within ${this.timeoutMillis} ms: ${remedy}.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The connection was closed or reset by the other side without a word, at `stage`. A server that stops, one that lost its
 * user by a reload, and one to which a client is too slow a reader (`max_pending`, `write_deadline`) all do so at `up`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionReset extends TaggedError<ConnectionReset>()("ConnectionReset", {
  ...atServer,
  stage: ConnectStage,
  /** `true` when it was this client that let go, because `reconnect` was asked for. */
  requested: Schema.optionalKey(Schema.Boolean)
}) {
  override get message(): string {
    if (this.requested === true) {
      return `This client let go of its connection to ${shownName(this.server)} to dial again, as \`reconnect\` asked.`
    }
    return this.stage === "up"
      ? `${
        shownName(this.server)
      } closed the connection without giving a reason: it stopped, its configuration no longer has this user, or this client read too slowly for it.`
      : `${
        shownName(this.server)
      } closed the connection at stage ${this.stage} without giving a reason: check that a NATS server listens there and look at its log.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * TLS is required here and the server does not offer it. Nothing was sent in clear.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsUnavailable extends TaggedError<TlsUnavailable>()("TlsUnavailable", atServer) {
  override get message(): string {
    return `${
      shownName(this.server)
    } does not offer TLS and this client requires it, by a tls:// or wss:// URL, by its \`tls\` settings, or since it had TLS before: configure TLS on the server. Only with a nats:// URL and \`tls.mode: "prefer"\` is everything sent in clear.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server requires TLS and it is disabled here.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsRequired extends TaggedError<TlsRequired>()("TlsRequired", atServer) {
  override get message(): string {
    return `${shownName(this.server)} requires TLS and \`tls.mode\` is "disable": use "prefer" or "require".`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The TLS material cannot be used: a file cannot be read, a PEM does not parse, a key does not fit its certificate.
 * Found locally; nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsConfigInvalid extends TaggedError<TlsConfigInvalid>()("TlsConfigInvalid", {
  ...common,
  /** The option or the variable at fault, and its file, such as `tls.caFile (/etc/nats/ca.pem)`. */
  source: Schema.String,
  /** What is wrong with it. Never the content. */
  problem: Schema.String
}) {
  override get message(): string {
    return `${shownProblem(this.source)} is unusable: ${shownProblem(this.problem)}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server's certificate was not accepted: unknown issuer, another name, expired.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsCertificateInvalid extends TaggedError<TlsCertificateInvalid>()("TlsCertificateInvalid", {
  ...withTls,
  /** The verification code, such as `UNABLE_TO_VERIFY_LEAF_SIGNATURE` or `ERR_TLS_CERT_ALTNAME_INVALID`. */
  code: Schema.String,
  /**
   * Of a server that another one named: the hosts of which its certificate has to be valid for one. Absent where that is
   * the host that was dialled, or `tls.serverName`.
   */
  hosts: Schema.optionalKey(Schema.Array(Schema.String))
}) {
  override get message(): string {
    const remedy = this.code === "ERR_TLS_CERT_ALTNAME_INVALID"
      ? this.hosts === undefined
        ? "it is for another name; dial a name it has, or set `tls.serverName`"
        : `it is not for ${
          shownList(this.hosts, " or ")
        }; give it one for that, list the server in \`servers\`, or set \`tls.serverName\``
      : this.code === "CERT_HAS_EXPIRED"
      ? "it has expired; renew it on the server"
      : "set `tls.ca` or `tls.caFile` to the authority that issued it"
    return `The certificate of ${shownName(this.server)} was not accepted (${shownName(this.code)}): ${
      ofTls(this.variables, remedy)
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/** TLS does not say which of the two it is. */
const handshakeFailure =
  "it has no cipher or group in common with this client, or it wants a client certificate: compare the TLS settings of both, or set `tls.cert` and `tls.key`"

const isHandshakeFailure = (code: string): boolean => code.endsWith("_ALERT_HANDSHAKE_FAILURE")

/**
 * The server refused our side of the TLS handshake: a client certificate is missing or was not accepted. It is told by an
 * alert that is about certificates, or by the end of the handshake with a server that asks for one.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsHandshakeRejected extends TaggedError<TlsHandshakeRejected>()("TlsHandshakeRejected", {
  ...withTls,
  /** The code of the TLS alert. It differs between server versions. */
  code: Schema.String
}) {
  override get message(): string {
    const remedy = isHandshakeFailure(this.code)
      ? handshakeFailure
      : "set `tls.cert` and `tls.key` to a client certificate that it trusts"
    return `${shownName(this.server)} rejected the TLS handshake (${shownName(this.code)}): ${
      ofTls(this.variables, remedy)
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/** By the name of the alert, or by the code of the TLS library. What is not here is the other side's to explain. */
const handshakeRemedies: ReadonlyArray<readonly [pattern: RegExp, remedy: string]> = [
  [/_ALERT_HANDSHAKE_FAILURE$/, handshakeFailure],
  [
    /_ALERT_(PROTOCOL_VERSION|INAPPROPRIATE_FALLBACK)$|UNSUPPORTED_PROTOCOL$/,
    "the two have no version of TLS in common; this client takes 1.2 and 1.3"
  ],
  [
    /_UNRECOGNIZED_NAME$/,
    "it serves no host of the name that was asked for; dial a name that it has, or set `tls.serverName`"
  ],
  [/_ALERT_INSUFFICIENT_SECURITY$/, "it finds the ciphers of this client too weak; compare the TLS settings of both"],
  // OpenSSL leaves the word out for the alerts of extensions.
  [
    /_ALERT_|_TLSV1_/,
    "it ended the handshake with this alert; look at its log, and at what stands between it and this client"
  ]
]

/**
 * The TLS handshake failed for another reason, such as a peer that does not speak TLS, or has no version of it in common.
 *
 * @category errors
 * @since 0.1.0
 */
export class TlsHandshakeFailed extends TaggedError<TlsHandshakeFailed>()("TlsHandshakeFailed", {
  ...withTls,
  /** The code that the TLS library gave. */
  code: Schema.String
}) {
  override get message(): string {
    const remedy = handshakeRemedies.find(([pattern]) => pattern.test(this.code))?.[1] ??
      "check that the server speaks TLS at this port, and `tls.handshakeFirst`"
    return `The TLS handshake with ${shownName(this.server)} failed (${shownName(this.code)}): ${
      ofTls(this.variables, remedy)
    }.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server, or the account, has as many connections as it allows.
 *
 * @category errors
 * @since 0.1.0
 */
export class MaxConnectionsExceeded extends TaggedError<MaxConnectionsExceeded>()("MaxConnectionsExceeded", {
  ...atServer,
  /** The server's own words, which tell its limit from the account's, as a `ServerRejected` has them. */
  text: Schema.String
}) {
  override get message(): string {
    return `${shownName(this.server)} takes no more connections ("${
      shownName(this.text)
    }"): close some, or raise the limit.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The port belongs to a NATS server but is not for clients: a leaf node, route or gateway port.
 *
 * @category errors
 * @since 0.1.0
 */
export class WrongPort extends TaggedError<WrongPort>()("WrongPort", {
  ...atServer,
  /** The server's own words, as a `ServerRejected` has them. */
  text: Schema.String
}) {
  override get message(): string {
    return `${shownName(this.server)} is not a client port ("${
      shownName(this.text)
    }"): use the server's client port, by default 4222.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Something answers at that port, and it is not a NATS server.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotANatsServer extends TaggedError<NotANatsServer>()("NotANatsServer", {
  ...atServer,
  /**
   * How its first line begins: printable, with escapes as in JSON, at most 64 characters, the last a `…` where there are more.
   * `withheld: …` when it repeats a secret of this client. Empty when the line is a malformed NATS greeting.
   */
  banner: Schema.String,
  /** What is wrong with the answer, where that is not seen in `banner`, in words that follow it. */
  problem: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const answer = this.banner === "" ? "a malformed NATS greeting" : `"${shownName(this.banner)}"`
    const problem = this.problem === undefined ? "" : ` ${shownProblem(this.problem)}`
    return `${
      shownName(this.server)
    } is not a NATS server, it answers ${answer}${problem}: correct \`servers\` (or NATS_URL).`
  }
  get isRetryable(): boolean {
    return false
  }
}

const mayPass = (status: number): boolean => status >= 500 || [408, 425, 429].includes(status)

const webSocketRemedy = (status: number): string => {
  if (mayPass(status)) {
    return "the server behind it is away or takes no more just now; try again, and look at the log of the proxy"
  }
  if (status >= 300 && status < 400) {
    return "redirects are not followed; write the URL that it leads to into `servers` (or NATS_URL)"
  }
  switch (status) {
    case 401:
      return "it wants to know who asks; set `webSocket.headers`, such as `authorization` or `cookie`"
    case 403:
      return "it does not let this client in; correct `webSocket.headers` (`authorization`, `cookie`, `origin`), or allow it there"
    case 404:
      return "there is nothing at this path; correct the path in `servers` (or NATS_URL)"
    default:
      return "check that this is the server's WebSocket port, or a proxy that passes WebSockets on to it"
  }
}

/**
 * What answers at a `ws://` or `wss://` URL speaks HTTP and did not open the WebSocket: a proxy in front of the server, a web
 * server, or a port that is not for WebSockets.
 *
 * @category errors
 * @since 0.2.0
 */
export class WebSocketRefused extends TaggedError<WebSocketRefused>()("WebSocketRefused", {
  ...atServer,
  /** The HTTP status: any but 101. */
  status: Schema.Int
}) {
  override get message(): string {
    return `${shownName(this.server)} did not open a WebSocket, it answered with HTTP status ${this.status}: ${
      webSocketRemedy(this.status)
    }.`
  }
  /** `true` for 408, 425, 429 and from 500 on: what stands in front of the server waits for it, too. */
  get isRetryable(): boolean {
    return mayPass(this.status)
  }
}

/**
 * The connection is half-open: the other side no longer answers pings, or the server said that we do not.
 *
 * @category errors
 * @since 0.1.0
 */
export class StaleConnection extends TaggedError<StaleConnection>()("StaleConnection", atServer) {
  override get message(): string {
    return `${shownName(this.server)} stopped answering pings: check the network and whether the server is suspended.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The server closed the connection with a reason that has no name of its own here, or sent what is not NATS protocol.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerRejected extends TaggedError<ServerRejected>()("ServerRejected", {
  ...atServer,
  /**
   * The server's own words, or which rule of the protocol it broke. Its words are printable, with escapes as in JSON, and at
   * most 256 characters, the last a `…` where there are more; `withheld: …` when they repeat a secret of this client.
   */
  text: Schema.String
}) {
  override get message(): string {
    const remedy = /^maximum subscriptions/i.test(this.text)
      ? "its limit was lowered; open fewer subscriptions, or raise it"
      : "look at the server's log"
    return `${shownName(this.server)} ended the connection ("${shownName(this.text)}"): ${remedy}.`
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * Everything that can keep a client from connecting, or end its connection.
 *
 * @category errors
 * @since 0.1.0
 */
export type ConnectError =
  | AuthorizationViolation
  | AuthenticationTimeout
  | AuthenticationExpired
  | AuthenticationRevoked
  | AccountAuthenticationExpired
  | CredentialsInvalid
  | CredentialsExpired
  | CredentialsUnavailable
  | ConnectionRefused
  | ServerNotFound
  | ConnectTimedOut
  | ConnectionReset
  | TlsUnavailable
  | TlsRequired
  | TlsConfigInvalid
  | TlsCertificateInvalid
  | TlsHandshakeRejected
  | TlsHandshakeFailed
  | MaxConnectionsExceeded
  | WrongPort
  | NotANatsServer
  | WebSocketRefused
  | StaleConnection
  | ServerRejected

/**
 * @category schemas
 * @since 0.1.0
 */
export const ConnectError = Schema.Union([
  AuthorizationViolation,
  AuthenticationTimeout,
  AuthenticationExpired,
  AuthenticationRevoked,
  AccountAuthenticationExpired,
  CredentialsInvalid,
  CredentialsExpired,
  CredentialsUnavailable,
  ConnectionRefused,
  ServerNotFound,
  ConnectTimedOut,
  ConnectionReset,
  TlsUnavailable,
  TlsRequired,
  TlsConfigInvalid,
  TlsCertificateInvalid,
  TlsHandshakeRejected,
  TlsHandshakeFailed,
  MaxConnectionsExceeded,
  WrongPort,
  NotANatsServer,
  WebSocketRefused,
  StaleConnection,
  ServerRejected
])
