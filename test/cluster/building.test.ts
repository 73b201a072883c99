/** What a cluster stands on when its layers are built, and how a runner is asked whether it lives. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option } from "effect"
import { NatsClient } from "effect-nats"
import { NatsCluster, NatsRunnerHealth, NatsRunners } from "effect-nats/cluster"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { RunnerHealth, Sharding, ShardingConfig } from "effect/cluster"
import { RpcSerialization } from "effect/rpc"
import { built, shardsOf } from "../fixtures/clusters.ts"
import { until } from "../fixtures/following.ts"
import { withJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { quick } from "../fixtures/places.ts"
import { addressOf, names, runnerStore, shardsUpTo } from "../fixtures/runnerStores.ts"

const shards = shardsUpTo(3)

describe("the stream of a cluster", () => {
  it.live("is made where there is none, taken as it is, and not changed where it differs", () =>
    Effect.gen(function*() {
      const { js, server } = yield* withJetStream()
      const one = yield* runnerStore(server.port, "one")
      yield* runnerStore(server.port, "two")
      const { config } = yield* on(js, JetStreamStream.info("CLUSTER_test"))
      assert.deepStrictEqual(config.subjects, ["test.s.>"])
      yield* on(js, JetStreamStream.create(JetStreamStream.make("CLUSTER_other", { subjects: ["other.s.>"] })))
      const error = yield* Effect.flip(runnerStore(server.port, "three", { prefix: "other" }))
      assert.strictEqual(error._tag, "StreamExists")
      assert.strictEqual(
        (yield* on(js, JetStreamStream.info("CLUSTER_other"))).config.maxMessagesPerSubject,
        "unlimited"
      )
      yield* one.stop
    }))

  it.live("is another one for each prefix, whatever is in it", () =>
    Effect.gen(function*() {
      const { server } = yield* withJetStream()
      const prefixes = ["a", "a.b", "a b", "*", ">", "", "A", "=0061", "\ud83d", "\ude00", "x".repeat(400)]
      for (const prefix of prefixes) {
        const store = yield* runnerStore(server.port, "same name.*", { prefix })
        assert.deepStrictEqual(names(yield* store.acquire(shards)), names(shards))
      }
    }))
})

describe("a server", () => {
  it.live("without atomic batches is told, and what is needed", () =>
    Effect.gen(function*() {
      const { nats, server } = yield* withJetStream()
      const { api_lvl: level = 0 } = yield* nats.serverInfo
      const built = yield* Effect.exit(runnerStore(server.port, "one"))
      if (level >= 2) return assert.isTrue(Exit.isSuccess(built))
      const error = yield* Effect.flip(built)
      assert.deepInclude(error, { _tag: "UnsupportedByServer", needs: "2.12" })
    }))
})

describe("a client that connects in the background", () => {
  it.live(
    "builds the layers at once, and a runner takes its shards when there is a server",
    () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({ jetstream: true })
        const proxy = yield* TestNatsProxy.make({ port: server.port, record: false })
        yield* proxy.refuse
        const { context } = yield* built(
          NatsCluster.layer({ prefix: "test", runnerName: "late", shardingConfig: quick }).pipe(
            Layer.provide(
              JetStream.layer().pipe(Layer.provide(NatsClient.layer({
                servers: proxy.url,
                reconnect: { initialDelay: "10 millis", maxDelay: "50 millis", onFirstConnect: "background" }
              })))
            )
          )
        )
        const sharding = Context.get(context, Sharding.Sharding)
        assert.strictEqual(shardsOf({ sharding }), 0)
        yield* proxy.heal
        yield* until(Effect.sync(() => shardsOf({ sharding }) === quick.shardsPerGroup))
      }),
    60_000
  )
})

describe("the health of a runner", () => {
  /** A server of calls, as a runner has it, and one who asks. */
  const asking = Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const proxy = yield* TestNatsProxy.make({ port: server.port, record: false })
    const nats = (servers: string) =>
      NatsClient.layer({ servers, reconnect: { initialDelay: "10 millis" }, drainTimeout: "100 millis" })
    const runner = yield* built(
      NatsRunners.layerServerProtocol({ prefix: "test" }).pipe(
        Layer.provide([
          ShardingConfig.layer({ runnerAddress: Option.some(addressOf("one")) }),
          RpcSerialization.layerSchemaBinary(),
          nats(proxy.url)
        ])
      )
    )
    const { context } = yield* built(
      NatsRunnerHealth.layer({ prefix: "test" }).pipe(Layer.provideMerge(nats(server.url)))
    )
    return { runner, proxy, server, isAlive: Context.get(context, RunnerHealth.RunnerHealth).isAlive }
  })

  it.live(
    "is good while it hears, and bad at once when nobody does; of what is wrong here it is not guilty",
    () =>
      Effect.gen(function*() {
        const { isAlive, runner, server } = yield* asking
        assert.isTrue(yield* isAlive(addressOf("one")))
        assert.isFalse(yield* isAlive(addressOf("two")))
        yield* runner.stop
        const since = performance.now()
        assert.isFalse(yield* isAlive(addressOf("one")))
        yield* Effect.log(`a runner that has gone is dead after ${Math.round(performance.now() - since)} ms`)
        const fiber = yield* Effect.forkChild(isAlive(addressOf("two")))
        yield* server.kill
        yield* Fiber.join(fiber)
        assert.isTrue(yield* isAlive(addressOf("two")))
      }),
    60_000
  )

  it.live("is bad when it hears and says nothing", () =>
    Effect.gen(function*() {
      const { isAlive, proxy } = yield* asking
      yield* proxy.swallow()
      assert.isFalse(yield* isAlive(addressOf("one")))
    }), 60_000)
})
