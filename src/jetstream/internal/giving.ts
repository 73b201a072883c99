/**
 * Messages of a source as a stream. What was never pulled out of the stream is given back when it ends: arrays begin with one
 * message and are as long as the reader needs a moment for, and what `take` and the like keep of an array, they tell by
 * `slice`.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import type { ConsumerFacts } from "./consumerFacts.ts"
import type { PulledMessage } from "./message.ts"
import type { Batch } from "./pullInbox.ts"
import type { Tally } from "./tally.ts"

/** A reader that needs longer for an array gets shorter ones. */
const longMillis = 4

/** What a stream reads. */
export interface Lender<E> {
  readonly facts: ConsumerFacts
  readonly now: number
  readonly tally: Tally | undefined
  /** The array that the reader has. */
  handed: ReadonlyArray<PulledMessage>
  next(limit: number): Effect.Effect<Batch, E | Cause.Done>
  /** These were handed and are not had. They go to others when the lender is closed, behind its UNSUB, and not back to it. */
  leave(messages: ReadonlyArray<PulledMessage>): void
  handled(messages: number, bytes: number): void
}

class Giving<E> {
  private limit = 1
  private last: Batch | undefined
  private bytes = 0
  /** Of the last array, those that the reader keeps. `undefined`: it has not told. */
  private kept: number | undefined
  private since = 0
  private readonly pull: Lender<E>
  private readonly most: number
  private readonly slice: ReadonlyArray<PulledMessage>["slice"]

  constructor(pull: Lender<E>, window: number) {
    this.pull = pull
    // The next half comes while this one is handled.
    this.most = Math.max(1, Math.floor(window / 2))
    const sliced = this.sliced.bind(this)
    this.slice = function(this: ReadonlyArray<PulledMessage>, start, end) {
      sliced(this, start, end)
      return Array.prototype.slice.call(this, start, end)
    }
  }

  readonly next: Effect.Effect<Batch, E | Cause.Done> = Effect.suspend(() => {
    const { last } = this
    if (last !== undefined) {
      // Who asks for the next one is done with the one before.
      this.last = undefined
      this.pull.handed = []
      this.measure(last.length)
      this.pull.tally?.read(last, last.length)
      this.pull.handled(last.length, this.bytes)
    }
    return Effect.map(this.pull.next(this.limit), this.gave)
  })

  private readonly gave = (batch: Batch): Batch => {
    this.last = this.pull.handed = batch
    this.kept = undefined
    this.since = this.pull.now
    let bytes = 0
    for (const { size } of batch) bytes += size
    this.bytes = bytes
    this.pull.tally?.handed(batch)
    if (batch.length > 1) (batch as { slice: ReadonlyArray<PulledMessage>["slice"] }).slice = this.slice
    return batch
  }

  /** The reader has ended: what it did not get goes to others. */
  end(): void {
    const { last } = this
    this.last = undefined
    if (last === undefined) return
    const read = this.kept ?? readOf(last)
    this.pull.tally?.read(last, read)
    if (this.pull.facts.ackPolicy === "explicit") this.pull.leave(Array.prototype.slice.call(last, read))
  }

  private measure(length: number): void {
    const millis = this.pull.now - this.since
    if (millis >= longMillis) this.limit = Math.max(1, Math.floor(length * longMillis / millis / 2))
    else if (length === this.limit) this.limit = Math.min(this.most, this.limit * 2)
  }

  private sliced(batch: ReadonlyArray<PulledMessage>, start: number | undefined, end: number | undefined): void {
    if (batch !== this.last) return
    const isFront = (start === undefined || start === 0) && end !== undefined && end >= 0
    // Who takes another part of it goes on with that.
    this.kept = isFront ? Math.min(end, batch.length) : batch.length
  }
}

/**
 * It is read by index, which cannot be seen. A reader that looks at messages has what it looked at; one that only collects
 * them may have all.
 */
const readOf = (batch: Batch): number => {
  let read = batch.length
  while (read > 0 && !batch[read - 1].seen && batch[read - 1].settled === undefined) read--
  return read === 0 ? batch.length : read
}

/** The messages of a source that `open` gives, for as long as the stream is read. */
export const giving = <E, E2>(
  open: Effect.Effect<Lender<E2>, E, Scope.Scope>,
  window: number
): Stream.Stream<JetStreamMessage, E | E2> =>
  Stream.unwrap(Effect.flatMap(open, (pull) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new Giving(pull, window)),
        (reader) => Effect.sync(() => reader.end())
      ),
      // That an end is none of the errors cannot be seen where those are any.
      (reader) => Stream.fromPull(Effect.succeed(reader.next)) as Stream.Stream<PulledMessage, E2>
    )))
