/**
 * Values of a schema as messages: what a message must be before it is decoded, and its headers.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { MessageDecodeError, MessageEncodeError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { Message } from "../delivery/message.ts"
import type { Codec } from "../payload/codec.ts"
import { neverThrowing, type Problem } from "../payload/decodeProblem.ts"
import { contentTypeHeader } from "../protocol/headerNames.ts"
import { joinHeaders, markDispensable } from "../protocol/headers.ts"
import { shownName, shownProblem } from "../protocol/shown.ts"
import type { Address, Values } from "./address.ts"

const contentTypeLower = contentTypeHeader.toLowerCase()

/** `max_payload` of a server that is not configured otherwise. */
export const defaultMaxBytes = 1024 * 1024

export interface Settings<Encoded> {
  readonly codec: Codec<Encoded>
  readonly maxBytes: number
}

/** A codec of the user's own can fail with anything. */
const asProblem = (failure: unknown): Problem => ({
  path: Predicate.hasProperty(failure, "path") ? shownName(String(failure.path)) : "",
  problem: Predicate.hasProperty(failure, "problem")
    ? shownProblem(String(failure.problem))
    : "its codec does not take it"
})

export const encodeFor = <S extends Schema.Constraint>(
  codec: Codec<S["Encoded"]>,
  schema: S
): (
  subject: string,
  value: S["Type"]
) => Effect.Effect<string | Uint8Array, MessageEncodeError, S["EncodingServices"]> => {
  const encode = neverThrowing(codec.encoder(schema), asProblem, identity<Problem>)
  return (subject, value) =>
    Effect.mapErrorEager(encode(value), (problem) => new MessageEncodeError({ subject, ...problem }))
}

/** Tells the problem of a message that must not be decoded, from its size and its headers. */
const refusalOf = ({ codec, maxBytes }: Settings<never>): (message: NatsMessage) => Problem | undefined => {
  // The line that `withContentType` puts last is known by its bytes: reading the headers costs more than decoding.
  const usual = Buffer.from(`\r\n${contentTypeHeader}: ${codec.contentType}\r\n\r\n`)
  const isUsual = (message: NatsMessage): boolean =>
    message instanceof Message && (message.headerStart === message.payloadStart || message.headersEndWith(usual))
  return (message) => {
    const size = message instanceof Message ? message.payloadEnd - message.payloadStart : message.data.length
    if (size > maxBytes) return { path: "", problem: `it has ${size} bytes, more than the ${maxBytes} that are read` }
    if (isUsual(message)) return undefined
    const contentType = message.header(contentTypeHeader)
    if (contentType === undefined) return undefined
    const semicolon = contentType.indexOf(";")
    const mediaType = (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase()
    return codec.accepts(mediaType)
      ? undefined
      : { path: "", problem: `its ${contentTypeHeader} is not ${codec.contentType}` }
  }
}

/** `subject` is the one to name in errors: that of a reply means nothing to anybody. */
export const decodeFor = <S extends Schema.Constraint>(
  settings: Settings<S["Encoded"]>,
  schema: S
): (message: NatsMessage, subject?: string) => Effect.Effect<S["Type"], MessageDecodeError, S["DecodingServices"]> => {
  const decodePayload = settings.codec.decoder(schema)
  const refusal = refusalOf(settings)
  const decode = neverThrowing(
    (message: NatsMessage) => {
      const refused = refusal(message)
      return refused === undefined ? decodePayload(message) : Exit.fail(refused)
    },
    asProblem,
    identity<Problem>
  )
  return (message, subject) =>
    Effect.mapErrorEager(
      decode(message),
      (problem) => new MessageDecodeError({ subject: subject ?? message.subject, ...problem })
    )
}

/** The values in a message's subject. */
export const parametersOf = (address: Address, message: NatsMessage): Effect.Effect<Values, MessageDecodeError> => {
  const { subject } = message
  return Effect.mapErrorEager(
    Effect.fromOption(address.parse(subject)),
    () => new MessageDecodeError({ subject, path: "", problem: `its subject is not one of ${address.name}` })
  )
}

const alone = new Map<string, Input>()

/** A receiver takes a payload without it for one of its own codec. */
const contentTypeAlone = (contentType: string): Input => {
  let headers = alone.get(contentType)
  if (headers === undefined) {
    headers = markDispensable({ [contentTypeHeader]: contentType })
    alone.set(contentType, headers)
  }
  return headers
}

/** The caller's headers, and the content type where there is none among them. */
export const withContentType = (contentType: string, headers: Input | undefined): Input => {
  if (headers === undefined) return contentTypeAlone(contentType)
  return joinHeaders(headers, (headers) => {
    const isGiven = Object.keys(headers).some((name) => name.toLowerCase() === contentTypeLower)
    return isGiven ? headers : { ...headers, [contentTypeHeader]: contentType }
  })
}
