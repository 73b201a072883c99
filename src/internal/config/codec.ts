/**
 * A schema over a decoder that collects problems. Its issues hold a path and words, never a value, so that no formatter
 * can show one.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
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

export const codec = <A, E>(
  decoded: Schema.declare<A>,
  decoder: Decoder<A>,
  encode: (value: A) => E
): Schema.Codec<A, E> =>
  anything<E>().pipe(
    Schema.decodeTo(decoded, {
      decode: SchemaGetter.transformEffect((input: E) => {
        const result = decodePlain(input, decoder)
        return Result.isSuccess(result) ? Effect.succeed(result.success) : Effect.fail(toIssue(result.failure))
      }),
      encode: SchemaGetter.transform(encode)
    })
  )
