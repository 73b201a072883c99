/**
 * What a server must be to do something, by its API level (ADR-44): 1 is 2.11, 2 is 2.12, 4 is 2.14. Before 2.11 there are
 * no levels, and what is not known is ignored without a word: so it is looked at before anything is sent.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { type ApiError, UnsupportedByServer } from "../JetStreamError.ts"
import type { Answer, Api, CallOptions } from "./api.ts"

/** By the level that it comes with. Those of definitions are the levels that a server notes in `_nats.req.level`. */
const features = {
  /** A message's own time to live. */
  ttl: { level: 1, needs: "2.11" },
  /** A message in place of the last one of a subject that expired. */
  deleteMarkers: { level: 1, needs: "2.11" },
  /** An expectation about another subject than the message's own. */
  expectedSubject: { level: 1, needs: "2.11" },
  pause: { level: 1, needs: "2.11" },
  priorityGroups: { level: 1, needs: "2.11" },
  unpin: { level: 1, needs: "2.11" },
  /** Several messages by one direct get. */
  directBatch: { level: 1, needs: "2.11" },
  batch: { level: 2, needs: "2.12" },
  counters: { level: 2, needs: "2.12" },
  schedules: { level: 2, needs: "2.12" },
  asyncPersistence: { level: 2, needs: "2.12" },
  /** The priority policy of that name. */
  prioritized: { level: 2, needs: "2.12" },
  fastBatch: { level: 4, needs: "2.14" },
  consumerReset: { level: 4, needs: "2.14" }
} as const

/** What is asked for, by its name in `UnsupportedByServer`. */
export type Feature = keyof typeof features

/** On a request to the API, and on the first message of a batch, 2.12 refuses what its level does not reach. */
export const requiredLevelHeader = "Nats-Required-Api-Level"

/** The `err_code` of that refusal. */
export const levelRefused = 10185

export const unsupportedFeature = (feature: Feature): UnsupportedByServer =>
  new UnsupportedByServer({ feature, needs: features[feature].needs })

/** The headers that make a server refuse what it would ignore. */
export const requiringLevel = (feature: Feature): { readonly [requiredLevelHeader]: string } => ({
  [requiredLevelHeader]: String(features[feature].level)
})

/** The latest level that a domain told. It is not that of the server at hand: a leaf node can be older, or newer. */
const told = new WeakMap<Api, number>()

/** Notes the level in an answer to `INFO`. */
export const noteLevel = (api: Api, answer: Answer): void => {
  const own = answer["api"]
  told.set(api, hasProperty(own, "level") && typeof own.level === "number" ? own.level : 0)
}

const levelOf = (api: Api): number => (api.isElsewhere ? told.get(api) : undefined) ?? api.level

/**
 * Whether JetStream at hand is too old, as far as is known now. The leader of a stream can be older than the server at
 * hand, so compare the answer, too, where it tells.
 */
export const unsupported = (api: Api, feature: Feature): UnsupportedByServer | undefined =>
  levelOf(api) >= features[feature].level ? undefined : unsupportedFeature(feature)

/** Asks before it says no where the level is that of another server, or where there was no session yet. */
export const supported = (api: Api, feature: Feature): Effect.Effect<void, UnsupportedByServer | ApiError> =>
  Effect.suspend(() => {
    const problem = unsupported(api, feature)
    if (problem === undefined) return Effect.void
    if (!api.isElsewhere && api.connection.info !== undefined) return Effect.fail(problem)
    return Effect.flatMap(api.call("INFO"), (answer) => {
      noteLevel(api, answer)
      const still = unsupported(api, feature)
      return still === undefined ? Effect.void : Effect.fail(still)
    })
  })

/** A request to the API that needs a feature: asked only where it is known, and refused by a server that has not got it. */
export const callFor = <E = never>(
  api: Api,
  feature: Feature,
  name: string,
  body?: object | undefined,
  options?: CallOptions<E>
): Effect.Effect<Answer, ApiError | UnsupportedByServer | E> =>
  Effect.andThen(
    supported(api, feature),
    api.call<E | UnsupportedByServer>(name, body, {
      ...options,
      headers: requiringLevel(feature),
      errors: { ...options?.errors, [levelRefused]: () => unsupportedFeature(feature) }
    })
  )
