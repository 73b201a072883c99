/**
 * What a failure is answered with, and how such an answer is read: a code and a description in headers (ADR-32), and the
 * failure itself as JSON where a schema names it. For all that answers and all that asks.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { MessageDecodeError, ServiceError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { contentTypeHeader, serviceErrorCodeHeader, serviceErrorHeader } from "../protocol/headerNames.ts"
import { getHeader, joinHeaders } from "../protocol/headers.ts"
import { keepReply, keptBody } from "../protocol/keptReply.ts"
import type { Problem } from "./decodeProblem.ts"
import { jsonTextDecoder, jsonTextEncoder } from "./jsonText.ts"

/** An answer that is no result. */
export interface Refusal {
  /** A text where it is passed on from a service that told one. */
  readonly code: number | string
  readonly description: string
  /** The encoded failure. Empty where no schema names it. */
  readonly body: string
}

/** A failure that its schema gives no other code. */
const defaultCode = 422

/** Of the descriptions that are sent and that are read, in characters. */
const longestDescription = 1024
const longestCode = 64

// Of what `printable` escapes, all but halves of characters: in a header a blank stands for them.
const control = /[\p{Cc}\u2028\u2029\p{Bidi_Control}]+/gu

/** One line that a header can carry, and that can be shown as it is. */
const oneLine = (text: string, longest: number): string =>
  text.slice(0, longest).replace(control, " ").trim().toWellFormed()

const refusal = (code: number | string, description: string, body = ""): Refusal => ({
  code,
  description: oneLine(description, longestDescription) || "the request failed",
  body
})

export const badPayload = ({ path, problem }: Problem): Refusal =>
  refusal(400, `the payload does not fit${path === "" ? "" : ` at ${path}`}: ${problem}`)

/** Says nothing of the fault: it is reported where the handler runs. */
export const internalError: Refusal = refusal(500, "internal error")

export const tooLarge = (size: number, limit: number): Refusal =>
  refusal(500, `the answer of ${size} bytes is over the server's limit of ${limit}`)

export const interrupted: Refusal = refusal(503, "the request was interrupted before it was answered")

export const stopping: Refusal = refusal(503, "the service is stopping")

/** Headers with more of the handler's own: none that is there already, in whatever case. */
export const withOwn = (headers: Input, own: Input | undefined): Input => {
  if (own === undefined) return headers
  return joinHeaders(headers, (headers) => {
    const taken = new Set(Object.keys(headers).map((name) => name.toLowerCase()))
    return { ...Object.fromEntries(Object.entries(own).filter(([name]) => !taken.has(name.toLowerCase()))), ...headers }
  })
}

/** With headers of the handler's own, such as `Retry-After`. */
export const headersOf = ({ body, code, description }: Refusal, own?: Input): Input =>
  withOwn({
    [serviceErrorHeader]: description,
    [serviceErrorCodeHeader]: String(code),
    ...(body === "" ? {} : { [contentTypeHeader]: "application/json" })
  }, own)

const bareStart = `{${JSON.stringify(serviceErrorHeader)}:`

/** A refusal as a payload alone, for a server that takes no headers. No schema of a result has such a field. */
export const withoutHeaders = ({ body, code, description }: Refusal): string =>
  JSON.stringify({
    [serviceErrorHeader]: description,
    [serviceErrorCodeHeader]: String(code),
    ...(body === "" ? {} : { body })
  })

/** A payload that did not fit, on its way through the effect of a request. */
export class BadPayload {
  readonly problem: Problem
  constructor(problem: Problem) {
    this.problem = problem
  }
}

interface Coded {
  readonly is: (failure: unknown) => boolean
  readonly code: number
}

/** What every library reads as the number that it is. 0 is none: it is what an error without a code is read as. */
export const highestCode = 999_999_999

const isCode = (code: unknown): code is number =>
  typeof code === "number" && Number.isInteger(code) && code > 0 && code <= highestCode

const codesOf = (ast: SchemaAST.AST, inherited: number): ReadonlyArray<Coded> => {
  const own = annotatedCode(ast) ?? inherited
  if (SchemaAST.isUnion(ast)) return ast.types.flatMap((type) => codesOf(type, own))
  return own === defaultCode ? [] : [{ is: Schema.is(Schema.make(SchemaAST.toType(ast))), code: own }]
}

const annotationsOf = (ast: SchemaAST.AST): ReadonlyArray<unknown> => {
  const annotations = SchemaAST.resolve(ast)
  return [annotations?.natsServiceErrorCode, annotations?.httpApiStatus].filter((code) => code !== undefined)
}

const annotatedCode = (ast: SchemaAST.AST): number | undefined => annotationsOf(ast).find(isCode)

/** The codes of a schema that can be none, and that failures are answered without. */
export const impossibleCodes = ({ ast }: Schema.Constraint): ReadonlyArray<unknown> => [
  ...annotationsOf(ast).filter((code) => !isCode(code)),
  ...(SchemaAST.isUnion(ast) ? ast.types.flatMap((type) => impossibleCodes(Schema.make(type))) : [])
]

/** As it was told, where it is another service's. */
const codeOf = ({ code, codeText = "" }: ServiceError): number | string =>
  oneLine(codeText, longestCode) || (isCode(code) ? code : defaultCode)

/** The words for a failure: its message, else its tag. Its fields are in the body. */
const describe = (failure: unknown): string => {
  if (typeof failure === "string") return failure
  if (typeof failure !== "object" || failure === null) return ""
  if ("message" in failure && typeof failure.message === "string" && failure.message !== "") return failure.message
  return "_tag" in failure && typeof failure._tag === "string" ? failure._tag : ""
}

