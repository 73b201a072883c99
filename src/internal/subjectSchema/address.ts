import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { InvalidSubject } from "../../NatsError.ts"
import type { Template } from "../../Subject.ts"

export type Values = Readonly<Record<string, string>>

/** Where messages go and come from: one subject, or those of a template. */
export interface Address {
  /** As it was written. */
  readonly name: string
  subject(values: Values): Effect.Effect<string, InvalidSubject>
  pattern(values: Partial<Values>): Effect.Effect<string, InvalidSubject>
  parse(subject: string): Option.Option<Values>
}

const noValues: Option.Option<Values> = Option.some(Object.freeze({}))

export const ofSubject = (subject: string): Address => ({
  name: subject,
  // The client checks it.
  subject: () => Effect.succeed(subject),
  pattern: () => Effect.succeed(subject),
  parse: () => noValues
})

export const ofTemplate = (template: Template): Address => ({
  name: template.template,
  subject: (values) => template.build(values),
  pattern: (values) => template.patternFor(values),
  parse: (subject) => template.parse(subject)
})
