/**
 * What ends a command, and what its exit code says of it.
 */
import * as Schema from "effect/Schema"
import type { ConnectError } from "../../ConnectError.ts"
import type { NatsConfigError } from "../../NatsConfig.ts"

/** Classes of failures, and their exit codes. Interruption has those of the shell: 130 and 143. */
export const exitCodes = {
  /** Anything that has no class of its own. */
  other: 1,
  /** The command line or the configuration is wrong; nothing was dialled. */
  configuration: 2,
  /** No server there, or none that speaks NATS. */
  unreachable: 3,
  /** TLS: certificates, files, and who requires or lacks it. */
  tls: 4,
  /** The credentials are unusable by themselves; nothing was dialled. */
  credentials: 5,
  /** The server does not take this client. */
  refused: 6,
  /** Connected, and an operation failed. */
  operation: 7
} as const

export type FailureClass = keyof typeof exitCodes

/** A record, so that the compiler asks for every error. */
const ofConnecting: { readonly [Tag in (ConnectError | NatsConfigError)["_tag"]]: FailureClass } = {
  NatsConfigError: "configuration",
  CredentialsInvalid: "credentials",
  CredentialsExpired: "credentials",
  CredentialsUnavailable: "credentials",
  TlsConfigInvalid: "tls",
  TlsHandshakeRejected: "tls",
  TlsCertificateInvalid: "tls",
  TlsUnavailable: "tls",
  TlsRequired: "tls",
  TlsHandshakeFailed: "tls",
  AuthenticationRevoked: "refused",
  AuthenticationExpired: "refused",
  AccountAuthenticationExpired: "refused",
  AuthorizationViolation: "refused",
  AuthenticationTimeout: "refused",
  MaxConnectionsExceeded: "refused",
  WebSocketRefused: "refused",
  ServerRejected: "refused",
  WrongPort: "unreachable",
  NotANatsServer: "unreachable",
  StaleConnection: "unreachable",
  ConnectTimedOut: "unreachable",
  ConnectionReset: "unreachable",
  ServerNotFound: "unreachable",
  ConnectionRefused: "unreachable"
}

/** The command line says something that no command takes. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  /** The sentence, with what would be right. */
  problem: Schema.String
}) {
  override get message(): string {
    return this.problem
  }
}

/** A failure that a command has told already, and what is left of it. */
export class Reported extends Schema.TaggedError<Reported>()("Reported", { exitCode: Schema.Number }) {}

/** A typed failure, as far as commands look at one. */
export interface Failure {
  readonly _tag: string
  readonly message: string
}

/** Failures of commands that work on this machine alone. */
const localTags: ReadonlySet<string> = new Set(["ServerUnavailable", "DirectoryNotEmpty", "DirectoryUnusable"])

/** The class of a failure. What has no class and a tag is one of an operation. */
export const classOf = (failure: Failure): FailureClass => {
  const { _tag } = failure
  // A client that has ended for good, as one whose user is no longer there: what it ended of.
  if (_tag === "ConnectionClosed" && "reason" in failure && isFailure(failure.reason)) return classOf(failure.reason)
  // Names and headers are given on the command line, and are looked at before anything is dialled.
  if (_tag === "UsageError" || _tag === "InvalidSubject" || _tag === "InvalidHeader") return "configuration"
  if (localTags.has(_tag)) return "other"
  return Object.hasOwn(ofConnecting, _tag) ? ofConnecting[_tag as keyof typeof ofConnecting] : "operation"
}

export const isFailure = (u: unknown): u is Failure =>
  typeof u === "object" && u !== null && "_tag" in u && typeof u._tag === "string" && "message" in u
