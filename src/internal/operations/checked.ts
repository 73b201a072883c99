/**
 * The clients that a check of a whole program asks: those that layers make. Where such a check stands under them, they join
 * it before they dial, and leave when their scope has closed.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { NatsClient } from "../../NatsClient.ts"
import { shownName } from "../protocol/shown.ts"
import { connectionIn } from "./connectionOf.ts"

export class CheckedClients {
  readonly all = new Set<NatsClient>()
  /** Whether there was ever one. */
  hadSome = false

  join(client: NatsClient): void {
    this.all.add(client)
    this.hadSome = true
  }
}

/** Set by what checks, for what is built on it. */
export const Checked: Context.Reference<CheckedClients | undefined> = Context.Reference<CheckedClients | undefined>(
  "effect-nats/internal/Checked",
  { defaultValue: () => undefined }
)

/** Joins what checks the program, where something does, until the scope closes. */
export const joinChecked = (client: NatsClient): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Checked, (checked) =>
    checked === undefined
      ? Effect.void
      : Effect.acquireRelease(
        Effect.sync(() => checked.join(client)),
        () => Effect.sync(() => checked.all.delete(client))
      ))

/**
 * Each client once, by its connection, as one that is found can be given by the program, too, with its name as it may be
 * shown; in the order of the names.
 */
export const named = (
  clients: ReadonlyArray<NatsClient>
): ReadonlyArray<readonly [client: NatsClient, name: string]> => {
  const known = new Map<unknown, readonly [NatsClient, string]>()
  for (const client of clients) {
    const connection = connectionIn(client)
    const name = connection === undefined ? "unknown" : connection.filter.shown(connection.settings.name, shownName)
    known.set(connection ?? client, [client, name])
  }
  return [...known.values()].toSorted(([, one], [, other]) => one < other ? -1 : one > other ? 1 : 0)
}

/** A program of `NatsLayer.launch`: whether all of it is there. */
export interface Launched {
  phase: "starting" | "running" | "stopping"
}

/** Set by `NatsLayer.launch`. */
export const Launched: Context.Reference<Launched | undefined> = Context.Reference<Launched | undefined>(
  "effect-nats/internal/Launched",
  { defaultValue: () => undefined }
)

/** What a client goes by that has no name of its own. */
export const GivenName: Context.Reference<string | undefined> = Context.Reference<string | undefined>(
  "effect-nats/internal/GivenName",
  { defaultValue: () => undefined }
)
