/** When to dial again after a failed round. All durations are in milliseconds. */
export interface Backoff {
  readonly initialDelay: number
  readonly maxDelay: number
  readonly factor: number
  /** Spread the delay between a half and the whole of itself, so that many clients do not dial at once. */
  readonly jitter: boolean
}

/** The delay before round `round`, which counts from 1. `chance` is between 0 and 1 and used with jitter only. */
export const delayBefore = (backoff: Backoff, round: number, chance: number): number => {
  const whole = Math.min(backoff.maxDelay, backoff.initialDelay * backoff.factor ** Math.min(round - 1, 1000))
  return backoff.jitter ? whole * (0.5 + chance / 2) : whole
}
