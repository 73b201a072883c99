/**
 * The ranges of numbers in options. That of `concurrency` is a typed failure; another one that is out of range is a mistake in
 * the program: a defect.
 */
import { kindOf } from "../protocol/kindOf.ts"
import { quoted } from "../protocol/shown.ts"

/** A value of any type as a sentence has it: symbols and objects do not become text by themselves. */
const said = (value: unknown): string => typeof value === "number" ? String(value) : kindOf(value)

/** Throws unless the value is at least 1. `Infinity` is. */
export const atLeastOne = (option: string, value: number): void => {
  if (!(typeof value === "number" && value >= 1)) {
    throw new RangeError(`\`${option}\` is ${said(value)}: it must be at least 1`)
  }
}

/** The server reads numbers of up to nine digits. */
const most = 999_999_999

/** Throws unless the value is a whole number that a server can read. */
export const wholeNumber = (option: string, value: number): void => {
  if (!(Number.isInteger(value) && value >= 1 && value <= most)) {
    throw new RangeError(`\`${option}\` is ${said(value)}: it must be a whole number from 1 to ${most}`)
  }
}

/** Throws unless the value is a whole number from `least` on that a number holds exactly: a sequence, a revision, a count. */
export const sequenceFrom = (least: 0 | 1, option: string, value: number): void => {
  if (!(Number.isSafeInteger(value) && value >= least)) {
    throw new RangeError(`\`${option}\` is ${said(value)}: it must be a whole number from ${least} on`)
  }
}

/** Throws unless the value is one of these words. */
export const oneOf = (option: string, words: ReadonlyArray<string>, value: string): void => {
  if (!words.includes(value)) {
    const all = words.map((word) => JSON.stringify(word)).join(", ")
    throw new RangeError(
      `\`${option}\` is ${typeof value === "string" ? quoted(value) : said(value)}: it must be one of ${all}`
    )
  }
}

/** Why a `concurrency` is none, for all that take one. */
export const concurrencyProblem = (concurrency: number | "unbounded"): string | undefined =>
  concurrency === "unbounded" || (Number.isInteger(concurrency) && concurrency > 0)
    ? undefined
    : "it must be a whole number above 0, or \"unbounded\""
