/**
 * Handlers over a subscription in the foreground.
 */
import * as Effect from "effect/Effect"
import type { HandleError, SubscriptionError } from "../../NatsError.ts"
import type { Connection } from "../connection/connection.ts"
import type { SubscriptionSettings } from "../delivery/delivery.ts"
import { handle, type Handler } from "./handling.ts"

/**
 * Handles every message of a subscription. Ends with it; an interruption takes no more messages, lets the workers handle
 * what was received for as long as the client's `drainTimeout` says, and then interrupts them.
 */
export const consume = <E, R>(
  connection: Connection,
  settings: SubscriptionSettings,
  options:
    | { readonly concurrency?: number | "unbounded" | undefined; readonly subjectTemplate?: string | undefined }
    | undefined,
  handler: Handler<E, R>
): Effect.Effect<void, HandleError | SubscriptionError, R> =>
  Effect.scopedWith((scope) =>
    Effect.flatMap(
      handle(connection, [settings], handler, { ...options, drainTimeout: undefined }, scope),
      ({ ended }) => ended
    )
  )
