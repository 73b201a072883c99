/** Elements that have failed for good: looked at, and put back. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { JetStream } from "../../jetstream/JetStream.ts"
import type { GetBatchError, GetError } from "../../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import { type FailedRecord, readFailed } from "./queueRecords.ts"
import { lastNoted, note, type NoteError, type QueueBase, withJetStream } from "./queueWrites.ts"
import { tokenOf } from "./textToken.ts"

export interface Failed {
  readonly record: FailedRecord
  readonly timestampMillis: number
}

export const failedOf = (base: QueueBase, name: string | undefined): Stream.Stream<Failed, GetBatchError> =>
  JetStreamStream.getMany(base.names.stream, {
    subject: base.names.every("f", name === undefined ? "*" : tokenOf(name))
  }).pipe(
    Stream.provideService(JetStream, base.js),
    Stream.flatMap(({ text, timestampMillis }) => {
      const record = readFailed(text)
      return record === undefined ? Stream.empty : Stream.succeed({ record, timestampMillis })
    })
  )

/** So long it is tried while the server is away. */
const withinMillis = 10_000

/** Puts it back as if it had just been offered. Whether there was one. */
export const putBack = Effect.fnUntraced(
  function*(base: QueueBase, name: string, id: string): Effect.fn.Return<boolean, NoteError | GetError> {
    const place = { queue: tokenOf(name), id: tokenOf(id) }
    const last = yield* lastNoted(base, place)
    const failed = last?.kind === "f" ? readFailed(last.text) : undefined
    if (last === undefined || failed === undefined) return false
    const { element, id: own, name: queue } = failed
    const { isWritten } = yield* note(base, place, {
      kind: "q",
      record: { id: own, name: queue, element },
      expected: last.sequence,
      withinMillis
    })
    if (!isWritten) return false
    const { names } = base
    // It is in the queue. A letter that stays is looked at once more, and cannot be put back again.
    yield* Effect.ignore(
      withJetStream(base, JetStreamStream.purge(names.stream, { filter: names.subject("f", place.queue, place.id) }))
    )
    return true
  }
)
