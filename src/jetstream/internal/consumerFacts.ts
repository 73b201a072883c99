/**
 * What is known of a consumer on the server, as far as taking messages from it needs it.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import type { ConnectionClosed } from "../../NatsError.ts"
import type { ApiError, ConsumerNotFound, StreamNotFound } from "../JetStreamError.ts"
import type { Answer, Api } from "./api.ts"
import { noConsumer } from "./refusals.ts"

export interface ConsumerFacts {
  /** Absent where this user may not ask. */
  readonly config: Readonly<Record<string, unknown>> | undefined
  readonly isPush: boolean
  readonly ackPolicy: "explicit" | "all" | "none"
  /** By the number of the delivery, where it changes. */
  readonly ackWaitsMillis: ReadonlyArray<number>
  // What one pull may ask for at most.
  readonly maxBatch: number
  readonly maxExpiresMillis: number
  readonly maxBytes: number
}

/** The default of a server. */
const ackWaitMillis = 30_000

export const unknownFacts: ConsumerFacts = {
  config: undefined,
  isPush: false,
  ackPolicy: "explicit",
  ackWaitsMillis: [ackWaitMillis],
  maxBatch: Infinity,
  maxExpiresMillis: Infinity,
  maxBytes: Infinity
}

const above0 = (value: unknown): number => typeof value === "number" && value > 0 ? value : Infinity

/** Reads `config` of a consumer's info. */
export const factsOf = (info: Answer): ConsumerFacts => {
  const config = hasProperty(info, "config") && typeof info.config === "object" && info.config !== null
    ? info.config as Record<string, unknown>
    : {}
  const wait = above0(config["ack_wait"])
  const backoff = Array.isArray(config["backoff"]) ? config["backoff"].map(above0).filter(Number.isFinite) : []
  const waits = backoff.length > 0 ? backoff : [wait]
  const policy = config["ack_policy"]
  return {
    config,
    isPush: typeof config["deliver_subject"] === "string" && config["deliver_subject"] !== "",
    ackPolicy: policy === "none" || policy === "all" ? policy : "explicit",
    ackWaitsMillis: waits.map((nanos) => Number.isFinite(nanos) ? nanos / 1e6 : ackWaitMillis),
    maxBatch: above0(config["max_batch"]),
    maxExpiresMillis: above0(config["max_expires"]) / 1e6,
    maxBytes: above0(config["max_bytes"])
  }
}

export const ackWaitOf = ({ ackWaitsMillis }: ConsumerFacts, deliveries: number): number =>
  ackWaitsMillis[Math.min(deliveries, ackWaitsMillis.length) - 1] ?? ackWaitMillis

/** Asks for it. Names have been checked. */
export const askFacts = (
  api: Api,
  stream: string,
  consumer: string,
  timeoutMillis?: number
): Effect.Effect<ConsumerFacts, ApiError | StreamNotFound | ConsumerNotFound> =>
  Effect.map(
    api.call<StreamNotFound | ConsumerNotFound>(`CONSUMER.INFO.${stream}.${consumer}`, undefined, {
      timeout: timeoutMillis,
      errors: noConsumer(stream, consumer)
    }),
    factsOf
  )

/**
 * What changes nothing when it is done twice is done again on the next session, where its own was lost: the caller of a read does
 * not have to know when that began.
 */
export const overSessions = <A, E extends { readonly _tag: string }>(
  api: Api,
  ask: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.catch(ask, (error) =>
    error._tag === "ConnectionLost" && api.connection.settings.whileDisconnected !== "fail"
      ? overSessions(api, ask)
      : Effect.fail(error))

/** The same, where a user that may not ask does without. */
export const askFactsIfAllowed = (
  api: Api,
  stream: string,
  consumer: string
): Effect.Effect<ConsumerFacts, ApiError | StreamNotFound | ConsumerNotFound> =>
  Effect.catchTag(
    overSessions(api, askFacts(api, stream, consumer)),
    "PermissionsViolation",
    () => Effect.succeed(unknownFacts)
  )

/** What a look at the server found. */
export type Seen =
  | { readonly _tag: "there"; readonly facts: ConsumerFacts }
  | { readonly _tag: "missing"; readonly error: StreamNotFound | ConsumerNotFound }
  | { readonly _tag: "denied" }
  /** Nobody could say. */
  | { readonly _tag: "unknown" }

/** Looks whether it is there. */
export const look = (api: Api, stream: string, consumer: string): Effect.Effect<Seen, ConnectionClosed> =>
  askFacts(api, stream, consumer, api.patienceMillis).pipe(
    Effect.map((facts): Seen => ({ _tag: "there", facts })),
    Effect.catch((error): Effect.Effect<Seen, ConnectionClosed> => {
      switch (error._tag) {
        case "StreamNotFound":
        case "ConsumerNotFound":
          return Effect.succeed({ _tag: "missing", error })
        case "PermissionsViolation":
          return Effect.succeed({ _tag: "denied" })
        case "ConnectionClosed":
          return Effect.fail(error)
        default:
          return Effect.succeed({ _tag: "unknown" })
      }
    })
  )
