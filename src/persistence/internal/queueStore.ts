/** The store: what is offered, taken and cleaned up. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { PersistedQueueError, type PersistedQueueStore } from "effect/persistence/PersistedQueue"
import type * as Scope from "effect/Scope"
import { sleep } from "../../internal/operations/sending.ts"
import { quoted } from "../../internal/protocol/shown.ts"
import { lateMeter } from "../../internal/telemetry/lateMetrics.ts"
import { unsupported } from "../../jetstream/internal/level.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import { MaxPayloadExceeded } from "../../NatsError.ts"
import type { Ready } from "./opening.ts"
import { passes, pauseAfter } from "./passing.ts"
import { type Claim, claim, settle } from "./queueClaims.ts"
import { type Restore, TakenQueue } from "./queueConsumers.ts"
import { type QueueBase, withJetStream } from "./queueWrites.ts"
import { ServerClock } from "./serverClock.ts"
import { tokenOf } from "./textToken.ts"

export interface OpenedStore {
  /** Whether the stream takes what is to come later. */
  readonly hasSchedules: boolean
}

type Store = PersistedQueueStore["Service"]

/** So long what the server said of its time is believed: clocks of servers are put right, too. */
const believedMillis = 1_000

/** So often an offer is written again that may be stored or not. */
const mostOffers = 5

/** What a store notes of an element that fails comes on top of it. */
const reserveBytes = 4 * 1024

/** As operations of queues fail. */
export const failedWith = (what: string) => (cause: { readonly message: string }): PersistedQueueError =>
  new PersistedQueueError({ message: `${what}: ${cause.message}`, cause })

