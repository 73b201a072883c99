/**
 * What a server says of itself and of others, as it may be shown: printable, bounded, and without a secret.
 */
import * as Output from "../output.ts"

/** Of one text. */
const longestText = 512

/** Of one list. */
const longestList = 256

const deepest = 8

/** The same plain value with every text in it as it may be shown, and every list cut. */
export const cleaned = <A>(value: A): A => {
  const clean = (u: unknown, left: number): unknown => {
    if (typeof u === "string") return Output.shown(u, longestText)
    if (typeof u !== "object" || u === null) return u
    if (left === 0) return undefined
    if (Array.isArray(u)) return u.slice(0, longestList).map((each) => clean(each, left - 1))
    return Object.fromEntries(
      Object.entries(u).slice(0, longestList).map(([key, field]) => [clean(key, left), clean(field, left - 1)])
    )
  }
  return clean(value, deepest) as A
}
