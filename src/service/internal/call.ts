/**
 * The typed client of a service: one function for each endpoint.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Headers from "effect/http/Headers"
import type * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import { type Request, RequestId } from "effect/rpc/RpcMessage"
import type * as RpcMiddleware from "effect/rpc/RpcMiddleware"
import type * as Schema from "effect/Schema"
import { describeIssue, neverThrowing, type Problem } from "../../internal/payload/decodeProblem.ts"
import { serviceErrorCodeHeader, serviceErrorHeader } from "../../internal/protocol/headers.ts"
import type { NatsClient, RequestOptions } from "../../NatsClient.ts"
import { MessageDecodeError, MessageEncodeError, ServiceError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { CallOptions } from "../NatsService.ts"
import { type EndpointContract, service } from "./contract.ts"
import { failureSchema } from "./failure.ts"
import { type Decode, type Encode, isExit, makeDecode, makeEncode } from "./text.ts"

type Send = (request: Request<Rpc.Any>) => Effect.Effect<unknown, unknown>

const longestDescription = 256

let requests = 0

/** `context` has the services of the schemas and the client side of the middleware. */
export const makeCall = (
  nats: NatsClient,
  { rpc, subject }: EndpointContract,
  context: Context.Context<never>,
  defaults: CallOptions
): (input: unknown, options?: CallOptions) => Effect.Effect<unknown, unknown> => {
  // Services of schemas are looked for where something has to wait only: the caller's context is not rebuilt for each call.
  const provided = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    isExit(effect) ? effect : Effect.updateContext(effect, (own: Context.Context<never>) => Context.merge(context, own))
  const encodeText = makeEncode(rpc.payloadSchema)
  const decodeText = makeDecode(rpc.successSchema)
  const decodeFailureText = makeDecode(failureSchema(rpc))
  const encode: Encode = (value) => provided(encodeText(value))
  const decode: Decode = (text) => provided(decodeText(text))
  const decodeFailure: Decode = (text) => provided(decodeFailureText(text))
  const middlewares = Array.from(rpc.middlewares).flatMap((middleware) => {
    const client = service<RpcMiddleware.RpcMiddlewareClient<unknown, unknown, never>>(
      context,
      `${middleware.key}/Client`
    )
    return client === undefined ? [] : [client]
  })
  const payload = rpc.payloadSchema as Schema.Top & { readonly "~type.make.in": unknown }
  const makePayload = neverThrowing((input: unknown) => payload.makeEffect(input as never), describeIssue, identity)

  const unfit = (problem: Problem): MessageEncodeError => new MessageEncodeError({ subject, ...problem })

  const read = (reply: NatsMessage): Effect.Effect<unknown, unknown> => {
    const description = reply.header(serviceErrorHeader)
    const code = reply.header(serviceErrorCodeHeader)
    if (description === undefined && code === undefined) {
      return Effect.mapErrorEager(decode(reply.text), (problem) => new MessageDecodeError({ subject, ...problem }))
    }
    const refused = new ServiceError({
      subject,
      code: Number.parseInt(code ?? "0", 10) || 0,
      description: (description ?? "").slice(0, longestDescription)
    })
    // Only a failure that the schema names has a body, and only such a body fits.
    return reply.data.length === 0
      ? Exit.fail(refused)
      : Effect.matchEffect(decodeFailure(reply.text), {
        onSuccess: (failure) => Effect.fail(failure),
        onFailure: () => Effect.fail(refused)
      })
  }

  const send = (
    payload: unknown,
    headers: RequestOptions["headers"],
    timeout: CallOptions["timeout"]
  ): Effect.Effect<unknown, unknown> =>
    Effect.flatMap(Effect.mapErrorEager(encode(payload), unfit), (text) =>
      Effect.flatMap(
        nats.request(subject, text, {
          ...(headers === undefined ? {} : { headers }),
          ...(timeout === undefined ? {} : { timeout })
        }),
        read
      ))

  const call = (input: unknown, options: CallOptions | undefined): Effect.Effect<unknown, unknown> =>
    Effect.flatMap(
      Effect.mapErrorEager(makePayload(input), unfit),
      (payload) => {
        const timeout = options?.timeout ?? defaults.timeout
        return Effect.withFiber((fiber) => {
          const current = fiber.getRef(RpcClient.CurrentHeaders)
          const given = Object.keys(current).length === 0 ? options?.headers : { ...current, ...options?.headers }
          if (middlewares.length === 0) return send(payload, given, timeout)
          const next = (at: number): Send => (request) =>
            at < 0
              ? send(request.payload, request.headers, timeout)
              : middlewares[at]({ rpc, request, next: next(at - 1) as never }) as Effect.Effect<unknown, unknown>
          return next(middlewares.length - 1)({
            _tag: "Request",
            id: RequestId(++requests),
            tag: rpc._tag as never,
            payload: payload as never,
            headers: Headers.fromInput(given)
          })
        })
      }
    )

  return (input, options) => Effect.suspend(() => call(input, options))
}
