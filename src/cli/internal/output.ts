/**
 * How anything is shown: lines for people on a terminal or in a file, JSON for programs. Nothing else of this room writes,
 * but for the progress of `server/`.
 *
 * What a command found goes to stdout, and what it says of itself to stderr.
 */
import * as Effect from "effect/Effect"
import { printable } from "../../internal/protocol/printable.ts"
import { secretFinder } from "../../internal/protocol/secretFinder.ts"
import { withheld } from "../../internal/wire/secretFilter.ts"

export type Style = "good" | "bad" | "faint" | "strong" | "warn"

const codes: Readonly<Record<Style, string>> = { good: "32", bad: "31", faint: "2", strong: "1", warn: "33" }

/** Colours only where a person looks: on a terminal, and not against the conventions that turn them off or on. */
const hasColours = (stream: NodeJS.WriteStream): boolean => {
  const { FORCE_COLOR, NO_COLOR, TERM } = process.env
  if (NO_COLOR !== undefined && NO_COLOR !== "") return false
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== "0"
  return stream.isTTY === true && TERM !== "dumb"
}

export const styled = (style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string =>
  hasColours(stream) ? `\u001b[${codes[style]}m${text}\u001b[0m` : text

/** Of a text that is not known to be short. */
const longestText = 4096

let secrets: ReadonlyArray<string> = []

let find: (text: string) => boolean = () => false

/** From here on nothing is shown that repeats one of these, whoever says it. */
export const guard = (more: ReadonlyArray<string>): void => {
  secrets = [...new Set([...secrets, ...more])]
  find = secretFinder(secrets)
}

/** Whether a text has too much of a guarded secret in it to be shown. */
export const repeatsSecret = (text: string): boolean => find(text)

/** A text from outside in one line, without what moves a cursor, and without a secret of this client. */
export const shown = (text: string, max: number = longestText): string => {
  if (repeatsSecret(text.slice(0, max))) return withheld
  const told = printable(text, max)
  return told !== text && repeatsSecret(told) ? withheld : told
}

/** Texts in which only words of this package can be a part of a secret. */
const ownWords = new Set<string>()

/** A text that is this package's own, such as the name of an option: JSON has it whatever a secret has in common with it. */
export const own = (text: string): string => {
  ownWords.add(text)
  return text
}

/** Fields of failures whose texts are words of this package. */
const ownFields: ReadonlySet<string> = new Set(["_tag", "method", "stage"])

const deepestField = 8

const isWithheld = (u: unknown, depth = deepestField): boolean => {
  if (typeof u === "string") return shown(u) === withheld
  if (typeof u !== "object" || u === null) return false
  if (depth === 0 || (Object.hasOwn(u, "message") && "message" in u && isWithheld(u.message))) return true
  return Object.entries(u).some(([name, field]) => !ownFields.has(name) && isWithheld(field, depth - 1))
}

/**
 * The message of a failure. A password such as `johnpassword` has a part in common with the words of a message, which is
 * no reason to withhold these: what others have said is in the fields of the failure, and is looked for there.
 */
export const messageOf = (failure: { readonly _tag: string; readonly message: string }): string => {
  if (isWithheld(failure)) return shown(failure.message)
  const text = printable(failure.message, longestText)
  ownWords.add(text).add(`${failure._tag}: ${text}`)
  return text
}

const write = (stream: NodeJS.WriteStream, text: string | Uint8Array): Effect.Effect<void> =>
  Effect.callback((resume) => {
    // Waits for a reader that is slower, and for no one who has gone.
    if (stream.write(text)) return resume(Effect.void)
    const done = (): void => resume(Effect.void)
    stream.once("drain", done).once("close", done)
    return Effect.sync(() => {
      stream.off("drain", done).off("close", done)
    })
  })

/** A line of what was found. */
export const line = (text = ""): Effect.Effect<void> => write(process.stdout, `${text}\n`)

/** Bytes of what was found, as they are. */
export const raw = (text: string | Uint8Array): Effect.Effect<void> => write(process.stdout, text)

/** Waits until the reader of stdout, or the system in its place, has all that was written. */
export const flushed: Effect.Effect<void> = Effect.callback((resume) => {
  process.stdout.write("", () => resume(Effect.void))
})

/** A line of what a command says of itself. */
export const aside = (text: string): Effect.Effect<void> => write(process.stderr, `${text}\n`)

// JSON lets stand what a terminal may act on. Within it, these are in strings only.
const unsafe = /[\u007f-\u009f\u2028\u2029\p{Bidi_Control}]/gu

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** A text that is JSON, in which nothing moves a cursor. It has the same value. */
export const safeJson = (text: string): string => text.replace(unsafe, escaped)

/** A value for programs: one document, or with `compact` one line of many. */
export const json = (value: unknown, compact = false): Effect.Effect<void> =>
  line(safeJson(JSON.stringify(guarded(value), undefined, compact ? undefined : 2)))

const guardedText = (text: string): string => repeatsSecret(text) && !ownWords.has(text) ? withheld : text

const guarded = (value: unknown): unknown => {
  if (typeof value === "string") return guardedText(value)
  if (Array.isArray(value)) return value.map(guarded)
  if (typeof value !== "object" || value === null) return value
  const json: unknown = "toJSON" in value && typeof value.toJSON === "function" ? value.toJSON() : value
  return json !== value
    ? guarded(json)
    : Object.fromEntries(Object.entries(value).map(([key, field]) => [guardedText(key), guarded(field)]))
}

/** Rows in columns, each as wide as its widest cell; the last one is not filled up. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>, indent = ""): ReadonlyArray<string> => {
  const widths: Array<number> = []
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length)
  }
  return rows.map((row) =>
    (indent + row.map((cell, index) => index === row.length - 1 ? cell : cell.padEnd(widths[index])).join("  "))
      .trimEnd()
  )
}
