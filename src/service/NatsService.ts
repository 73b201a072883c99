/**
 * An `RpcGroup` as a NATS micro service (ADR-32): callable, observable and discoverable from any language.
 *
 * The group is the contract. Each of its rpcs is an endpoint; payloads and answers are JSON by its schemas; its handlers
 * and middleware are those of `effect/rpc`. Choose it when others call you. When both sides are Effect, and streams or
 * interruption must cross the wire, choose `NatsRpc`.
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcGroup } from "effect/rpc"
 * import { NatsClient } from "effect-nats"
 * import { NatsService } from "effect-nats/service"
 *
 * const Orders = RpcGroup.make(
 *   Rpc.make("total", { payload: { prices: Schema.Array(Schema.Finite) }, success: Schema.Finite })
 * )
 *
 * const handlers = Orders.toLayer({
 *   total: ({ prices }) => Effect.succeed(prices.reduce((sum, price) => sum + price, 0))
 * })
 *
 * const service = NatsService.layer(Orders, { name: "orders", version: "1.0.0" }).pipe(
 *   Layer.provide(handlers),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const orders = yield* NatsService.client(Orders, { name: "orders" })
 *   return yield* orders.total({ prices: [1, 2] })
 * })
 * ```
 *
 * Write handlers outside of the object, with `Effect.fnUntraced`, where many requests are served: `Effect.gen` inside a
 * handler makes a new generator function for each request.
 *
 * A service tells its failures by code, as HTTP does. The failures that the schemas of the group name are sent as they
 * are, with code 422 unless their schema is annotated with another:
 *
 * ```ts
 * import { Schema } from "effect"
 *
 * class OrderNotFound extends Schema.TaggedError<OrderNotFound>()(
 *   "OrderNotFound",
 *   { id: Schema.String },
 *   { natsServiceErrorCode: 404 }
 * ) {
 *   override get message(): string {
 *     return `There is no order ${this.id}.`
 *   }
 * }
 * ```
 *
 * `httpApiStatus` is read where `natsServiceErrorCode` is absent, so that one schema serves HTTP and NATS.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import type * as RpcSchema from "effect/rpc/RpcSchema"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Background } from "../internal/operations/background.ts"
import { NatsClient } from "../NatsClient.ts"
import type { SubscribeError, SubscriptionError } from "../NatsError.ts"
import type { Input } from "../NatsHeaders.ts"
import type { NatsMessage } from "../NatsMessage.ts"
import { makeCall } from "./internal/call.ts"
import type { CallError } from "./internal/callError.ts"
import * as Contract from "./internal/contract.ts"
import { InvalidService } from "./internal/invalidService.ts"
import { RequestKey } from "./internal/requestDetails.ts"
import * as Serve from "./internal/serve.ts"
import type { InfoResponse, StatsResponse } from "./ServiceDiscovery.ts"

export { type CallError, isCallError } from "./internal/callError.ts"
export { InvalidService } from "./internal/invalidService.ts"

/**
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: "~effect-nats/NatsService" = Serve.TypeId

/**
 * How a service is served.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The kind of service, which its instances share: letters, digits, `-` and `_`. */
  readonly name: string
  /** A semantic version, such as `1.0.0`. */
  readonly version: string
  /** For people who look for it. Default empty. */
  readonly description?: string | undefined
  /** Anything to tell of this instance. Default empty. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /**
   * The queue group of the endpoints: each request goes to one of the instances in it. `false`: every instance gets every
   * request, and the first answer wins. Default `"q"`, as in every library of the protocol.
   */
  readonly queue?: string | false | undefined
  /**
   * Handlers that run at the same time, over all endpoints. Requests beyond it wait unread, up to 65,536 for an endpoint;
   * those that find this full are dropped, which the client's `status` tells as `Overflow`. Handlers wrapped with
   * `Rpc.fork` do not count. A whole number above 0, or `"unbounded"`; anything else is an `InvalidService`. Default
   * `"unbounded"`.
   */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * How long a stop waits for handlers. Requests that are not answered then are interrupted and answered with 503, for
   * which it takes two seconds more at most. Default, and at most, `drainTimeout` of the client, which the end of a scope
   * shares with the other parts of the client: one second more for all of them then. A handler that does not let itself be
   * interrupted is left behind with a warning.
   */
  readonly drainTimeout?: Duration.Input | undefined
  /**
   * Whether the endpoints' metadata has their JSON Schemas. Default `true`. Where that would be over the server's
   * `max_payload`, they are left out, with a warning in the log.
   */
  readonly schemas?: boolean | undefined
  /** Whether `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` are answered. Default `true`. */
  readonly discovery?: boolean | undefined
}

/**
 * What an rpc says of its endpoint, as the annotation `Endpoint`.
 *
 * @category options
 * @since 0.1.0
 */
