/**
 * JSON payloads of a schema: hoisted once for an endpoint, an `Exit` wherever nothing has to wait.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Schema from "effect/Schema"
import { describeSchemaError as describe, neverThrowing, type Problem } from "../../internal/payload/decodeProblem.ts"
import { jsonTextDecoder } from "../../internal/payload/jsonDecoder.ts"
import { compileGuard } from "../../internal/payload/jsonGuard.ts"

export type Encode = (value: unknown) => Effect.Effect<string, Problem>
export type Decode = (text: string) => Effect.Effect<unknown, Problem>

/** A schema of `void` has an empty payload, and reads any. */
export const isVoid = (schema: Schema.Constraint): boolean =>
  schema.ast._tag === "Void" && schema.ast.encoding === undefined

const nothing = Exit.succeed("")
const noValue = Exit.void

/** Whether it is done without a fiber. */
export const isExit = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

const hasToJson = (value: unknown): boolean => typeof value === "object" && value !== null && "toJSON" in value

/** The services of the schema must be in the context that the result runs with. */
export const makeEncode = (schema: Schema.Constraint): Encode => {
  if (isVoid(schema)) return () => nothing
  const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(schema)) as (
    value: unknown
  ) => Effect.Effect<unknown, Schema.SchemaError>
  const toText = (value: unknown) => Effect.mapEager(encode(value), (encoded) => JSON.stringify(encoded) ?? "null")
  const guard = compileGuard(schema.ast)
  return neverThrowing(
    // What decodes to itself encodes to itself too, unless it says otherwise.
    guard === undefined
      ? toText
      : (value) => guard(value) && !hasToJson(value) ? Exit.succeed(JSON.stringify(value)) : toText(value),
    describe,
    identity
  )
}

/** The services of the schema must be in the context that the result runs with. */
export const makeDecode = (schema: Schema.Constraint): Decode =>
  isVoid(schema) ? () => noValue : jsonTextDecoder(schema) as Decode
