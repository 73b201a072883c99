/**
 * How things end: a subscription that is left without a loss, a client that is drained, a stop that ends in time.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Connection } from "../connection/connection.ts"
import type { Delivery } from "../delivery/delivery.ts"
import { Within } from "./background.ts"
import { roundTrip } from "./sending.ts"

/** Whether it was done in time. It is interrupted otherwise, also within a finalizer: it runs in a fiber of its own. */
export const inTime = (patience: Duration.Input, effect: Effect.Effect<unknown>): Effect.Effect<boolean> =>
  Effect.map(Effect.timeoutOption(effect, patience), (done) => done._tag === "Some")

/**
 * What was opened is closed when the rest of it fails, and not with the scope, which can live on: nobody would handle what
 * comes in there.
 */
export const allOrNothing = <A, E, R>(open: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.flatMap(Effect.scope, Scope.fork), (scope) =>
      Effect.onExit(
        restore(Scope.provide(open, scope)),
        (exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void
      ))
  )

/**
 * A stop that runs once, whoever asks for it. A handler of `part` that asks does not wait: the stop waits for it.
 */
export const stopOnce = (part: object, stop: Effect.Effect<void>): Effect.Effect<void> => {
  let stopping: Fiber.Fiber<void> | undefined
  return Effect.withFiber((fiber) =>
    Effect.suspend(() => {
      if (stopping !== undefined) return Effect.succeed(stopping)
      return Effect.map(Effect.forkDetach(stop, { startImmediately: true }), (started) => {
        stopping = started
        return started
      })
    }).pipe(
      Effect.flatMap((started) =>
        fiber.getRef(Within).includes(part) ? Effect.void : Effect.asVoid(Fiber.await(started))
      )
    )
  )
}

/** Takes no more messages of a subscription. What was received can still be read. */
export const unsubscribe = (connection: Connection, subscription: Delivery): void => {
  connection.unsubscribe(subscription)
  subscription.end(Cause.Done())
}

/**
 * Takes no more from the server. What it sent before it handled that is still received and can be read; then the stream
 * ends.
 */
export const leave = (connection: Connection, subscription: Delivery): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!connection.subscriptions.has(subscription.sid)) return Effect.void
    connection.session?.writer.unsubscribe(subscription.sid, undefined)
    return Effect.ensuring(
      // A server reads its clients side by side: what one of them published just before the UNSUB was handled can be sent
      // behind the PONG (seen on 2.15, a message or two of a million). It is there by the next one.
      Effect.andThen(roundTripOrEnd(connection), roundTripOrEnd(connection)),
      Effect.sync(() => {
        connection.completed(subscription)
        subscription.end(Cause.Done())
      })
    )
  })

const finished = (subscription: Delivery): Effect.Effect<void> =>
  Effect.callback((resume) => subscription.onFinished(() => resume(Effect.void)))

const roundTripOrEnd = (connection: Connection): Effect.Effect<void> =>
  Effect.suspend(() =>
    connection.session === undefined ? Effect.void : Effect.ignore(roundTrip(connection, connection.session))
  )

/**
 * Ends the client on purpose: no more intake, what was received is handled, what handlers answer is sent. Whatever is
 * not done within `timeout` is given up. Never fails.
 */
export const drain = (connection: Connection, timeout: Duration.Input): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (connection.ended !== undefined) return Effect.void
    if (connection.draining) return Effect.ignore(connection.awaitClosed)
    connection.draining = true
    connection.setState({ _tag: "Draining" })
    const subscriptions = [...connection.subscriptions.values()]
    for (const { sid } of subscriptions) connection.session?.writer.unsubscribe(sid, undefined)
    return roundTripOrEnd(connection).pipe(
      Effect.andThen(Effect.sync(() => {
        for (const subscription of subscriptions) subscription.end(Cause.Done())
      })),
      Effect.andThen(
        Effect.suspend(() => Effect.forEach([...subscriptions, ...connection.unfinished], finished, { discard: true }))
      ),
      Effect.andThen(roundTripOrEnd(connection)),
      Effect.timeoutOption(timeout),
      Effect.ensuring(Effect.sync(() => connection.end(undefined))),
      Effect.asVoid
    )
  })
