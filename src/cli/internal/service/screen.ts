/**
 * A terminal that is drawn anew, and left as it was.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { raw } from "../output.ts"

const enter = "\u001b[?1049h\u001b[?25l"

const leave = "\u001b[?25h\u001b[?1049l"

const home = "\u001b[H"

const clearLine = "\u001b[K"

const clearBelow = "\u001b[J"

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** Whether a person looks, on what can be drawn anew. */
export const isTerminal = (): boolean => process.stdout.isTTY === true && process.env["TERM"] !== "dumb"

/** A terminal that does not know its size says 0. */
export const sizeOf = (): Size => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 })

/** A screen of its own, for as long as the scope is open: what was on the terminal before is there again afterwards. */
export const alternateScreen: Effect.Effect<void, never, Scope.Scope> = Effect.acquireRelease(
  raw(enter),
  () => raw(leave)
)

/** Draws over what was there, without a moment of nothing. */
export const draw = (lines: ReadonlyArray<string>, { rows }: Size): Effect.Effect<void> => {
  const text = lines.slice(0, rows).map((line) => line + clearLine).join("\r\n")
  return raw(`${home}${text}${clearBelow}`)
}
