/**
 * Answers a request, whatever becomes of its handler: every request gets one answer.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { RespondError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage, RespondOptions } from "../../NatsMessage.ts"
import { noteTold } from "./outcome.ts"
import {
  headersOf,
  internalError,
  interrupted,
  type Refusal,
  type Refuse,
  stopping,
  tooLarge,
  withoutHeaders,
  withOwn
} from "./serviceReply.ts"

/** What a request is answered with. */
export interface Answer {
  readonly payload: string | Uint8Array
  readonly headers?: Input | undefined
}

/** Headers that a handler sets while it runs: for its answer, whatever that will be. */
export class ReplyHeaders {
  private own: Record<string, string | ReadonlyArray<string>> | undefined

  set(name: string, value: string | ReadonlyArray<string>): void {
    this.own ??= Object.create(null) as Record<string, string | ReadonlyArray<string>>
    this.own[name] = value
  }

  get value(): Input | undefined {
    return this.own
  }

  /** With those of the answer itself, which win. */
  over(headers: Input | undefined): Input | undefined {
    return headers === undefined ? this.own : withOwn(headers, this.own)
  }
}

export const sendRefusal = (
  message: NatsMessage,
  refusal: Refusal,
  own?: Input,
  timeout?: RespondOptions["timeout"]
): Effect.Effect<void, RespondError> => {
  // The caller must not wait, whatever else there was to tell: what cannot be sent is left out, the body before the
  // headers, and of the description what is too much in the end.
  return Effect.catch(message.respond(refusal.body, { headers: headersOf(refusal, own), timeout }), (error) => {
    const bare: Refusal = { ...refusal, body: "" }
    if (error._tag === "HeadersNotSupported") return sendBare(message, refusal, timeout)
    if (error._tag === "MaxPayloadExceeded" && refusal.body !== "") return sendRefusal(message, bare, own, timeout)
    if ((error._tag === "MaxPayloadExceeded" || error._tag === "InvalidHeader") && own !== undefined) {
      return sendRefusal(message, bare, undefined, timeout)
    }
    const less = shorter(bare, error)
    return less === undefined ? Effect.fail(error) : sendRefusal(message, less, undefined, timeout)
  })
}

/** As a payload alone. */
const sendBare = (
  message: NatsMessage,
  refusal: Refusal,
  timeout: RespondOptions["timeout"]
): Effect.Effect<void, RespondError> =>
  Effect.catch(message.respond(withoutHeaders(refusal), { timeout }), (error) => {
    const less = refusal.body !== "" && error._tag === "MaxPayloadExceeded"
      ? { ...refusal, body: "" }
      : shorter(refusal, error)
    return less === undefined ? Effect.fail(error) : sendBare(message, less, timeout)
  })

/** With as much less of its description as was too much, by half at a time where its characters are several bytes. */
const shorter = (refusal: Refusal, error: RespondError): Refusal | undefined => {
  const { description } = refusal
  if (error._tag !== "MaxPayloadExceeded" || description.length < 2) return undefined
  const left = Math.max(description.length - (error.size - error.limit), description.length >> 1)
  return { ...refusal, description: description.slice(0, left).toWellFormed() }
}

/** Sends a result. Where the server takes no headers it goes without them: who asked must not wait. */
export const sendResult = (
  message: NatsMessage,
  payload: string | Uint8Array,
  options: RespondOptions
): Effect.Effect<void, RespondError> => {
  const sent = message.respond(payload, options)
  return options.headers === undefined
    ? sent
    : Effect.catchTag(sent, "HeadersNotSupported", () => message.respond(payload, { timeout: options.timeout }))
}

const markedAsAnswering = new WeakSet<object>()

/** Marks a handler of which every request gets an answer: those that it does not come to, too. */
export const answeringAll = <H extends object>(handler: H): H => {
  markedAsAnswering.add(handler)
  return handler
}

export const answersAll = (handler: object): boolean => markedAsAnswering.has(handler)

/** For a message that was received and that no handler has begun when all of them end. */
export const refuseUnhandled = (handler: object, message: NatsMessage): Effect.Effect<void> =>
  answersAll(handler) ? Effect.ignore(sendRefusal(message, stopping)) : Effect.void

/**
 * Runs a handler and answers with what it gives: with its success; with the refusal that `refuse` has for its failure; with
 * 500 where that is a fault; with 503 where it is interrupted, by itself or from outside. A message that asks for no
 * answer gets none.
 *
 * It fails with a fault, and with what kept the answer from being sent. A failure that `refuse` knows was told to whom it
 * concerns: it is kept as the handler's own only where `keepsRefused` says so.
 */
export const answering = <E, R, R2>(
  message: NatsMessage,
  handler: Effect.Effect<Answer, E, R>,
  refuse: Refuse<R2>,
  { keepsRefused, replyHeaders }: {
    readonly keepsRefused: boolean
    readonly replyHeaders?: ReplyHeaders | undefined
  }
): Effect.Effect<void, E | RespondError, R | R2> => {
  const isAsked = message.reply !== undefined
  const send = (refusal: Refusal): Effect.Effect<void> =>
    isAsked ? Effect.ignore(sendRefusal(message, refusal, replyHeaders?.value)) : Effect.void
  const succeed = ({ headers, payload }: Answer): Effect.Effect<void, RespondError> =>
    isAsked
      ? Effect.tapError(
        sendResult(message, payload, { headers: replyHeaders === undefined ? headers : replyHeaders.over(headers) }),
        (error) =>
          error._tag === "MaxPayloadExceeded"
            ? send(tooLarge(error.size, error.limit))
            : error._tag === "InvalidHeader" || error._tag === "InvalidPayload"
            ? send(internalError)
            : Effect.void
      )
      : Effect.void
  const answered = Effect.matchCauseEffect(handler, {
    onSuccess: succeed,
    onFailure: (cause): Effect.Effect<void, E, R2> =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause)
        // A failure that throws when it is looked at is a fault, too.
        : Effect.flatMap(Effect.catchCause(Effect.suspend(() => refuse(cause)), () => Effect.undefined), (refusal) =>
          Effect.andThen(
            send(refusal ?? internalError),
            refusal === undefined || keepsRefused ? Effect.failCause(cause) : noteTold(cause)
          ))
  })
  // In a fiber of its own: an answer can have to wait for a connection, an interruption must not.
  return isAsked
    ? Effect.onInterrupt(answered, () => Effect.forkDetach(send(interrupted), { startImmediately: true }))
    : answered
}
