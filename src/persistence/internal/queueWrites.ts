/**
 * Writes that only one may make: each expects what was noted last of its element, so that whoever was slower writes nothing.
 */
import * as Effect from "effect/Effect"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { sleep } from "../../internal/operations/sending.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import type { Api } from "../../jetstream/internal/api.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import type { ExpectationError, GetError, PublishError, UnsupportedByServer } from "../../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import { passes, pauseAfter } from "./passing.ts"
import type { Kind, QueueNames } from "./queueNames.ts"

/** What everything that is done with a queue stands on. */
export interface QueueBase {
  readonly js: JetStream
  readonly api: Api
  readonly names: QueueNames
}

/** An element by its tokens. */
export interface Place {
  readonly queue: string
  readonly id: string
}

/** What was noted last of an element. */
export interface Noted {
  readonly kind: string
  readonly sequence: number
  readonly text: string
}

export type NoteError = PublishError | ExpectationError | UnsupportedByServer | GetError

export const withJetStream = <A, E, R>(
  { js }: QueueBase,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, JetStream>> => Effect.provideService(effect, JetStream, js)

/** Asks the leader, which has all that was acknowledged. */
export const lastNoted = (base: QueueBase, place: Place): Effect.Effect<Noted | undefined, GetError> =>
  withJetStream(
    base,
    JetStreamStream.get(base.names.stream, { last: base.names.ofElement(place.queue, place.id) }, { consistent: true })
  ).pipe(
    Effect.map(({ sequence, subject, text }): Noted => ({ kind: base.names.read(subject).kind, sequence, text })),
    Effect.catchTag("MessageNotFound", () => Effect.undefined)
  )

/** It is stored, or something else has been noted meanwhile. */
export type Written =
  | { readonly isWritten: true; readonly sequence: number }
  | { readonly isWritten: false; readonly last: Noted | undefined }

export interface Note {
  readonly kind: Kind
  readonly record: object
  /** The sequence of what was noted last, as far as is known. 0: nothing. */
  readonly expected: number
  /** So long it is tried while the server is away, in milliseconds. */
  readonly withinMillis: number
}

/** Of this process, once. */
let writer: string | undefined
let writes = 0

const nextMark = (): string => `${writer ??= randomToken(12)}-${++writes}`

/** Notes it. One whose answer was lost is known again by a mark of its own. */
export const note = Effect.fnUntraced(
  function*(
    base: QueueBase,
    place: Place,
    { expected, kind, record, withinMillis }: Note
  ): Effect.fn.Return<Written, NoteError> {
    const { api, js, names } = base
    const { connection } = api
    const by = nextMark()
    const text = JSON.stringify({ ...record, by })
    const expect = { lastSubjectSequence: expected, forSubject: names.ofElement(place.queue, place.id) }
    const { clock } = connection.settings
    const end = monotonicMillis(clock) + withinMillis
    const attempt: Effect.Effect<Written | undefined, NoteError> = js.publish(
      names.subject(kind, place.queue, place.id),
      text,
      { expect, subjectTemplate: names.template(kind) }
    ).pipe(
      Effect.map(({ sequence }): Written => ({ isWritten: true, sequence })),
      Effect.catchTag("WrongLastSequence", () =>
        Effect.map(lastNoted(base, place), (last): Written | undefined => {
          if (last !== undefined && last.kind === kind && last.text === text) {
            return { isWritten: true, sequence: last.sequence }
          }
          // One that comes first is on its way, and may still fail.
          return last?.sequence === expected ? undefined : { isWritten: false, last }
        }))
    )
    let failures = 0
    while (true) {
      const left = end - monotonicMillis(clock)
      const written = yield* Effect.catchIf(
        attempt,
        (error) => passes(error) && left > 0,
        () => Effect.succeed(undefined)
      )
      if (written !== undefined) return written
      yield* sleep(connection, Math.max(1, Math.min(pauseAfter(failures++), left)))
    }
  }
)
