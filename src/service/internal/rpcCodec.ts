/**
 * The codecs of an `RpcSerialization`, for payloads and answers that make them throw.
 *
 * `effect/rpc` (4.1) takes what a codec gives where nothing catches what it throws, as that of a recursive schema does for
 * a value that is nested too deeply. A call whose payload, answer or chunk does so is never answered, and its caller waits
 * for ever. These codecs fail instead, which `effect/rpc` tells the caller as a defect of that call.
 */
import * as Effect from "effect/Effect"
import type { RpcSerialization } from "effect/rpc/RpcSerialization"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { neverThrowing, type Problem } from "../../internal/payload/decodeProblem.ts"

type CodecFor = RpcSerialization["Service"]["codecFor"]

const toIssue = ({ problem }: Problem): SchemaIssue.Issue => new SchemaIssue.InvalidValue({ message: problem })

const format = SchemaIssue.makeFormatterDefault()

/** What is wrong deep within a value cannot be put into words: `effect/rpc` formats an issue where nothing catches either. */
const formattable = (issue: SchemaIssue.Issue): SchemaIssue.Issue => {
  format(issue)
  return issue
}

type Encode = (value: unknown, options: SchemaAST.ParseOptions) => Effect.Effect<unknown, SchemaIssue.Issue, never>

/** A defect that cannot be sent as it is has to be told all the same: what follows it is the end of a call. */
const withSubstitute = (encode: Encode): Encode => (defect, options) =>
  Effect.catch(encode(defect, options), () => encode(new Error("It died of something that cannot be sent."), options))

/** The same codecs, none of which throws. */
export const neverThrowingCodecs = (codecFor: CodecFor): CodecFor => (schema) => {
  const codec = codecFor(schema)
  const encode = neverThrowing(SchemaParser.encodeUnknownEffect(codec), formattable, toIssue)
  const isDefect = schema.ast === Schema.Defect().ast
  return Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Any, {
      decode: SchemaGetter.transformEffect(
        neverThrowing(SchemaParser.decodeUnknownEffect(codec), formattable, toIssue)
      ),
      encode: SchemaGetter.transformEffect(isDefect ? withSubstitute(encode as Encode) : encode)
    })
  )
}
