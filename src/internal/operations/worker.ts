/**
 * Workers over one subscription: long-lived fibers that share its buffer.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { SubscriptionError } from "../../NatsError.ts"
import type { End } from "../delivery/delivery.ts"
import type { Message } from "../delivery/message.ts"
import type { Subscription } from "../delivery/subscription.ts"

type Handle<R> = (message: Message) => Effect.Effect<unknown, unknown, R>

type Report = (subject: string, cause: Cause.Cause<unknown>) => Effect.Effect<void>

interface Loop {
  readonly take: () => ReadonlyArray<Message>
  readonly halt: () => void
}

export class Worker<R> {
  readonly subscription: Subscription
  /** Ends when the subscription has ended and everything of it was handled. Interruption interrupts the handlers. */
  readonly run: Effect.Effect<void, SubscriptionError, R>
  private readonly loops: Array<Loop> = []

  constructor(subscription: Subscription, concurrency: number | "unbounded", handle: Handle<R>, report: Report) {
    this.subscription = subscription
    this.run = concurrency === "unbounded"
      ? Effect.awaitAllChildren(this.loop(true, forking(handle, report), report))
      : concurrency === 1
      ? this.loop(true, handle, report)
      // A worker that sees the end first does not cut off what the others handle.
      : Effect.flatMap(
        Effect.forEach(
          Array.from({ length: concurrency }),
          () => Effect.exit(this.loop(false, handle, report)),
          { concurrency: "unbounded" }
        ),
        (exits) => exits.find(Exit.isFailure) ?? Effect.void
      )
  }

  /** What was received and that no handler has begun. It is taken: nobody else gets it. */
  readonly rest = (): ReadonlyArray<Message> => [
    ...this.loops.flatMap((loop) => loop.take()),
    ...this.subscription.rest()
  ]

  /** Begins no other message. Between two of them an interruption could lose one, or have it answered twice. */
  readonly halt = (): void => {
    for (const loop of this.loops) loop.halt()
  }

  // One loop for the whole life of a worker: a message costs its handler and a turn of the loop. A handler that fails
  // ends the loop, is reported, and the loop goes on with the next message.
  private loop(isAlone: boolean, handle: Handle<R>, report: Report): Effect.Effect<void, SubscriptionError, R> {
    const { loops, subscription } = this
    // The scope is that of the reading. A handler's is that of who calls.
    return Effect.scopedWith(Effect.fnUntraced(function*(scope) {
      // A worker that is alone takes whole arrays, which keeps the order and costs least.
      const pull = yield* Scope.provide(subscription.read(isAlone ? undefined : 1), scope)
      let messages: ReadonlyArray<Message> = []
      let index = 0
      let current: Message | undefined
      let end: Cause.Cause<End> | undefined
      loops.push({
        take: () => {
          const rest = messages.slice(index)
          messages = []
          return rest
        },
        halt: () => {
          end ??= Cause.fail(Cause.Done())
        }
      })
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
      const loop: Effect.Effect<void, unknown, R> = Effect.whileLoop({
        while: () => end === undefined,
        body: (): Effect.Effect<unknown, unknown, R> => {
          current = next()
          if (current !== undefined) return handle(current)
          messages = []
          return refill
        },
        step: () => {}
      })
      const resilient: Effect.Effect<void, never, R> = Effect.catchCause(
        loop,
        (cause) =>
          Effect.andThen(
            report(current?.subject ?? subscription.settings.subject, cause),
            Effect.suspend(() => resilient)
          )
      )
      yield* resilient
      return yield* endOf(end!)
    }))
  }
}

/** Each message in a fiber of its own. */
const forking = <R>(handle: Handle<R>, report: Report): Handle<R> => (message) =>
  Effect.forkChild(
    Effect.catchCause(Effect.suspend(() => handle(message)), (cause) => report(message.subject, cause)),
    { startImmediately: true }
  )

const endOf = (cause: Cause.Cause<End>): Effect.Effect<void, SubscriptionError> => {
  const end = Cause.findErrorOption(cause)
  if (end._tag === "None") return Effect.failCause(cause as Cause.Cause<never>)
  return Cause.isDone(end.value) ? Effect.void : Effect.fail(end.value)
}
