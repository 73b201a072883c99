/**
 * A connection as libraries of nats.js want it, over a `NatsClient`: `@nats-io/jetstream`, `@nats-io/kv`, `@nats-io/obj`
 * and `@nats-io/services` run on it. Credentials that rotate, reconnects, spans and metrics are those of the client.
 *
 * The package needs `@nats-io/nats-core` beside it, in the one copy that the libraries use, too: they tell errors apart by
 * its classes.
 *
 * ```ts
 * import { jetstream } from "@nats-io/jetstream"
 * import { Effect } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { NatsConnection } from "effect-nats/compat"
 *
 * const program = Effect.gen(function*() {
 *   const nc = yield* NatsConnection.make
 *   const js = jetstream(nc)
 *   return yield* Effect.tryPromise(() => js.publish("orders.created", "7"))
 * })
 *
 * export const main = program.pipe(Effect.scoped, Effect.provide(NatsClient.layer()))
 * ```
 *
 * @since 0.2.0
 */
import type { NatsConnection as CoreConnection } from "@nats-io/nats-core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { connectionOf } from "../internal/operations/connectionOf.ts"
import { NatsClient } from "../NatsClient.ts"
import { Facade } from "./internal/facade.ts"

/**
 * A connection of `@nats-io/nats-core`: what its public type has, and what its libraries read besides.
 *
 * - What cannot be (`setServers`) throws an `InvalidOperationError` that says what to do.
 * - Failures are nats-core's own errors; `cause` has the error of this package, or leads to it.
 * - `publish` writes at once where there is a session. Without one it is as the client's `whileDisconnected` says: kept and
 *   sent in order with `"wait"`, thrown with `"fail"` and where the buffer is full. What waits is kept without a bound.
 * - `close` and `drain` end this connection and its subscriptions, and leave the client as it is. `drain` waits for what
 *   has been received to be handled, at most for the client's `drainTimeout`.
 * - What ends the client for good ends this connection: `closed()` resolves with the reason, callbacks and iterators of
 *   subscriptions get a `ClosedConnectionError`.
 * - A callback that throws is logged, counted and told by `status()`; nothing else stops.
 *
 * @category models
 * @since 0.2.0
 */
export interface NatsConnection extends CoreConnection {}

/**
 * The service tag of such a connection, for programs that take it from a layer.
 *
 * @category services
 * @since 0.2.0
 */
export const NatsConnection: Context.Service<NatsConnection, NatsConnection> = Context.Service<NatsConnection>(
  "effect-nats/compat/NatsConnection"
)

/**
 * Makes a connection over the client. It has the client's session from the start, or gets it with the client. When the
 * scope closes it is drained: no more intake, what has been received is handled within the client's `drainTimeout`, what
 * was published is with the server; iterators end and `closed()` resolves. The client lives on.
 *
 * Dies where the client is not one of this package's.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: Effect.Effect<NatsConnection, never, NatsClient | Scope.Scope> = Effect.gen(function*() {
  const client = yield* NatsClient
  const context = yield* Effect.context<never>()
  const facade = yield* Effect.acquireRelease(
    Effect.sync(() => new Facade(client, connectionOf(client), context)),
    (facade) => facade.finalizer
  )
  // Outside of the scope, which is to close before they stop: they end with the client or with the connection.
  const until = Effect.promise(() => facade.closed())
  yield* client.status.pipe(
    // Its state from before is no event.
    Stream.drop(1),
    Stream.runForEach((event) => Effect.sync(() => facade.tellEvent(event))),
    Effect.raceFirst(until),
    Effect.forkDetach({ startImmediately: true })
  )
  yield* client.closed.pipe(
    Effect.matchEffect({
      onFailure: (closed) => Effect.sync(() => facade.clientEnded(closed)),
      onSuccess: () => Effect.sync(() => facade.clientEnded(undefined))
    }),
    Effect.raceFirst(until),
    Effect.forkDetach({ startImmediately: true })
  )
  return facade
})

/**
 * The connection as a layer.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer: Layer.Layer<NatsConnection, never, NatsClient> = Layer.effect(NatsConnection, make)
