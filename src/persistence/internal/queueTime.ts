/** The time of the server, by which alone delays and ages are told: no clock of a program decides. */
import * as Effect from "effect/Effect"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import { type ApiError, InvalidAnswer } from "../../jetstream/JetStreamError.ts"
import type { QueueBase } from "./queueWrites.ts"

/** What a stream's leader said of itself. */
export interface ServerTime {
  /** Its time of day when it answered, in milliseconds, and how long its answer took. */
  readonly millis: number
  readonly tookMillis: number
  /** When it came, by the clock of the client that nobody can set. */
  readonly at: number
  /** The sequence that the stream stored last. */
  readonly lastSequence: number
}

export const askTime = (base: QueueBase): Effect.Effect<ServerTime, ApiError> =>
  Effect.suspend(() => {
    const { api, names } = base
    const { clock } = api.connection.settings
    const asked = monotonicMillis(clock)
    return Effect.flatMap(api.call(`STREAM.INFO.${names.stream}`), (answer): Effect.Effect<ServerTime, ApiError> => {
      const at = monotonicMillis(clock)
      const millis = Date.parse(String(answer["ts"]))
      const state = answer["state"] as { readonly last_seq?: unknown } | undefined
      return Number.isFinite(millis)
        // What is below a millisecond was cut off.
        ? Effect.succeed({ millis: millis + 1, tookMillis: at - asked, at, lastSequence: Number(state?.last_seq ?? 0) })
        : Effect.fail(new InvalidAnswer({ request: "STREAM.INFO", problem: "it has no time" }))
    })
  })

/** So long what was told of the time is believed: clocks of servers are put right, too. */
const believedMillis = 1_000

/** The time of the server now, and not before it: it may have been later by as much as the answer took. */
export const makeServerNow = (base: QueueBase): Effect.Effect<number, ApiError> => {
  let told: ServerTime | undefined
  const { clock } = base.api.connection.settings
  const now = (time: ServerTime): number => time.millis + time.tookMillis + monotonicMillis(clock) - time.at
  return Effect.suspend(() => {
    if (told !== undefined && monotonicMillis(clock) - told.at < believedMillis) return Effect.succeed(now(told))
    return Effect.map(askTime(base), (time) => {
      told = time
      return now(time)
    })
  })
}
