/**
 * What is processed leaves the entries in the background: a copy among the processed ones, and then the entry is deleted by the
 * sequence that it had before its exit. What a resume has put back since has another one, and stays.
 *
 * Nothing depends on it but the length of the entries: an exit that is younger than its entry is the truth, and whoever finds
 * such an entry does this again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { MessageStream, StreamError } from "./messageStream.ts"

export interface Move {
  readonly subject: string
  /** Of the entry. */
  readonly sequence: number
  /** `r` is kept among the processed ones; the others are deleted. */
  readonly kind: string
  readonly data: Uint8Array | undefined
  /** When the exit was stored, in milliseconds since 1970. Absent: now. */
  readonly exitMillis: number | undefined
  /** Sequences of what belongs to it and goes with it. */
  readonly extras: ReadonlyArray<number>
  readonly done: () => void
}

/** As many wait, and who settles more waits with them. */
const mostWaiting = 1_024
const workers = 32

/** Of one that fails: what is given up is found by the next reader that begins anew. */
const mostTries = 3
const tryAgainAfter = "200 millis"

export interface Moves {
  readonly offer: (move: Move) => Effect.Effect<void>
}

export const makeMoves = Effect.fnUntraced(function*(
  stream: MessageStream,
  /** How long what is processed of an entity is kept, in milliseconds. */
  lifetime: (entity: string | undefined) => number | undefined
): Effect.fn.Return<Moves, never, Scope.Scope> {
  const queue = yield* Queue.bounded<Move>(mostWaiting)
  const one = Effect.fnUntraced(function*(move: Move): Effect.fn.Return<void, StreamError> {
    if (move.kind === "r") yield* keep(move)
    for (const sequence of [move.sequence, ...move.extras]) yield* stream.remove(sequence)
  })
  const keep = Effect.fnUntraced(function*(move: Move): Effect.fn.Return<void, StreamError> {
    const { exitMillis, sequence, subject } = move
    const keepMillis = lifetime(stream.subjects.read(subject)?.entity)
    const age = exitMillis === undefined ? 0 : Math.max(0, (yield* Clock.currentTimeMillis) - exitMillis)
    const left = keepMillis === undefined ? undefined : keepMillis - age
    if (left !== undefined && left < 1_000) return
    const data = move.data ?? (yield* stream.at(sequence))?.data
    if (data === undefined || data.length === 0) return
    yield* stream.writeBytes(stream.subjects.processed(subject), data, {
      ttl: left,
      expect: { lastSubjectSequence: sequence, forSubject: subject }
    }).pipe(
      // It was put back, or cleared, or moved by another one.
      Effect.catchTag("WrongLastSequence", () => Effect.void)
    )
  })
  yield* Effect.replicateEffect(
    Queue.take(queue).pipe(
      Effect.flatMap((move) =>
        Effect.retry(one(move), { times: mostTries, schedule: Schedule.spaced(tryAgainAfter) }).pipe(
          Effect.ignoreCause,
          Effect.ensuring(Effect.sync(move.done))
        )
      ),
      Effect.forever,
      Effect.forkScoped
    ),
    workers,
    { discard: true }
  )
  return { offer: (move) => Effect.asVoid(Queue.offer(queue, move)) }
})
