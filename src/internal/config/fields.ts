/**
 * Readers of single values. Each gives the value, or tells what is wrong with it and gives `undefined`.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { kindOf, type Path, type Problems } from "./problems.ts"

export const has = {
  /** A name or a password: more is a mistake. */
  short: 1024,
  /** A token, a JWT. */
  token: 65_536,
  /** A PEM or a creds text. */
  document: 1_048_576,
  path: 4096
} as const

// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f]/
// oxlint-disable-next-line no-control-regex
const documentControl = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/

/** Whether a text begins and ends with the same quote. */
export const inQuotes = (text: string): boolean => {
  const trimmed = text.trim()
  return trimmed.length > 1 && /^["']/.test(trimmed) && trimmed.endsWith(trimmed[0])
}

/** Docker's env files, for one, keep them. */
export const quotesProblem = "stands in quotes, which count as a part of it, as some env files keep them: remove them"

export const readText = (
  problems: Problems,
  path: Path,
  value: unknown,
  max: number,
  multiline = false
): string | undefined => {
  if (value === undefined) return problems.add(path, "is missing")
  if (typeof value !== "string") return problems.add(path, `must be text, and is ${kindOf(value)}`)
  if (value === "") return problems.add(path, "must not be empty")
  if (value.length > max) return problems.add(path, `must have at most ${max} characters`)
  if (!value.isWellFormed()) return problems.add(path, "must be well-formed Unicode")
  if (multiline ? documentControl.test(value) : control.test(value)) {
    return problems.add(
      path,
      /^[^\r\n]+[\r\n]+$/.test(value)
        ? "ends with a line break: remove it"
        : "must not have control characters, line breaks among them"
    )
  }
  return value
}

/** A path. A text that is the content of a file is told apart, so that it is never shown as a path. */
export const readPath = (problems: Problems, path: Path, value: unknown, inline: string): string | undefined => {
  if (typeof value === "string" && value.includes("-----BEGIN")) {
    return problems.add(path, `must be a path, and is the content of a file: give that as ${inline}`)
  }
  return readText(problems, path, value, has.path)
}

/** A secret: text, or text that is redacted already. */
export const readSecret = (
  problems: Problems,
  path: Path,
  value: unknown,
  max: number,
  multiline = false
): string | undefined =>
  readText(problems, path, Redacted.isRedacted(value) ? Redacted.value(value) : value, max, multiline)

export const readBoolean = (problems: Problems, path: Path, value: unknown): boolean | undefined =>
  typeof value === "boolean" ? value : problems.add(path, `must be true or false, and is ${kindOf(value)}`)

export const readNumber = (
  problems: Problems,
  path: Path,
  value: unknown,
  options: { readonly min: number; readonly max: number; readonly whole: boolean }
): number | undefined => {
  if (
    typeof value === "number" && value >= options.min && value <= options.max &&
    (!options.whole || Number.isInteger(value))
  ) {
    return value
  }
  const kind = options.whole ? "a whole number" : "a number"
  return problems.add(
    path,
    `must be ${kind} from ${options.min} to ${options.max}${
      typeof value === "number" ? "" : `, and is ${kindOf(value)}`
    }`
  )
}

export const readLiteral = <const A extends string>(
  problems: Problems,
  path: Path,
  value: unknown,
  literals: ReadonlyArray<A>
): A | undefined =>
  literals.find((literal) => literal === value) ??
    problems.add(path, `must be ${literals.map((literal) => JSON.stringify(literal)).join(" or ")}`)

/** The longest time that a timer of Node takes; a longer one fires at once. */
export const longestMillis = 2_147_483_647

/**
 * Any `Duration.Input`, or digits alone for milliseconds. More than zero and finite. Whole milliseconds, rounded. `others`
 * says what else would be right there.
 */
export const readDuration = (
  problems: Problems,
  path: Path,
  value: unknown,
  others = ""
): Duration.Duration | undefined => {
  const digits = typeof value === "string" && /^\d{1,16}$/.test(value)
  const tooLong = typeof value === "string" && value.length > 64
  const duration = tooLong ? undefined : parseDuration(digits ? Number(value) : value)
  if (duration === undefined) {
    return problems.add(path, `must be a duration, such as "5 seconds" or a number of milliseconds${others}`)
  }
  const millis = Duration.toMillis(duration)
  if (!(millis > 0)) return problems.add(path, "must be more than zero")
  if (millis > longestMillis) return problems.add(path, "must be at most 24 days")
  return Duration.millis(Math.max(1, Math.round(millis)))
}

const parseDuration = (value: unknown): Duration.Duration | undefined => {
  switch (typeof value) {
    case "number":
      return Number.isNaN(value) ? undefined : Duration.millis(value)
    case "string":
    case "bigint":
    case "object": {
      if (value === null || Redacted.isRedacted(value)) return undefined
      const parsed = Duration.fromInput(value as Duration.Input)
      return parsed._tag === "Some" && Duration.isDuration(parsed.value) ? parsed.value : undefined
    }
    default:
      return undefined
  }
}
