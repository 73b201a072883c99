/**
 * What every operation that sends has in common: the checks before it, and the wait for a connection that takes it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import {
  type ConnectionClosed,
  ConnectionLost,
  type FlushError,
  type InvalidHeader,
  InvalidPayload
} from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { Connection } from "../connection/connection.ts"
import { afterReadLoop } from "../delivery/afterReadLoop.ts"
import { encodeHeaders } from "../protocol/headers.ts"
import { isBytes, kindOf } from "../protocol/kindOf.ts"
import { invalidHeader } from "../subject/invalid.ts"
import type { Session } from "../wire/session.ts"

export const empty = new Uint8Array(0)

/** A header block ready for the wire, `undefined` without headers, or what is wrong with them. */
export const headerBlock = (headers: Input | undefined): Uint8Array | undefined | InvalidHeader => {
  if (headers === undefined) return undefined
  const encoded = encodeHeaders(headers)
  if (!(encoded instanceof Uint8Array)) return invalidHeader(encoded)
  return encoded.length === 0 ? undefined : encoded
}

/** Without types, anything can come here. */
export const checkSubject = (subject: string): void => {
  if (typeof subject !== "string") throw new TypeError("a subject must be a string")
}

const isPayload = (payload: unknown): boolean => typeof payload === "string" || isBytes(payload)

/**
 * Without types, anything can come here. On the wire it would be other bytes than were meant, or break the connection: a
 * String object has a length and no bytes.
 */
export const payloadProblem = (subject: string, payload: string | Uint8Array): InvalidPayload | undefined =>
  isPayload(payload) ? undefined : new InvalidPayload({ subject, given: kindOf(payload) })

/** What a span takes for the payload, before that is checked. */
export const sizeable = (payload: string | Uint8Array): string | Uint8Array => isPayload(payload) ? payload : empty

/** Effect does not type it: whether the fiber is where an interruption has to wait, as in a finalizer. */
export const isUninterruptible = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  Predicate.hasProperty(fiber, "interruptible") && fiber.interruptible === false

/** Until what was written just now is on its way: it would pass for something that moves. */
const sending = Duration.millis(20)

/** A round trip over a slow link takes its time also where little time is given to the end of the client. */
const leastPatience = Duration.seconds(1)

/** By the clock of the client, whatever clock the caller has: a deadline of the client's is kept under a test's clock. */
export const sleep = (connection: Connection, duration: Duration.Input): Effect.Effect<void> =>
  connection.settings.clock.sleep(Duration.fromInputUnsafe(duration))

/**
 * Fails when nothing has moved on the connection for `drainTimeout`. Time alone would not do: a slow link needs it for what
 * was sent before. A standstill that has been waited for once is not waited for again, until something is heard: many
 * finalizers would add it up, and what they write to a link that is half open moves, too.
 */
const standstill = (connection: Connection): Effect.Effect<never, ConnectionLost | ConnectionClosed> =>
  Effect.suspend(() => {
    if (connection.stoodStillAt === connection.heard) return Effect.fail(connection.unavailable)
    const patience = Duration.max(connection.settings.drainTimeout, leastPatience)
    return Effect.flatMap(sleep(connection, sending), () => {
      const { moved } = connection
      return Effect.flatMap(sleep(connection, Duration.subtract(patience, sending)), () => {
        if (connection.moved !== moved) return standstill(connection)
        connection.stoodStillAt = connection.heard
        connection.budget.spend(Duration.toMillis(patience))
        return Effect.fail(connection.unavailable)
      })
    })
  })

/** The wait, or the failure of one that can have no other end. */
export const untilStandstill = <A, E>(
  connection: Connection,
  wait: Effect.Effect<A, E>
): Effect.Effect<A, E | ConnectionLost | ConnectionClosed> => Effect.raceFirst(wait, standstill(connection))

/**
 * A wait for the connection. It has an end where nothing else can end it: a finalizer that waits for a server that is away
 * would keep its program from ever stopping.
 */
export const bounded = <A, E>(
  connection: Connection,
  wait: Effect.Effect<A, E>
): Effect.Effect<A, E | ConnectionLost | ConnectionClosed> =>
  Effect.withFiber((fiber): Effect.Effect<A, E | ConnectionLost | ConnectionClosed> =>
    isUninterruptible(fiber) ? untilStandstill(connection, wait) : wait
  )

/** The wait before something is sent. What is not sent in its time never is. */
export const within = <A, E>(
  connection: Connection,
  timeout: Duration.Input | undefined,
  wait: Effect.Effect<A, E>
): Effect.Effect<A, E | ConnectionLost | ConnectionClosed> =>
  timeout === undefined
    ? bounded(connection, wait)
    : Effect.raceFirst(
      wait,
      Effect.flatMap(sleep(connection, timeout), () => Effect.fail(connection.unavailable))
    )

export const drained = (session: Session): Effect.Effect<void> =>
  Effect.callback((resume) => session.drained(() => afterReadLoop(resume)(Effect.void)))

/** The session to use now, by the policy for when there is none. */
export const available = (connection: Connection): Effect.Effect<Session, FlushError> =>
  connection.session === undefined && connection.settings.whileDisconnected === "fail"
    ? Effect.fail(connection.unavailable)
    : connection.awaitSession

/** Waits until the server has handled everything written so far on this session. */
export const roundTrip = (connection: Connection, session: Session): Effect.Effect<void, FlushError> =>
  bounded(
    connection,
    Effect.callback<void, ConnectionLost>((resume) => {
      const { heard } = session
      session.ping((reason) =>
        afterReadLoop(resume)(reason === undefined ? Exit.void : Exit.fail(new ConnectionLost({ reason })))
      )
      // Nobody waits for it any more: whoever gave it a time wants to know why it took so long.
      return Effect.sync(() => {
        if (connection.session === session && session.heard === heard) connection.suspect()
      })
    })
  )
