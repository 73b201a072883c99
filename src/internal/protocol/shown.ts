/**
 * What messages, logs, spans and JSON show of names and texts that came from outside. Fields of errors and messages keep
 * them as they are, for code to match on.
 */
import { type ErrorClass, withoutFrames } from "./frames.ts"
import { printable } from "./printable.ts"

/** Of a subject, a queue group, a header's name: NATS advises subjects below this length. */
const longestName = 256

const longestProblem = 512

/** Of a text in the JSON of an error. */
const longestText = 1024

export const shownName = (name: string): string => printable(name, longestName)

/** What is wrong with something, which may be the words of a schema or a codec. */
export const shownProblem = (problem: string): string => printable(problem, longestProblem)

/** Between quotes of its own. */
export const quoted = (text: string, max: number = longestName): string =>
  `"${printable(text.slice(0, max + 1).replaceAll("\"", "\\\""), max)}"`

/** Names in a row, of which there may be many. */
export const shownList = (names: ReadonlyArray<string>, separator = ", "): string =>
  printable(names.join(separator), longestText)

const shownValue = (value: unknown): unknown => {
  if (typeof value === "string") return printable(value, longestText)
  if (Array.isArray(value)) return value.map(shownValue)
  // What is of a class has a JSON of its own.
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Object.fromEntries(Object.entries(value).map(([key, field]) => [key, shownValue(field)]))
    : value
}

/**
 * Makes the errors of a class show their sentence, and their texts like that, in `JSON.stringify`, in what is printed of
 * them, and in logs that do so. Codecs do not go that way: what they encode is what was there.
 */
export const showingFields = <C extends { readonly prototype: object }>(base: C): C => {
  const { toJSON } = base.prototype as { toJSON(this: unknown): object }
  Object.defineProperty(base.prototype, "toJSON", {
    value(this: { readonly message: unknown }): unknown {
      const { _tag, ...fields } = { ...toJSON.call(this) } as Record<string, unknown>
      return { _tag, message: this.message, ...shownValue(fields) as object }
    },
    configurable: true,
    writable: true
  })
  return base
}

type Maker = (identifier?: string) => (...given: ReadonlyArray<never>) => ErrorClass

/** The same for all classes that a maker of them, as `Schema.TaggedError` is, makes, and `withoutFrames`. */
export const allShowingFields = <Make>(make: Make): Make =>
  ((identifier?: string) => {
    const of = (make as Maker)(identifier)
    return (...given: ReadonlyArray<never>) => showingFields(withoutFrames(of(...given)))
  }) as Make
