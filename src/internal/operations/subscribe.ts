/**
 * Subscribe, flush, drain and reconnect on a connection.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { ConnectionReset } from "../../ConnectError.ts"
import { ConnectionClosed, type FlushError, type InvalidSubject, type SubscribeError } from "../../NatsError.ts"
import type { Connection } from "../connection/connection.ts"
import { afterReadLoop } from "../delivery/afterReadLoop.ts"
import type { Subscription, SubscriptionSettings } from "../delivery/subscription.ts"
import { patternProblem, queueProblem } from "../subject/rules.ts"
import { atLeastOne, wholeNumber } from "./ranges.ts"
import { available, bounded, invalidSubject, roundTrip, within } from "./sending.ts"

export const flush = (connection: Connection): Effect.Effect<void, FlushError> =>
  Effect.flatMap(
    within(connection, undefined, Effect.suspend(() => available(connection))),
    (session) => roundTrip(connection, session)
  )

const checkSubscription = (settings: SubscriptionSettings): InvalidSubject | undefined => {
  atLeastOne("capacity", settings.capacity)
  atLeastOne("capacityBytes", settings.capacityBytes)
  if (settings.max !== undefined) wholeNumber("max", settings.max)
  const problem = patternProblem(settings.subject)
  if (problem !== undefined) return invalidSubject("pattern", settings.subject, problem)
  if (settings.queue === undefined) return undefined
  const inQueue = queueProblem(settings.queue)
  return inQueue === undefined ? undefined : invalidSubject("queue", settings.queue, inQueue)
}

/** Opens a subscription and waits until the server has it. The scope unsubscribes. */
export const subscribe = (
  connection: Connection,
  settings: SubscriptionSettings
): Effect.Effect<Subscription, SubscribeError, Scope.Scope> =>
  Effect.suspend((): Effect.Effect<Subscription, SubscribeError, Scope.Scope> => {
    const problem = checkSubscription(settings)
    if (problem !== undefined) return Effect.fail(problem)
    if (connection.ended !== undefined) return Effect.fail(connection.ended)
    if (connection.draining) return Effect.fail(new ConnectionClosed({}))
    if (connection.session === undefined && connection.settings.whileDisconnected === "fail") {
      return Effect.fail(connection.unavailable)
    }
    return Effect.tap(
      Effect.acquireRelease(
        Effect.sync(() => connection.subscribe(settings)),
        (subscription) => Effect.sync(() => close(connection, subscription))
      ),
      (subscription) =>
        bounded(
          connection,
          Effect.callback<void, SubscribeError>((resume) => {
            subscription.onConfirmed((error) => {
              // A buffer that overflowed before anyone could read it is the stream's to report.
              afterReadLoop(resume)(error === undefined || error._tag === "SlowConsumer" ? Exit.void : Exit.fail(error))
            })
          })
        )
    )
  })

/** Takes no more messages of a subscription. What was received can still be read. */
export const unsubscribe = (connection: Connection, subscription: Subscription): void => {
  connection.unsubscribe(subscription)
  subscription.end(Cause.Done())
}

/**
 * Takes no more from the server. What it sent before it handled that is still received and can be read; then the stream
 * ends.
 */
export const leave = (connection: Connection, subscription: Subscription): Effect.Effect<void> =>
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

const close = (connection: Connection, subscription: Subscription): void => {
  unsubscribe(connection, subscription)
  subscription.discard()
}

const finished = (subscription: Subscription): Effect.Effect<void> =>
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

/**
 * Lets go of the current session, so that the supervisor dials another with fresh credentials. What was written before
 * is handled by the server first, if it answers within `patience`.
 */
export const reconnect = (connection: Connection, patience: Duration.Input): Effect.Effect<void, ConnectionClosed> =>
  Effect.suspend(() => {
    const session = connection.session
    if (session === undefined) return Effect.asVoid(connection.awaitSession)
    const { server } = session
    return Effect.ignore(roundTrip(connection, session)).pipe(
      Effect.timeoutOption(patience),
      Effect.andThen(Effect.sync(() => session.fail(new ConnectionReset({ server, stage: "up", requested: true })))),
      Effect.andThen(connection.awaitSession),
      Effect.asVoid
    )
  })
