/**
 * How values stand in a bucket.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { type Codec, json, type Payload } from "../../internal/payload/codec.ts"
import { neverThrowing, type Problem } from "../../internal/payload/decodeProblem.ts"
import { shownName, shownProblem } from "../../internal/protocol/shown.ts"
import { MessageDecodeError, MessageEncodeError } from "../../NatsError.ts"

/** `subject` is the one to name in errors. What is done without waiting is an `Exit`. */
export interface Format<out A, in I, out DecodeError, out EncodeError, out RD, out RE> {
  encode(subject: string, value: I): Effect.Effect<string | Uint8Array, EncodeError, RE>
  decode(subject: string, data: Uint8Array): Effect.Effect<A, DecodeError, RD>
  /** The same where nothing can fail, so that an array of values costs no Effect for each. */
  readonly read?: ((data: Uint8Array) => A) | undefined
}

export const rawFormat: Format<Uint8Array, string | Uint8Array, never, never, never, never> = {
  encode: (_subject, value) => Effect.succeed(value),
  decode: (_subject, data) => Effect.succeed(data),
  read: (data) => data
}

class StoredPayload implements Payload {
  readonly data: Uint8Array
  constructor(data: Uint8Array) {
    this.data = data
  }
  get text(): string {
    const { buffer, byteLength, byteOffset } = this.data
    return Buffer.from(buffer, byteOffset, byteLength).toString("utf8")
  }
}

/** A codec of the user's own can fail with anything. */
const asProblem = (failure: unknown): Problem => ({
  path: Predicate.hasProperty(failure, "path") ? shownName(String(failure.path)) : "",
  problem: Predicate.hasProperty(failure, "problem")
    ? shownProblem(String(failure.problem))
    : "its codec does not take it"
})

export const schemaFormat = <S extends Schema.Constraint>(
  schema: S,
  codec: Codec<S["Encoded"]> = json
): Format<
  S["Type"],
  S["Type"],
  MessageDecodeError,
  MessageEncodeError,
  S["DecodingServices"],
  S["EncodingServices"]
> => {
  const encode = neverThrowing(codec.encoder(schema), asProblem, identity<Problem>)
  const decode = neverThrowing(codec.decoder(schema), asProblem, identity<Problem>)
  return {
    encode: (subject, value) =>
      Effect.mapErrorEager(encode(value), (problem) => new MessageEncodeError({ subject, ...problem })),
    decode: (subject, data) =>
      Effect.mapErrorEager(
        decode(new StoredPayload(data)),
        (problem) => new MessageDecodeError({ subject, ...problem })
      )
  }
}
