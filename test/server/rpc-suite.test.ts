import { Effect, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { NatsRpc } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { RpcClient, RpcSerialization, RpcServer, RpcTest } from "effect/rpc"
import { suite } from "../fixtures/rpcSuite.ts"
import { handlers, Observed, Seen, timingLayer, UserRpcs, Users } from "../fixtures/rpcUsers.ts"

const overNats = (serialization: Layer.Layer<RpcSerialization.RpcSerialization>) =>
  Layer.unwrap(Effect.gen(function*() {
    const { url } = yield* TestNatsServer.TestNatsServer
    const seen = new Observed("a")
    const server = RpcServer.layer(UserRpcs).pipe(
      Layer.provide([handlers(seen), timingLayer(seen)]),
      Layer.provide(NatsRpc.layerServerProtocol({ subject: "users" })),
      Layer.provide([serialization, NatsClient.layer({ servers: url, name: "server" })])
    )
    const client = Layer.effect(Users, RpcClient.make(UserRpcs)).pipe(
      Layer.provide(NatsRpc.layerClientProtocol({ subject: "users" })),
      Layer.provide([serialization, NatsClient.layer({ servers: url, name: "client" })])
    )
    return Layer.mergeAll(Layer.provide(client, server), Layer.succeed(Seen, seen))
  })).pipe(Layer.provide(TestNatsServer.layer()))

const inMemory = Layer.unwrap(Effect.sync(() => {
  const seen = new Observed("a")
  const client = Layer.effect(Users, RpcTest.makeClient(UserRpcs))
  return Layer.mergeAll(Layer.provide(client, [handlers(seen), timingLayer(seen)]), Layer.succeed(Seen, seen))
}))

suite("rpc in memory", inMemory)
suite("rpc over NATS, JSON", overNats(RpcSerialization.layerJson))
suite("rpc over NATS, SchemaBinary", overNats(RpcSerialization.layerSchemaBinary()))
suite("rpc over NATS, newline-delimited JSON", overNats(RpcSerialization.layerNdjson))
