/**
 * The ends of what runs in the background: where `NatsLayer.launch` hears of them, and where they are logged otherwise.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Connection } from "../connection/connection.ts"
import type { Part, PartName } from "../connection/parts.ts"
import { describePart, wordsFor } from "../protocol/partName.ts"
import { printable } from "../protocol/printable.ts"
import { shownName } from "../protocol/shown.ts"

export type { Part, PartName } from "../connection/parts.ts"
export { describePart } from "../protocol/partName.ts"

/** Takes the end of a part. */
export type Report = (part: PartName, cause: Cause.Cause<unknown>) => void

/** Where the parts that layers start tell of their end: set by `NatsLayer.launch`. */
export const Background: Context.Reference<Report | undefined> = Context.Reference<Report | undefined>(
  "effect-nats/internal/Background",
  { defaultValue: () => undefined }
)

/** The end of a part that nobody else hears of. */
export const logEnd = (part: PartName, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logError(`${part.kind === "rpcServer" ? "An" : "A"} ${wordsFor(part)} has ended`, cause),
    { [part.kind]: shownName(part.name) }
  )

/** Tells the end of a part that a layer started: to `launch`, else in the log. */
export const reportEnd = (part: PartName, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.flatMap(
    Background,
    (report) => report === undefined ? logEnd(part, cause) : Effect.sync(() => report(part, cause))
  )

/** Waits for the end of a part for as long as its layer lives. */
export const watchEnd = (
  part: PartName,
  ended: Effect.Effect<void, unknown>
): Effect.Effect<void, never, Scope.Scope> =>
  ended.pipe(
    Effect.catchCause((cause) => reportEnd(part, cause)),
    Effect.forkScoped({ startImmediately: true }),
    Effect.asVoid
  )

/** What ended a part can be anything of the user's, such as an object that no text can be made of. */
const reasonIn = (error: unknown): string => {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return `a value of type ${typeof error}`
  }
}

/** A part of the client for as long as the scope. */
export const joinParts = (connection: Connection, name: PartName): Effect.Effect<Part, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => connection.parts.join(name)),
    (part) => Effect.sync(() => connection.parts.leave(part))
  )

/** For health: a part that is not there yet, one that is being stopped, and one that has ended and was not. */
export const noteOpening = (part: Part): void => {
  part.trouble ??= `${describePart(part)} is not open yet`
}

export const noteStopping = (part: Part): void => {
  part.trouble ??= `${describePart(part)} is stopping`
}

export const noteEnd = (part: Part, cause: Cause.Cause<unknown>, what = describePart(part)): void => {
  part.trouble = `${what} has ended: ${printable(reasonIn(Cause.squash(cause)), 1024)}`
}

/** Whether a part of the program subscribes here, as `asPart` says. */
export const AsPart: Context.Reference<boolean> = Context.Reference<boolean>("effect-nats/internal/AsPart", {
  defaultValue: () => false
})

/**
 * Opens a subscription of a part. Where the client connects in the background it does not wait for the first session: what
 * the server says of it then is the part's end.
 */
export const asPart = <A, E, R>(open: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(open, AsPart, true)

/** The parts whose handlers run here: one of them that stops its own part must not wait for itself. */
export const Within: Context.Reference<ReadonlyArray<object>> = Context.Reference<ReadonlyArray<object>>(
  "effect-nats/internal/Within",
  { defaultValue: () => [] }
)
