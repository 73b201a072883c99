/**
 * The engine that handles messages: workers over subscriptions, with counts, times, spans and the report of a failure, and
 * a stop that loses nothing inside a time. `consume`, listeners and typed handlers stand on it.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { type HandleError, InvalidOption, type SubscriptionError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { Connection } from "../connection/connection.ts"
import type { PartName } from "../connection/parts.ts"
import type { SubscriptionSettings } from "../delivery/delivery.ts"
import type { Message } from "../delivery/message.ts"
import { answersAll, refuseUnhandled } from "../payload/answering.ts"
import { withToldFailure } from "../payload/outcome.ts"
import { kindOf } from "../protocol/kindOf.ts"
import { printable } from "../protocol/printable.ts"
import { shownList, shownName } from "../protocol/shown.ts"
import { isTraced, type ReceiverOptions, relationOf } from "../telemetry/tracing.ts"
import { asPart, logEnd, noteEnd, noteStopping, Within } from "./background.ts"
import { allOrNothing, handOver, leave, stopOnce, unsubscribe } from "./closing.ts"
import { concurrencyProblem } from "./ranges.ts"
import { subscribe } from "./subscribe.ts"
import { Worker } from "./worker.ts"

/** What handles a message. What it fails with is reported and stops nothing. */
export type Handler<E, R> = (message: NatsMessage) => Effect.Effect<unknown, E, R>

export interface HandlingOptions {
  readonly concurrency?: number | "unbounded" | undefined
  readonly subjectTemplate?: string | undefined
  /** How long a stop waits for what was received to be handled: at most, and by default, that of the client. */
  readonly drainTimeout: Duration.Input | undefined
  /** What it is for health and for the log. Absent: its end is its caller's business alone. */
  readonly part?: PartName | undefined
}

export interface Handling {
  /** Leaves without losing a message, within `drainTimeout`. Never fails; a second stop waits for the first. */
  readonly stop: Effect.Effect<void>
  /** Waits for the end. Succeeds when it was stopped or the client was closed on purpose. */
  readonly ended: Effect.Effect<void, SubscriptionError>
}

/** Without types, anything can come here. */
const givenAs = (value: unknown): string =>
  typeof value === "number" || typeof value === "string" ? printable(String(value), 64) : kindOf(value)

/** For all that take a `concurrency`. */
export const checkConcurrency = (concurrency: number | "unbounded"): Effect.Effect<void, InvalidOption> => {
  const problem = concurrencyProblem(concurrency)
  return problem === undefined
    ? Effect.void
    : Effect.fail(new InvalidOption({ option: "concurrency", given: givenAs(concurrency), problem }))
}

/**
 * Handles every message of the subscriptions until the scope closes, which is a stop. Succeeds when the server has them, and
 * as a part of a client that connects in the background at once.
 * One subscription that ends with a failure ends all: what the others would still receive has nobody to handle it. Handlers
 * do not see the scope: theirs is that of who calls.
 */
