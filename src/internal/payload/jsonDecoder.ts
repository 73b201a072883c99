import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Schema from "effect/Schema"
import { describeSchemaError, describeThrown, neverThrowing, type Problem } from "./decodeProblem.ts"
import { compileGuard } from "./jsonGuard.ts"

type Decode<A, R> = (value: unknown) => Effect.Effect<A, Schema.SchemaError, R>

/** Once for each schema: compiling costs more than a decode. */
const compiledOnce = <D>(compile: (schema: Schema.Constraint) => D): (schema: Schema.Constraint) => D => {
  const compiled = new WeakMap<Schema.Constraint, D>()
  return (schema) => {
    let decode = compiled.get(schema)
    if (decode === undefined) {
      decode = compile(schema)
      compiled.set(schema, decode)
    }
    return decode
  }
}

const valueDecoders = compiledOnce((schema): Decode<unknown, unknown> => {
  const decode = Schema.decodeUnknownEffect(Schema.toCodecJson(schema)) as Decode<unknown, unknown>
  const guard = compileGuard(schema.ast)
  return guard === undefined ? decode : (value) => guard(value) ? Exit.succeed(value) : decode(value)
})

/**
 * The decoder of a schema for what `JSON.parse` returned. It may give that very value back. Its result is an `Exit`
 * wherever the schema decodes without waiting. It throws where the value is too deep for it.
 */
export const jsonDecoder: <S extends Schema.Constraint>(schema: S) => Decode<S["Type"], S["DecodingServices"]> =
  valueDecoders as never

type TextDecode<A, R> = (text: string) => Effect.Effect<A, Problem, R>

const textDecoders = compiledOnce((schema): TextDecode<unknown, unknown> => {
  const decode = neverThrowing(valueDecoders(schema), describeSchemaError, identity)
  return (text) => {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (thrown) {
      // The parser's own message quotes the payload.
      return Exit.fail(thrown instanceof SyntaxError ? { path: "", problem: "it is not JSON" } : describeThrown(thrown))
    }
    return decode(value)
  }
})

/**
 * The decoder of a schema for a JSON text. It never throws, and its result is an `Exit` wherever the schema decodes without
 * waiting.
 */
export const jsonTextDecoder: <S extends Schema.Constraint>(
  schema: S
) => TextDecode<S["Type"], S["DecodingServices"]> = textDecoders as never
