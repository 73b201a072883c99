/**
 * The protocols of `effect/rpc` over NATS: the handlers and clients of an `RpcGroup`, with streams, acks, interruption
 * and typed errors, between Effect programs.
 *
 * A server is one member of a queue group: each call goes to one of the servers that are there. What follows a call (acks
 * of a stream, an interruption) goes to the very server that has it. Choose `NatsService` instead when programs that do
 * not use Effect are to call the service: it answers plain JSON requests, without streams.
 *
 * ```ts
 * import { Effect, Layer, Schema, Stream } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { NatsRpc } from "effect-nats/service"
 * import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
 *
 * const Prices = RpcGroup.make(
 *   Rpc.make("Latest", { payload: { symbol: Schema.String }, success: Schema.Finite }),
 *   Rpc.make("Watch", { payload: { symbol: Schema.String }, success: Schema.Finite, stream: true })
 * )
 *
 * const Nats = NatsClient.layer({ servers: "nats://127.0.0.1:4222" })
 *
 * const Server = RpcServer.layer(Prices).pipe(
 *   Layer.provide(Prices.toLayer({ Latest: () => Effect.succeed(42), Watch: () => Stream.make(41, 42, 43) })),
 *   Layer.provide(NatsRpc.layerServerProtocol({ subject: "prices" })),
 *   Layer.provide([RpcSerialization.layerJson, Nats])
 * )
 *
 * const program = Effect.gen(function*() {
 *   const prices = yield* RpcClient.make(Prices)
 *   yield* Effect.log(yield* prices.Latest({ symbol: "ACME" }))
 *   yield* prices.Watch({ symbol: "ACME" }).pipe(Stream.take(2), Stream.runForEach((price) => Effect.log(price)))
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(NatsRpc.layerClientProtocol({ subject: "prices" })),
 *   Effect.provide([RpcSerialization.layerJson, Nats])
 * )
 * ```
 *
 * Both sides need the same `RpcSerialization`. Their users' permissions: a server subscribes to `<subject>` and
 * `<subject>.>` and publishes to the clients' inboxes; a client publishes to `<subject>` and `<subject>.>` and subscribes
 * to its inbox, which is under `inboxPrefix` of its `NatsClient`'s config.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RpcClient from "effect/rpc/RpcClient"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import type * as Scope from "effect/Scope"
import type { NatsClient } from "../NatsClient.ts"
import type { SubscribeError } from "../NatsError.ts"
import * as Client from "./internal/rpcClientProtocol.ts"
import { isRpcFailure, type RpcFailure } from "./internal/rpcFailure.ts"
import * as Server from "./internal/rpcServer.ts"

export { type RpcFailure, RpcServerLost } from "./internal/rpcFailure.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface ServerOptions {
  /** Where the calls come: a subject without wildcards. The subjects below it belong to this service too. */
  readonly subject: string
  /** The queue group: each call goes to one of its servers. Default `"rpc"`. */
  readonly queue?: string | undefined
  /**
   * A client that is not heard of for this long is given up: its calls are interrupted. It must be longer than the
   * clients' `pingInterval`; a client that has vanished is noticed within 1.25 times this. A client that has left its
   * NATS server is noticed at once when something is sent to it. Default 20 seconds.
   */
  readonly clientTimeout?: Duration.Input | undefined
  /**
   * How long the calls in flight have to end when the server is shut down. Those that have not are interrupted, and an
   * answer that still waits for a connection is given up. Default, and at most, `drainTimeout` of the client, which the
   * end of a scope shares with the other parts of the client.
   */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface ClientOptions {
  /** The subject of the servers. */
  readonly subject: string
  /** How often each server that this client has called is asked for its calls. Default 5 seconds. */
  readonly pingInterval?: Duration.Input | undefined
  /**
   * Pings without an answer after which a server is taken for lost. A server that vanishes is noticed within
   * `pingInterval` when NATS knows that it has gone, and within `pingInterval * (maxPingOut + 1)` when nobody does.
   * Default 2.
   */
  readonly maxPingOut?: number | undefined
}