/** Each begins with what the layer has opened. */
export const makeQueueStore = Effect.fnUntraced(
  function*<E extends { readonly _tag: string; readonly message: string }>(
    base: QueueBase,
    ready: Ready<OpenedStore, E>,
    leaseMillis: number
  ): Effect.fn.Return<Store, never, Scope.Scope> {
    const scope = yield* Effect.scope
    const queues = new Map<string, TakenQueue>()
    const clock = new ServerClock(base.api, base.names.stream, {
      clock: base.api.connection.settings.clock,
      freshMillis: believedMillis,
      samples: 1
    })
    const countLate = lateMeter(yield* Effect.context<never>(), "queue", base.api.connection.settings.metrics)

    const queueOf = (name: string): Effect.Effect<TakenQueue> =>
      Effect.suspend(() => {
        const known = queues.get(name)
        if (known !== undefined) return Effect.succeed(known)
        const queue = new TakenQueue(base, name, leaseMillis, countLate)
        queues.set(name, queue)
        // What is forked where nothing is interrupted could never be ended.
        return Effect.as(Effect.forkIn(Effect.interruptible(queue.keeping), scope), queue)
      })

    const offer: Store["offer"] = ({ delay, element, id, name }) => {
      const what = `The element ${quoted(id)} was not offered to the queue ${quoted(name)}`
      return Effect.gen(function*() {
        const { hasSchedules } = yield* ready.inTime
        const text = yield* Effect.try({
          try: () => JSON.stringify({ id, name, element }),
          catch: (cause) => new PersistedQueueError({ message: `${what}: it is no JSON`, cause })
        })
        const { names } = base
        const [queue, token] = [tokenOf(name), tokenOf(id)]
        const target = names.subject("q", queue, token)
        const size = Buffer.byteLength(text)
        const limit = base.api.connection.maxPayload - reserveBytes
        if (size > limit) {
          return yield* new PersistedQueueError({
            message: `${what}: it has ${size} bytes, and one of this server has at most ${limit}, which is its ` +
              `max_payload without ${reserveBytes} for what is noted of an element: offer less, or raise max_payload`,
            cause: new MaxPayloadExceeded({ subject: target, size, limit })
          })
        }
        const headers: Record<string, string> = {}
        if (delay !== undefined) {
          const problem = unsupported(base.api, "schedules")
          if (problem !== undefined) return yield* problem
          if (!hasSchedules) {
            return yield* new PersistedQueueError({
              message:
                `${what}: its stream ${quoted(names.stream)} was made on a server before 2.12 and has no message ` +
                "schedules, which `delay` needs: update the stream (`allow_msg_schedules`)"
            })
          }
          yield* clock.fresh
          // Never early: as late as it can be there.
          const at = clock.latest() + Math.ceil(Duration.toMillis(delay))
          headers["Nats-Schedule"] = `@at ${new Date(Math.min(at, latest)).toISOString()}`
          headers["Nats-Schedule-Target"] = target
        }
        const kind = delay === undefined ? "q" : "w"
        const publish = base.js.publish(names.subject(kind, queue, token), text, {
          headers,
          expect: { lastSubjectSequence: 0, forSubject: names.ofElement(queue, token) },
          subjectTemplate: names.template(kind)
        })
        let tries = 0
        while (true) {
          const stored = yield* Effect.result(publish)
          if (stored._tag === "Success") return
          const error = stored.failure
          if (error._tag === "WrongLastSequence") {
            if (error.actual !== undefined) return
            // One with this id comes first: it is on its way, and may still fail.
          } else if (error._tag !== "PublishOutcomeUnknown") return yield* error
          // The id makes it one element, however often it is written.
          if (tries === mostOffers) return yield* error
          yield* sleep(base.api.connection, pauseAfter(tries++))
        }
      }).pipe(
        Effect.mapError((error) => error instanceof PersistedQueueError ? error : failedWith(what)(error))
      )
    }

    const take: Store["take"] = (options) => {
      const what = `Nothing can be taken of the queue ${quoted(options.name)}`
      return Effect.uninterruptibleMask((restore: Restore) =>
        Effect.gen(function*() {
          yield* restore(ready.whenever)
          const queue = yield* queueOf(options.name)
          let claimed: Claim | undefined
          while (claimed === undefined) {
            const message = yield* queue.next(restore)
            queue.held.add(message)
            claimed = yield* claim(queue, message, options.maxAttempts).pipe(
              // The server is away: the element comes again when its lease is over.
              Effect.catchIf(passes, () => Effect.undefined),
              Effect.onExit((exit) =>
                Effect.sync(() => {
                  if (exit._tag === "Failure") message.giveBack()
                  if (exit._tag === "Failure" || exit.value === undefined) queue.held.delete(message)
                })
              )
            )
          }
          const taken = claimed
          yield* Effect.addFinalizer((exit) =>
            Effect.orDie(Effect.mapError(
              settle(taken, exit, options),
              failedWith(
                `What came of the element ${quoted(taken.record.id)} of the queue ${quoted(options.name)} is not stored`
              )
            ))
          )
          return { id: taken.record.id, attempts: taken.attempts, element: taken.record.element }
        })
      ).pipe(Effect.mapError(failedWith(what)))
    }

    const cleanKind = Effect.fnUntraced(function*(kind: "d" | "f", timeToLive: Duration.Duration) {
      if (!Duration.isFinite(timeToLive)) return
      const { api, names } = base
      yield* clock.fresh
      const cutoff = clock.now() - Duration.toMillis(timeToLive)
      // Before it is asked what is younger: what is stored meanwhile stays.
      const { state } = yield* withJetStream(base, JetStreamStream.info(names.stream))
      // What was stored first behind it stays, and all that comes after.
      const upTo = yield* api.call<"none">(
        `STREAM.MSG.GET.${names.stream}`,
        { start_time: new Date(Math.max(0, cutoff)).toISOString(), next_by_subj: names.every(kind) },
        { errors: { 10037: () => "none" as const } }
      ).pipe(
        Effect.map(({ message }) => Number((message as { readonly seq?: unknown } | undefined)?.seq ?? 0)),
        Effect.catchIf((error) => error === "none", () => Effect.succeed(state.lastSequence + 1))
      )
      if (upTo > 0) {
        yield* withJetStream(base, JetStreamStream.purge(names.stream, { filter: names.every(kind), upTo }))
      }
    })

    const cleanup: Store["cleanup"] = ({ failedTimeToLive, timeToLive }) =>
      Effect.gen(function*() {
        yield* ready.inTime
        yield* cleanKind("d", timeToLive)
        if (failedTimeToLive !== undefined) yield* cleanKind("f", failedTimeToLive)
      }).pipe(
        Effect.mapError((error) =>
          failedWith(`The queues of the stream ${quoted(base.names.stream)} are not cleaned up`)(
            error as { message: string }
          )
        )
      )

    return { offer, take, cleanup }
  }
)

/** A server takes no year of more than four digits. */
const latest = Date.parse("9999-12-31T00:00:00Z")
