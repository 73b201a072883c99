/**
 * How anything is shown: lines for people on a terminal or in a file, JSON for programs. Nothing else of this room writes.
 *
 * What a command found goes to stdout, and what it says of itself to stderr.
 */
import * as Effect from "effect/Effect"
import { printable } from "../../internal/protocol/printable.ts"

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

/** A text from outside in one line, without what moves a cursor. */
export const shown = (text: string, max: number = longestText): string => printable(text, max)

const write = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void> =>
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
export const raw = (text: string): Effect.Effect<void> => write(process.stdout, text)

/** A line of what a command says of itself. */
export const aside = (text: string): Effect.Effect<void> => write(process.stderr, `${text}\n`)

// JSON lets stand what a terminal may act on. Within it, these are in strings only.
const unsafe = /[\u007f-\u009f\u2028\u2029\p{Bidi_Control}]/gu

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** A value for programs: one document, or with `compact` one line of many. */
export const json = (value: unknown, compact = false): Effect.Effect<void> =>
  line(JSON.stringify(value, undefined, compact ? undefined : 2).replace(unsafe, escaped))

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
