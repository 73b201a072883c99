/**
 * Handlers over a subscription, by long-lived workers that share its buffer.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { SubscribeError, SubscriptionError } from "../../NatsError.ts"
import type { Connection } from "../connection/connection.ts"
import type { Message } from "../delivery/message.ts"
import type { End, Subscription, SubscriptionSettings } from "../delivery/subscription.ts"
import { isTraced, type ReceiverOptions, relationOf } from "../telemetry/tracing.ts"
import { wholeNumber } from "./ranges.ts"
import * as Operations from "./subscribe.ts"

type Handler<E, R> = (message: Message) => Effect.Effect<unknown, E, R>

export interface HandlingOptions {
  readonly concurrency?: number | undefined
  readonly subjectTemplate?: string | undefined
}

/**
 * Handles every message of a subscription. Ends with it; an interruption takes no more messages, lets the workers handle
 * what was received for as long as `patience` says, and then interrupts them.
 */
export const consume = <E, R>(
  connection: Connection,
  settings: SubscriptionSettings,
  patience: Duration.Input,
  { concurrency = 1, subjectTemplate }: HandlingOptions = {},
  handler: Handler<E, R>
): Effect.Effect<void, SubscribeError | SubscriptionError, R> =>
  Effect.scopedWith((scope) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        wholeNumber("concurrency", concurrency)
        const subscription = yield* Scope.provide(restore(Operations.subscribe(connection, settings)), scope)
        const observed = yield* observe(connection, settings, subjectTemplate, handler)
        const worker = work(subscription, concurrency === 1, observed, reporter(connection, settings.subject))
        const workers = yield* Effect.forEach(
          Array.from({ length: concurrency }),
          () => Effect.forkIn(Effect.interruptible(worker), scope)
        )
        const ended = Effect.forEach(workers, Fiber.join, { discard: true })
        return yield* restore(ended).pipe(
          Effect.onInterrupt(() =>
            // What the server sent before it handled the UNSUB is handled, too: a queue group gives it to nobody else.
            Operations.leave(connection, subscription).pipe(
              Effect.andThen(ended),
              Effect.timeoutOption(patience),
              Effect.ignore
            )
          )
        )
      })
    )
  )

// One loop for the whole life of a worker: a message costs its handler and a turn of the loop. A handler that fails ends
// the loop, is reported, and the loop goes on with the next message.
const work = <E, R>(
  subscription: Subscription,
  isAlone: boolean,
  handler: Handler<E, R>,
  report: (cause: Cause.Cause<E>) => Effect.Effect<void>
): Effect.Effect<void, SubscriptionError, R> =>
  Effect.scoped(Effect.gen(function*() {
    // A worker that is alone takes whole arrays, which keeps the order and costs least.
    const pull = yield* subscription.read(isAlone ? undefined : 1)
    let messages: ReadonlyArray<Message> = []
    let index = 0
    let end: Cause.Cause<End> | undefined
    const next = (): Message | undefined =>
      index < messages.length ? messages[index++] : isAlone ? undefined : subscription.takeOne()
    const refill = Effect.matchCause(pull, {
      onFailure: (cause) => {
        end = cause
      },
      onSuccess: (batch) => {
        messages = batch
        index = 0
      }
    })
    const loop: Effect.Effect<void, E, R> = Effect.whileLoop({
      while: () => end === undefined,
      body: (): Effect.Effect<unknown, E, R> => {
        const message = next()
        if (message !== undefined) return handler(message)
        messages = []
        return refill
      },
      step: () => {}
    })
    const resilient: Effect.Effect<void, never, R> = Effect.catchCause(
      loop,
      (cause) => Effect.andThen(report(cause), Effect.suspend(() => resilient))
    )
    yield* resilient
    return yield* endOf(end!)
  }))

const endOf = (cause: Cause.Cause<End>): Effect.Effect<void, SubscriptionError> => {
  const end = Cause.findErrorOption(cause)
  if (end._tag === "None") return Effect.failCause(cause as Cause.Cause<never>)
  return Cause.isDone(end.value) ? Effect.void : Effect.fail(end.value)
}

// Looks once whether handlers are traced and timed: where they are not, nothing stands between a message and its handler.
const observe = <E, R>(
  connection: Connection,
  settings: SubscriptionSettings,
  template: string | undefined,
  handler: Handler<E, R>
): Effect.Effect<Handler<E, R>> =>
  Effect.withFiber((fiber) => {
    const { meter, tracing } = connection.settings
    const timed: Handler<E, R> = meter === undefined ? handler : (message) => meter.timeHandler(() => handler(message))
    if (tracing === undefined || !isTraced(fiber)) return Effect.succeed(timed)
    const options: ReceiverOptions = {
      template: template ?? settings.subject,
      queue: settings.queue,
      relation: relationOf(fiber)
    }
    return Effect.succeed<Handler<E, R>>((message) => tracing.receive(message, options, () => timed(message)))
  })

// A handler that fails is reported and counted. It stops neither the worker nor the subscription.
const reporter = (connection: Connection, subject: string) => (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  // A handler that interrupts itself has ended; an interruption of the worker ends it without coming here.
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  connection.handlerFailures++
  return Effect.annotateLogs(Effect.logError("A message handler failed", cause), { subject })
}
