/**
 * Any text as one token of a subject, of a key in a bucket, or as a part of a stream's name, and back. No two texts have one
 * token, none is a pattern, and of characters it has those that the keys of all clients may have (ADR-8).
 */
import { sha256 } from "../../internal/identity/digest.ts"

const plain = /^[-_a-zA-Z0-9]+$/

/** With five of them and `$JS.API.DIRECT.GET.` and a stream in front a subject has to fit a protocol line of 4 KiB. */
export const longest = 200

/** Whether a text is its own token. */
export const isPlain = (text: string): boolean => text.length <= longest && plain.test(text)

/** Behind `=` stand four digits, or nothing. */
const hashed = "=="

/**
 * Plain texts stay as they are, so that they can be read where subjects are listed. Other characters are `=` and four hexadecimal
 * digits for each UTF-16 unit, and what gets too long is `==` and its SHA-256.
 */
export const tokenOf = (text: string): string => {
  if (isPlain(text)) return text
  if (text === "") return "="
  const escaped = text.length > longest ? text : text.replaceAll(
    /[^-_a-zA-Z0-9]/g,
    (unit) => `=${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
  if (escaped.length <= longest) return escaped
  const digest = sha256()
  // UTF-16, as halves of surrogate pairs are all the same in UTF-8.
  digest.update(Buffer.from(text, "utf16le"))
  return `${hashed}${digest.end()}`
}

/** Whether the text is not in the token. */
export const isHashed = (token: string): boolean => token.startsWith(hashed)

/** The text of a token that has it. `undefined` for a digest, and for what was not written here. */
export const textOf = (token: string): string | undefined => {
  if (isPlain(token)) return token
  if (token === "=") return ""
  const text = token.replaceAll(/=([0-9a-f]{4})/g, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)))
  return tokenOf(text) === token ? text : undefined
}
