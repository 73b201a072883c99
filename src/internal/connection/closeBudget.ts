/**
 * One deadline for the close: what the ends of a client's parts wait, taken together, and the client's own last.
 */
import type * as Clock from "effect/Clock"

/** For what was interrupted: the handlers' own finalizers, and answers. In all, beyond the time of the close. */
export const graceMillis = 1_000

/**
 * The time that runs while at least one finalizer of a part waits, so that those side by side count once, and what a
 * program does between two of them does not count. Together they have `limit`, and a last second for what they interrupt.
 *
 * Nothing says of a finalizer whether the client is closed after it or lives on. So each is counted at first, and the sum
 * starts anew when the client has shown that it lives: when none of them has run for `limit`, or when something that is no
 * finalizer and no handler opens a subscription. The latter does not help one that was out of time: its sum stands for
 * `limit` at least, else a program that goes on subscribing while it is closed would wait for each of its stuck handlers.
 */
export class CloseBudget {
  private spent = 0
  private running = 0
  private since = 0
  private lastEnd = -Infinity
  private lateSince: number | undefined
  private heardBefore: number | undefined
  private readonly clock: Clock.Clock
  private readonly limit: number

  constructor(clock: Clock.Clock, limitMillis: number) {
    this.clock = clock
    this.limit = limitMillis
  }

  /** A finalizer begins to wait. `heard` changes with all that comes from the server. */
  enter(heard: number): void {
    if (this.running++ > 0) return
    const now = this.now
    if (now - this.lastEnd >= this.limit) {
      this.anew(now)
      this.heardBefore = heard
    }
    this.since = now
  }

  leave(): void {
    if (--this.running > 0) return
    this.lastEnd = this.now
    this.spent += this.lastEnd - this.since
  }

  /** So long somebody else has waited for a server that is silent, as a finalizer of the program's that drains does. */
  spend(millis: number): void {
    if (this.running > 0) return
    const now = this.now
    if (now - this.lastEnd >= this.limit) this.anew(now)
    this.spent += millis
    this.lastEnd = now
  }

  /** One of them was not done in its time. Gives whether nothing has come from the server since the first began to wait. */
  late(heard: number): boolean {
    this.lateSince ??= this.now
    return this.heardBefore === heard
  }

  /** Somebody goes on using the client. */
  lives(): void {
    const now = this.now
    if (this.lateSince === undefined || now - this.lateSince >= this.limit) this.anew(now)
  }

  /** Milliseconds that are left for what is in flight. */
  get remaining(): number {
    return Math.max(0, this.limit - this.total)
  }

  /** Milliseconds that are left for what was interrupted. */
  get grace(): number {
    return Math.max(0, Math.min(graceMillis, this.limit + graceMillis - this.total))
  }

  private anew(now: number): void {
    this.spent = 0
    this.since = now
    this.lateSince = undefined
    this.heardBefore = undefined
  }

  private get total(): number {
    return this.running > 0 ? this.spent + this.now - this.since : this.spent
  }

  private get now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }
}
