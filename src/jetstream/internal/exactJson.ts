/**
 * JSON whose whole numbers survive: nanoseconds beyond 104 days, and sequences beyond 2^53, do not fit a number. They are a
 * `bigint` here, and a number where they fit one.
 */

/** A value as JSON has it. What is `undefined` is left out of an object. */
export type Wire =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | ReadonlyArray<Wire>
  | { readonly [field: string]: Wire }

/** An object of the wire. */
export type WireObject = { readonly [field: string]: Wire }

/** A number where it fits one without loss. */
export const fitting = (value: bigint): number | bigint =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value

/** Whole numbers of so many digits may not fit. Most texts have none, and are read without a look at each value. */
const long = /\d{16}/

/** As `JSON.parse`, which throws for what is no JSON. */
export const parseExact = (text: string): unknown => long.test(text) ? JSON.parse(text, reviveLong) : JSON.parse(text)

/** `source` is what stood in the text: where an engine has none, the number is as inexact as it was. */
const reviveLong = (_key: string, value: unknown, ...rest: ReadonlyArray<{ readonly source?: string } | undefined>) => {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value
  const source = rest[0]?.source
  return source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value
}

/** As `JSON.stringify`, with `bigint` as the number that it is. */
export const stringifyExact = (value: unknown): string => {
  if (typeof value === "bigint") return String(value)
  if (Array.isArray(value)) return `[${value.map((item) => stringifyExact(item ?? null)).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null"
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${stringifyExact(field)}`).join(",")}}`
}
