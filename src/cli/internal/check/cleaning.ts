/**
 * What a server says of itself and of others, as it may be shown: printable, bounded, and without a secret of this client
 * that it sends back.
 */
import { printable } from "../../../internal/protocol/printable.ts"
import type { SecretFilter } from "../../../internal/wire/secretFilter.ts"

/** Of one text. */
const longestText = 512

/** Of one list. */
const longestList = 256

const deepest = 8

/** The same value with every text in it cleaned, and every list cut. Makes a copy of plain values; keeps what has a class. */
export const cleaned = <A>(filter: SecretFilter, value: A, depth = deepest): A => {
  const clean = (u: unknown, left: number): unknown => {
    if (typeof u === "string") return filter.shown(u, (raw) => printable(raw, longestText))
    if (typeof u !== "object" || u === null) return u
    if (left === 0) return undefined
    if (Array.isArray(u)) return u.slice(0, longestList).map((each) => clean(each, left - 1))
    return Object.fromEntries(
      Object.entries(u).slice(0, longestList).map(([key, field]) => [clean(key, left), clean(field, left - 1)])
    )
  }
  return clean(value, depth) as A
}
