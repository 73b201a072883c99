/**
 * How long ago something was. The wall clock can be set while something is waited for: whatever is a duration is counted
 * here, and only what is a time of day, as the `exp` of a JWT, is compared with the wall clock.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const nanosPerMilli = 1_000_000n

/** Whole milliseconds from an origin of the clock's own. They never go back. A `TestClock` drives them. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / nanosPerMilli)

/** `monotonicMillis` of the fiber's clock. */
export const elapsedMillis: Effect.Effect<number> = Effect.clockWith((clock) =>
  Effect.sync(() => monotonicMillis(clock))
)
