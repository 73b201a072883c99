/**
 * Effect's cluster on NATS: `Sharding` for entities, singletons, cron jobs and workflows, without SQL, without an open port of a
 * runner, without Kubernetes.
 *
 * ```ts
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Effect, Layer, Schema } from "effect"
 * import { Entity } from "effect/cluster"
 * import { Rpc } from "effect/rpc"
 * import { NatsClient, NatsLayer } from "effect-nats"
 * import { NatsCluster } from "effect-nats/cluster"
 * import { JetStream } from "effect-nats/jetstream"
 *
 * const Counter = Entity.make("Counter", [
 *   Rpc.make("Add", { payload: { amount: Schema.Int }, success: Schema.Int })
 * ])
 *
 * const CounterLive = Counter.toLayer(Effect.sync(() => {
 *   let count = 0
 *   return Counter.of({ Add: ({ payload }) => Effect.sync(() => count += payload.amount) })
 * }))
 *
 * const Runner = CounterLive.pipe(
 *   Layer.provide(NatsCluster.layer({ prefix: "shop" })),
 *   Layer.provide(JetStream.layer()),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * NatsLayer.launch(Runner).pipe(NodeRuntime.runMain)
 * ```
 *
 * Needs nats-server 2.12 with JetStream.
 *
 * @since 0.2.0
 */
import * as Entity from "effect/cluster/Entity"
import type { MessageStorage } from "effect/cluster/MessageStorage"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import type * as Runners from "effect/cluster/Runners"
import * as RunnerServer from "effect/cluster/RunnerServer"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import type { Sharding } from "effect/cluster/Sharding"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import { randomToken } from "../internal/identity/randomToken.ts"
import { apiOf } from "../jetstream/internal/api.ts"
import { JetStream } from "../jetstream/JetStream.ts"
import { NatsClient } from "../NatsClient.ts"
import type { SubscribeError } from "../NatsError.ts"
import { RunsHandlers } from "./internal/messageTransaction.ts"
import { ShardLocks } from "./internal/shardLocks.ts"
import * as NatsMessageStorage from "./NatsMessageStorage.ts"
import * as NatsRunnerHealth from "./NatsRunnerHealth.ts"
import * as NatsRunners from "./NatsRunners.ts"
import * as NatsRunnerStorage from "./NatsRunnerStorage.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface ClientOptions {
  /**
   * Names the cluster: its stream is `CLUSTER_<prefix>`, its subjects are below `<prefix>.`. Any text, but that of a queue store of
   * the same account, whose stream would have them, too: `SubjectsOverlap`.
   */
  readonly prefix: string
  /** Servers that have the stream: 1, 3 or 5. Default: what the stream has, 1 where it is made. */
  readonly replicas?: number | undefined
  /**
   * Settings of `effect/cluster`. What is left out comes from the environment as in `ShardingConfig.layerFromEnv`, and then from
   * its defaults; but `refreshAssignmentsInterval` and `entityMessagePollInterval` are 1 second and `runnerHealthCheckInterval` is
   * 10 seconds here, as what they ask is cheap.
   */
  readonly shardingConfig?: Partial<ShardingConfig.ShardingConfig["Service"]> | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface Options extends ClientOptions {
  /** How long what is processed is kept: see `NatsMessageStorage`. Default 7 days. */
  readonly retention?: Duration.Input | "forever" | undefined
  /**
   * The name that the runner has in the cluster: the host of its `RunnerAddress`, whose port is 0 and means nothing. No two
   * processes that live may have the same one. A name that stays the same over restarts keeps the shards of the runner where
   * they were; a process that was killed holds its name for its lease (`shardLockExpiration`), which the next one waits for.
   * Default: a new one each time.
   */
  readonly runnerName?: string | undefined
}

/**
 * What building a runner can fail with.
 *
 * @category unions
 * @since 0.2.0
 */
export type OpenError = NatsRunnerStorage.OpenError | SubscribeError | Config.ConfigError

/** What is asked more often than `effect/cluster` does by itself. */
const intervals = Config.all({
  entityMessagePollInterval: Config.Duration("entityMessagePollInterval").pipe(
    Config.withDefault(Duration.seconds(1))
  ),
  refreshAssignmentsInterval: Config.Duration("refreshAssignmentsInterval").pipe(
    Config.withDefault(Duration.seconds(1))
  ),
  runnerHealthCheckInterval: Config.Duration("runnerHealthCheckInterval").pipe(
    Config.withDefault(Duration.seconds(10))
  )
})

