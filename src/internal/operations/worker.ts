/**
 * Workers over one source of messages: long-lived fibers that share what it has.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/** Where workers take messages from: a `Subscription` is one. */
export interface Source<M, E> {
  /**
   * Begins to read, at most `limit` messages at once. Each pull waits for messages, and fails with `Done` when the source has
   * ended well. The reader is counted until the scope closes, which is when everything it took is handled.
   */
  read(limit?: number): Effect.Effect<
    Effect.Effect<Arr.NonEmptyReadonlyArray<M>, E | Cause.Done>,
    never,
    Scope.Scope
  >
  /** The next message, if there is one. */
  takeOne(): M | undefined
  /** Takes everything that nobody has read. */
  rest(): ReadonlyArray<M>
}

export type Handle<M, R> = (message: M) => Effect.Effect<unknown, unknown, R>

/** Takes the failure of a handler, and of which message. */
export type Report<M> = (message: M | undefined, cause: Cause.Cause<unknown>) => Effect.Effect<void>

/** What becomes of a message when its handler has ended, before the failure is reported. */
export interface Settle<M> {
  /** Done at once, or else what is to be done before the next message. */
  readonly succeeded: (message: M) => Effect.Effect<void> | undefined
  /** Interrupted, too. */
  readonly failed: (message: M, cause: Cause.Cause<unknown>) => Effect.Effect<void>
}

export interface WorkerOptions<M, R> {
  readonly concurrency: number | "unbounded"
  readonly handle: Handle<M, R>
  readonly settle?: Settle<M> | undefined
  readonly report: Report<M>
  /** Nobody but the source holds what no handler has begun: a worker that is alone takes no arrays. */
  readonly oneByOne?: boolean | undefined
}

interface Loop<M> {
  readonly take: () => ReadonlyArray<M>
  readonly halt: () => void
}

export class Worker<M, E, R> {
  /** Ends when the source has ended and everything of it was handled. Interruption interrupts the handlers. */
  readonly run: Effect.Effect<void, E, R>
  private readonly source: Source<M, E>
  private readonly report: Report<M>
  private readonly loops: Array<Loop<M>> = []

  constructor(source: Source<M, E>, options: WorkerOptions<M, R>) {
    const { concurrency, handle, oneByOne = false, report, settle } = options
    this.source = source
    this.report = report
    this.run = concurrency === "unbounded"
      ? Effect.awaitAllChildren(this.loop(!oneByOne, forking(options)))
      : concurrency === 1
      ? this.loop(!oneByOne, handle, settle)
      // A worker that sees the end first does not cut off what the others handle.
      : Effect.flatMap(
        Effect.forEach(
          Array.from({ length: concurrency }),
          () => Effect.exit(this.loop(false, handle, settle)),
          { concurrency: "unbounded" }
        ),
        (exits) => exits.find(Exit.isFailure) ?? Effect.void
      )
  }

  /** What was received and that no handler has begun. It is taken: nobody else gets it. */
  readonly rest = (): ReadonlyArray<M> => [
    ...this.loops.flatMap((loop) => loop.take()),
    ...this.source.rest()
  ]

  /** Begins no other message. Between two of them an interruption could lose one, or have it answered twice. */
  readonly halt = (): void => {
    for (const loop of this.loops) loop.halt()
  }

  // One loop for the whole life of a worker: a message costs its handler and a turn of the loop. A handler that fails
  // ends the loop, is settled and reported, and the loop goes on with the next message.
  private loop(takesArrays: boolean, handle: Handle<M, R>, settle?: Settle<M>): Effect.Effect<void, E, R> {
    const { loops, report, source } = this
    // The scope is that of the reading. A handler's is that of who calls.
    return Effect.scopedWith(Effect.fnUntraced(function*(scope) {
      // A worker that is alone takes whole arrays, which keeps the order and costs least.
      const pull = yield* Scope.provide(source.read(takesArrays ? undefined : 1), scope)
      let messages: ReadonlyArray<M> = []
      let index = 0
      /** What the handler has, until it is settled. */
      let current: M | undefined
      let owed: Effect.Effect<void> | undefined
      let end: Cause.Cause<E | Cause.Done> | undefined
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
      const next = (): M | undefined =>
        index < messages.length ? messages[index++] : takesArrays ? undefined : source.takeOne()
      const refill = Effect.matchCause(pull, {
        onFailure: (cause) => {
          end = cause
        },
        onSuccess: (batch) => {
          messages = batch
          index = 0
        }
      })
      const paid = Effect.sync(() => {
        owed = undefined
        current = undefined
      })
      const loop: Effect.Effect<void, unknown, R> = Effect.whileLoop({
        while: () => owed !== undefined || end === undefined,
        body: (): Effect.Effect<unknown, unknown, R> => {
          if (owed !== undefined) return Effect.andThen(owed, paid)
          current = next()
          if (current !== undefined) return effectOf(handle(current))
          messages = []
          return refill
        },
        // No frame for each message: most are settled right here.
        step: () => {
          if (settle !== undefined && current !== undefined) owed = settle.succeeded(current)
        }
      })
      const settling = settle === undefined ? loop : Effect.onExit(
        loop,
        (exit) => {
          owed = undefined
          return Exit.isFailure(exit) && current !== undefined ? settle.failed(current, exit.cause) : Effect.void
        }
      )
      const resilient: Effect.Effect<void, never, R> = Effect.catchCause(
        settling,
        (cause) => Effect.andThen(report(current, cause), Effect.suspend(() => resilient))
      )
      yield* resilient
      return yield* endOf(end!)
    }))
  }
}

/** Without types, anything can come here. What is no effect would end the fiber, and no finalizer of it would run. */
export const effectOf = <A, E, R>(handled: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.isEffect(handled) ? handled : Effect.die(new TypeError("a handler must return an Effect"))

/** A handler with its settlement, where a fiber or a span has to have both. */
export const settled = <M, A, E, R>(
  handled: Effect.Effect<A, E, R>,
  settle: Settle<M>,
  message: M
): Effect.Effect<A, E, R> =>
  Effect.onExit(
    handled,
    (exit) => Exit.isFailure(exit) ? settle.failed(message, exit.cause) : settle.succeeded(message) ?? Effect.void
  )

/** Each message in a fiber of its own. */
const forking = <M, R>({ handle, report, settle }: WorkerOptions<M, R>): Handle<M, R> => (message) => {
  const handled = Effect.suspend(() => effectOf(handle(message)))
  return Effect.forkChild(
    Effect.catchCause(
      settle === undefined ? handled : settled(handled, settle, message),
      (cause) => report(message, cause)
    ),
    { startImmediately: true }
  )
}

const endOf = <E>(cause: Cause.Cause<E | Cause.Done>): Effect.Effect<void, E> => {
  const end = Cause.findErrorOption(cause)
  if (end._tag === "None") return Effect.failCause(cause as Cause.Cause<never>)
  return Cause.isDone(end.value) ? Effect.void : Effect.fail(end.value)
}
