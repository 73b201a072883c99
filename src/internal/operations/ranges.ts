/**
 * The ranges of numbers in options. That of `concurrency` is a typed failure; another one that is out of range is a mistake in
 * the program: a defect.
 */

/** Throws unless the value is at least 1. `Infinity` is. */
export const atLeastOne = (option: string, value: number): void => {
  if (!(value >= 1)) throw new RangeError(`\`${option}\` is ${value}: it must be at least 1`)
}

/** The server reads numbers of up to nine digits. */
const most = 999_999_999

/** Throws unless the value is a whole number that a server can read. */
export const wholeNumber = (option: string, value: number): void => {
  if (!(Number.isInteger(value) && value >= 1 && value <= most)) {
    throw new RangeError(`\`${option}\` is ${value}: it must be a whole number from 1 to ${most}`)
  }
}

/** Why a `concurrency` is none, for all that take one. */
export const concurrencyProblem = (concurrency: number | "unbounded"): string | undefined =>
  concurrency === "unbounded" || (Number.isInteger(concurrency) && concurrency > 0)
    ? undefined
    : "it must be a whole number above 0, or \"unbounded\""
