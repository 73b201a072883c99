/**
 * What a text is that stands where a URL must and is none: as templates, env files and other lists leave it. Nothing of the
 * text is shown: it may have a password in it, wherever one stops and starts.
 */
import { commentProblem, hasComment, inQuotes, quotesProblem } from "./misplaced.ts"

/** A whole text, before it is split at its commas. */
export const listProblem = (text: string): string | undefined => {
  if (inQuotes(text)) return quotesProblem
  return /^\s*\[\s*(?:["']|[a-z][a-z+]*:\/\/)/i.test(text)
    ? "is a list in brackets in one text: write URLs with commas between them, without brackets and quotes"
    : undefined
}

const separated = "write a comma where another server begins"

/** One that was refused, in words that say more than what is wrong with it as a URL. */
export const urlProblem = (text: string): string | undefined => {
  if (/^[A-Z][A-Z0-9_]*=/.test(text)) return "has the name of a variable and \"=\" before it: leave them out"
  if (/[;|\s]\s*[a-z][a-z+]*:\/\//i.test(text)) return `has several URLs without a comma between them: ${separated}`
  const [authority, tail] = /^([^/?#]*)(.*)$/s.exec(text.replace(/^[a-z+]*:\/\//i, ""))?.slice(1) ?? ["", ""]
  // What is before that "@" is a password, in which anything may be.
  if (tail.includes("@")) return undefined
  const place = authority.slice(authority.lastIndexOf("@") + 1)
  if (/[;|]/.test(place)) return `has a ";" or "|" in it: ${separated}`
  if (/:\/\/.*:\/\//s.test(text)) {
    return "has a URL inside it: a template was given a whole URL for its host or port, as Kubernetes sets NATS_PORT to one"
  }
  if (/\$[({A-Z_]|\{\{|<.*>|%[A-Z_]+%/i.test(place)) {
    return "has a placeholder in its host or port that nothing has filled in"
  }
  if (hasComment(text)) return commentProblem
  if (/\s/.test(place)) return `has white space in its host: remove it, or ${separated}`
  return /^(?:nats|tls|wss?)(?::\/|\/\/|:(?!\d*$))/i.test(text) && !text.includes("://")
    ? "has a scheme without \"://\" behind it: write it as in nats://host:4222"
    : undefined
}

const others: ReadonlyMap<string, string> = new Map([
  ...["http", "https"].map((name) =>
    [name, "use ws:// or wss:// for a WebSocket, nats:// or tls:// for all else"] as const
  ),
  ...["tcp", "nats+tcp"].map((name) => [name, "use nats://"] as const),
  ...["natss", "nats+tls", "tls+nats", "nats+ssl", "ssl", "tcps"].map((name) => [name, "use tls://"] as const)
])

/** What to write in place of a scheme that others have. Any other one is not shown. */
export const schemeProblem = (name: string): string => {
  const instead = others.get(name)
  return instead === undefined
    ? "has a scheme that is not known: use nats://, tls://, ws:// or wss://"
    : `has the scheme ${name}://: ${instead}`
}

/** What JavaScript writes into a text for a value that is not there. */
export const isNothing = (text: string | undefined): boolean =>
  text !== undefined && /^(?:undefined|null|NaN)$/.test(text)
