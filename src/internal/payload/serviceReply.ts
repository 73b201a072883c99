/**
 * Errors as replies, in the form of NATS services (ADR-32): two headers, and for an error of the contract its JSON.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { ServiceError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { serviceErrorCodeHeader, serviceErrorHeader } from "../protocol/headers.ts"
import { json, type Payload } from "./codec.ts"

export const badRequest = 400
export const failed = 422
export const internalError = 500

/** What a header line cannot carry becomes a blank. */
const oneLine = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  text.slice(0, 256).replace(/[\u0000-\u001f\u007f]/g, " ").toWellFormed()

export const errorHeaders = (code: number, description: string): Input => ({
  [serviceErrorHeader]: oneLine(description),
  [serviceErrorCodeHeader]: String(code)
})

/** The words for an error of the contract: its message, else its tag. Its fields are in the body. */
export const describeFailure = (error: unknown): string => {
  if (typeof error === "object" && error !== null) {
    if ("message" in error && typeof error.message === "string" && error.message !== "") return error.message
    if ("_tag" in error && typeof error._tag === "string") return error._tag
  }
  return "the request failed"
}

/** Tells the error in a reply: of the contract where its body is one, else the service's own. */
export const makeErrorReader = <E extends Schema.Constraint>(
  schema: E,
  maxBytes: number
): (subject: string, reply: NatsMessage) => Effect.Effect<void, E["Type"] | ServiceError, E["DecodingServices"]> => {
  const decode = schema.ast._tag === "Never" ? undefined : json.decoder(schema)
  return (subject, reply) => {
    const code = reply.header(serviceErrorCodeHeader)
    const description = reply.header(serviceErrorHeader)
    if (code === undefined && description === undefined) return Effect.void
    const error = new ServiceError({
      subject,
      code: code !== undefined && /^\d{1,9}$/.test(code) ? Number(code) : 0,
      description: (description ?? "").slice(0, 256)
    })
    return decode === undefined || reply.data.length === 0 || reply.data.length > maxBytes
      ? Effect.fail(error)
      : failAs(decode, reply, error)
  }
}

const failAs = <E, R>(
  decode: (payload: Payload) => Effect.Effect<E, unknown, R>,
  reply: NatsMessage,
  otherwise: ServiceError
): Effect.Effect<never, E | ServiceError, R> =>
  Effect.matchEffect(decode(reply), {
    onFailure: () => Effect.fail(otherwise),
    onSuccess: (error) => Effect.fail(error)
  })
