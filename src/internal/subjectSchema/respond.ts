/**
 * Serves requests and events of a definition: decode, handle, and for a request answer.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { MessageDecodeError, RespondError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { type Answer, answering, answeringAll, ReplyHeaders } from "../payload/answering.ts"
import { BadPayload, makeRefuse } from "../payload/serviceReply.ts"
import type { Address, Values } from "./address.ts"
import { decodeFor, encodeFor, parametersOf, type Settings, withContentType } from "./messages.ts"

export interface Contract<P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint> {
  readonly payload: P
  readonly success: A
  readonly error: E
}

/** What a handler is told besides the payload. */
export interface Request {
  readonly message: NatsMessage
  readonly parameters: Values
  setReplyHeader(name: string, value: string | ReadonlyArray<string>): void
}

type Handler<P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint, R> = (
  payload: P["Type"],
  request: Request
) => Effect.Effect<A["Type"], E["Type"], R>

type Services<P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint> =
  | P["DecodingServices"]
  | A["EncodingServices"]
  | E["EncodingServices"]

/** Answers one request. Fails with what is to be reported: a fault of the handler, an answer that cannot be sent. */
export const makeServe = <
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint,
  R
>(
  address: Address,
  { error, payload, success }: Contract<P, A, E>,
  settings: Settings<P["Encoded"] | A["Encoded"]>,
  handler: Handler<P, A, E, R>
): (message: NatsMessage) => Effect.Effect<void, E["Type"] | BadPayload | RespondError, R | Services<P, A, E>> => {
  const decode = decodeFor(settings, payload)
  const encode = encodeFor(settings.codec, success)
  const refuse = makeRefuse(error)
  const headers = withContentType(settings.codec.contentType, undefined)

  const unfit = (message: NatsMessage, problem: MessageDecodeError) =>
    message.reply === undefined
      ? Effect.andThen(Effect.logWarning(problem.message), Effect.fail(new BadPayload(problem)))
      : Effect.fail(new BadPayload(problem))

  const handle = Effect.fnUntraced(
    function*(message: NatsMessage, replyHeaders: ReplyHeaders): Effect.fn.Return<
      Answer,
      E["Type"] | BadPayload,
      R | Services<P, A, E>
    > {
      const { parameters, value } = yield* Effect.catch(
        Effect.flatMap(
          parametersOf(address, message),
          (parameters) => Effect.map(decode(message), (value) => ({ value, parameters }))
        ),
        (problem) => unfit(message, problem)
      )
      const request: Request = {
        message,
        parameters,
        setReplyHeader: (name, value) => replyHeaders.set(name, value)
      }
      const result = yield* handler(value, request)
      if (message.reply === undefined) return nothing
      // A result that does not fit its schema is a fault, whatever the schema of failures takes.
      return { payload: yield* Effect.orDie(encode(address.name, result)), headers }
    }
  )

  return answeringAll((message: NatsMessage) => {
    const replyHeaders = new ReplyHeaders()
    return answering(message, handle(message, replyHeaders), refuse, { keepsRefused: false, replyHeaders })
  })
}

const nothing: Answer = { payload: "" }
