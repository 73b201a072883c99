/** What the rpc layers need and can fail with, and what a call can fail with. */
// @effect-diagnostics unnecessaryTypeofType:off
import type { Effect, Layer, Option, Scope, Stream } from "effect"
import { Schema } from "effect"
import type { NatsClient, NatsError } from "effect-nats"
import { NatsRpc } from "effect-nats/service"
import type { RpcClient, RpcClientError, RpcSerialization, RpcServer } from "effect/rpc"
import { Rpc, RpcGroup } from "effect/rpc"
import { holds, type Same } from "./assert.ts"

type Needs = NatsClient.NatsClient | RpcSerialization.RpcSerialization

const server = NatsRpc.layerServerProtocol({ subject: "users", queue: "q", clientTimeout: "1 minute" })
holds<Same<typeof server, Layer.Layer<RpcServer.Protocol, NatsError.SubscribeError, Needs>>>()
const client = NatsRpc.layerClientProtocol({ subject: "users", pingInterval: "1 second", maxPingOut: 3 })
holds<Same<typeof client, Layer.Layer<RpcClient.Protocol, NatsError.SubscribeError, Needs>>>()
const made = NatsRpc.makeClientProtocol({ subject: "users" })
holds<
  Same<
    typeof made,
    Effect.Effect<RpcClient.Protocol["Service"], NatsError.SubscribeError, Needs | Scope.Scope>
  >
>()

// @ts-expect-error The subject is required.
NatsRpc.layerServerProtocol({ queue: "q" })
// @ts-expect-error The inbox is under the prefix of the NatsClient.
NatsRpc.layerClientProtocol({ subject: "users", inboxPrefix: "_MINE" })
// @ts-expect-error Clients have no queue group.
NatsRpc.layerClientProtocol({ subject: "users", queue: "q" })

class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {}) {}
const Users = RpcGroup.make(
  Rpc.make("Get", { success: Schema.String, error: NotFound }),
  Rpc.make("All", { success: Schema.String, error: NotFound, stream: true })
)

declare const users: Effect.Success<ReturnType<typeof RpcClient.make<RpcGroup.Rpcs<typeof Users>>>>
const get = users.Get()
holds<Same<Effect.Error<typeof get>, NotFound | RpcClientError.RpcClientError>>()
const all = users.All()
holds<Same<Stream.Error<typeof all>, NotFound | RpcClientError.RpcClientError>>()

declare const error: RpcClientError.RpcClientError
const failure = NatsRpc.failureOf(error)
holds<Same<typeof failure, Option.Option<NatsRpc.RpcFailure>>>()
holds<
  Same<
    NatsRpc.RpcFailure["_tag"],
    | "NoResponders"
    | "RpcServerLost"
    | "MaxPayloadExceeded"
    | "ConnectionLost"
    | "ConnectionClosed"
    | "PermissionsViolation"
    | "SubscriptionLimitExceeded"
    | "InvalidSubject"
    | "InvalidPayload"
    | "InvalidHeader"
  >
>()
holds<Same<NatsRpc.RpcServerLost["isRetryable"], boolean>>()
