/** The minor version of effect whose unstable interfaces the stores implement, against the one that runs. */
import * as Effect from "effect/Effect"
import { getCurrentVersion } from "effect/Version"
import { UnsupportedEffect } from "../NatsPersistenceError.ts"

export const builtFor = "4.1"

/** Fails where another minor of effect runs. */
export const checkEffect: Effect.Effect<void, UnsupportedEffect> = Effect.suspend(() => {
  const installed = getCurrentVersion()
  return installed.startsWith(`${builtFor}.`)
    ? Effect.void
    : Effect.fail(new UnsupportedEffect({ installed, builtFor }))
})
