/**
 * What a cluster's storage costs once a lot has been processed: reads that find nothing, the first read of a runner that takes
 * shards over, and messages meanwhile. Ends with 1 when a bound is missed.
 *
 *   node bench/processedRequests.ts                     1,000,000 processed requests
 *   node bench/processedRequests.ts --requests 20000    shorter
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { NatsLayer } from "effect-nats"
import { NatsMessageStorage, NatsRunnerStorage } from "effect-nats/cluster"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import * as ShardId from "effect/cluster/ShardId"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { parseArgs } from "node:util"
import { now, Worker } from "./clusterWork.ts"
import { makeRunners } from "./runners.ts"
import { clusterLayer } from "./storeLayers.ts"
import { startNats } from "./storeServers.ts"
import { quantile } from "./workload.ts"

const { values: given } = parseArgs({ options: { requests: { type: "string", default: "1000000" } } })
const requests = Number(given.requests)
const prefix = "processed"
const stream = `CLUSTER_${prefix}`
const lockMillis = 4_000

const shards = Array.from({ length: 100 }, (_, index) => ShardId.make("default", index + 1))
const address = RunnerAddress.make("takes-over", 0)

/** What the storage wrote for one request that is processed: the request, and its exit. */
const sampleOf = Effect.gen(function*() {
  const one = (subject: string) =>
    Effect.map(Stream.runCollect(JetStreamStream.getMany(stream, { subject, limit: 1 })), ([message]) => message!)
  const request = yield* Effect.eventually(one(`${prefix}.s.q.>`).pipe(Effect.delay("100 millis")))
  const [, , , , , , id] = request.subject.split(".")
  return { id: id!, request, exit: yield* one(`${prefix}.s.r.${id}.x`) }
})

/** As if so many of the same entity had been processed, each with a key and an id of its own. */
const fill = Effect.gen(function*() {
  const js = yield* JetStream.JetStream
  const { exit, id, request } = yield* sampleOf
  const first = BigInt(id) + 1_000_000_000n
  yield* Effect.forEach(
    {
      *[Symbol.iterator]() {
        for (let index = 0; index < requests; index++) yield index
      }
    },
    (index) => {
      const own = String(first + BigInt(index))
      const subject = request.subject.split(".").with(5, `filled${index}`).with(6, own).join(".")
      return Effect.andThen(
        js.publish(subject, request.text.replaceAll(id, own)),
        js.publish(exit.subject.replace(id, own), exit.text.replaceAll(id, own))
      )
    },
    { concurrency: 512, discard: true }
  )
})

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const since = now()
    return Effect.map(effect, () => now() - since)
  })

const reading = (storage: MessageStorage.MessageStorage["Service"]) => timed(storage.unprocessedMessages(shards))

const program = Effect.gen(function*() {
  const { store } = yield* startNats({ replicas: 1 })
  const cluster = { prefix, lockMillis }
  const runners = yield* makeRunners(store, cluster)
  const runner = yield* runners.start
  yield* runner.serving
  const client = JetStream.layer().pipe(
    Layer.provideMerge(NatsLayer.fromUnknown({ servers: store.kind === "nats" ? store.servers : [] }))
  )

  const asking = (name: string) =>
    Effect.gen(function*() {
      const ask = yield* Worker.client
      const send = (index: number) => timed(ask(`e${index % 100}`).Work({ key: `${name}${index}`, millis: 0 }))
      yield* Effect.forEach(Array.from({ length: 200 }, (_, index) => index), send, { concurrency: 16 })
      return yield* Effect.forEach(Array.from({ length: 200 }, (_, index) => index + 200), send)
    }).pipe(Effect.provide(clusterLayer(store, cluster)))

  const before = yield* asking("before")
  const filling = yield* timed(Effect.provide(fill, client))
  const after = yield* asking("after")
  yield* runner.stop

  const storages = NatsMessageStorage.layer({ prefix }).pipe(
    Layer.provideMerge(NatsRunnerStorage.layer({ prefix })),
    Layer.provide(ShardingConfig.layer({ runnerAddress: Option.some(address), shardLockExpiration: lockMillis })),
    Layer.provide(client)
  )
  const takeover = yield* Effect.gen(function*() {
    const since = now()
    const taken = yield* (yield* RunnerStorage.RunnerStorage).acquire(address, shards)
    const storage = yield* MessageStorage.MessageStorage
    yield* storage.resetShards(taken)
    yield* storage.unprocessedMessages(taken)
    const took = now() - since
    const idle = yield* Effect.forEach(Array.from({ length: 500 }), () => reading(storage))
    return { taken: taken.length, took, idle }
  }).pipe(Effect.provide(storages))

  const { state } = yield* Effect.provide(JetStreamStream.info(stream), client)
  const millis = (value: number): string => `${value.toFixed(2)} ms`
  const [p50, p99] = [quantile(takeover.idle, 0.5), quantile(takeover.idle, 0.99)]
  console.log([
    `${requests} processed requests, ${state.messages} messages of ${Math.round(state.bytes / 2 ** 20)} MiB, ` +
    `stored in ${(filling / 1_000).toFixed(0)} s`,
    `  read that finds nothing, p50 and p99     ${millis(p50)}, ${millis(p99)} (p50 is to be under 2 ms)`,
    `  ${takeover.taken} shards taken and read first     ${millis(takeover.took)} (is to be under 1 s)`,
    `  message answered, p50, before and after  ${millis(quantile(before, 0.5))}, ${millis(quantile(after, 0.5))}`
  ].join("\n"))
  if (p50 > 2 || takeover.took > 1_000 || takeover.taken < shards.length) process.exitCode = 1
}).pipe(
  Effect.scoped,
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  Effect.provideService(References.MinimumLogLevel, "Error")
)

// A signal ends the servers and runners, too.
NodeRuntime.runMain(program, { teardown: (exit) => process.exit(Exit.isFailure(exit) ? 1 : process.exitCode) })