export interface EndpointOptions {
  /** Default: the rpc's tag, with `-` for its dots. */
  readonly name?: string | undefined
  /** Behind the prefix of the group. Default: the rpc's tag. */
  readonly subject?: string | undefined
  /** Default: that of the group, else of the service. */
  readonly queue?: string | false | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/**
 * What the endpoints of a group have in common, as the annotation `Group`.
 *
 * @category options
 * @since 0.1.0
 */
export interface GroupOptions {
  /** In front of the endpoints' subjects. Empty: nothing. Default: the service's name. */
  readonly prefix?: string | undefined
  /** Default: that of the service. */
  readonly queue?: string | false | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/**
 * Annotates an rpc with what differs from the defaults of its endpoint: `rpc.annotate(NatsService.Endpoint, { … })`.
 *
 * @category annotations
 * @since 0.1.0
 */
export const Endpoint: Context.Service<EndpointOptions, EndpointOptions> = Contract.EndpointKey

/**
 * Annotates a group, or with `annotateRpcs` those rpcs that it has so far:
 * `group.annotate(NatsService.Group, { prefix: "orders.v1" })`. Annotated rpcs keep it when groups are merged. Server and
 * client need the same annotations, since they give the subjects.
 *
 * @category annotations
 * @since 0.1.0
 */
export const Group: Context.Service<GroupOptions, GroupOptions> = Contract.GroupKey

/**
 * The tags of rpcs that give a stream.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Streaming<Rpcs> = Rpcs extends Rpc.Any
  ? Rpc.SuccessSchema<Rpcs> extends RpcSchema.Stream<Schema.Constraint, Schema.Constraint> ? Rpcs["_tag"] : never
  : never

/**
 * Anything, or where an rpc gives a stream, what the compiler shows instead: a micro service answers a request once.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Unary<Rpcs> = [Streaming<Rpcs>] extends [never] ? unknown
  : { readonly "A stream has no place in a NATS micro service, use NatsRpc for": Streaming<Rpcs> }

/**
 * The request that a handler or a middleware is called for.
 *
 * @category models
 * @since 0.2.0
 */
export interface Request {
  /** The message as it came: its subject, its headers, its payload. */
  readonly message: NatsMessage
  /**
   * Gives the answer a header, such as `Retry-After`, whatever the answer will be; the same name replaces. One that NATS
   * does not allow is answered with 500. It has no effect once the request is answered.
   */
  setReplyHeader(name: string, value: string | ReadonlyArray<string>): void
}

/**
 * The request of a handler, by the `client` that effect/rpc tells it. `None` for the same handler under another protocol.
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { NatsService } from "effect-nats/service"
 * import type { Rpc } from "effect/rpc"
 *
 * const total = (_: void, { client }: { readonly client: Rpc.ServerClient }) =>
 *   Effect.sync(() => {
 *     const request = NatsService.requestOf(client)
 *     if (Option.isSome(request)) request.value.setReplyHeader("Served-On", request.value.message.subject)
 *     return 42
 *   })
 * ```
 *
 * @category getters
 * @since 0.2.0
 */
export const requestOf = (client: Rpc.ServerClient): Option.Option<Request> =>
  Context.getOption(client.annotations, RequestKey)

/**
 * A service that is served.
 *
 * @category models
 * @since 0.1.0
 */
export interface NatsService {
  readonly [TypeId]: typeof TypeId
  readonly name: string
  /** Of this instance alone. */
  readonly id: string
  /** What `$SRV.INFO` answers: without the endpoints that have ended. */
  readonly info: Effect.Effect<InfoResponse>
  /** What `$SRV.STATS` answers. */
  readonly stats: Effect.Effect<StatsResponse>
  /** Sets all counters to zero. */
  readonly reset: Effect.Effect<void>
  /**
   * Leaves the queue groups, handles what was received, answers everything. What is not done within `drainTimeout` is
   * interrupted and answered with 503. Closing the scope does the same. Never fails; a second stop waits for the first. A
   * handler that stops its own service does not wait for itself: the stop begins, and the handler goes on.
   */
  readonly stop: Effect.Effect<void>
  /**
   * Waits for the end. Succeeds when the service was stopped or its client closed on purpose. Fails when an endpoint ended
   * otherwise: with `ConnectionClosed` and its `reason` when the client gave up, with `PermissionsViolation` when the user
   * lost the right to subscribe, with `SubscriptionLimitExceeded` when the server does not take it again. In these two
   * cases the service goes on with its other endpoints until it is stopped. A failure that nobody waits for is logged at
   * level Error.
   */
  readonly ended: Effect.Effect<void, SubscriptionError>
}

/**
 * What a service needs: the client, the handlers of the group, its middleware, and the services of its schemas.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Requirements<Rpcs extends Rpc.Any> =
  | NatsClient
  | Rpc.ToHandler<Rpcs>
  | Rpc.Middleware<Rpcs>
  | Rpc.ServicesServer<Rpcs>

/**
 * Serves a group until the scope closes: see `stop`. Succeeds when the server has all subscriptions, so that what is
 * requested afterwards is answered; a reconnect keeps them.
 *
 * Of a client that connects in the background (`reconnect.onFirstConnect`) it succeeds at once, and subscribes when there is a
 * session: what the server refuses then is its end.
 *
 * Fails with `InvalidService` before anything is subscribed, with `PermissionsViolation` when the user may not subscribe
 * to an endpoint or to `$SRV`, with `SubscriptionLimitExceeded` when these are too many. No handler can stop it: a payload that does not fit is answered with 400, a failure that
 * the schema names with its code or 422, a defect with 500 and a log of level Error, an interruption with 503.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Unary<Rpcs>,
  options: Options
): Effect.Effect<NatsService, InvalidService | SubscribeError, Requirements<Rpcs> | Scope.Scope> =>
  Serve.serve<Rpcs>(group, options, (loss, isWaitedFor) => isWaitedFor ? Effect.void : Serve.logLoss(loss))

/**
 * Serves a group for as long as the layer lives: see `make`.
 *
 * A layer cannot fail after it was built. Where the service or one of its endpoints ends otherwise than by its scope, a
 * program that was started with `NatsLayer.launch` fails with `BackgroundEnded`; else it is logged at level Error, and a
 * service that has lost an endpoint goes on with the others.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Unary<Rpcs>,
  options: Options
): Layer.Layer<never, InvalidService | SubscribeError, Requirements<Rpcs>> =>
  Layer.effectDiscard(
    Effect.flatMap(Background, (report) =>
      Serve.serve<Rpcs>(group, options, (loss) =>
        report === undefined
          ? Serve.logLoss(loss)
          : Effect.sync(() => report({ kind: "service", name: options.name }, Cause.fail(loss.error)))))
  )

/**
 * Serves a group until it ends, as the last Effect of a program: `NodeRuntime.runMain(NatsService.run(…))`.
 *
 * Succeeds when the client was closed on purpose. Fails with the cause when it gave up, and when an endpoint ended: see
 * `ended`. Interruption, which is what `SIGTERM` does under `NodeRuntime.runMain`, stops the service as `stop` does. For
 * several services, or listeners beside them, there are `layer` and `NatsLayer.launch`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const run = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Unary<Rpcs>,
  options: Options
): Effect.Effect<void, InvalidService | SubscribeError | SubscriptionError, Requirements<Rpcs>> =>
  Effect.scoped(
    Effect.flatMap(Serve.serve<Rpcs>(group, options, () => Effect.void), (service) => service.ended)
  ) as Effect.Effect<
    void,
    InvalidService | SubscribeError | SubscriptionError,
    Requirements<Rpcs>
  >

/**
 * @category options
 * @since 0.1.0
 */
export interface ClientOptions {
  /** The service's name. It gives the subjects, where the group has no prefix of its own. */
  readonly name: string
  /** How long to wait for an answer. Default: `requestTimeout` of the config, 10 seconds. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface CallOptions {
  /** How long to wait for this answer. Default: that of the client. */
  readonly timeout?: Duration.Input | undefined
  /** For the handler and the middleware of the service. */
  readonly headers?: Input | undefined
  /**
   * Is called with the reply before it is decoded: for its headers. What it throws is a defect.
   *
   * @since 0.2.0
   */
  readonly onReply?: ((reply: NatsMessage) => void) | undefined
}

/**
 * What a call of an rpc fails with: the failures of its schema and its middleware, and those of any call.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ErrorOf<R> = R extends
  Rpc.Rpc<infer _Tag, infer _Payload, infer _Success, infer _Error, infer _Middleware, infer _Requires>
  ? _Error["Type"] | _Middleware["error"]["Type"] | _Middleware["~ClientError"] | CallError
  : never

/**
 * One function for each rpc of the group, under its tag.
 *
 * @category models
 * @since 0.1.0
 */
export type Client<Rpcs extends Rpc.Any> = {
  readonly [Current in Rpcs as Current["_tag"]]: (
    input: Rpc.PayloadConstructor<Current>,
    options?: CallOptions
  ) => Effect.Effect<Rpc.Success<Current>, ErrorOf<Current>>
}

/**
 * A typed client of a service. Nothing is sent before a call; each call is one request, and an interruption of it is not
 * told to the service.
 *
 * A failure that the schema names comes back as that failure. Any other refusal of the service is a `ServiceError` with
 * its code. `NoResponders` says that no instance runs, `RequestTimedOut` that none answered in time.
 *
 * @category constructors
 * @since 0.1.0
 */
export const client = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Unary<Rpcs>,
  options: ClientOptions
): Effect.Effect<
  Client<Rpcs>,
  InvalidService,
  NatsClient | Rpc.MiddlewareClient<Rpcs> | Rpc.ServicesClient<Rpcs>
> =>
  Effect.gen(function*() {
    const endpoints = Contract.endpointsOf<Rpcs>(group, options.name, undefined)
    if (endpoints instanceof InvalidService) return yield* endpoints
    const context = (yield* Effect.context<Rpc.MiddlewareClient<Rpcs> | Rpc.ServicesClient<Rpcs>>()) as Context.Context<
      never
    >
    const nats = yield* NatsClient
    const calls = endpoints.map((endpoint) => [
      endpoint.rpc._tag,
      makeCall(nats, endpoint, context, { timeout: options.timeout })
    ])
    // The types of the calls are those of the group, which a record of functions cannot tell.
    return Object.fromEntries(calls) as unknown as Client<Rpcs>
  })
