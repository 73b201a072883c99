/**
 * A schema over a decoder that collects problems. Its issues hold a path and words, never a value, so that no formatter
 * can show one.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import { type Path, type Problem, Problems } from "./problems.ts"

/** Reads a value, or tells problems and gives `undefined`. */
export type Decoder<A> = (problems: Problems, path: Path, input: unknown) => A | undefined

/** Runs a decoder. An input whose properties throw is told as such, without what they threw. */
export const decodePlain = <A>(input: unknown, decoder: Decoder<A>): Result.Result<A, ReadonlyArray<Problem>> => {
  const problems = new Problems()
  let value: A | undefined
  try {
    value = decoder(problems, [], input)
  } catch {
    problems.add([], "could not be read: a property of it threw")
  }
  return value !== undefined && problems.none ? Result.succeed(value) : Result.fail(problems.all)
}

/** The issue of a schema for these problems. */
export const toIssue = (problems: ReadonlyArray<Problem>): SchemaIssue.Issue => {
  const issues = problems.map(({ path, problem }): SchemaIssue.Issue => {
    const issue = new SchemaIssue.InvalidValue({ message: problem })
    return path.length === 0 ? issue : new SchemaIssue.Pointer(path, issue)
  })
  const [first, ...rest] = issues
  return rest.length === 0 ? first : new SchemaIssue.Composite(Schema.Unknown.ast, [first, ...rest])
}

/** A value that no input is, so that everything passes. */
const nothing: unique symbol = Symbol()

const anything = <E>() => Schema.declare<E>((u: unknown): u is E => u !== nothing, { toCodecJson: () => undefined })

/**
 * How generated values of a schema are made: from values of `recipe`, which is a schema that Effect can generate. It is
 * made when it is asked for: most programs generate nothing.
 */
export type Generated = () => SchemaAST.Link

export const madeFrom = <Recipe extends Schema.Constraint, A>(
  recipe: () => Recipe,
  make: (recipe: Recipe["Type"]) => A
): Generated =>
() => Schema.link<A>()(recipe(), { decode: SchemaGetter.transform(make), encode: SchemaGetter.forbiddenEncoding })

/** The schema of a type. A value is of that type when it decodes to itself. */
export const codec = <A, E>(
  identifier: string,
  decoder: Decoder<A>,
  encode: (value: A) => E,
  generated: Generated
): Schema.Codec<A, E> => {
  const is = (u: unknown): u is A => {
    const decoded = decodePlain(u, decoder)
    return Result.isSuccess(decoded) && Equal.equals(decoded.success, u)
  }
  const decoded = Schema.declare(is, {
    identifier,
    expected: `a ${identifier} value`,
    toCodecArbitrary: generated
  })
  return anything<E>().pipe(
    Schema.decodeTo(decoded, {
      decode: SchemaGetter.transformEffect((input: E) => {
        const result = decodePlain(input, decoder)
        return Result.isSuccess(result) ? Effect.succeed(result.success) : Effect.fail(toIssue(result.failure))
      }),
      encode: SchemaGetter.transform(encode)
    })
  )
}
