/** What passes by itself: the server is away, or those of a stream agree on a leader. */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { sleep } from "../../internal/operations/sending.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import type { Api } from "../../jetstream/internal/api.ts"

const passing: ReadonlySet<string> = new Set([
  "NotPublished",
  "PublishOutcomeUnknown",
  "InvalidAnswer",
  "NoStreamForSubject",
  "JetStreamUnavailable",
  "JetStreamNotEnabled",
  "RequestTimedOut",
  "ConnectionLost"
])

/** What is waited through. */
export const passes = (error: unknown): boolean => hasProperty(error, "_tag") && passing.has(String(error._tag))

/** It is tried again so soon at first, and so late in the end. */
const firstPauseMillis = 50
const lastPauseMillis = 2_000

export const pauseAfter = (failures: number): number => Math.min(firstPauseMillis * 2 ** failures, lastPauseMillis)

/** Whoever waits through an election is back as soon as there is a leader. */
const electionPauseMillis = 250

/** Servers that have lost their leader elect one within 4 to 9 seconds. */
const electionMillis = 10_000

/** Tries again what can be done twice while the cause of its failure passes, for as long as an election may take. */
export const waitThrough = <A, E>(
  { connection }: Api,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const { clock } = connection.settings
    const end = monotonicMillis(clock) + electionMillis
    for (let failures = 0;; failures++) {
      const result = yield* Effect.result(effect)
      if (result._tag === "Success") return result.success
      const left = end - monotonicMillis(clock)
      if (!passes(result.failure) || left <= 0) return yield* Effect.fail(result.failure)
      yield* sleep(connection, Math.max(1, Math.min(pauseAfter(failures), electionPauseMillis, left)))
    }
  })
