/**
 * The names of streams, consumers and stores: what a server can take. A name is a token of the subjects that a server is
 * asked on, so another one would reach nobody.
 */
import { kindOf } from "../../internal/protocol/kindOf.ts"
import { InvalidName } from "../JetStreamError.ts"

export type Named = InvalidName["what"]

/** Names of files are made of them: the server's own limit (`JSMaxNameLen`). */
const longest = 255

/** What may not be in a name, and how it is called. */
const unfit: ReadonlyArray<readonly [RegExp, string]> = [
  [/[ \t\r\n\f]/, "white space"],
  [/\./, "\".\""],
  [/\*/, "\"*\""],
  [/>/, "\">\""],
  [/[/\\]/, "a slash"],
  // eslint-disable-next-line no-control-regex
  [/[\u0000-\u001f\u007f]/, "a control character"]
]

/** Why a name is none. */
export const nameProblem = (name: unknown): string | undefined => {
  if (typeof name !== "string") return "it is no text"
  if (name === "") return "it is empty"
  if (!name.isWellFormed()) return "it has half of a surrogate pair in it"
  if (name.length > longest) return `it is longer than ${longest} characters`
  const found = unfit.find(([pattern]) => pattern.test(name))
  return found === undefined ? undefined : `it has ${found[1]} in it`
}

/** A name as an error has it, whatever came in its place. */
export const namedAs = (name: unknown, most: number = longest): string =>
  typeof name === "string" ? name.slice(0, most) : kindOf(name)

/** What is wrong with a name that is to be a token of a subject. */
export const invalidName = (what: Named, name: string): InvalidName | undefined => {
  const problem = nameProblem(name)
  return problem === undefined ? undefined : new InvalidName({ what, name: namedAs(name), problem })
}
