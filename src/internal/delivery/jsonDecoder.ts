import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { compileGuard } from "./jsonGuard.ts"

type Decode<A, R> = (value: unknown) => Effect.Effect<A, Schema.SchemaError, R>

const decoders = new WeakMap<Schema.Constraint, Decode<unknown, unknown>>()

/**
 * The decoder of a schema for what `JSON.parse` returned, compiled once for each schema: compiling costs more than a
 * decode. It may give that very value back. Its result is an `Exit` wherever the schema decodes without waiting.
 */
export const jsonDecoder = <S extends Schema.Constraint>(schema: S): Decode<S["Type"], S["DecodingServices"]> => {
  let decode = decoders.get(schema)
  if (decode === undefined) {
    decode = makeDecoder(schema)
    decoders.set(schema, decode)
  }
  return decode as Decode<S["Type"], S["DecodingServices"]>
}

const makeDecoder = (schema: Schema.Constraint): Decode<unknown, unknown> => {
  const decode = Schema.decodeUnknownEffect(Schema.toCodecJson(schema)) as Decode<unknown, unknown>
  const guard = compileGuard(schema.ast)
  return guard === undefined ? decode : (value) => guard(value) ? Exit.succeed(value) : decode(value)
}