export const handle = <E, R>(
  connection: Connection,
  settings: ReadonlyArray<SubscriptionSettings>,
  handler: Handler<E, R>,
  options: HandlingOptions,
  scope: Scope.Scope
): Effect.Effect<Handling, HandleError, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { concurrency = 1, drainTimeout, part } = options
      yield* checkConcurrency(concurrency)
      const opened = Effect.forEach(settings, (each) => subscribe(connection, each), { concurrency: "unbounded" })
      const subscriptions = yield* Scope.provide(
        allOrNothing(restore(part === undefined ? opened : asPart(opened))),
        scope
      )
      const workers = yield* Effect.forEach(subscriptions, (subscription) =>
        Effect.map(
          observe(connection, subscription.settings, options.subjectTemplate, handler),
          (observed) => new Worker(subscription, concurrency, observed, report(connection))
        ))
      const self = {}
      const outer = yield* Within
      const giveUp = Effect.suspend(() => {
        for (const { subscription } of workers) unsubscribe(connection, subscription)
        return giveBack(workers, handler)
      })
      // Those that are busy with one message after the other end in a turn. The others are within a handler, or idle.
      const halt = Effect.suspend(() => {
        for (const worker of workers) worker.halt()
        return Effect.andThen(Effect.yieldNow, Effect.yieldNow)
      })
      let isIdle = false
      const idle = Effect.suspend(() => {
        isIdle = true
        return giveUp
      })
      const running = Effect.forEach(workers, (worker) => Effect.onError(worker.run, () => halt), {
        concurrency: "unbounded",
        discard: true
      })
      const fiber = yield* Effect.forkDetach(
        Effect.provideService(Effect.ensuring(running, idle), Within, [...outer, self])
      )
      const noted = part === undefined ? undefined : connection.parts.join(part)
      let isWaitedFor = false
      let isStopping = false
      const { finalizer, stop } = stopOnce(
        connection,
        self,
        drainTimeout,
        Effect.fnUntraced(function*(patience) {
          isStopping = true
          if (noted !== undefined) noteStopping(noted)
          const left = Effect.forEach(workers, ({ subscription }) => leave(connection, subscription), {
            concurrency: "unbounded",
            discard: true
          })
          if (!(yield* patience.wait(Effect.andThen(left, Fiber.await(fiber))))) {
            yield* halt
            fiber.interruptUnsafe()
            // Where no handler runs any more, it is the answers of what was given back that still wait.
            if (!(yield* patience.linger(Fiber.await(fiber))) && !isIdle) {
              yield* Effect.andThen(giveUp, logStuck(settings))
              // The close of the client would wait for it once more.
              for (const { subscription } of workers) connection.unfinished.delete(subscription)
            }
          }
          yield* handOver(connection, patience)
          if (noted !== undefined) connection.parts.leave(noted)
        })
      )
      const context = yield* Effect.context<never>()
      fiber.addObserver((exit) => {
        if (noted === undefined || isStopping) return
        if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return connection.parts.leave(noted)
        noteEnd(noted, exit.cause)
        if (!isWaitedFor) Effect.runForkWith(context)(logEnd(noted, exit.cause))
      })
      // The last finalizer of the scope runs first: the subscriptions are still there.
      yield* Scope.addFinalizer(scope, finalizer)
      return {
        stop,
        ended: Effect.suspend(() => {
          isWaitedFor = true
          // Handlers that a stop could not wait for are interrupted.
          return Effect.catchCauseIf(Fiber.join(fiber), Cause.hasInterruptsOnly, () => Effect.void)
        })
      }
    })
  )

/** What was received and that no handler has begun: told, and answered where the handler answers all. */
const giveBack = (
  workers: ReadonlyArray<Pick<Worker<unknown>, "rest" | "subscription">>,
  handler: object
): Effect.Effect<void> =>
  Effect.forEach(workers, ({ subscription, rest }) => {
    const messages = rest()
    if (messages.length === 0) return Effect.void
    return Effect.andThen(
      Effect.annotateLogs(
        Effect.logWarning("The stop was out of time: what was received last is not handled"),
        { subject: shownName(subscription.settings.subject), messages: messages.length }
      ),
      Effect.forEach(messages, (message) => refuseUnhandled(handler, message), { discard: true })
    )
  }, { discard: true })

const logStuck = (settings: ReadonlyArray<SubscriptionSettings>): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning("A message handler does not let itself be interrupted and is left behind"),
    { subject: shownList(settings.map(({ subject }) => subject)) }
  )

// Looks once whether handlers are traced and timed: where they are not, nothing stands between a message and its handler.
const observe = <E, R>(
  connection: Connection,
  settings: SubscriptionSettings,
  template: string | undefined,
  handler: Handler<E, R>
): Effect.Effect<(message: Message) => Effect.Effect<unknown, E, R>> =>
  Effect.withFiber((fiber) => {
    const { meter, tracing } = connection.settings
    const timed: Handler<E, R> = meter === undefined ? handler : (message) => meter.timeHandler(() => handler(message))
    if (tracing === undefined || !isTraced(fiber)) return Effect.succeed(timed)
    const options: ReceiverOptions = {
      template: template ?? settings.subject,
      queue: settings.queue,
      relation: relationOf(fiber)
    }
    if (!answersAll(handler)) {
      return Effect.succeed((message: Message) => tracing.receive(message, options, () => timed(message)))
    }
    return Effect.succeed((message: Message) =>
      withToldFailure(() => timed(message), (handle) => tracing.receive(message, options, handle))
    )
  })

// A handler that fails is reported and counted. It stops neither the worker nor the subscription.
const report = (connection: Connection) => (subject: string, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  // A handler that interrupts itself has ended; an interruption of the worker ends it without coming here.
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  connection.handlerFailures++
  return Effect.annotateLogs(
    // A failure can throw when it is looked at, and would end the worker.
    Effect.catchCause(
      Effect.logError("A message handler failed", cause),
      () => Effect.logError("A message handler failed, and its failure cannot be shown")
    ),
    { subject: shownName(subject) }
  )
}
