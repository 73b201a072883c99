/**
 * Any string as one token of a key of a bucket. Plain ones stay as they are, so that they can be read where keys are listed.
 */
import { sha256 } from "../../internal/identity/digest.ts"
import * as KeyValue from "../../jetstream/KeyValue.ts"

/** Subjects are to be short, and with it stand the names of the bucket and of a domain. */
const longest = 200

/** Two strings never have one token: behind an escape's `=` stand two digits, or nothing. */
export const cellName = (text: string): string => {
  if (text.isWellFormed()) {
    const token = KeyValue.escapedKeys.encode(text)
    if (token.length <= longest) return token
  }
  const digest = sha256()
  digest.update(Buffer.from(text, "utf16le"))
  return `=sha256-${digest.end()}`
}
