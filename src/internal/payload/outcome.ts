/**
 * What a request has come to: for its spans at both ends, which must not end well where it does not.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ServiceError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { BadPayload, errorIn } from "./serviceReply.ts"

interface Reader {
  readonly subject: string
  readonly read: (reply: NatsMessage) => Effect.Effect<unknown, unknown>
}

// By the context and not by an argument: a copy of a client can put a request of its own in between.
const ReplyReader: Context.Reference<Reader | undefined> = Context.Reference<Reader | undefined>(
  "effect-nats/payload/outcome/ReplyReader",
  { defaultValue: () => undefined }
)

/**
 * Reads the reply of a request inside of the request's span, where `isTraced` says that it has one. Else behind it, and so it
 * does where no request to this subject was made.
 */
export const readReply = <A, E, R, E2, R2>(
  isTraced: boolean,
  subject: string,
  request: Effect.Effect<NatsMessage, E, R>,
  read: (reply: NatsMessage) => Effect.Effect<A, E2, R2>
): Effect.Effect<A, E | E2, R | R2> => {
  if (!isTraced) return Effect.flatMap(request, read)
  return Effect.suspend(() => {
    let seen: { readonly reply: NatsMessage; readonly exit: Exit.Exit<A, E2> } | undefined
    const reader: Reader = {
      subject,
      read: (reply) =>
        // What a schema needs can make requests of its own, whose replies are others. Its services are those of the caller.
        Effect.provideService(read(reply) as Effect.Effect<A, E2>, ReplyReader, undefined).pipe(
          Effect.onExit((exit) => {
            seen = { reply, exit }
            return Effect.void
          })
        )
    }
    return Effect.flatMap(
      Effect.provideService(request, ReplyReader, reader),
      (reply): Effect.Effect<A, E2, R2> => seen?.reply === reply ? seen.exit : read(reply)
    )
  })
}

/**
 * Fails with what the call that the request is part of fails with. Where nobody else reads the reply, with the error that it
 * tells.
 */
export const outcomeOf = (
  context: Context.Context<never>,
  subject: string,
  reply: NatsMessage
): Effect.Effect<unknown, unknown> => {
  const reader = Context.get(context, ReplyReader)
  if (reader?.subject === subject) return reader.read(reply)
  const error: ServiceError | undefined = errorIn(subject, reply)
  return error === undefined ? Exit.void : Exit.fail(error)
}

interface Told {
  cause: Cause.Cause<unknown> | undefined
}

const ToldFailure: Context.Reference<Told | undefined> = Context.Reference<Told | undefined>(
  "effect-nats/payload/outcome/ToldFailure",
  { defaultValue: () => undefined }
)

/** Notes a failure that was told to who asked and ends nothing else. A payload that does not fit is no failure of a handler. */
export const noteTold = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const told = Context.get(fiber.context, ToldFailure)
    if (told !== undefined && !(Cause.squash(cause) instanceof BadPayload)) told.cause = cause
    return Effect.void
  })

/** `within` runs what it gets inside of a span. That ends with the failure that `handle` tells, and all else does not. */
export const withToldFailure = <A, E, R>(
  handle: () => Effect.Effect<A, E, R>,
  within: (handle: () => Effect.Effect<unknown, unknown, R>) => Effect.Effect<unknown, unknown, R>
): Effect.Effect<unknown, E, R> => {
  const told: Told = { cause: undefined }
  const inside = (): Effect.Effect<unknown, unknown, R> =>
    Effect.flatMap(
      Effect.provideService(handle(), ToldFailure, told) as Effect.Effect<A, E, R>,
      () => told.cause === undefined ? Exit.void : Exit.failCause(told.cause)
    )
  return Effect.catchCause(
    within(inside),
    (cause) => told.cause === undefined ? Exit.failCause(cause as Cause.Cause<E>) : Exit.void
  )
}
