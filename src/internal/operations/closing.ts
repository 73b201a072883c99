/**
 * How things end: a subscription that is left without a loss, a client that is drained, a stop that ends in time.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { graceMillis } from "../connection/closeBudget.ts"
import type { Connection } from "../connection/connection.ts"
import type { Delivery } from "../delivery/delivery.ts"
import { Within } from "./background.ts"
import { isUninterruptible, roundTrip, sleep, untilStandstill } from "./sending.ts"

/** The time that an end has. Neither fails, and what is not done in it is interrupted, also within a finalizer. */
export interface Patience {
  /** Whether it was done in the time of what is in flight. */
  readonly wait: (effect: Effect.Effect<unknown>) => Effect.Effect<boolean>
  /** Whether it was done in the time of what was interrupted. */
  readonly linger: (effect: Effect.Effect<unknown>) => Effect.Effect<boolean>
}

/** `own` can make the time shorter. What a finalizer waits is one sum over the client: see `CloseBudget`. */
const patienceOf = (connection: Connection, own: Duration.Input | undefined, isCounted: boolean): Patience => {
  const { budget, settings } = connection
  const whole = Duration.toMillis(settings.drainTimeout)
  const most = own === undefined ? whole : Math.min(whole, Duration.toMillis(Duration.fromInputUnsafe(own)))
  return {
    wait: (effect) =>
      Effect.suspend(() => {
        const { heard } = connection
        const all = isCounted ? budget.remaining : whole
        return Effect.map(inTime(connection, Math.min(most, all), effect), (isDone) => {
          if (isDone) return true
          const isSilent = isCounted ? budget.late(connection.heard) : connection.heard === heard
          // Whoever waits for the server next would wait for nothing.
          if (isSilent && most >= all) connection.stoodStillAt = connection.heard
          return false
        })
      }),
    linger: (effect) => Effect.suspend(() => inTime(connection, isCounted ? budget.grace : graceMillis, effect))
  }
}

const inTime = (connection: Connection, millis: number, effect: Effect.Effect<unknown>): Effect.Effect<boolean> =>
  // Without any time there is a turn, for what ends at once.
  Effect.raceFirst(Effect.as(effect, true), Effect.as(millis > 0 ? sleep(connection, millis) : Effect.yieldNow, false))

const counted = <A>(connection: Connection, wait: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.suspend(() => {
    connection.budget.enter(connection.heard)
    return Effect.ensuring(wait, Effect.sync(() => connection.budget.leave()))
  })

/** An end that is a finalizer. */
export const finalizing = (
  connection: Connection,
  own: Duration.Input | undefined,
  end: (patience: Patience) => Effect.Effect<void>
): Effect.Effect<void> => counted(connection, Effect.suspend(() => end(patienceOf(connection, own, true))))

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
 * A stop that runs once, whoever asks for it, and the same as a finalizer. A handler of `part` that asks does not wait:
 * the stop waits for it.
 */
export const stopOnce = (
  connection: Connection,
  part: object,
  own: Duration.Input | undefined,
  end: (patience: Patience) => Effect.Effect<void>
): { readonly stop: Effect.Effect<void>; readonly finalizer: Effect.Effect<void> } => {
  let stopping: Fiber.Fiber<void> | undefined
  const start = (isCounted: boolean): Effect.Effect<Fiber.Fiber<void>> =>
    Effect.suspend(() => {
      if (stopping !== undefined) return Effect.succeed(stopping)
      const ending = end(patienceOf(connection, own, isCounted))
      return Effect.map(Effect.forkDetach(ending, { startImmediately: true }), (started) => {
        stopping = started
        return started
      })
    })
  const stopWith = (isFinalizer: boolean): Effect.Effect<void> =>
    Effect.withFiber((fiber) => {
      if (fiber.getRef(Within).includes(part)) return Effect.asVoid(start(false))
      const isCounted = isFinalizer || isUninterruptible(fiber)
      const done = Effect.flatMap(start(isCounted), (started) => Effect.asVoid(Fiber.await(started)))
      return isCounted ? counted(connection, done) : done
    })
  return { stop: stopWith(false), finalizer: stopWith(true) }
}

/** Takes no more messages of a subscription. What was received can still be read. */
export const unsubscribe = (connection: Connection, subscription: Delivery): void => {
  connection.unsubscribe(subscription)
  subscription.end(Cause.Done())
}

/**
 * Takes no more from the server. What it sent before it handled that is still received and can be read; then the stream
 * ends. Where nothing moves on the connection for `drainTimeout` it ends then.
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
    connection.session === undefined
      ? Effect.void
      : Effect.ignore(untilStandstill(connection, roundTrip(connection, connection.session)))
  )

/**
 * What a part has written is at the server: its program may end without another word. Without a session that is what waits
 * for one.
 */
export const handOver = (connection: Connection, patience: Patience): Effect.Effect<void> => {
  const over = Effect.suspend(() =>
    connection.isComing || (connection.session === undefined && !connection.isHolding)
      ? Effect.void
      : Effect.ignore(untilStandstill(
        connection,
        Effect.flatMap(connection.awaitSession, (session) => roundTrip(connection, session))
      ))
  )
  return Effect.asVoid(patience.linger(over))
}

/** A close that somebody asks for. */
export const drain = (connection: Connection): Effect.Effect<void> =>
  Effect.withFiber((fiber) =>
    isUninterruptible(fiber) ? close(connection) : ending(connection, patienceOf(connection, undefined, false))
  )

/**
 * The client's own finalizer: it has what those of its parts have left. `release` is waited for in the last second: a
 * provider of credentials can be such that nothing interrupts it.
 */
export const close = (connection: Connection, release: Effect.Effect<void> = Effect.void): Effect.Effect<void> =>
  finalizing(connection, undefined, (patience) =>
    ending(connection, patience).pipe(
      Effect.andThen(Effect.forkDetach(release, { startImmediately: true })),
      Effect.flatMap((releasing) => Effect.asVoid(patience.linger(Fiber.await(releasing))))
    ))

/**
 * Ends the client on purpose: no more intake, what was received is handled, what handlers answer is sent. Whatever is
 * not done in time is given up. Never fails.
 */
const ending = (connection: Connection, patience: Patience): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (connection.ended !== undefined) return Effect.void
    if (connection.draining) {
      return Effect.map(patience.wait(Effect.ignore(connection.awaitClosed)), () => connection.end(undefined))
    }
    connection.draining = true
    connection.setState({ _tag: "Draining" })
    const subscriptions = [...connection.subscriptions.values()]
    for (const subscription of subscriptions) {
      connection.session?.writer.unsubscribe(subscription.sid, undefined)
      subscription.leaving?.()
    }
    const handled = roundTripOrEnd(connection).pipe(
      Effect.andThen(Effect.sync(() => {
        for (const subscription of subscriptions) subscription.end(Cause.Done())
      })),
      Effect.andThen(
        Effect.suspend(() => Effect.forEach([...subscriptions, ...connection.unfinished], finished, { discard: true }))
      )
    )
    const sent = Effect.suspend(() => roundTripOrEnd(connection))
    return patience.wait(Effect.andThen(handled, sent)).pipe(
      // What was answered last is sent also where somebody else has used up the time.
      Effect.andThen((isDone) => {
        if (isDone) return Effect.void
        for (const subscription of new Set([...subscriptions, ...connection.unfinished])) subscription.late?.()
        return patience.linger(sent)
      }),
      Effect.ensuring(Effect.sync(() => connection.end(undefined))),
      Effect.asVoid
    )
  })
