/**
 * What a service answers when it has no result: a code and a description in the headers, and the failure itself as JSON
 * where the schema names it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type { Problem } from "../../internal/payload/decodeProblem.ts"
import { serviceErrorCodeHeader, serviceErrorHeader } from "../../internal/protocol/headers.ts"
import type { Input } from "../../NatsHeaders.ts"
import { makeEncode } from "./text.ts"

export interface Refusal {
  readonly code: number
  readonly description: string
  /** The encoded failure. Empty where the schema names none. */
  readonly body: string
}

/** A payload that did not fit, on its way through the effect of a request. */
export class BadPayload {
  readonly problem: Problem
  constructor(problem: Problem) {
    this.problem = problem
  }
}

const defaultCode = 422

const longestDescription = 1024

// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f]+/g

/** One line that a header can carry. */
const oneLine = (text: string): string => text.replace(control, " ").trim().slice(0, longestDescription).toWellFormed()

export const headersOf = ({ code, description }: Refusal): Input => ({
  [serviceErrorHeader]: description,
  [serviceErrorCodeHeader]: String(code)
})

const refusal = (code: number, description: string, body = ""): Refusal => ({
  code,
  description: oneLine(description) || "the request failed",
  body
})

export const badPayload = ({ path, problem }: Problem): Refusal =>
  refusal(400, `the payload does not fit${path === "" ? "" : ` at ${path}`}: ${problem}`)

/** Says nothing of the fault: it is reported where the service runs. */
export const internalError: Refusal = refusal(500, "internal error")

export const tooLarge = (size: number, limit: number): Refusal =>
  refusal(500, `the answer of ${size} bytes is over the server's limit of ${limit}`)

export const interrupted: Refusal = refusal(503, "the request was interrupted before it was answered")

export const stopping: Refusal = refusal(503, "the service is stopping")

/** The failures that an rpc can have: its own and those of its middleware. `Never` where there are none. */
export const failureSchema = (rpc: Rpc.AnyWithProps): Schema.Top => {
  const schemas = [rpc.errorSchema, ...Array.from(rpc.middlewares, (middleware) => middleware.error)]
    .filter((schema) => !SchemaAST.isNever(schema.ast))
  return schemas.length === 0 ? Schema.Never : schemas.length === 1 ? schemas[0] : Schema.Union(schemas)
}

interface Coded {
  readonly is: (failure: unknown) => boolean
  readonly code: number
}

const codesOf = (ast: SchemaAST.AST, inherited: number): ReadonlyArray<Coded> => {
  const own = annotatedCode(ast) ?? inherited
  if (SchemaAST.isUnion(ast)) return ast.types.flatMap((type) => codesOf(type, own))
  return own === defaultCode ? [] : [{ is: Schema.is(Schema.make(SchemaAST.toType(ast))), code: own }]
}

const annotatedCode = (ast: SchemaAST.AST): number | undefined => {
  const annotations = SchemaAST.resolve(ast)
  const code = annotations?.natsServiceErrorCode ?? annotations?.httpApiStatus
  return typeof code === "number" ? code : undefined
}

const describe = (failure: unknown): string => {
  if (typeof failure === "string") return failure
  if (typeof failure !== "object" || failure === null) return ""
  if (failure instanceof Error && failure.message !== "") return failure.message
  return "_tag" in failure && typeof failure._tag === "string" ? failure._tag : ""
}

/** Turns what a handler failed with into an answer, `undefined` for a defect. Built once for an endpoint. */
export const makeRefuse = (
  rpc: Rpc.AnyWithProps
): (cause: Cause.Cause<unknown>) => Effect.Effect<Refusal | undefined> => {
  const schema = failureSchema(rpc)
  const encode = makeEncode(schema)
  const codes = codesOf(schema.ast, defaultCode)
  const defect = Exit.succeed(undefined)
  return (cause) => {
    if (Cause.hasDies(cause)) return defect
    const found = Cause.findErrorOption(cause)
    if (found._tag === "None") return Exit.succeed(interrupted)
    const failure = found.value
    if (failure instanceof BadPayload) return Exit.succeed(badPayload(failure.problem))
    return Effect.matchEager(encode(failure), {
      // A failure that its schema does not know is a fault of the service.
      onFailure: () => undefined,
      onSuccess: (body) => {
        const code = codes.find((coded) => coded.is(failure))?.code ?? defaultCode
        return refusal(code, describe(failure), body)
      }
    })
  }
}
