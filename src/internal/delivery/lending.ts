/**
 * The arrays of a stream that may end anywhere and be run again: what a run was given and did not hand on goes back to the
 * front of the buffer.
 *
 * How far a run came in its last array cannot be seen: it reads it by index. So a run begins with arrays of one message,
 * and they grow with what it has had: the first runs of a stream (`runHead`, a few of `take`) have nothing left over, and
 * no run more than a small part of what it handed on; over a long run the arrays are as large as without. What `take`
 * and `takeUntil` keep of an array, they tell: by `slice`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { End } from "./delivery.ts"
import type { Message } from "./message.ts"
import { type Batch, maxBatch, type Reader, type Subscription } from "./subscription.ts"

/** An array is at most this part of what the run had before. */
const part = 64

class Loan implements Reader {
  limit = 1
  private readonly subscription: Subscription
  private had = 0
  private last: Batch | undefined
  /** Messages of the last array that were handed on. */
  private used = 0

  /** In the place of an array's own. */
  private readonly slice: ReadonlyArray<Message>["slice"]

  constructor(subscription: Subscription) {
    this.subscription = subscription
    const sliced = this.sliced.bind(this)
    this.slice = function(this: ReadonlyArray<Message>, start, end) {
      sliced(this, start, end)
      return Array.prototype.slice.call(this, start, end)
    }
  }

  readonly pull: Effect.Effect<Batch, End> = Effect.suspend(() => {
    // Who asks for the next one is done with the one before.
    this.last = undefined
    return this.subscription.next(this)
  })

  readonly took = (batch: Batch): void => {
    this.last = batch
    this.used = batch.length
    this.had += batch.length
    this.limit = Math.min(maxBatch, Math.max(1, Math.floor(this.had / part)))
    if (batch.length > 1) (batch as { slice: ReadonlyArray<Message>["slice"] }).slice = this.slice
  }

  end(): void {
    if (this.last !== undefined && this.used < this.last.length) {
      this.subscription.giveBack(Array.prototype.slice.call(this.last, this.used))
    }
    this.last = undefined
  }

  private sliced(batch: ReadonlyArray<Message>, start: number | undefined, end: number | undefined): void {
    if (batch !== this.last) return
    const isFront = (start === undefined || start === 0) && end !== undefined && end >= 0
    // Who takes another part of it goes on with that.
    this.used = isFront ? Math.min(end, batch.length) : batch.length
  }
}

/** Begins to read. The reader is counted until the scope closes. */
export const lend = (
  subscription: Subscription
): Effect.Effect<Effect.Effect<Batch, End>, never, Scope.Scope> =>
  Effect.andThen(
    subscription.read(),
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new Loan(subscription)),
        (loan) => Effect.sync(() => loan.end())
      ),
      (loan) => loan.pull
    )
  )
