/**
 * Whether a client lives and can do its work, for the probes of an orchestrator. What runs on the client counts: a listener, a
 * typed handler, a service, an rpc server, a recorder or what handles a consumer that is stopping, or that has ended and was
 * not stopped, is not ready, and neither is a service that has lost an endpoint, nor a store of a client in the background that
 * is not open. A `consume` is its program's own business.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsClient, NatsHealth } from "effect-nats"
 *
 * const program = Effect.gen(function*() {
 *   const nats = yield* NatsClient.NatsClient
 *   const health = yield* NatsHealth.check(nats)
 *   if (!health.ready) yield* Effect.logWarning(health.reason)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { connectionIn } from "./internal/operations/connectionOf.ts"
import { printable } from "./internal/protocol/printable.ts"
import type { NatsClient } from "./NatsClient.ts"
import type { FlushError } from "./NatsError.ts"
import type { ConnectionState } from "./NatsStatus.ts"

/**
 * What a check finds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Health {
  /** The client can still become ready by itself. `false` once it has ended: only a new client helps. */
  readonly live: boolean
  /**
   * Connected, the server has just answered, and all that runs on the client is there. `false` from the first moment of a
   * stop.
   */
  readonly ready: boolean
  readonly state: ConnectionState["_tag"]
  /** Why it is not ready, for people: printable, at most 1,024 characters. Never a secret of the client. */
  readonly reason?: string | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface CheckOptions {
  /** How long the server may take to answer. Default 1 second. */
  readonly timeout?: Duration.Input | undefined
}

/** What ends a part of the program can be anything of the user's. */
const longestReason = 1024

const reasonOf = (state: ConnectionState): string => {
  switch (state._tag) {
    case "Connecting":
      return "connecting for the first time"
    case "Disconnected":
    case "Reconnecting":
      return state.reason.message
    case "Draining":
      return "the client is closing"
    case "Closed":
      return state.reason === undefined ? "the client was closed" : state.reason.message
    case "Connected":
      return "connected"
  }
}

/**
 * What is known of a client without asking its server: costs nothing and answers at once. `ready` is then that of the
 * client alone: connected, and all that runs on it is there. For a probe that must not fail because a server is slow, as one
 * of liveness. It never fails; `reason` tells why a client is not ready.
 *
 * @category checks
 * @since 0.2.0
 */
export const look = (client: NatsClient): Effect.Effect<Health> =>
  Effect.map(client.state, (state) => {
    if (state._tag !== "Connected") {
      return { live: state._tag !== "Closed", ready: false, state: state._tag, reason: reasonOf(state) }
    }
    const connection = connectionIn(client)
    const trouble = connection?.parts.trouble
    if (connection === undefined || trouble === undefined) return { live: true, ready: true, state: state._tag }
    const reason = connection.filter.shown(trouble, (raw) => printable(raw, longestReason))
    return { live: true, ready: false, state: state._tag, reason }
  })

const unanswered = (error: FlushError): string =>
  error._tag === "ConnectionClosed" ? "the client was closed" : error.reason.message

/**
 * Checks a client: its state and, when it is connected, a round trip to the server within `timeout`. Never fails, and
 * takes at most `timeout`. It asks the server each time, so do not run it for every request that you serve.
 *
 * @category checks
 * @since 0.1.0
 */
export const check = (client: NatsClient, options?: CheckOptions): Effect.Effect<Health> => {
  // What it is now tells more than the error.
  const now = (reason: string): Effect.Effect<Health> =>
    Effect.map(look(client), (health) => health.ready ? { ...health, ready: false, reason } : health)
  return Effect.flatMap(look(client), (before) => {
    if (!before.ready) return Effect.succeed(before)
    const timeout = Duration.fromInputUnsafe(options?.timeout ?? "1 second")
    return client.flush.pipe(
      Effect.matchEffect({
        // A stop can have begun meanwhile.
        onSuccess: () => look(client),
        onFailure: (error) => now(unanswered(error))
      }),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () =>
          Effect.flatMap(
            client.state,
            (state) =>
              now(
                `${state._tag === "Connected" ? state.server : "the server"} has not answered for ${
                  Duration.format(timeout)
                }`
              )
          )
      })
    )
  })
}
