/**
 * How long a message waits that could not be handled. No instance remembers how often it was tried: the delivery count drives
 * the schedule.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** The input is what the handler failed with, or died of. */
export type Retry = Schedule.Schedule<unknown, unknown>

/** A second, doubled with each delivery, and never more than a minute. */
export const defaultRetry: Retry = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

/** A schedule is asked for so many steps. One that grows has long been at its end. */
const mostSteps = 128

/** What the server waits at most. */
const longest = Duration.days(365)

/**
 * The delay after a delivery with this number: what the schedule gives at that step, counted from 1. Its time is that of its
 * own delays. A schedule that has ended, or fails, goes on with its last delay: `maxDeliver` decides when it is enough.
 */
export const retryDelay = (retry: Retry, deliveries: number, failure: unknown): Effect.Effect<Duration.Duration> =>
  Effect.flatMap(Schedule.toStep(retry), (step) => {
    const steps = Math.min(deliveries, mostSteps)
    const walk = (taken: number, now: number, last: Duration.Duration): Effect.Effect<Duration.Duration> =>
      taken >= steps ? Effect.succeed(last) : Effect.matchCauseEffect(step(now, failure), {
        onSuccess: ([, delay]) => {
          const bounded = Duration.min(delay, longest)
          return walk(taken + 1, now + Duration.toMillis(bounded), bounded)
        },
        onFailure: (cause) => Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.succeed(last)
      })
    return walk(0, 0, Duration.zero)
  })
