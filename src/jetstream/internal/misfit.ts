/** Thrown while a definition is written for the wire, and caught where that begins: see `definition.ts`. */
import type { InvalidSubject } from "../../NatsError.ts"

export class Misfit extends Error {
  /** Where it stands in the definition: `sources[0].filter`. */
  readonly field: string
  readonly problem: string
  /** Where it is a subject that is none. */
  readonly subject: InvalidSubject | undefined

  constructor(field: string, problem: string, subject?: InvalidSubject) {
    super(problem)
    this.field = field
    this.problem = problem
    this.subject = subject
  }
}

/** Refuses a value of a definition. */
export const misfit = (field: string, problem: string): never => {
  throw new Misfit(field, problem)
}