const layerConfig = (
  given: ClientOptions["shardingConfig"],
  runnerAddress: Option.Option<RunnerAddress.RunnerAddress>
): Layer.Layer<ShardingConfig.ShardingConfig, Config.ConfigError> =>
  Layer.unwrap(
    Effect.map(
      Effect.provideService(
        intervals,
        ConfigProvider.ConfigProvider,
        ConfigProvider.constantCase(ConfigProvider.fromEnv())
      ),
      (own) => ShardingConfig.layerFromEnv({ ...own, ...given, runnerAddress })
    )
  )

const layerClient: Layer.Layer<NatsClient, never, JetStream> = Layer.effect(
  NatsClient,
  Effect.map(JetStream, (js) => apiOf(js).nats)
)

/** Nobody calls a runner before it has its address for itself. */
const layerServer = (options: NatsRunners.Options) =>
  Layer.effect(
    RpcServer.Protocol,
    Effect.andThen(RunnerStorage.RunnerStorage, NatsRunners.makeServerProtocol(options))
  )

const addressOf = ({ runnerName, shardingConfig }: Options): RunnerAddress.RunnerAddress =>
  runnerName === undefined && shardingConfig?.runnerAddress?._tag === "Some"
    ? shardingConfig.runnerAddress.value
    : RunnerAddress.make(runnerName ?? `runner-${randomToken(8)}`, 0)

/**
 * A runner of the cluster, for as long as the scope. It is built when the stream is there, its name is its own and the server
 * has its subscriptions, and takes its shards in the background.
 *
 * Fails with `RunnerAddressTaken` where a process that lives has its name; with `StreamExists` where the stream is configured
 * otherwise; with `UnsupportedByServer` before nats-server 2.12; with `UnsupportedEffect` where another minor version of effect
 * is installed; with `PermissionsViolation` where the user may not subscribe; with `ConfigError` where the environment has a
 * setting that is none. Where the client connects in the background it is built at once, and what is wrong then is what calls
 * fail with.
 *
 * When the scope closes, entities are interrupted and shards and name are let go at once. A persisted message whose handler was
 * interrupted is handled by the shard's next owner.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options: Options): Layer.Layer<
  Sharding | Runners.Runners | MessageStorage | ShardLocks,
  OpenError,
  JetStream
> =>
  Layer.suspend(() =>
    RunnerServer.layerWithClients.pipe(
      Layer.provide([layerServer(options), NatsRunners.layerClientProtocol(options), NatsRunnerHealth.layer(options)]),
      Layer.provideMerge(NatsMessageStorage.layer(options)),
      Layer.provideMerge(NatsRunnerStorage.layer(options)),
      Layer.provide([
        layerConfig(options.shardingConfig, Option.some(addressOf(options))),
        RpcSerialization.layerSchemaBinary(),
        layerClient
      ])
    )
  )

/**
 * Calls the entities of a cluster without being a runner: nothing runs here. Builds, fails and waits as `layer` does, but for the
 * name, which it has none of. When the scope closes, calls that wait are interrupted; what was persisted is handled all the same.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerClientOnly = (options: ClientOptions): Layer.Layer<
  Sharding | Runners.Runners | MessageStorage,
  OpenError,
  JetStream
> =>
  RunnerServer.layerClientOnly.pipe(
    Layer.provide(NatsRunners.layerClientProtocol(options)),
    // Runners remove what is to be removed.
    Layer.provideMerge(NatsMessageStorage.layer({ ...options, retention: "forever" })),
    Layer.provide(Layer.succeed(RunsHandlers, false)),
    Layer.provide(NatsRunnerStorage.layer(options)),
    Layer.provide([
      layerConfig(options.shardingConfig, Option.none()),
      RpcSerialization.layerSchemaBinary(),
      layerClient
    ])
  )

/**
 * The fencing token of the entity or workflow that runs here: a number that is larger than that of every runner which had its
 * shard before. A store outside that remembers the largest token it saw, and refuses what comes with a smaller one, is safe
 * from a runner that was stopped, lost its shard, and goes on. It stays the same for as long as the runner has the shard.
 *
 * An entity takes it where its handlers are made, and not in a handler: in one that another entity of the same process calls,
 * what `effect/cluster` has as the address is the caller's. A workflow takes it in its body or in an activity.
 *
 * `undefined` outside of both, and where this process never had the shard, as in a test of the entity by itself.
 *
 * @category getters
 * @since 0.2.0
 */
export const fencingToken: Effect.Effect<number | undefined, never, ShardLocks> = Effect.gen(
  function*() {
    const address = yield* Effect.serviceOption(Entity.CurrentAddress)
    if (Option.isNone(address)) return undefined
    return (yield* ShardLocks).fenceOf(address.value.shardId.toString())?.sequence
  }
)
