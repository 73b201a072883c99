/**
 * The errors of names that cannot go over the wire. What they show of a name is bounded.
 */
import * as Result from "effect/Result"
import { InvalidHeader, InvalidSubject } from "../../NatsError.ts"
import { thrownBy } from "../protocol/frames.ts"
import type { HeaderProblem } from "../protocol/headers.ts"
import type { SubjectProblem } from "./rules.ts"

const shown = 128

export const invalidSubject = (
  what: InvalidSubject["what"],
  subject: string,
  { problem, token }: SubjectProblem
): InvalidSubject =>
  // Without types, anything can come here.
  new InvalidSubject({
    what,
    subject: String(subject).slice(0, shown),
    problem,
    ...(token === undefined ? {} : { token })
  })

export const invalidHeader = ({ header, problem }: HeaderProblem): InvalidHeader =>
  new InvalidHeader({ header: typeof header === "string" ? header.slice(0, shown) : "", problem })

/** What was made, or throws why not at who called `called`. */
export const orThrow = <A>(
  called: (...given: ReadonlyArray<never>) => unknown,
  made: Result.Result<A, InvalidSubject>
): A => Result.getOrThrowWith(made, (error) => thrownBy(called, error))
