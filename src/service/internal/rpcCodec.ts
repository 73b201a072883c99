/**
 * The codecs of an `RpcSerialization`, for payloads and answers that make them throw.
 *
 * `effect/rpc` (4.1) takes what a codec gives where nothing catches what it throws, as that of a recursive schema does for
 * a value that is nested too deeply. A call whose payload, answer or chunk does so is never answered, and its caller waits
 * for ever. These codecs fail instead, which `effect/rpc` tells the caller as a defect of that call.
 */
import type { RpcSerialization } from "effect/rpc/RpcSerialization"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import { neverThrowing, type Problem } from "../../internal/delivery/decodeProblem.ts"

type CodecFor = RpcSerialization["Service"]["codecFor"]

const toIssue = ({ problem }: Problem): SchemaIssue.Issue => new SchemaIssue.InvalidValue({ message: problem })

const format = SchemaIssue.makeFormatterDefault()

/** What is wrong deep within a value cannot be put into words: `effect/rpc` formats an issue where nothing catches either. */
const formattable = (issue: SchemaIssue.Issue): SchemaIssue.Issue => {
  format(issue)
  return issue
}

/** The same codecs, none of which throws. */
export const neverThrowingCodecs = (codecFor: CodecFor): CodecFor => (schema) => {
  const codec = codecFor(schema)
  return Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Any, {
      decode: SchemaGetter.transformEffect(
        neverThrowing(SchemaParser.decodeUnknownEffect(codec), formattable, toIssue)
      ),
      encode: SchemaGetter.transformEffect(
        neverThrowing(SchemaParser.encodeUnknownEffect(codec), formattable, toIssue)
      )
    })
  )
}
