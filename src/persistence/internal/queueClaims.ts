/**
 * Who is at an element, and what came of it. A claim is noted before anybody begins, and what is noted behind it expects
 * that nothing else was: who has lost an element by its lease settles nothing.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { isTagged } from "effect/Predicate"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import type { PulledMessage } from "../../jetstream/internal/fetching.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import type { TakenQueue } from "./queueConsumers.ts"
import { boundedFailure, type ElementRecord, readElement, readWriter } from "./queueRecords.ts"
import { lastNoted, note, type Noted, type NoteError, type Place, withJetStream } from "./queueWrites.ts"

/** An element that somebody here is at. */
export interface Claim {
  readonly queue: TakenQueue
  readonly place: Place
  readonly message: PulledMessage
  readonly record: ElementRecord
  readonly attempts: number
  /** Where the claim is noted: what fences all that is noted behind it. */
  readonly sequence: number
}

const nowOf = ({ base }: TakenQueue): number => monotonicMillis(base.api.connection.settings.clock)

/** Whether nobody else can have the message by now. */
const isOurs = (queue: TakenQueue, message: PulledMessage): boolean => nowOf(queue) - message.at < queue.leaseMillis

const ignoring = <E>(effect: Effect.Effect<unknown, E>): Effect.Effect<void> => Effect.ignore(effect)

/** What is done is not to come again. Its claim goes before, so that no id keeps one. */
const forget = (queue: TakenQueue, place: Place, message: PulledMessage): Effect.Effect<void> => {
  const { names } = queue.base
  const filter = names.subject("c", place.queue, place.id)
  // Where that fails, whoever gets the element next does it.
  return ignoring(
    Effect.andThen(withJetStream(queue.base, JetStreamStream.purge(names.stream, { filter })), message.ack)
  )
}

const neverRead = "The element is none: its message was written by something else."
const neverSettled = "Lock expired after final attempt"

const failing = (record: ElementRecord, attempts: number, lastFailure: string) => ({
  ...record,
  attempts,
  lastFailure: boundedFailure(lastFailure)
})

/**
 * Notes a claim on an element that has come. `undefined`: it is not to be had, and the next one is waited for. It is not
 * interrupted, and takes no longer than the lease.
 */
export const claim = Effect.fnUntraced(
  function*(
    queue: TakenQueue,
    message: PulledMessage,
    maxAttempts: number
  ): Effect.fn.Return<Claim | undefined, NoteError> {
    const { base } = queue
    const place: Place = { queue: queue.token, id: base.names.read(message.subject).id }
    const record = readElement(message.text)
    const withinMillis = queue.leaseMillis / 2
    // At its first delivery nothing is noted of it but itself.
    let last: Noted | undefined = { kind: "q", sequence: message.sequence, text: "" }
    let isGuess = true
    if (message.deliveries > 1) {
      last = yield* lastNoted(base, place)
      isGuess = false
    }
    while (true) {
      if (last === undefined || last.kind === "d" || last.kind === "f") {
        yield* forget(queue, place, message)
        return undefined
      }
      if (!isOurs(queue, message)) return undefined
      const attempts: number = last.kind === "c" ? readWriter(last.text).attempts : 0
      const dead = record === undefined ? neverRead : attempts >= maxAttempts ? neverSettled : undefined
      if (dead !== undefined) {
        const element = record ?? { id: place.id, name: queue.name, element: message.text }
        const failed = yield* note(base, place, {
          kind: "f",
          record: failing(element, attempts, dead),
          expected: last.sequence,
          withinMillis
        })
        if (failed.isWritten) yield* forget(queue, place, message)
        return undefined
      }
      const written = yield* note(base, place, {
        kind: "c",
        record: { attempts: attempts + 1, held: true },
        expected: last.sequence,
        withinMillis
      })
      if (written.isWritten) {
        const { sequence } = written
        return { queue, place, message, record: record!, attempts: attempts + 1, sequence }
      }
      // Who has looked and was too late after all has been overtaken by another.
      if (!isGuess && written.last?.kind === "c") return undefined
      last = written.last
      isGuess = false
    }
  }
)

/** How effect tells a store that an element can never be handled. */
const deadLetterTag = "~effect/persistence/PersistedQueue/DeadLetter"

const deadLetterIn = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> | undefined => {
  for (const reason of cause.reasons) {
    if (Cause.isFailReason(reason) && isTagged(reason.error, deadLetterTag)) {
      return (reason.error as unknown as { readonly cause: Cause.Cause<unknown> }).cause
    }
  }
  return undefined
}

const lost = ({ attempts, queue, record }: Claim): Effect.Effect<void> =>
  Effect.andThen(
    Effect.sync(queue.countLate),
    Effect.logWarning(
      "An element was settled too late: its lease was over and another one had it, so nothing of it was stored."
    ).pipe(Effect.annotateLogs({ queue: queue.name, id: record.id, attempts }))
  )

/** Gives it to others, unless its lease is over: then it is theirs already. */
const giveBack = ({ message, queue }: Claim, delay?: Duration.Duration): Effect.Effect<void> =>
  Effect.suspend(() => isOurs(queue, message) ? ignoring(message.nak(delay)) : Effect.void)

/** The longest delay that a server is asked for. */
const longestDelay = Duration.days(365)

interface Settling {
  readonly maxAttempts: number
  readonly retryDelay: (attempts: number) => Effect.Effect<Duration.Duration>
}

/** Notes what came of it. */
export const settle = (
  claimed: Claim,
  exit: Exit.Exit<unknown, unknown>,
  { maxAttempts, retryDelay }: Settling
): Effect.Effect<void, NoteError> => {
  const { attempts, message, place, queue, record, sequence } = claimed
  const noted = (kind: "c" | "d" | "f", record: object, then: Effect.Effect<void>): Effect.Effect<void, NoteError> =>
    Effect.flatMap(
      note(queue.base, place, { kind, record, expected: sequence, withinMillis: queue.leaseMillis }),
      ({ isWritten }) => isWritten ? then : lost(claimed)
    )
  const failed = (cause: Cause.Cause<unknown>) =>
    noted("f", failing(record, attempts, Cause.pretty(cause)), forget(queue, place, message))
  const settling = Effect.suspend(() => {
    if (exit._tag === "Success") return noted("d", { attempts }, forget(queue, place, message))
    const dead = deadLetterIn(exit.cause)
    if (dead !== undefined) return failed(dead)
    if (Cause.hasInterruptsOnly(exit.cause)) {
      return noted("c", { attempts: attempts - 1, held: false }, giveBack(claimed))
    }
    if (attempts >= maxAttempts) return failed(exit.cause)
    return Effect.flatMap(
      retryDelay(attempts),
      (delay) => noted("c", { attempts, held: false }, giveBack(claimed, Duration.min(delay, longestDelay)))
    )
  })
  return Effect.ensuring(settling, Effect.sync(() => queue.held.delete(message)))
}
