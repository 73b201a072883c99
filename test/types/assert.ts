/** Assertions that the compiler checks. Nothing here runs. */

/** `true` when the two types are the same, not only assignable to each other. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Does not compile unless its type argument is `true`. */
export declare const holds: <_ extends true>() => void
