/**
 * How many handlers may run at the same time. A reader that finds no slot waits, so that what it has not read stays in
 * the bounded buffer of its subscription.
 */
import * as Effect from "effect/Effect"

export class Slots {
  private free: number
  private waiting: Array<() => void> = []

  constructor(limit: number) {
    this.free = limit
  }

  /** Takes a slot if there is one. */
  take(): boolean {
    if (this.free === 0) return false
    this.free--
    return true
  }

  /** Waits for a slot and takes it. */
  readonly wait: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const waiter = (): void => resume(Effect.void)
    this.waiting.push(waiter)
    return Effect.sync(() => {
      const index = this.waiting.indexOf(waiter)
      if (index >= 0) this.waiting.splice(index, 1)
    })
  })

  /** Who waits goes on, without a slot: nobody takes one any more. */
  open(): void {
    const waiting = this.waiting
    this.waiting = []
    for (const resume of waiting) resume()
  }

  release(): void {
    const next = this.waiting.shift()
    if (next === undefined) this.free++
    else next()
  }
}
