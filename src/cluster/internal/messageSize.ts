/** Replies that are larger than what a server takes. */
import type { PersistenceError } from "effect/cluster/ClusterError"
import type * as Reply from "effect/cluster/Reply"
import { hasProperty } from "effect/Predicate"
import type { Api } from "../../jetstream/internal/api.ts"
import { MaxPayloadExceeded } from "../../NatsError.ts"
import { makeRecent, type Recent } from "./recent.ts"

export const isTooLarge = (error: { readonly _tag: string }): error is PersistenceError =>
  error._tag === "PersistenceError" && hasProperty(error, "cause") && error.cause instanceof Error &&
  error.cause.cause instanceof MaxPayloadExceeded

/** More than the headers of a reply and what is around it. */
const around = 2_048

/** Why it could not be stored later. */
export const overLimit = (api: Api, stream: string, reply: Reply.Encoded): MaxPayloadExceeded | undefined => {
  const limit = api.connection.info?.max_payload
  if (limit === undefined) return undefined
  const size = Buffer.byteLength(JSON.stringify(reply)) + around
  return size > limit ? new MaxPayloadExceeded({ subject: stream, size, limit }) : undefined
}

/** So many are remembered: each is a handler that is just being stopped. */
const most = 1_024

/** Requests whose stream of replies ended since one chunk was too large: what else they reply is nothing. */
export const endedBySize = (): Recent<bigint> => makeRecent(most)
