import { printable } from "./printable.ts"

/**
 * What an `-ERR` of a server means. Texts are those that servers send (2.9 to 2.15), which differ from the protocol's
 * documentation in letter case and in places in wording.
 */

/** The cause that an `-ERR` names, or `"open"` when the server leaves the connection open after it. */
export type ServerErrorKind =
  | "open"
  | "AuthorizationViolation"
  | "AuthenticationTimeout"
  | "AuthenticationExpired"
  | "AuthenticationRevoked"
  | "AccountAuthenticationExpired"
  | "MaxConnectionsExceeded"
  | "WrongPort"
  | "StaleConnection"
  | "ServerRejected"

const denial = /^permissions violation/i
const tooMany = /^maximum subscriptions exceeded/i

const kinds: ReadonlyArray<readonly [text: RegExp, kind: ServerErrorKind]> = [
  // Before all others: these hold a subject, which may contain any of the texts below.
  [denial, "open"],
  [/^invalid (publish )?subject/i, "open"],
  [tooMany, "open"],
  [/user authentication expired/i, "AuthenticationExpired"],
  [/user authentication revoked/i, "AuthenticationRevoked"],
  [/account authentication expired/i, "AccountAuthenticationExpired"],
  [/authorization violation/i, "AuthorizationViolation"],
  [/(authentication|authorization) timeout/i, "AuthenticationTimeout"],
  [/maximum (account )?(active )?connections exceeded/i, "MaxConnectionsExceeded"],
  [/attempted to connect to .* port/i, "WrongPort"],
  [/stale connection/i, "StaleConnection"]
]

/** With the `…` that stands for the rest. */
const longest = 256

const unquoted = (raw: string): string => raw.trim().replace(/^'([^]*)'$/, "$1")

/** How it is shown: without the quotes and spaces around it, printable, at most 256 characters. */
export const serverErrorText = (raw: string): string => printable(unquoted(raw), longest - 1)

/** What is looked at to tell what it means, which is not what is shown. */
const telling = (raw: string): string => unquoted(raw).slice(0, longest).replace(/\p{Cc}+/gu, " ")

/** `text` may have its quotes. A text that is not known is `"ServerRejected"`: most of those close the connection. */
export const serverErrorKind = (text: string): ServerErrorKind => {
  const plain = telling(text)
  for (const [pattern, kind] of kinds) {
    if (pattern.test(plain)) return kind
  }
  return "ServerRejected"
}

/**
 * Whether a SUB is one too many, for the server, the account or the user. It is said right behind the SUB; with none on its
 * way the limit was lowered, and the server closes the connection some milliseconds later.
 */
export const saysTooManySubscriptions = (text: string): boolean => tooMany.test(telling(text))

/** Whether it refuses a publish or a subscription for want of a permission. */
export const isDenial = (text: string): boolean => denial.test(text)

/** What a server refused. */
export interface PermissionsViolationText {
  readonly operation: "publish" | "subscribe"
  /** Of a message refused for its reply subject, the reply subject. */
  readonly subject: string
  readonly queue?: string
}

const violation = /^permissions violation for (publish with reply of|publish|subscription) (?:to |of )?("?)([^]*)$/i

/**
 * Reads a `Permissions Violation`. The subject is quoted by servers and bare in older ones; a queue group, the `sid` of a
 * subscription that was closed by a reload and a reason may follow it. `undefined` for any other text.
 */
export const parsePermissionsViolation = (text: string): PermissionsViolationText | undefined => {
  const match = violation.exec(unquoted(text))
  if (match === null) return undefined
  const [, what, quote, rest] = match
  const operation = what.toLowerCase().startsWith("publish") ? "publish" : "subscribe"
  const end = quote === "\"" ? rest.indexOf("\"") : rest.search(/[\s,]/)
  const subject = end < 0 ? rest : rest.slice(0, end)
  const queue = end < 0 ? null : /^"?\s+using queue "([^"]*)"/i.exec(rest.slice(end))
  return queue === null ? { operation, subject } : { operation, subject, queue: queue[1] }
}
