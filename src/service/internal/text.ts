/**
 * JSON payloads of a schema: hoisted once for an endpoint, an `Exit` wherever nothing has to wait.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { describeIssue } from "../../internal/delivery/decodeProblem.ts"
import { jsonDecoder } from "../../internal/delivery/jsonDecoder.ts"
import { compileGuard } from "../../internal/delivery/jsonGuard.ts"

/** Where a value does not fit, and why. Never the value. */
export interface Problem {
  readonly path: string
  readonly problem: string
}

export type Encode = (value: unknown) => Effect.Effect<string, Problem>
export type Decode = (text: string) => Effect.Effect<unknown, Problem>

/** A schema of `void` has an empty payload, and reads any. */
export const isVoid = (schema: Schema.Constraint): boolean =>
  schema.ast._tag === "Void" && schema.ast.encoding === undefined

const describe = (error: Schema.SchemaError): Problem => describeIssue(error.issue)

const nothing = Exit.succeed("")
const noValue = Exit.void
const notJson = Exit.fail<Problem>({ path: "", problem: "it is not JSON" })

/** Whether it is done without a fiber. */
export const isExit = <A, E>(effect: Effect.Effect<A, E>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

const hasToJson = (value: unknown): boolean => typeof value === "object" && value !== null && "toJSON" in value

/** The services of the schema must be in the context that the result runs with. */
export const makeEncode = (schema: Schema.Constraint): Encode => {
  if (isVoid(schema)) return () => nothing
  const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(schema)) as (
    value: unknown
  ) => Effect.Effect<unknown, Schema.SchemaError>
  const real: Encode = (value) =>
    Effect.mapEager(Effect.mapErrorEager(encode(value), describe), (encoded) => JSON.stringify(encoded) ?? "null")
  const guard = compileGuard(schema.ast)
  if (guard === undefined) return real
  // What decodes to itself encodes to itself too, unless it says otherwise.
  return (value) => guard(value) && !hasToJson(value) ? Exit.succeed(JSON.stringify(value)) : real(value)
}

/** The services of the schema must be in the context that the result runs with. */
export const makeDecode = (schema: Schema.Constraint): Decode => {
  if (isVoid(schema)) return () => noValue
  const decode = jsonDecoder(schema) as (value: unknown) => Effect.Effect<unknown, Schema.SchemaError>
  return (text) => {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // The parser's own message quotes the payload.
      return notJson
    }
    return Effect.mapErrorEager(decode(value), describe)
  }
}
