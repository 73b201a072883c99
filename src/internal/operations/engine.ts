/**
 * The engine that handles messages: workers over sources, with the report of a failure and a stop that loses nothing inside
 * a time. What `consume`, listeners and typed handlers do with subscriptions stands on it (`handling.ts`), and what JetStream
 * does with a consumer.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { InvalidOption } from "../../NatsError.ts"
import type { Connection } from "../connection/connection.ts"
import type { PartName } from "../connection/parts.ts"
import { kindOf } from "../protocol/kindOf.ts"
import { printable } from "../protocol/printable.ts"
import { logEnd, noteEnd, noteStopping, Within } from "./background.ts"
import { allOrNothing, handOver, stopOnce } from "./closing.ts"
import { concurrencyProblem } from "./ranges.ts"
import { type Handle, type Report, type Settle, type Source, Worker } from "./worker.ts"

export interface EngineOptions {
  readonly concurrency?: number | "unbounded" | undefined
  /** How long a stop waits for what was received to be handled: at most, and by default, that of the client. */
  readonly drainTimeout: Duration.Input | undefined
  /** What it is for health and for the log. Absent: its end is its caller's business alone. */
  readonly part?: PartName | undefined
}

export interface Handling<E> {
  /** Leaves without losing a message, within `drainTimeout`. Never fails; a second stop waits for the first. */
  readonly stop: Effect.Effect<void>
  /** Waits for the end. Succeeds when it was stopped or the client was closed on purpose. */
  readonly ended: Effect.Effect<void, E>
}

/** A source, what handles its messages, and how it is left. */
export interface Intake<M, E, R> {
  readonly source: Source<M, E>
  readonly handle: Handle<M, R>
  readonly settle?: Settle<M> | undefined
  readonly report: Report<M>
  /** Nobody but the source holds what no handler has begun. */
  readonly oneByOne?: boolean | undefined
  /**
   * Takes no more from the server. When it is done, the workers end with what is there. A source that is to give back what no
   * handler has begun ends at once.
   */
  readonly leave: Effect.Effect<void>
  /** Takes no more from the server, at once: the workers have ended, or no time is left. */
  readonly abandon: () => void
  /** What no handler has begun, when the workers have ended or no time is left. May be none. */
  readonly giveBack: (messages: ReadonlyArray<M>) => Effect.Effect<void>
  /** A handler is left behind: the close of the client does not wait for it once more. */
  readonly forget: () => void
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
 * Handles every message of the sources until the scope closes, which is a stop. Succeeds when they are open.
 * One source that ends with a failure ends all: what the others would still receive has nobody to handle it. Handlers do not
 * see the scope: theirs is that of who calls.
 */
export const run = <M, E, OpenError, OpenR, R>(
  connection: Connection,
  opened: Effect.Effect<ReadonlyArray<Intake<M, E, R>>, OpenError, OpenR>,
  stuck: Effect.Effect<void>,
  options: EngineOptions,
  scope: Scope.Scope
): Effect.Effect<Handling<E>, OpenError | InvalidOption, Exclude<OpenR, Scope.Scope> | R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { concurrency = 1, drainTimeout, part } = options
      yield* checkConcurrency(concurrency)
      const intakes = yield* Scope.provide(allOrNothing(restore(opened)), scope)
      const workers = intakes.map((intake) => ({
        intake,
        worker: new Worker(intake.source, { ...intake, concurrency })
      }))
      const self = {}
      const outer = yield* Within
      const giveUp = Effect.suspend(() => {
        for (const { intake } of workers) intake.abandon()
        return Effect.forEach(workers, ({ intake, worker }) => intake.giveBack(worker.rest()), { discard: true })
      })
      // Those that are busy with one message after the other end in a turn. The others are within a handler, or idle.
      const halt = Effect.suspend(() => {
        for (const { worker } of workers) worker.halt()
        return Effect.andThen(Effect.yieldNow, Effect.yieldNow)
      })
      let isIdle = false
      const idle = Effect.suspend(() => {
        isIdle = true
        return giveUp
      })
      const running = Effect.forEach(workers, ({ worker }) => Effect.onError(worker.run, () => halt), {
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
          const left = Effect.forEach(workers, ({ intake }) => intake.leave, {
            concurrency: "unbounded",
            discard: true
          })
          if (!(yield* patience.wait(Effect.andThen(left, Fiber.await(fiber))))) {
            yield* halt
            fiber.interruptUnsafe()
            // Where no handler runs any more, it is the answers of what was given back that still wait.
            if (!(yield* patience.linger(Fiber.await(fiber))) && !isIdle) {
              yield* Effect.andThen(giveUp, stuck)
              // The close of the client would wait for it once more.
              for (const { intake } of workers) intake.forget()
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
      // The last finalizer of the scope runs first: the sources are still there.
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

/** Counts and logs the failures of handlers. One that fails stops neither its worker nor the source. */
export const reporting = <M>(
  connection: Connection,
  annotations: (message: M | undefined) => Record<string, unknown>
): Report<M> =>
(message, cause) => {
  // A handler that interrupts itself has ended; an interruption of the worker ends it without coming here.
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  connection.handlerFailures++
  return Effect.annotateLogs(
    // A failure can throw when it is looked at, and would end the worker.
    Effect.catchCause(
      Effect.logError("A message handler failed", cause),
      () => Effect.logError("A message handler failed, and its failure cannot be shown")
    ),
    annotations(message)
  )
}
