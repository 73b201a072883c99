/** A connection over a client is one for the libraries of nats.js, and needs a client and a scope, nothing else. */
import { jetstream } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import type { NatsConnection as CoreConnection } from "@nats-io/nats-core"
import { Objm } from "@nats-io/obj"
import { Effect, type Layer, type Scope } from "effect"
import type { NatsClient } from "effect-nats"
import { NatsConnection } from "effect-nats/compat"
import { holds, type Same } from "./assert.ts"

holds<Same<Effect.Success<typeof NatsConnection.make>, NatsConnection.NatsConnection>>()
holds<Same<Effect.Error<typeof NatsConnection.make>, never>>()
holds<Same<Effect.Services<typeof NatsConnection.make>, NatsClient.NatsClient | Scope.Scope>>()
holds<
  Same<typeof NatsConnection.layer, Layer.Layer<NatsConnection.NatsConnection, never, NatsClient.NatsClient>>
>()
holds<NatsConnection.NatsConnection extends CoreConnection ? true : false>()

export const libraries = Effect.map(NatsConnection.make, (nc) => [jetstream(nc), new Kvm(nc), new Objm(nc)])
