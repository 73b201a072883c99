/**
 * Serves requests: decode, handle, answer, one reply for each request whatever happens.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { NatsClient, type SubscribeOptions } from "../../NatsClient.ts"
import type { MessageDecodeError, PublishError, SubscribeError, SubscriptionError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { json } from "../payload/codec.ts"
import { badRequest, describeFailure, errorHeaders, failed, internalError } from "../payload/serviceReply.ts"
import type { Address, Values } from "./address.ts"
import { decodeFor, encodeFor, parametersOf, type Settings, withContentType } from "./messages.ts"

export interface Contract<P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint> {
  readonly payload: P
  readonly success: A
  readonly error: E
}

export interface RespondOptions extends SubscribeOptions {
  readonly concurrency?: number | "unbounded" | undefined
  readonly drainTimeout?: Duration.Input | undefined
}

type Handler<P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint, R> = (
  payload: P["Type"],
  request: { readonly message: NatsMessage; readonly parameters: Values }
) => Effect.Effect<A["Type"], E["Type"], R>

type Services<P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint> =
  | P["DecodingServices"]
  | A["EncodingServices"]
  | E["EncodingServices"]

/** Answers one request. Fails never: what cannot be answered is logged. */
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
): (message: NatsMessage) => Effect.Effect<void, never, R | Services<P, A, E>> => {
  const decode = decodeFor(settings, payload)
  const encode = encodeFor(settings.codec, success)
  const encodeError = encodeFor(json, error)
  const successHeaders = withContentType(settings.codec.contentType, undefined)

  const handle = Effect.fnUntraced(function*(message: NatsMessage) {
    const parameters = yield* parametersOf(address, message)
    const value = yield* decode(message)
    return yield* Effect.exit(Effect.suspend(() => handler(value, { message, parameters })))
  })

  const reject = (message: NatsMessage, code: number, description: string, body = "") =>
    message.respond(body, {
      headers: body === ""
        ? errorHeaders(code, description)
        : withContentType(json.contentType, errorHeaders(code, description))
    })

  const broken = (message: NatsMessage, cause: Cause.Cause<unknown>) =>
    Effect.andThen(
      Effect.logError("A request handler broke", cause),
      message.reply === undefined ? Effect.void : reject(message, internalError, "internal error")
    )

  const answer = (message: NatsMessage, exit: Exit.Exit<A["Type"], E["Type"]>) => {
    if (Exit.isSuccess(exit)) {
      if (message.reply === undefined) return Effect.void
      return encode(address.name, exit.value).pipe(
        Effect.flatMap((body) => message.respond(body, { headers: successHeaders }))
      )
    }
    const found = Cause.findErrorOption(exit.cause)
    if (found._tag === "None") return broken(message, exit.cause)
    if (message.reply === undefined) return Effect.void
    return encodeError(address.name, found.value).pipe(
      Effect.flatMap((body) => reject(message, failed, describeFailure(found.value), asText(body)))
    )
  }

  const refuse = (message: NatsMessage, error: MessageDecodeError): Effect.Effect<void, PublishError> => {
    const at = error.path === "" ? "" : ` at ${error.path}`
    return message.reply === undefined
      ? Effect.logWarning(error.message)
      : reject(message, badRequest, `the payload does not fit${at}: ${error.problem}`)
  }

  return (message) =>
    handle(message).pipe(
      Effect.matchEffect({
        onFailure: (error) => refuse(message, error),
        onSuccess: (exit) => answer(message, exit)
      }),
      // A result that does not fit its schema or is too large: the caller must not wait for it.
      Effect.catchTag(["MessageEncodeError", "MaxPayloadExceeded"], (error) => broken(message, Cause.fail(error))),
      Effect.catchCause((cause) =>
        Cause.hasInterrupts(cause)
          ? Effect.interrupt
          : Effect.andThen(
            Effect.logError("A request could not be answered", cause),
            // Its caller must not wait: where it is the connection that is gone, this fails as well.
            message.reply === undefined ? Effect.void : Effect.ignore(reject(message, internalError, "internal error"))
          )
      ),
      Effect.annotateLogs({ subject: address.name })
    )
}

const asText = (body: string | Uint8Array): string =>
  typeof body === "string" ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8")

/** The fiber that serves a pattern. The scope lets it finish what it took. */
export const serve = Effect.fnUntraced(function*<R>(
  pattern: string,
  handle: (message: NatsMessage) => Effect.Effect<void, never, R>,
  options: RespondOptions
): Effect.fn.Return<
  Fiber.Fiber<void, SubscriptionError>,
  SubscribeError,
  NatsClient | Scope.Scope | R
> {
  const nats = yield* NatsClient
  const subscription = yield* nats.subscription(pattern, options)
  const fiber = yield* subscription.stream.pipe(
    Stream.mapEffect(handle, { concurrency: options.concurrency ?? 1, unordered: true }),
    Stream.runDrain,
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() =>
    // What the server sent before it knew is answered, too: a queue group gives it to nobody else.
    subscription.drain.pipe(
      Effect.andThen(Fiber.await(fiber)),
      Effect.timeoutOption(options.drainTimeout ?? Duration.seconds(10))
    )
  )
  return fiber
})
