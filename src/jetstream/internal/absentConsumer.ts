/**
 * What a reader does whose consumer is gone and that is not to end by that: waits for another one of this name, or makes it again.
 */
import * as Effect from "effect/Effect"
import { sleep } from "../../internal/operations/sending.ts"
import type { ConnectionClosed } from "../../NatsError.ts"
import { type MessagesError, PullRefused } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { backoffMillis } from "./backoff.ts"
import { type ConsumerFacts, look } from "./consumerFacts.ts"

export interface AbsentConsumer {
  readonly api: Api
  readonly stream: string
  readonly consumer: string
  /** Whether there is still a reader for it. */
  readonly isWanted: () => boolean
}

/** Waits until it is there. Without facts: nobody wants it any more. */
export const awaitConsumer = (
  absent: AbsentConsumer,
  failures = 0
): Effect.Effect<ConsumerFacts | undefined, ConnectionClosed> => {
  const { api, consumer, isWanted, stream } = absent
  return Effect.flatMap(
    Effect.andThen(sleep(api.connection, backoffMillis(failures)), look(api, stream, consumer)),
    (seen) => {
      if (!isWanted()) return Effect.succeed(undefined)
      return seen._tag === "there" ? Effect.succeed(seen.facts) : awaitConsumer(absent, failures + 1)
    }
  )
}

/** Makes it again: done when that is answered, or nobody wants it any more. Fails with what no other try mends. */
export const makeAgain = (
  absent: AbsentConsumer,
  create: Effect.Effect<unknown, unknown>,
  failures = 0
): Effect.Effect<void, MessagesError> =>
  Effect.matchEffect(create, {
    onSuccess: () => Effect.void,
    onFailure: (error) => {
      if (!absent.isWanted()) return Effect.void
      const end = endOfCreate(absent, error)
      if (end !== undefined) return Effect.fail(end)
      return Effect.andThen(
        sleep(absent.api.connection, backoffMillis(failures)),
        Effect.suspend(() => makeAgain(absent, create, failures + 1))
      )
    }
  })

const endOfCreate = ({ consumer, stream }: AbsentConsumer, error: unknown): MessagesError | undefined => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return undefined
  const known = error as { _tag: string; errCode?: number; code?: number; description?: string }
  if (known._tag === "StreamNotFound" || known._tag === "PermissionsViolation" || known._tag === "ConnectionClosed") {
    return error as MessagesError
  }
  if (known._tag !== "JetStreamApiError") return undefined
  return new PullRefused({ stream, consumer, code: known.code ?? 0, description: known.description ?? "" })
}
