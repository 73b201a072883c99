import * as Effect from "effect/Effect"
import type { MessageDecodeError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { shownName } from "../protocol/shown.ts"

/** A policy's handler, with whatever it fails with and needs. */
export type AnyHandler = (error: MessageDecodeError, message: NatsMessage) => Effect.Effect<unknown, unknown, unknown>

export const toHandler = (policy: "fail" | "skip" | AnyHandler | undefined): AnyHandler => {
  if (policy === undefined || policy === "fail") return Effect.fail
  return policy === "skip" ? report : policy
}

const report: AnyHandler = (error) =>
  Effect.annotateLogs(Effect.logWarning(error.message), { subject: shownName(error.subject), path: error.path })
