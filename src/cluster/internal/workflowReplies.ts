/** What replies of `ClusterWorkflowEngine` say about an execution and its steps. */
import type * as Reply from "effect/cluster/Reply"
import { hasProperty, isObject } from "effect/Predicate"

type EncodedExit = Reply.WithExitEncoded["exit"]

/** A result of a run or an activity: `Complete` with an exit, or `Suspended`. */
const resultOf = (exit: EncodedExit): { readonly _tag: unknown } | undefined =>
  exit._tag === "Success" && hasProperty(exit.value, "_tag") ? exit.value : undefined

export const isSuspended = (exit: EncodedExit): boolean => resultOf(exit)?._tag === "Suspended"

/** A workflow with `SuspendOnFailure` failed: it goes on when somebody resumes it. */
export const isFailedSuspended = (exit: EncodedExit): boolean => {
  const result = resultOf(exit)
  return result?._tag === "Suspended" && hasProperty(result, "failed") && result.failed === true
}

/** The exit of what ran. One of a request that never got a result is that of the request. */
export const innerExit = (exit: EncodedExit): EncodedExit => {
  const result = resultOf(exit)
  return result !== undefined && result._tag === "Complete" && hasProperty(result, "exit") && isObject(result.exit)
    ? result.exit as EncodedExit
    : exit
}

/** What a signal was completed with. */
export const signalExit = (exit: EncodedExit): EncodedExit =>
  exit._tag === "Success" && hasProperty(exit.value, "_tag") ? exit.value as EncodedExit : exit

/** Nothing but interrupts is why it ended. */
export const isInterrupted = (exit: EncodedExit): boolean => {
  if (exit._tag === "Success") return false
  const cause: unknown = exit.cause
  return Array.isArray(cause) && cause.length > 0 &&
    cause.every((reason) => hasProperty(reason, "_tag") && reason._tag === "Interrupt")
}

export const exitOf = (reply: Reply.Encoded): EncodedExit | undefined =>
  reply._tag === "WithExit" ? reply.exit : undefined
