/** How long a reader waits before it tries again what has failed: each time twice as long, up to a second. */

const firstMillis = 50
const mostMillis = 1_000

export const backoffMillis = (failures: number, most: number = mostMillis): number =>
  Math.min(most, firstMillis * 2 ** Math.min(failures, 10))
