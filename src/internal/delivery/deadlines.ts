/**
 * Deadlines of many short operations without a timer for each: one list for each timeout value, oldest first, and one
 * sleeping fiber for each list that is not empty. They are durations: a wall clock that is set moves none of them.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { monotonicMillis } from "../telemetry/monotonic.ts"

/** An operation with a deadline. The fields are the list's own. */
export interface Expiring {
  deadline: number
  list: DeadlineList | undefined
  previous: Expiring | undefined
  next: Expiring | undefined
  /** The deadline has passed. Called once, after the entry left its list. */
  expire(): void
}

class DeadlineList {
  head: Expiring | undefined
  tail: Expiring | undefined
}

export type { DeadlineList }

export class Deadlines {
  private readonly lists = new Map<number, DeadlineList>()
  private readonly clock: Clock.Clock
  private readonly fork: (effect: Effect.Effect<void>) => void

  constructor(clock: Clock.Clock, fork: (effect: Effect.Effect<void>) => void) {
    this.clock = clock
    this.fork = fork
  }

  add(entry: Expiring, timeoutMillis: number): void {
    entry.deadline = monotonicMillis(this.clock) + timeoutMillis
    const known = this.lists.get(timeoutMillis)
    const list = known ?? new DeadlineList()
    entry.list = list
    entry.previous = list.tail
    entry.next = undefined
    if (list.tail === undefined) list.head = entry
    else list.tail.next = entry
    list.tail = entry
    if (known !== undefined) return
    this.lists.set(timeoutMillis, list)
    // Last: who is forked may look at once.
    this.fork(this.watch(timeoutMillis, list))
  }

  remove(entry: Expiring): void {
    const list = entry.list
    if (list === undefined) return
    entry.list = undefined
    if (entry.previous === undefined) list.head = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) list.tail = entry.previous
    else entry.next.previous = entry.previous
    entry.previous = entry.next = undefined
  }

  private watch(timeoutMillis: number, list: DeadlineList): Effect.Effect<void> {
    return Effect.whileLoop({
      while: () => {
        const now = monotonicMillis(this.clock)
        while (list.head !== undefined && list.head.deadline <= now) {
          const entry = list.head
          this.remove(entry)
          entry.expire()
        }
        if (list.head !== undefined) return true
        this.lists.delete(timeoutMillis)
        return false
      },
      body: () => Effect.sleep(list.head!.deadline - monotonicMillis(this.clock)),
      step: () => {}
    })
  }
}
