/**
 * The packages that a project needs, beside this one.
 */

/** While it runs. */
export const used = ["@effect/platform-node", "effect"] as const

/** To test and check it. */
export const usedForTests = ["@effect/vitest", "@types/node", "typescript", "vitest"] as const

/** All of them, and this one. */
export const packages: ReadonlyArray<string> = ["effect-nats", ...used, ...usedForTests]