/** Tells what a cause is answered with, `undefined` for a fault of the handler, of which the caller learns nothing. */
export type Refuse<R> = (cause: Cause.Cause<unknown>) => Effect.Effect<Refusal | undefined, never, R>

const fault = Exit.succeed(undefined)
const cutOff = Exit.succeed(interrupted)

/**
 * By the schema of the failures, built once for a handler. A failure that the schema does not know is a fault, and so is
 * one that does not encode.
 */
export const makeRefuse = <S extends Schema.Constraint>(schema: S): Refuse<S["EncodingServices"]> => {
  const encode = jsonTextEncoder(schema)
  const codes = codesOf(schema.ast, defaultCode)
  return (cause) => {
    if (Cause.hasDies(cause)) return fault
    const found = Cause.findErrorOption(cause)
    if (found._tag === "None") return cutOff
    const failure = found.value
    if (failure instanceof BadPayload) return Exit.succeed(badPayload(failure.problem))
    return Effect.matchEager(encode(failure as S["Type"]), {
      onFailure: () => undefined,
      onSuccess: (body) =>
        failure instanceof ServiceError
          ? refusal(codeOf(failure), failure.description, body)
          : refusal(codes.find((coded) => coded.is(failure))?.code ?? defaultCode, describe(failure), body)
    })
  }
}

/** The classes of errors that are annotated with a code, `undefined` for the others. */
const annotatedClasses = new WeakMap<object, Refuse<unknown> | undefined>()

const refuseOfClass = (failure: object): Refuse<unknown> | undefined => {
  const { constructor } = failure
  if (!Schema.isSchema(constructor)) return undefined
  if (!annotatedClasses.has(constructor)) {
    annotatedClasses.set(
      constructor,
      annotationsOf(constructor.ast).length === 0 ? undefined : makeRefuse(constructor)
    )
  }
  return annotatedClasses.get(constructor)
}

/**
 * Where no schema names the failures: a `ServiceError` says itself what to answer, and the class of an error that is
 * annotated with a code is its schema. All else could tell strangers what is not theirs, and is a fault.
 */
export const refuseWithoutSchema: Refuse<unknown> = (cause) => {
  if (Cause.hasDies(cause)) return fault
  const found = Cause.findErrorOption(cause)
  if (found._tag === "None") return cutOff
  const failure = found.value
  if (failure instanceof ServiceError) return Exit.succeed(refusal(codeOf(failure), failure.description))
  if (failure instanceof MessageDecodeError) return Exit.succeed(badPayload(failure))
  return typeof failure === "object" && failure !== null ? refuseOfClass(failure)?.(cause) ?? fault : fault
}

/** The error that a reply tells, `undefined` where it is a result. Code and description are the sender's: any text. */
export const errorIn = (subject: string, reply: NatsMessage): ServiceError | undefined => {
  const { headers } = reply
  const code = getHeader(headers, serviceErrorCodeHeader)
  const description = getHeader(headers, serviceErrorHeader)
  if (code === undefined && description === undefined) return bareErrorIn(subject, reply)
  const error = serviceError(subject, code, description)
  keepReply(error, reply.data, headers)
  return error
}

const bareErrorIn = (subject: string, reply: NatsMessage): ServiceError | undefined => {
  const { data } = reply
  // The letter N: a look at one byte is all that a result costs.
  if (data[2] !== 0x4e || !reply.text.startsWith(bareStart)) return undefined
  const fields = bareFields(reply.text)
  if (fields === undefined) return undefined
  const error = serviceError(subject, fields[serviceErrorCodeHeader], fields[serviceErrorHeader])
  keepReply(error, Buffer.from(fields["body"] ?? ""), {})
  return error
}

const bareFields = (text: string): Readonly<Record<string, string>> | undefined => {
  try {
    const fields: Readonly<Record<string, string>> = JSON.parse(text)
    return Object.values(fields).every((field) => typeof field === "string") ? fields : undefined
  } catch {
    return undefined
  }
}

const serviceError = (subject: string, code: string | undefined, description: string | undefined): ServiceError => {
  const told = oneLine(code ?? "", longestCode)
  const number = /^\d{1,9}$/.test(told) ? Number(told) : 0
  return new ServiceError({
    subject,
    code: number,
    // Another writing of a number, such as 007, is kept, too.
    ...(told === "" || told === String(number) ? {} : { codeText: told }),
    description: oneLine(description ?? "", longestDescription)
  })
}

/**
 * The failure of the schema that the body of an error reply is, else the error. A body over `maxBytes` is not read.
 */
export const makeFailureReader = <S extends Schema.Constraint>(
  schema: S,
  maxBytes = Infinity
): (
  error: ServiceError,
  reply: NatsMessage
) => Effect.Effect<never, S["Type"] | ServiceError, S["DecodingServices"]> => {
  // Only a failure that the schema names has a body, and only such a body fits.
  const decode = SchemaAST.isNever(schema.ast) ? undefined : jsonTextDecoder(schema)
  return (error, reply) => {
    if (decode === undefined || reply.data.length === 0 || reply.data.length > maxBytes) return Exit.fail(error)
    const text = Object.keys(reply.headers).length === 0 ? keptBody(error) : reply.text
    return Effect.matchEffect(decode(text), {
      onFailure: () => Effect.fail(error),
      onSuccess: (failure) => Effect.fail(failure)
    })
  }
}
