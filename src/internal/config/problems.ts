/**
 * What is wrong with an input, each problem at its path. Nothing here holds or shows a value of the input: a value may be
 * a secret in the wrong place.
 */
import { formatPath } from "../payload/formatPath.ts"

export type Path = ReadonlyArray<string | number>

export interface Problem {
  readonly path: Path
  /** Words that follow the path and a colon. */
  readonly problem: string
}

/** More problems than this are counted and not listed, so that a hostile input gives a finite message. */
const listed = 40

export class Problems {
  readonly list: Array<Problem> = []
  /** Problems that were found and not listed. */
  more = 0

  /** Gives `undefined`, so that a reader can end with it. */
  add(path: Path, problem: string): undefined {
    if (this.list.length < listed) {
      this.list.push({ path, problem })
    } else {
      this.more++
    }
    return undefined
  }

  get count(): number {
    return this.list.length + this.more
  }

  get none(): boolean {
    return this.count === 0
  }

  /** The problems as errors show them: a last one tells how many are not listed. */
  get all(): ReadonlyArray<Problem> {
    return this.more === 0 ? this.list : [...this.list, { path: [], problem: `has ${this.more} more problems` }]
  }
}

/** The problems as an error shows them. */
export const shown = (
  problems: ReadonlyArray<Problem>
): ReadonlyArray<{ readonly path: string; readonly problem: string }> =>
  problems.map(({ path, problem }) => ({ path: formatPath(path), problem }))

/** What kind of value stands where another was expected, without showing it. */
export const kindOf = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "an array"
  switch (typeof value) {
    case "string":
      return "text"
    case "object":
      return "an object"
    case "undefined":
      return "nothing"
    default:
      return `a ${typeof value}`
  }
}
