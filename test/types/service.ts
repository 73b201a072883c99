// Wrong uses stand alone here, for the compiler to refuse.
// @effect-diagnostics floatingEffect:off missingEffectError:off
/** What services and their clients need, give and fail with: exactly this. */
import type { Effect, Layer, Scope, Stream } from "effect"
import { Context, Schema } from "effect"
import type { NatsClient, NatsError } from "effect-nats"
import { NatsService, ServiceDiscovery } from "effect-nats/service"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"
import { holds, type Same } from "./assert.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", { id: Schema.String }, { natsServiceErrorCode: 404 }) {}
class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}
class User extends Context.Service<User, string>()("types/User") {}
class Login extends RpcMiddleware.Service<Login, { provides: User }>()("types/Login", {
  error: Denied,
  requiredForClient: true
}) {}

const Get = Rpc.make("get", {
  payload: { id: Schema.String, at: Schema.optionalKey(Schema.DateTimeUtcFromString) },
  success: Schema.Struct({ price: Schema.Finite }),
  error: Missing
})
const Group = RpcGroup.make(Get, Rpc.make("users.ping"))
const Secured = Group.middleware(Login)
const options = { name: "a", version: "1.0.0" }

type Opening =
  | NatsError.InvalidSubject
  | NatsError.PermissionsViolation
  | NatsError.SubscriptionLimitExceeded
  | NatsError.ConnectionLost
  | NatsError.ConnectionClosed

const layer = NatsService.layer(Group, options)
holds<Same<Layer.Success<typeof layer>, never>>()
holds<Same<Layer.Error<typeof layer>, NatsService.InvalidService | Opening>>()
holds<Same<Layer.Services<typeof layer>, NatsClient.NatsClient | Rpc.Handler<"get"> | Rpc.Handler<"users.ping">>>()

const secured = NatsService.layer(Secured, options)
holds<
  Same<
    Layer.Services<typeof secured>,
    NatsClient.NatsClient | Rpc.Handler<"get"> | Rpc.Handler<"users.ping"> | Login
  >
>()

const made = NatsService.make(Group, options)
holds<Same<Effect.Success<typeof made>, NatsService.NatsService>>()
holds<Same<Extract<Effect.Services<typeof made>, Scope.Scope>, Scope.Scope>>()
declare const service: NatsService.NatsService
holds<
  Same<
    Effect.Error<typeof service.ended>,
    | NatsError.PermissionsViolation
    | NatsError.SubscriptionLimitExceeded
    | NatsError.ConnectionClosed
    | NatsError.SlowConsumer
  >
>()
holds<Same<Effect.Error<typeof service.stop>, never>>()

const run = NatsService.run(Group, options)
holds<Same<Effect.Error<typeof run>, NatsService.InvalidService | Opening | NatsError.SlowConsumer>>()

const client = NatsService.client(Group, { name: "a", timeout: "1 second" })
holds<Same<Effect.Error<typeof client>, NatsService.InvalidService>>()
holds<Same<Effect.Services<typeof client>, NatsClient.NatsClient>>()
const ofSecured = NatsService.client(Secured, { name: "a" })
holds<Same<Effect.Services<typeof ofSecured>, NatsClient.NatsClient | RpcMiddleware.ForClient<Login>>>()

declare const calls: Effect.Success<typeof client>
const got = calls.get({ id: "1" }, { timeout: 100, headers: { a: "b" } })
holds<Same<Effect.Success<typeof got>, { readonly price: number }>>()
holds<Same<Effect.Services<typeof got>, never>>()
holds<
  Same<
    Effect.Error<typeof got>,
    | Missing
    | Opening
    | NatsError.InvalidPayload
    | NatsError.InvalidHeader
    | NatsError.HeadersNotSupported
    | NatsError.MaxPayloadExceeded
    | NatsError.NoResponders
    | NatsError.RequestTimedOut
    | NatsError.MessageEncodeError
    | NatsError.MessageDecodeError
    | NatsError.ServiceError
  >
>()
const pinged = calls["users.ping"]()
holds<Same<Effect.Success<typeof pinged>, void>>()
holds<Same<Effect.Error<typeof pinged>, NatsService.CallError>>()
declare const securedCalls: Effect.Success<typeof ofSecured>
const denied = securedCalls["users.ping"]()
holds<Same<Effect.Error<typeof denied>, Denied | NatsService.CallError>>()

holds<Same<(NatsService.CallError | NatsService.InvalidService)["isRetryable"], boolean>>()

// @ts-expect-error the payload has to fit
calls.get({ id: 1 })
// @ts-expect-error and has to be there
calls.get()
// @ts-expect-error there is no such rpc
holds<Same<typeof calls.put, never>>()
// @ts-expect-error a version is needed
NatsService.layer(Group, { name: "a" })

const Streaming = RpcGroup.make(Get, Rpc.make("many", { success: Schema.Finite, stream: true }))
holds<Same<NatsService.Streaming<RpcGroup.Rpcs<typeof Streaming>>, "many">>()
// @ts-expect-error a micro service answers once
NatsService.layer(Streaming, options)
// @ts-expect-error its client takes no stream either
NatsService.client(Streaming, { name: "a" })

const found = ServiceDiscovery.stats({ name: "a", id: "b", timeout: "1 second" })
holds<Same<Stream.Success<typeof found>, ServiceDiscovery.StatsResponse>>()
holds<Same<Stream.Services<typeof found>, NatsClient.NatsClient>>()
holds<
  Same<
    Stream.Error<typeof found>,
    | Opening
    | NatsError.InvalidPayload
    | NatsError.InvalidHeader
    | NatsError.HeadersNotSupported
    | NatsError.MaxPayloadExceeded
    | NatsError.NoResponders
    | NatsError.SlowConsumer
    | NatsService.InvalidService
  >
>()
