/**
 * Any text as one token of a key in a bucket, so that no two texts have one token, and none is a pattern.
 *
 * Ordinary texts stay readable. One that is no well-formed text is written as JSON, which has every text; one that is too
 * long for a subject is hashed, and its entry keeps it.
 */
import { sha256 } from "../../internal/identity/digest.ts"
import { escapedKeys } from "../../jetstream/KeyValue.ts"

/** Of a token. With a bucket's name and a second token it fits what all clients take as a key. */
const longest = 400

/** What `escapedKeys` never begins with: behind `=` it has a digit, or nothing. */
const asJson = "=="
const hashed = "==="

export const tokenOf = (text: string): string => {
  if (text.length <= longest) {
    const token = text.isWellFormed()
      ? escapedKeys.encode(text)
      : `${asJson}${escapedKeys.encode(JSON.stringify(text))}`
    if (token.length <= longest) return token
  }
  const digest = sha256()
  digest.update(new TextEncoder().encode(JSON.stringify(text)))
  return `${hashed}${digest.end().replace("=", "")}`
}

/** Whether the text is not in the token. */
export const isHashed = (token: string): boolean => token.startsWith(hashed)

/** The text of a token that has it. `undefined` for what was not written here. */
export const textOf = (token: string): string | undefined => {
  try {
    if (!token.startsWith(asJson)) return escapedKeys.decode(token)
    const text: unknown = JSON.parse(escapedKeys.decode(token.slice(asJson.length)))
    return typeof text === "string" ? text : undefined
  } catch {
    return undefined
  }
}
