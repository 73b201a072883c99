/** What a caller sees of a runner that interrupts it, as Sharding does with those who wait for a reply when its runner stops. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsRunners } from "effect-nats/cluster"
import { TestNatsServer } from "effect-nats/testing"
import { RunnerAddress, Runners, ShardingConfig } from "effect/cluster"
import { RpcClient, RpcSerialization, RpcServer } from "effect/rpc"
import { failureIn } from "../fixtures/rpcRigs.ts"

const address = RunnerAddress.make("one", 0)

const interrupted = Runners.Rpcs.toLayer({
  Ping: () => Effect.interrupt,
  Notify: () => Effect.interrupt,
  Effect: () => Effect.interrupt,
  Stream: () => Stream.fromEffect(Effect.interrupt),
  Envelope: () => Effect.interrupt
})

describe("a runner that interrupts those who wait", () => {
  it.live("tells them that it is gone, so that they ask the next owner, and interrupts nobody elsewhere", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make()
      const shared = yield* Layer.build(Layer.mergeAll(
        NatsClient.layer({ servers: url }),
        RpcSerialization.layerSchemaBinary(),
        ShardingConfig.layer({ runnerAddress: Option.some(address) })
      ))
      yield* Layer.build(
        RpcServer.layer(Runners.Rpcs).pipe(
          Layer.provide([interrupted, NatsRunners.layerServerProtocol({ prefix: "test" })]),
          Layer.provide(Layer.succeedContext(shared))
        )
      )
      const { make } = yield* Effect.provideContext(NatsRunners.makeClientProtocol({ prefix: "test" }), shared)
      const { Ping } = yield* Effect.provideService(Runners.makeRpcClient, RpcClient.Protocol, yield* make(address))
      assert.deepInclude(failureIn(yield* Effect.exit(Ping())), { _tag: "RpcServerLost", reason: "shutdown" })
    }))
})
