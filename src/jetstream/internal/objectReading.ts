/** What all reads of a store have in common. */
import * as Effect from "effect/Effect"
import {
  type InvalidName,
  ObjectStoreNotFound,
  type OpenOrderedError,
  type OrderedError,
  type StreamNotFound,
  type UnsupportedByServer
} from "../JetStreamError.ts"
import type { ObjectAccess } from "./objectAccess.ts"

export const heartbeatMillis = 5_000
/** A server that does not hear of the end, as the connection died, keeps a consumer for so long. */
export const inactiveMillis = 30_000

/** What a failure of a read is for a store. */
export const storeError = (
  access: ObjectAccess,
  error: OpenOrderedError | OrderedError
): Effect.Effect<
  never,
  Exclude<OpenOrderedError, StreamNotFound | InvalidName | UnsupportedByServer> | ObjectStoreNotFound
> => {
  switch (error._tag) {
    case "StreamNotFound":
      return Effect.fail(new ObjectStoreNotFound({ store: access.store }))
    // Of names and filters that are made here.
    case "InvalidName":
    case "UnsupportedByServer":
      return Effect.die(error)
    default:
      return Effect.fail(error)
  }
}
