/**
 * Templates of subjects.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { InvalidSubject } from "../../NatsError.ts"
import type { Subject, SubjectPattern, Template } from "../../Subject.ts"
import { thrownBy } from "../protocol/frames.ts"
import { invalidSubject } from "./invalid.ts"
import { patternProblem, subjectProblem } from "./rules.ts"
import { escapeToken, isProblem, parseTemplate, type TemplateToken, unescapeToken } from "./tokens.ts"

export const TemplateTypeId = "~effect-nats/Subject/Template"

export const make = (template: string): Result.Result<Template, InvalidSubject> => {
  const tokens = parseTemplate(template)
  return isProblem(tokens)
    ? Result.fail(invalidSubject("template", template, tokens))
    : Result.succeed(new TemplateOf(template, tokens))
}

type Values = Readonly<Record<string, string>>

class TemplateOf implements Template {
  readonly [TemplateTypeId]: typeof TemplateTypeId = TemplateTypeId
  readonly template: string
  readonly pattern: SubjectPattern
  readonly parameters: ReadonlyArray<string>
  private readonly tokens: ReadonlyArray<TemplateToken>

  constructor(template: string, tokens: ReadonlyArray<TemplateToken>) {
    this.template = template
    this.tokens = tokens
    this.pattern = tokens.map((token) => typeof token === "string" ? token : "*").join(".") as SubjectPattern
    this.parameters = tokens.flatMap((token) => typeof token === "string" ? [] : [token.name])
  }

  build(values: Values): Effect.Effect<Subject, InvalidSubject> {
    const built = this.built(values)
    return typeof built === "string" ? Effect.succeed(built) : Effect.fail(built)
  }

  buildUnsafe(values: Values): Subject {
    const built = this.built(values)
    if (typeof built === "string") return built
    throw thrownBy(this.buildUnsafe, built)
  }

  patternFor(values: Partial<Values>): Effect.Effect<SubjectPattern, InvalidSubject> {
    const pattern = this.fill(values, "*")
    if (typeof pattern !== "string") return Effect.fail(pattern)
    const problem = patternProblem(pattern)
    return problem === undefined
      ? Effect.succeed(pattern as SubjectPattern)
      : Effect.fail(invalidSubject("pattern", pattern, problem))
  }

  private built(values: Values): Subject | InvalidSubject {
    const subject = this.fill(values, undefined)
    if (typeof subject !== "string") return subject
    const problem = subjectProblem(subject)
    return problem === undefined ? (subject as Subject) : invalidSubject("subject", subject, problem)
  }

  private fill(values: Partial<Values>, missing: string | undefined): string | InvalidSubject {
    let subject = ""
    for (let i = 0; i < this.tokens.length; i++) {
      const token = this.tokens[i]
      if (i > 0) subject += "."
      if (typeof token === "string") {
        subject += token
        continue
      }
      const value: unknown = Object.hasOwn(values, token.name) ? values[token.name] : undefined
      if (typeof value === "string") subject += escapeToken(value, i === 0)
      else if (value === undefined && missing !== undefined) subject += missing
      else {return invalidSubject("template", this.template, {
          token: i + 1,
          problem: `the value of "${token.name}" is no text`
        })}
    }
    return subject
  }

  match(subject: string): boolean {
    return Option.isSome(this.parse(subject))
  }

  parse(subject: string): Option.Option<Values> {
    if (subjectProblem(subject) !== undefined) return Option.none()
    const given = subject.split(".")
    if (given.length !== this.tokens.length) return Option.none()
    const values: Record<string, string> = {}
    for (let i = 0; i < given.length; i++) {
      const token = this.tokens[i]
      if (typeof token === "string") {
        if (token !== given[i]) return Option.none()
        continue
      }
      const value = unescapeToken(given[i])
      if (value === undefined) return Option.none()
      values[token.name] = value
    }
    return Option.some(values)
  }

  toJSON(): unknown {
    return { _id: "SubjectTemplate", template: this.template }
  }
}
