/**
 * JSON texts of a schema: an `Exit` wherever nothing has to wait, and a quick way wherever a value is its own JSON.
 */
import * as Effect from "effect/Effect"
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

const nothingThere: Problem = { path: "", problem: "it is empty" }

const textDecoders = compiledOnce((schema): TextDecode<unknown, unknown> => {
  if (isVoid(schema)) return () => Exit.void
  const decode = neverThrowing(valueDecoders(schema), describeSchemaError, identity)
  const decodeText = (text: string, mayHaveMark: boolean): Effect.Effect<unknown, Problem, unknown> => {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (thrown) {
      // Some writers of .NET and Java begin with a byte order mark.
      if (mayHaveMark && text.startsWith("\uFEFF")) return decodeText(text.slice(1), false)
      // Where a value can be absent, services of other languages send nothing for it.
      if (text.trim() === "") return Effect.mapErrorEager(decode(null), () => nothingThere)
      // The parser's own message quotes the payload.
      return Exit.fail(thrown instanceof SyntaxError ? { path: "", problem: "it is not JSON" } : describeThrown(thrown))
    }
    return decode(value)
  }
  return (text) => decodeText(text, true)
})

/**
 * The decoder of a schema for a JSON text, compiled once for each schema. It never throws, and its result is an `Exit`
 * wherever the schema decodes without waiting.
 */
export const jsonTextDecoder: <S extends Schema.Constraint>(
  schema: S
) => TextDecode<S["Type"], S["DecodingServices"]> = textDecoders as never

/** A schema of `void` has an empty payload, and reads any. */
export const isVoid = (schema: Schema.Constraint): boolean =>
  schema.ast._tag === "Void" && schema.ast.encoding === undefined

type TextEncode<A, R> = (value: A) => Effect.Effect<string, Problem, R>

const nothing = Exit.succeed("")

const hasToJson = (value: unknown): boolean => typeof value === "object" && value !== null && "toJSON" in value

/** The encoder of a schema to a JSON text, made once for each use. It never throws. */
export const jsonTextEncoder = <S extends Schema.Constraint>(
  schema: S
): TextEncode<S["Type"], S["EncodingServices"]> => {
  if (isVoid(schema)) return () => nothing
  const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(schema)) as (
    value: unknown
  ) => Effect.Effect<unknown, Schema.SchemaError, S["EncodingServices"]>
  const toText = (value: unknown) => Effect.mapEager(encode(value), (encoded) => JSON.stringify(encoded) ?? "null")
  const guard = compileGuard(schema.ast)
  return neverThrowing(
    // What decodes to itself encodes to itself too, unless it says otherwise.
    guard === undefined
      ? toText
      : (value) => guard(value) && !hasToJson(value) ? Exit.succeed(JSON.stringify(value)) : toText(value),
    describeSchemaError,
    identity
  )
}

/** Whether it is done, without a fiber. */
export const isExit = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Exit<A, E> => Exit.isExit(effect)
