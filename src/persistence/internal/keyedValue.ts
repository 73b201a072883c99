/**
 * Values of a key-value store as messages: text as it is, bytes as they are. What would be read as something else has a
 * header that says what it is, and where the key is not in the subject it stands in front of the value.
 */
import type { Stored } from "./bucketEntries.ts"
import { isHashed } from "./textToken.ts"

/** `"bytes"` of bytes that could be text, `"json"` of text that is not well-formed. */
const kindHeader = "Effect-Value"

/** How many bytes of the payload are the key, as JSON. */
const keyHeader = "Effect-Key-Length"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** `undefined` for bytes that are no text. */
const textIn = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const kindOf = (value: string | Uint8Array): "bytes" | "json" | undefined => {
  if (typeof value === "string") return value.isWellFormed() ? undefined : "json"
  return textIn(value) === undefined ? undefined : "bytes"
}

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

export interface Message {
  readonly payload: string | Uint8Array
  readonly headers: Readonly<Record<string, string>> | undefined
}

/** The message of a value, under the token that the key has. */
export const encodeValue = (key: string, token: string, value: string | Uint8Array): Message => {
  const kind = kindOf(value)
  const payload = kind === "json" ? JSON.stringify(value) : value
  const headers: Record<string, string> = kind === undefined ? {} : { [kindHeader]: kind }
  if (!isHashed(token)) return { payload, headers: kind === undefined ? undefined : headers }
  const name = encoder.encode(JSON.stringify(key))
  return {
    payload: joined(name, typeof payload === "string" ? encoder.encode(payload) : payload),
    headers: { ...headers, [keyHeader]: String(name.length) }
  }
}

const parsed = (text: string | undefined): string | undefined => {
  try {
    const value: unknown = JSON.parse(text ?? "")
    return typeof value === "string" ? value : undefined
  } catch {
    return undefined
  }
}

const keyLength = ({ headers }: Stored): number => Number(headers[keyHeader]?.[0] ?? 0)

/** The key of a hashed token. `undefined` where another program has written it. */
export const keyIn = (stored: Stored): string | undefined => parsed(textIn(stored.data.subarray(0, keyLength(stored))))

/** Text, or bytes where bytes were stored. */
export const decodeValue = (stored: Stored): string | Uint8Array => {
  // A copy: small buffers share their memory with others.
  const bytes = new Uint8Array(stored.data.subarray(keyLength(stored)))
  const kind = stored.headers[kindHeader]?.[0]
  if (kind === "bytes") return bytes
  const text = textIn(bytes)
  return (kind === "json" ? parsed(text) : text) ?? bytes
}

/** The bytes of text, which no longer say that it was not well-formed. */
export const decodeBytes = (stored: Stored): Uint8Array => {
  const value = decodeValue(stored)
  return typeof value === "string" ? encoder.encode(value) : value
}
