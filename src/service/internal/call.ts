/**
 * The typed client of a service: one function for each endpoint.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Headers from "effect/http/Headers"
import type * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import { type Request, RequestId } from "effect/rpc/RpcMessage"
import type * as RpcMiddleware from "effect/rpc/RpcMiddleware"
import type * as Schema from "effect/Schema"
import { describeIssue, neverThrowing, type Problem } from "../../internal/payload/decodeProblem.ts"
import { isExit, jsonTextDecoder, jsonTextEncoder } from "../../internal/payload/jsonText.ts"
import { readReply } from "../../internal/payload/outcome.ts"
import { errorIn, makeFailureReader } from "../../internal/payload/serviceReply.ts"
import { isTraced } from "../../internal/telemetry/tracing.ts"
import type { NatsClient, RequestOptions } from "../../NatsClient.ts"
import { MessageDecodeError, MessageEncodeError, type ServiceError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { CallOptions } from "../NatsService.ts"
import { type EndpointContract, failureSchema, service } from "./contract.ts"

/** The services of the schemas are in the context that the results run with. */
type Encode = (value: unknown) => Effect.Effect<string, Problem>
type Decode = (text: string) => Effect.Effect<unknown, Problem>

type Send = (request: Request<Rpc.Any>) => Effect.Effect<unknown, unknown>

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
  const encodeText = jsonTextEncoder(rpc.payloadSchema) as Encode
  const decodeText = jsonTextDecoder(rpc.successSchema) as Decode
  const readFailure = makeFailureReader(failureSchema(rpc)) as (
    error: ServiceError,
    reply: NatsMessage
  ) => Effect.Effect<never, unknown>
  const encode: Encode = (value) => provided(encodeText(value))
  const decode: Decode = (text) => provided(decodeText(text))
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

  const read = (reply: NatsMessage, onReply: CallOptions["onReply"]): Effect.Effect<unknown, unknown> => {
    onReply?.(reply)
    const refused = errorIn(subject, reply)
    return refused === undefined
      ? Effect.mapErrorEager(decode(reply.text), (problem) => new MessageDecodeError({ subject, ...problem }))
      : provided(readFailure(refused, reply))
  }

  const send = (
    payload: unknown,
    headers: RequestOptions["headers"],
    { onReply, timeout }: CallOptions,
    traced: boolean
  ): Effect.Effect<unknown, unknown> =>
    Effect.flatMap(Effect.mapErrorEager(encode(payload), unfit), (text) =>
      readReply(
        traced,
        subject,
        nats.request(subject, text, {
          ...(headers === undefined ? {} : { headers }),
          ...(timeout === undefined ? {} : { timeout })
        }),
        (reply) => read(reply, onReply)
      ))

  const call = (input: unknown, options: CallOptions | undefined): Effect.Effect<unknown, unknown> =>
    Effect.flatMap(
      Effect.mapErrorEager(makePayload(input), unfit),
      (payload) => {
        const settings: CallOptions = { ...options, timeout: options?.timeout ?? defaults.timeout }
        return Effect.withFiber((fiber) => {
          const traced = isTraced(fiber)
          const current = fiber.getRef(RpcClient.CurrentHeaders)
          const given = Object.keys(current).length === 0 ? options?.headers : { ...current, ...options?.headers }
          if (middlewares.length === 0) return send(payload, given, settings, traced)
          const next = (at: number): Send => (request) =>
            at < 0
              ? send(request.payload, request.headers, settings, traced)
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