/**
 * The protocol of a server, for `RpcServer.make`. See `layerServerProtocol`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeServerProtocol = (options: ServerOptions): Effect.Effect<
  RpcServer.Protocol["Service"],
  SubscribeError,
  NatsClient | RpcSerialization.RpcSerialization | Scope.Scope
> =>
  Server.makeServerProtocol({
    subject: options.subject,
    queue: options.queue ?? Server.serverDefaults.queue,
    clientTimeout: Duration.fromInputUnsafe(options.clientTimeout ?? Server.serverDefaults.clientTimeout),
    drainTimeout: options.drainTimeout,
    interruption: "answer"
  })

/**
 * The protocol of a client, for `RpcClient.make`. See `layerClientProtocol`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeClientProtocol = (options: ClientOptions): Effect.Effect<
  RpcClient.Protocol["Service"],
  SubscribeError,
  NatsClient | RpcSerialization.RpcSerialization | Scope.Scope
> =>
  Client.makeClientProtocol({
    subject: options.subject,
    pingInterval: Duration.fromInputUnsafe(options.pingInterval ?? "5 seconds"),
    maxPingOut: options.maxPingOut ?? 2
  })

/**
 * Serves an `RpcGroup` on a subject, as one of any number of servers in a queue group. The layer is built when the NATS
 * server has the subscriptions, so that a call made afterwards finds it; it fails as `subscription` does.
 *
 * - An answer over the server's `max_payload` is a defect of that call, with the size and the limit in its message. The
 *   elements that a stream emits together are sent together: `Stream.rechunk` makes them fewer.
 * - A handler that dies ends all calls that its client has at this server with the defect, as over a socket. Give
 *   `disableFatalDefects: true` to `RpcServer.layer` and it ends its own call only.
 * - A defect's name and message travel to the caller, its stack does not. The server logs nothing of it: what it died of
 *   is told to the `ErrorReporter` layers around `RpcServer.layer`.
 * - A reconnect keeps the calls that nothing was lost of. A client finds out by its pings what was lost, and those calls
 *   fail.
 * - On shutdown (the scope of `RpcServer.layer`) the server leaves the queue group, takes what it was sent before, lets
 *   calls end within `drainTimeout`, and interrupts the others, whose callers get `RpcServerLost` with the reason
 *   `"shutdown"`. Streams that do not end wait for the deadline. A handler that does not let itself be interrupted is
 *   waited for by RpcServer, without an end; a warning tells it.
 * - A server that ends otherwise (its client gave up, its user lost the right to subscribe) interrupts its handlers. A
 *   program that was started with `NatsLayer.launch` fails with `BackgroundEnded` then; else it is logged at level Error.
 *
 * Built when the server has the subscriptions, and with a client that connects in the background at once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerServerProtocol = (
  options: ServerOptions
): Layer.Layer<RpcServer.Protocol, SubscribeError, NatsClient | RpcSerialization.RpcSerialization> =>
  Layer.effect(RpcServer.Protocol, makeServerProtocol(options))

/**
 * Calls the servers of a subject. Any number of clients of `RpcClient.make` can share it, also of several groups.
 *
 * What goes wrong on the way fails the call that it concerns with an `RpcClientError`; `failureOf` tells which one:
 * - `NoResponders`, at once: no server is there.
 * - `MaxPayloadExceeded`: the request is too large. Nothing was sent.
 * - `PermissionsViolation`: this client's user may not publish to the subject, or not receive the answer.
 * - `SubscriptionLimitExceeded`: the server does not take the subscription that the answers come to. The next call tries
 *   it again.
 * - `ConnectionLost`: this client's connection broke while the call was in flight. The protocol lives on, and calls wait
 *   for the next connection as `whileDisconnected` of the client's config says.
 * - `RpcServerLost`: the server that had the call is gone, or a part of its answer was lost.
 *
 * Streams are acknowledged chunk by chunk when their reader has taken them, so that a server produces no more than is
 * read; a slow reader holds up no other call. An interruption reaches the handler. When the scope closes, the servers are
 * told and release what they have of this client.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerClientProtocol = (
  options: ClientOptions
): Layer.Layer<RpcClient.Protocol, SubscribeError, NatsClient | RpcSerialization.RpcSerialization> =>
  Layer.effect(RpcClient.Protocol, makeClientProtocol(options))

/**
 * What this transport says of a failed call, `None` when the error is not of this transport, or says of an answer that it
 * cannot be read.
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { NatsRpc } from "effect-nats/service"
 * import type { RpcClientError } from "effect/rpc"
 *
 * const explain = (error: RpcClientError.RpcClientError) =>
 *   Option.match(NatsRpc.failureOf(error), {
 *     onNone: () => error.message,
 *     onSome: (failure) => failure._tag === "NoResponders" ? "The service is down." : failure.message
 *   })
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const failureOf = (error: RpcClientError): Option.Option<RpcFailure> => {
  const { reason } = error
  return reason._tag === "RpcClientDefect" && isRpcFailure(reason.cause) ? Option.some(reason.cause) : Option.none()
}
