/**
 * The forms of a payload: how a schema's value becomes one, and how it is read.
 */
import * as Effect from "effect/Effect"
import * as SchemaBinary from "effect/encoding/SchemaBinary"
import * as Schema from "effect/Schema"
import { describeSchemaError as describe, type Problem } from "./decodeProblem.ts"
import { jsonTextDecoder, jsonTextEncoder } from "./jsonText.ts"

/**
 * What a codec reads: the same payload, as bytes and as text.
 *
 * @category models
 * @since 0.2.0
 */
export interface Payload {
  readonly data: Uint8Array
  readonly text: string
}

/** `Encoded` is what schemas must encode to. What encoders and decoders throw is for the caller to catch. */
export interface Codec<in Encoded> {
  /** Holds the type only. */
  readonly "~encoded"?: ((encoded: Encoded) => void) | undefined
  readonly contentType: string
  /** Whether a payload of this media type (lower case, without parameters) is read. */
  accepts(mediaType: string): boolean
  /** Called once for a schema. */
  encoder<S extends Schema.Constraint>(
    schema: S
  ): (value: S["Type"]) => Effect.Effect<string | Uint8Array, Problem, S["EncodingServices"]>
  /** Called once for a schema. */
  decoder<S extends Schema.Constraint>(
    schema: S
  ): (payload: Payload) => Effect.Effect<S["Type"], Problem, S["DecodingServices"]>
}

/** A schema of `void` has an empty payload, and reads any. */
export const json: Codec<unknown> = {
  contentType: "application/json",
  accepts: (mediaType) => mediaType === "application/json" || mediaType.endsWith("+json"),
  encoder: jsonTextEncoder,
  decoder: (schema) => {
    const decode = jsonTextDecoder(schema)
    return (payload) => decode(payload.text)
  }
}

export const binary: Codec<unknown> = {
  contentType: "application/vnd.effect.schema-binary",
  accepts: (mediaType) => mediaType === "application/vnd.effect.schema-binary",
  encoder: (schema) => {
    const encode = Schema.encodeUnknownEffect(SchemaBinary.toCodec(schema))
    return (value) => Effect.mapErrorEager(encode(value), describe)
  },
  decoder: (schema) => {
    const decode = Schema.decodeUnknownEffect(SchemaBinary.toCodec(schema))
    return (payload) => Effect.mapErrorEager(decode(payload.data), describe)
  }
}

const asEncoded = <A extends string | Uint8Array>(
  contentType: string,
  accepts: Codec<A>["accepts"],
  read: (
    payload: Payload
  ) => A
): Codec<A> => ({
  contentType,
  accepts,
  encoder: (schema) => {
    const encode = Schema.encodeUnknownEffect(schema)
    return (value) => Effect.mapErrorEager(encode(value) as Effect.Effect<A, Schema.SchemaError, never>, describe)
  },
  decoder: (schema) => {
    const decode = Schema.decodeUnknownEffect(schema)
    return (payload) => Effect.mapErrorEager(decode(read(payload)), describe)
  }
})

export const string: Codec<string> = asEncoded(
  "text/plain; charset=utf-8",
  (mediaType) => mediaType.startsWith("text/"),
  (payload) => payload.text
)

export const raw: Codec<Uint8Array> = asEncoded("application/octet-stream", () => true, (payload) => payload.data)
