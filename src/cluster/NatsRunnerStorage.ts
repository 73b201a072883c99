/**
 * The runners of a cluster and the locks of its shards in JetStream: a key for each, with a time to live on the server, and every
 * write compares what it replaces.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ShardingConfig } from "effect/cluster"
 * import { NatsClient } from "effect-nats"
 * import { NatsRunnerStorage } from "effect-nats/cluster"
 * import { JetStream } from "effect-nats/jetstream"
 *
 * const Storage = NatsRunnerStorage.layer({ prefix: "shop" }).pipe(
 *   Layer.provide([
 *     ShardingConfig.layer(),
 *     JetStream.layer().pipe(Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" })))
 *   ])
 * )
 * ```
 *
 * - A lock is owned by an address *and* a process. `shardLockExpiration` of `ShardingConfig` is its time to live, in whole
 *   seconds, rounded up; a runner that is killed, stopped or cut off loses its locks after it, by the server's clock alone.
 * - A lock that is let go or expires wakes who waits for it in `acquire`, at once. `acquire` waits for a second at most when
 *   it gets nothing, since `Sharding` sleeps for a second between two calls.
 * - `refresh` confirms what is held and takes nothing. Where an answer was lost it looks whose the lock is.
 * - A machine id is the smallest number, below 1,024, that no runner has which lives.
 *
 * Needs nats-server 2.12, as the whole of a cluster does.
 *
 * @since 0.2.0
 */
import { PersistenceError } from "effect/cluster/ClusterError"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { quoted } from "../internal/protocol/shown.ts"
import { JetStream } from "../jetstream/JetStream.ts"
import type { GetError, PublishError } from "../jetstream/JetStreamError.ts"
import { ensureStream, opening } from "../persistence/internal/opening.ts"
import type { StreamStoreError } from "../persistence/NatsPersistenceError.ts"
import { clusterStream } from "./internal/clusterStream.ts"
import { RunnerStore, settingsOf } from "./internal/runnerStorage.ts"
import { ShardLocks } from "./internal/shardLocks.ts"
import type { RunnerAddressTaken } from "./NatsClusterError.ts"

export {
  /**
   * The fences of the shards that this process has: see `NatsCluster.fencingToken`.
   *
   * @category services
   * @since 0.2.0
   */
  ShardLocks
} from "./internal/shardLocks.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** Names the cluster. Any text. */
  readonly prefix: string
  /** Servers that have the stream: 1, 3 or 5. Default: what the stream has, 1 where it is made. */
  readonly replicas?: number | undefined
}

/**
 * What building it can fail with.
 *
 * @category unions
 * @since 0.2.0
 */
export type OpenError = StreamStoreError | RunnerAddressTaken | PublishError | GetError

/**
 * @category models
 * @since 0.2.0
 */
export interface NatsRunnerStorage {
  readonly storage: RunnerStorage.RunnerStorage["Service"]
  readonly locks: ShardLocks
}

/**
 * The storage, and the fences of its locks. See `layer`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: (
  options: Options
) => Effect.Effect<NatsRunnerStorage, OpenError, JetStream | ShardingConfig | Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const config = yield* ShardingConfig
    const js = yield* JetStream
    const stream = clusterStream(options)
    const store = new RunnerStore(settingsOf(js, stream, config))
    const address = Option.map(config.runnerAddress, ({ host, port }) => `${host}:${port}`)
    const { inTime } = yield* opening({
      name: stream.name,
      // What comes latest is first: an error names the version that has all of it.
      needs: ["batch", "ttl", "deleteMarkers", "expectedSubject"],
      open: Effect.gen(function*() {
        yield* ensureStream(stream.definition)
        yield* store.watching
        if (Option.isSome(address)) yield* store.claim(address.value)
      })
    })
    /** Every failure says what was tried, and in which stream. */
    const during = <A, E extends { readonly message: string }>(what: string, operation: Effect.Effect<A, E>) =>
      Effect.mapError(Effect.andThen(inTime, operation), (cause) =>
        new PersistenceError({
          cause: new Error(`${what} in the stream ${quoted(stream.name)}: ${cause.message}`, { cause })
        }))
    return {
      locks: store,
      storage: RunnerStorage.makeEncoded({
        getRunners: during("reading the runners", store.getRunners),
        register: (address, runner, healthy) =>
          during(`registering the runner ${quoted(address)}`, store.register(address, runner, healthy)),
        unregister: (address) => during(`taking the runner ${quoted(address)} out`, store.unregister(address)),
        setRunnerHealth: (address, healthy) =>
          during(`noting the health of the runner ${quoted(address)}`, store.setRunnerHealth(address, healthy)),
        acquire: (address, shards) => during("acquiring shards", store.acquire(address, shards)),
        refresh: (address, shards) => during("refreshing shards", store.refresh(address, shards)),
        release: (address, shard) => during(`releasing the shard ${quoted(shard)}`, store.release(address, shard)),
        releaseAll: (address) => during("releasing all shards", store.releaseAll(address))
      })
    }
  }
)

/**
 * The runners and the locks of a cluster. The stream is made where there is none; one that differs from what it has to be fails
 * with `StreamExists`, and is left as it is.
 *
 * Where `ShardingConfig` has a `runnerAddress` the layer takes that address for this process when it is built. If another process
 * has it and lives, it fails with `RunnerAddressTaken` and takes nothing; if that process was killed, it waits until its lease is
 * over, which is `shardLockExpiration` and a second at most. The address is let go when the scope closes. A process that was
 * stopped for longer than its lease and finds its address with another takes no lock any more.
 *
 * Operations fail with `PersistenceError`, whose `cause` says what was tried, in which stream, and has the error of JetStream as its
 * own `cause`. With a client that connects in the background the layer is built at once, operations wait for the first session,
 * no longer than for the answer to a request, and what is wrong then is what they fail with.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: Options
): Layer.Layer<RunnerStorage.RunnerStorage | ShardLocks, OpenError, JetStream | ShardingConfig> =>
  Layer.effectContext(
    Effect.map(make(options), ({ locks, storage }) =>
      Context.make(RunnerStorage.RunnerStorage, storage).pipe(Context.add(ShardLocks, locks)))
  )
