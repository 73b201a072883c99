/**
 * Readers of single values. Each gives the value, or tells what is wrong with it and gives `undefined`.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { commentProblem, hasComment, inQuotes, pathProblem, quotesProblem } from "./misplaced.ts"
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

export const readText = (
  problems: Problems,
  path: Path,
  value: unknown,
  max: number,
  multiline = false
): string | undefined => {
  if (value === undefined) return problems.add(path, "is missing")
  if (typeof value !== "string") {
    const quote = typeof value === "number" || typeof value === "boolean" ? ": write it in quotes" : ""
    return problems.add(path, `must be text, and is ${kindOf(value)}${quote}`)
  }
  if (value === "") return problems.add(path, "must not be empty")
  if (value.length > max) return problems.add(path, `must have at most ${max} characters`)
  if (!value.isWellFormed()) return problems.add(path, "must be well-formed Unicode")
  // Nobody sees it, and it would be sent. In a document it is known for what it is.
  if (!multiline && value.startsWith("\uFEFF")) {
    return problems.add(path, "begins with a byte order mark (U+FEFF), as some editors write before a text: remove it")
  }
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
  const problem = typeof value === "string" ? pathProblem(value, inline) : undefined
  return problem === undefined ? readText(problems, path, value, has.path) : problems.add(path, problem)
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

/** Of a text where no text belongs: its quotes may be those of the text, or of the JSON around it. */
const ofText = (value: unknown, is?: RegExp): string | undefined =>
  typeof value !== "string"
    ? undefined
    : inQuotes(value)
    ? quotesProblem
    : hasComment(value)
    ? commentProblem
    : is?.test(value) === true
    ? "is text in place of what it says: write it without quotes"
    : undefined

export const readBoolean = (problems: Problems, path: Path, value: unknown): boolean | undefined =>
  typeof value === "boolean"
    ? value
    : problems.add(path, ofText(value, /^(?:true|false)$/) ?? `must be true or false, and is ${kindOf(value)}`)

export const readNumber = (
  problems: Problems,
  path: Path,
  value: unknown,
  options: {
    readonly min: number
    readonly max: number
    readonly whole: boolean
    /** What to do for less than `min`. */
    readonly less?: string
  }
): number | undefined => {
  if (
    typeof value === "number" && value >= options.min && value <= options.max &&
    (!options.whole || Number.isInteger(value))
  ) {
    return value
  }
  const kind = options.whole ? "a whole number" : "a number"
  const why = typeof value !== "number"
    ? `, and is ${kindOf(value)}`
    : options.less !== undefined && value < options.min
    ? `: ${options.less}`
    : ""
  return problems.add(
    path,
    ofText(value, /^-?\d{1,16}(?:\.\d{1,16})?$/) ?? `must be ${kind} from ${options.min} to ${options.max}${why}`
  )
}

export const readLiteral = <const A extends string>(
  problems: Problems,
  path: Path,
  value: unknown,
  literals: ReadonlyArray<A>
): A | undefined =>
  literals.find((literal) => literal === value) ??
    problems.add(
      path,
      ofText(value) ?? `must be ${literals.map((literal) => JSON.stringify(literal)).join(" or ")}`
    )

/** What others write for a time or a number without end. */
export const isEndless = (value: unknown): boolean =>
  typeof value === "number"
    ? value < 0 || value === Number.POSITIVE_INFINITY
    : typeof value === "string" &&
      /^\s*(?:-\s?\d.*|\+?infinit[ey]|inf|forever|endless|unlimited|never|none)\s*$/i.test(value.slice(0, 64))

/** The longest time that a timer of Node takes; a longer one fires at once. */
export const longestMillis = 2_147_483_647

/**
 * Any `Duration.Input`, or digits alone for milliseconds. More than zero and finite. Whole milliseconds, rounded. `others`
 * says what else would be right there, and `endless` what to do for no end.
 */
export const readDuration = (
  problems: Problems,
  path: Path,
  value: unknown,
  { endless = "there is no time without end", others = "" }: {
    readonly others?: string
    readonly endless?: string
  } = {}
): Duration.Duration | undefined => {
  const digits = typeof value === "string" && /^\d{1,16}$/.test(value)
  const tooLong = typeof value === "string" && value.length > 64
  const duration = tooLong ? undefined : parseDuration(digits ? Number(value) : value)
  const why = isEndless(value) ? `: ${endless}` : ""
  if (duration === undefined) {
    const problem = `must be a duration, such as "5 seconds" or a number of milliseconds${others}${why}`
    return problems.add(path, ofText(value) ?? problem)
  }
  const millis = Duration.toMillis(duration)
  if (!(millis > 0)) return problems.add(path, `must be more than zero${why}`)
  if (millis > longestMillis) return problems.add(path, `must be at most 24 days${why}`)
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
