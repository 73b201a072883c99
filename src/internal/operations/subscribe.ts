/**
 * Subscribe, flush and reconnect on a connection.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { ConnectionReset } from "../../ConnectError.ts"
import type { SubscribeOptions } from "../../NatsClient.ts"
import { ConnectionClosed, type FlushError, type InvalidSubject, type SubscribeError } from "../../NatsError.ts"
import type { Connection } from "../connection/connection.ts"
import { afterReadLoop } from "../delivery/afterReadLoop.ts"
import type { SubscriptionSettings } from "../delivery/delivery.ts"
import { Subscription } from "../delivery/subscription.ts"
import type { ServerInfo } from "../protocol/info.ts"
import { invalidSubject } from "../subject/invalid.ts"
import { patternProblem, queueProblem } from "../subject/rules.ts"
import { AsPart, Within } from "./background.ts"
import { unsubscribe } from "./closing.ts"
import { atLeastOne, wholeNumber } from "./ranges.ts"
import { available, bounded, isUninterruptible, roundTrip, sleep, within } from "./sending.ts"

export const defaultCapacity = 65_536
export const defaultCapacityBytes = 64 * 1024 * 1024

/** Of one subject or several. One that is given twice counts once. */
export const patternsOf = (subjects: string | ReadonlyArray<string>): ReadonlyArray<string> =>
  typeof subjects === "string" ? [subjects] : [...new Set(subjects)]

/** The settings of a subscription with what its options leave out. */
export const settingsOf = (subject: string, options: SubscribeOptions | undefined): SubscriptionSettings => ({
  subject,
  queue: options?.queue,
  capacity: options?.capacity ?? defaultCapacity,
  capacityBytes: options?.capacityBytes ?? defaultCapacityBytes,
  overflow: options?.overflow ?? "fail",
  max: options?.max
})

export const flush = (connection: Connection): Effect.Effect<void, FlushError> =>
  Effect.flatMap(
    within(connection, undefined, Effect.suspend(() => available(connection))),
    (session) => roundTrip(connection, session)
  )

/** What the server says of itself, but for texts that repeat a secret. What is known stays known. */
export const serverInfo = (connection: Connection): Effect.Effect<ServerInfo, FlushError> => {
  const shown = (info: ServerInfo): ServerInfo => connection.filter.fields(info)
  return Effect.suspend(() =>
    connection.info !== undefined
      ? Effect.succeed(shown(connection.info))
      : Effect.map(
        within(connection, undefined, Effect.suspend(() => available(connection))),
        (session) => shown(session.info)
      )
  )
}

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

/** Opens a subscription and waits until the server has it, but for one of `asPart`. The scope unsubscribes. */
export const subscribe = (
  connection: Connection,
  settings: SubscriptionSettings
): Effect.Effect<Subscription, SubscribeError, Scope.Scope> =>
  Effect.withFiber((fiber): Effect.Effect<Subscription, SubscribeError, Scope.Scope> => {
    const problem = checkSubscription(settings)
    if (problem !== undefined) return Effect.fail(problem)
    if (connection.ended !== undefined) return Effect.fail(connection.ended)
    if (connection.draining) return Effect.fail(new ConnectionClosed({}))
    const isLater = connection.isComing && fiber.getRef(AsPart)
    if (!isLater && connection.session === undefined && connection.settings.whileDisconnected === "fail") {
      return Effect.fail(connection.unavailable)
    }
    if (!isUninterruptible(fiber) && fiber.getRef(Within).length === 0) connection.budget.lives()
    const opened = Effect.acquireRelease(
      Effect.sync(() => connection.subscribe((sid, owner) => new Subscription(sid, settings, owner))),
      (subscription) => Effect.sync(() => close(connection, subscription))
    )
    return isLater ? opened : Effect.tap(
      opened,
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

const close = (connection: Connection, subscription: Subscription): void => {
  unsubscribe(connection, subscription)
  subscription.discard()
}

/**
 * Lets go of the current session, so that the supervisor dials another with fresh credentials. What was written before
 * is handled by the server first, if it answers within `patience`.
 */
export const reconnect = (connection: Connection, patience: Duration.Input): Effect.Effect<void, ConnectionClosed> =>
  Effect.suspend(() => {
    const session = connection.session
    if (session === undefined) return Effect.asVoid(connection.awaitSession)
    const { server } = session
    return Effect.raceFirst(Effect.ignore(roundTrip(connection, session)), sleep(connection, patience)).pipe(
      Effect.andThen(Effect.sync(() => session.fail(new ConnectionReset({ server, stage: "up", requested: true })))),
      Effect.andThen(connection.awaitSession),
      Effect.asVoid
    )
  })
