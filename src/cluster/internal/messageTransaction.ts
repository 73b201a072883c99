/**
 * Transactions, as far as there are any: exits that are saved in one are published when it succeeds, and discarded when it
 * fails. What a handler writes elsewhere is not part of it.
 */
import type * as Reply from "effect/cluster/Reply"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Whether what stands on the storage runs handlers, which can ask for a transaction. Who only calls has none. */
export const RunsHandlers: Context.Reference<boolean> = Context.Reference<boolean>("effect-nats/cluster/RunsHandlers", {
  defaultValue: () => true
})

export const noTransactions =
  "A transaction of this message storage holds back replies until it succeeds. What handlers write " +
  "elsewhere is not part of it: ClusterSchema.WithTransaction needs effect's SQL storage."

let isTold = false

/** Once in a process: it says nothing new of the next storage. */
export const tellOfTransactions: Effect.Effect<void> = Effect.flatMap(RunsHandlers, (runs) => {
  if (!runs || isTold) return Effect.logDebug(noTransactions)
  isTold = true
  return Effect.logInfo(noTransactions)
})

/** The exits of the transaction that this fiber is in. */
export const PendingExits = Context.Reference<Array<Reply.Encoded> | undefined>(
  "effect-nats/cluster/PendingExits",
  { defaultValue: () => undefined }
)

/** Those of an inner one are those of the outer one once it has succeeded. */
export const inTransaction =
  <E>(publish: (reply: Reply.Encoded) => Effect.Effect<void, E>) =>
  <A, E2, R>(effect: Effect.Effect<A, E2, R>): Effect.Effect<A, E2, R> =>
    Effect.flatMap(PendingExits, (outer) => {
      const own: Array<Reply.Encoded> = []
      return Effect.tap(Effect.provideService(effect, PendingExits, own), () =>
        outer === undefined
          // The wrapper fails with the effect's own failures alone.
          ? Effect.orDie(Effect.forEach(own, publish, { discard: true }))
          : Effect.sync(() => {
            outer.push(...own)
          }))
    })
