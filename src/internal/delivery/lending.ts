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
import { type Batch, maxBatch, type Subscription } from "./subscription.ts"

/** An array is at most this part of what the run had before. */
const part = 64

class Loan {
  private readonly subscription: Subscription
  private had = 0
  private last: Batch | undefined
  /** Messages of the last array that were handed on. */
  private used = 0
  private readonly slice: PropertyDescriptor

  constructor(subscription: Subscription) {
    this.subscription = subscription
    const told = (batch: unknown, start: number | undefined, end: number | undefined): void => {
      if (batch !== this.last) return
      const isFront = (start === undefined || start === 0) && end !== undefined && end >= 0
      // Whoever takes another part of it goes on with that.
      this.used = isFront ? Math.min(end, this.last!.length) : this.last!.length
    }
    this.slice = {
      // Not enumerable: for everybody else it is an array like any other.
      value(this: ReadonlyArray<Message>, start?: number, end?: number) {
        told(this, start, end)
        return Array.prototype.slice.call(this, start, end)
      }
    }
  }

  readonly pull: Effect.Effect<Batch, End> = Effect.suspend(() => {
    if (this.last !== undefined) this.had += this.last.length
    this.last = undefined
    const limit = Math.min(maxBatch, Math.max(1, Math.floor(this.had / part)))
    return Effect.map(this.subscription.pull(limit), (batch) => {
      this.last = batch
      this.used = batch.length
      if (batch.length > 1) Object.defineProperty(batch, "slice", this.slice)
      return batch
    })
  })

  end(): void {
    if (this.last !== undefined && this.used < this.last.length) {
      this.subscription.giveBack(Array.prototype.slice.call(this.last, this.used))
    }
    this.last = undefined
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
