/**
 * The entries of runners as they were read last. While the servers of the stream elect a leader no runner can refresh its own,
 * and all of them end with the election: without this every runner would take the shards of all others then, to give them back
 * a moment later.
 */
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import type { Held } from "./lease.ts"

export interface Entry {
  readonly token: string
  readonly held: Held
}

interface Known {
  readonly held: Held
  /** When it was missed first, by the monotonic clock. */
  readonly missedAt: number | undefined
}

export class KnownRunners {
  private readonly known = new Map<string, Known>()
  private readonly lives: (address: string) => Effect.Effect<boolean>
  private readonly millis: number

  /** `lives`: whether a runner says so. `millis`: how long one that is missed and lives has to come back. */
  constructor(lives: (address: string) => Effect.Effect<boolean>, millis: number) {
    this.lives = lives
    this.millis = millis
  }

  /** What was found, and those that are missed and live. */
  complete(found: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Entry>> {
    return Effect.gen({ self: this }, function*() {
      const { known, lives, millis } = this
      const now = yield* elapsedMillis
      const tokens = new Set(found.map(({ token }) => token))
      const missed = [...known].filter(([token]) => !tokens.has(token))
      const living = yield* Effect.filter(
        missed,
        ([, { held, missedAt = now }]) =>
          now - missedAt < millis ? lives(String(held["address"])) : Effect.succeed(false),
        { concurrency: "unbounded" }
      )
      known.clear()
      for (const { held, token } of found) {
        if (typeof held["runner"] === "string") known.set(token, { held, missedAt: undefined })
      }
      for (const [token, { held, missedAt = now }] of living) known.set(token, { held, missedAt })
      return [...found, ...living.map(([token, { held }]) => ({ token, held }))]
    })
  }
}
