/** Any text as one token of a subject, or as a part of a stream's name, and back. */
import { sha256 } from "../../internal/identity/digest.ts"

const plain = /^[-_a-zA-Z0-9]+$/

/** With several of them and `$JS.API.DIRECT.GET.` in front a subject has to fit a protocol line of 4 KiB. */
const longest = 100

/** Whether a text is its own token. */
export const isPlain = (text: string): boolean => text.length <= longest && plain.test(text)

/**
 * Different texts become different tokens. Plain ones stay as they are, other characters are `=` and four hexadecimal digits for
 * each UTF-16 unit, and what gets too long is `==` and its SHA-256.
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
  return `==${digest.end()}`
}

/** The text of a token, and `undefined` where the token is a digest of it. */
export const textOf = (token: string): string | undefined => {
  if (token === "=") return ""
  if (token.startsWith("==")) return undefined
  return token.replaceAll(/=([0-9a-f]{4})/g, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)))
}
