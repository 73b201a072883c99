/**
 * Decodes and encodes `webSocket`.
 */
import * as Redacted from "effect/Redacted"
import type { Encoded, NatsConfig } from "../../NatsConfig.ts"
import { has, readSecret } from "./fields.ts"
import { keysOf } from "./keys.ts"
import { kindOf, type Path, type Problems } from "./problems.ts"
import { readRecord, type Section } from "./record.ts"

type WebSocket = NonNullable<NatsConfig["webSocket"]>

const section: Section = { what: "`webSocket`", section: "webSocket", keys: keysOf("webSocket"), secretive: false }

/** More headers than this are a mistake; servers and proxies take fewer. */
const most = 100

/** What the opening handshake writes itself, and what would give it a body. */
const ofHandshake =
  /^(host|upgrade|connection|keep-alive|proxy-connection|te|trailer|expect|transfer-encoding|content-length|sec-websocket-.*)$/i

// A token (RFC 9110, 5.6.2).
const isToken = (text: string): boolean => /^[\w!#$%&'*+.^`|~-]+$/.test(text)

/** A name that errors tell. Any other may be a secret in the wrong place, and is told by its number, from 0. */
const isPlain = (name: string): boolean => /^[A-Za-z-]{1,64}$/.test(name)

const readHeaders = (problems: Problems, path: Path, input: unknown): WebSocket["headers"] | undefined => {
  if (typeof input !== "object" || input === null || Array.isArray(input) || Redacted.isRedacted(input)) {
    return problems.add(
      path,
      `must have a value for each name, as in \`{ authorization: "Bearer ..." }\`, in a variable as lines ` +
        `such as "authorization: Bearer ...", each name once, and is ${kindOf(input)}`
    )
  }
  const entries = Object.entries(input).filter(([, value]) => value !== undefined)
  if (entries.length > most) return problems.add(path, `must have at most ${most} headers`)
  const headers = new Map<string, Redacted.Redacted>()
  for (const [index, [name, given]] of entries.entries()) {
    const at = [...path, isPlain(name) ? name : index]
    if (!isToken(name)) {
      problems.add(at, "has a name that a header cannot have: those have letters, digits and \"-\"")
    } else if (ofHandshake.test(name)) {
      problems.add(at, "is written by the handshake itself: leave it out")
    } else if ([...headers.keys()].some((other) => other.toLowerCase() === name.toLowerCase())) {
      problems.add(at, "is there twice: names are the same whatever their case")
    } else {
      const value = readSecret(problems, at, given, has.token)
      if (value !== undefined && /[^\x20-\x7e]/.test(value)) {
        problems.add(at, "must have ASCII characters only: encode the others")
      } else if (value !== undefined) {
        headers.set(name, Redacted.make(value, { label: "header" }))
      }
    }
  }
  return Object.fromEntries(headers)
}

export const decodeWebSocket = (problems: Problems, path: Path, input: unknown): WebSocket | undefined => {
  const fields = readRecord(problems, path, input, section)
  if (fields === undefined) return undefined
  const headers = fields.has("headers") ? readHeaders(problems, [...path, "headers"], fields.get("headers")) : {}
  return headers === undefined ? undefined : { headers }
}

export const encodeWebSocket = ({ headers }: WebSocket): NonNullable<Encoded["webSocket"]> => ({
  headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Redacted.value(value)]))
})
