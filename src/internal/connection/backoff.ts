/**
 * When to dial again after a failed round, and when no more.
 */
import * as Duration from "effect/Duration"
import type { Reconnect } from "../../NatsConfig.ts"

/**
 * The delay before round `round`, which counts from 1, in milliseconds. `chance` is between 0 and 1 and used with jitter
 * only: it spreads the delay between a half and the whole of itself, so that many clients do not dial at once.
 */
export const delayBefore = (reconnect: Reconnect, round: number, chance: number): number => {
  const [first, most] = [Duration.toMillis(reconnect.initialDelay), Duration.toMillis(reconnect.maxDelay)]
  const whole = Math.min(most, first * reconnect.factor ** Math.min(round - 1, 1000))
  return reconnect.jitter ? whole * (0.5 + chance / 2) : whole
}

// So that many clients that lost one server at the same moment do not dial the next one in the same millisecond.
const firstSpread = 100

/** The delay before the first dial after a loss, in milliseconds: with jitter, a part of `initialDelay` up to 100 ms. */
export const firstDelay = ({ initialDelay, jitter }: Reconnect, chance: number): number =>
  jitter ? Math.round(chance * Math.min(firstSpread, Duration.toMillis(initialDelay))) : 0

/** Whether an outage has had all its rounds over all servers, or all its time, which is in milliseconds. */
export const isSpent = ({ maxAttempts, maxElapsed }: Reconnect, rounds: number, elapsed: number): boolean =>
  (maxAttempts !== "forever" && rounds >= maxAttempts) ||
  (maxElapsed !== undefined && elapsed > Duration.toMillis(maxElapsed))
