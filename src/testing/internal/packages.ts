/**
 * Loads the packages that only some of the kit needs. They are optional peers: a project has those that its tests use.
 */
import * as Effect from "effect/Effect"
import { PackageMissing } from "../TestNatsServerError.ts"

// Two spellings: Node and its likes, and resolvers that take the place of theirs.
const isMissing = (cause: unknown): boolean => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND"
}

/** A package that is there and does not load is a defect. */
export const loadPackage = <A>(name: string, load: () => Promise<A>): Effect.Effect<A, PackageMissing> =>
  Effect.catchDefect(
    Effect.promise(load),
    (cause) => isMissing(cause) ? Effect.fail(new PackageMissing({ package: name })) : Effect.die(cause)
  )
