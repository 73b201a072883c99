/**
 * The entries of runners as they were read last. While the servers of the stream elect a leader no runner can refresh its own,
 * and all of them end with the election. Who is not refreshed is asked whether it lives: without this every runner would take
 * the shards of all others after an election, to give them back a moment later, and leave those of one that died meanwhile.
 */
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import type { Held } from "./lease.ts"

export interface Entry {
  readonly token: string
  readonly sequence: number
  readonly held: Held
}

interface Known {
  readonly entry: Entry
  /** When it was read first, by the monotonic clock. */
  readonly atMillis: number
  /** When it was missed first. */
  readonly missedAt: number | undefined
}

export class KnownRunners {
  private known: ReadonlyMap<string, Known> = new Map()
  private readonly lives: (address: string) => Effect.Effect<boolean>
  private readonly millis: number

  /**
   * `lives`: whether a runner says so. `millis`: in what time one refreshes its entry, and how long one that is missed and lives
   * has to come back.
   */
  constructor(lives: (address: string) => Effect.Effect<boolean>, millis: number) {
    this.lives = lives
    this.millis = millis
  }

  /** Of what was found the runners, without those that are overdue and do not live, and with those that are missed and live. */
  complete(found: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Entry>> {
    return Effect.gen({ self: this }, function*() {
      const { known, lives, millis } = this
      const now = yield* elapsedMillis
      const next = new Map<string, Known>()
      for (const entry of found) {
        const before = known.get(entry.token)
        const isSame = before !== undefined && before.entry.sequence === entry.sequence
        next.set(entry.token, { entry, atMillis: isSame ? before.atMillis : now, missedAt: undefined })
      }
      for (const [token, each] of known) {
        const { missedAt = now } = each
        if (!next.has(token) && now - missedAt < millis) next.set(token, { ...each, missedAt })
      }
      const isThere = ({ atMillis, entry: { held }, missedAt }: Known): Effect.Effect<boolean> => {
        if (typeof held["runner"] !== "string") return Effect.succeed(false)
        const isOverdue = missedAt !== undefined || now - atMillis >= millis
        return isOverdue ? lives(String(held["address"])) : Effect.succeed(true)
      }
      const there = new Set(yield* Effect.filter(next.values(), isThere, { concurrency: "unbounded" }))
      this.known = new Map([...next].filter(([, each]) => each.missedAt === undefined || there.has(each)))
      return Array.from(there, ({ entry }) => entry)
    })
  }
}
