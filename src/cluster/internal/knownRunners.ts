/**
 * The runners by what was read of their entries, now and before. While the servers of the stream elect a leader no runner can
 * refresh its entry, all entries end with the election, and a server that was away answers with what it had. So who is not
 * refreshed, or missed, is asked whether it lives: without this every runner would take the shards of all others after an
 * election, to give them back a moment later, and leave those of one that died meanwhile.
 */
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import type { Held } from "./lease.ts"

export interface Entry {
  readonly token: string
  readonly sequence: number
  /** By the server, in milliseconds since 1970. */
  readonly timestampMillis: number
  readonly held: Held
}

/** Times by the monotonic clock of this process. */
interface Known {
  readonly entry: Entry
  /** When it was read for the first time, if the one before was read, too. */
  readonly refreshedAt: number | undefined
  /** When it was missed first. */
  readonly missedAt: number | undefined
}

export class KnownRunners {
  private known: ReadonlyMap<string, Known> = new Map()
  /** The latest time of an entry, and when it was read. */
  private latest = { serverMillis: -Infinity, at: 0 }
  private readonly lives: (address: string) => Effect.Effect<boolean>
  private readonly millis: number

  /**
   * `lives`: whether a runner says so. `millis`: how long an entry lasts, and how long one that is missed and lives has to come
   * back.
   */
  constructor(lives: (address: string) => Effect.Effect<boolean>, millis: number) {
    this.lives = lives
    this.millis = millis
  }

  /** Of what was found the runners, without those that are overdue and do not live, and with those that are missed and live. */
  complete(found: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Entry>> {
    return Effect.gen({ self: this }, function*() {
      const now = yield* elapsedMillis
      const next = this.merged(found, now)
      const isThere = (each: Known): Effect.Effect<boolean> => {
        const { address, runner } = each.entry.held
        if (typeof runner !== "string") return Effect.succeed(false)
        return this.isFresh(each, now) ? Effect.succeed(true) : this.lives(String(address))
      }
      const there = new Set(yield* Effect.filter(next.values(), isThere, { concurrency: "unbounded" }))
      this.known = new Map([...next].filter(([, each]) => each.missedAt === undefined || there.has(each)))
      return Array.from(there, ({ entry }) => entry)
    })
  }

  private merged(found: ReadonlyArray<Entry>, now: number): ReadonlyMap<string, Known> {
    const next = new Map<string, Known>()
    for (const entry of found) {
      if (entry.timestampMillis > this.serverMillis(now)) this.latest = { serverMillis: entry.timestampMillis, at: now }
      const before = this.known.get(entry.token)
      const isNewer = before === undefined || before.entry.sequence < entry.sequence
      const refreshedAt = before === undefined ? undefined : now
      next.set(entry.token, isNewer ? { entry, refreshedAt, missedAt: undefined } : { ...before, missedAt: undefined })
    }
    for (const [token, each] of this.known) {
      const { missedAt = now } = each
      if (!next.has(token) && now - missedAt < this.millis) next.set(token, { ...each, missedAt })
    }
    return next
  }

  /** The time of the server, as far as it is known. */
  private serverMillis(now: number): number {
    return this.latest.serverMillis + now - this.latest.at
  }

  private isFresh({ entry, missedAt, refreshedAt }: Known, now: number): boolean {
    if (missedAt !== undefined) return false
    const wasRefreshed = refreshedAt !== undefined && now - refreshedAt < this.millis
    return wasRefreshed || this.serverMillis(now) - entry.timestampMillis < this.millis
  }
}
