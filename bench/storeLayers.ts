/**
 * The stores under comparison as layers: those of this package, and the official ones, by the server that they stand on.
 */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as PgClient from "@effect/sql-pg/PgClient"
import { NatsLayer } from "effect-nats"
import { NatsCluster } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import { NatsPersistedQueue } from "effect-nats/persistence"
import type { MessageStorage } from "effect/cluster/MessageStorage"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import type { Sharding } from "effect/cluster/Sharding"
import type * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Redacted from "effect/Redacted"
import type { StoreServer } from "./storeServers.ts"

export interface QueueOptions {
  /** The part of the server's keys, tables or streams that the queue has to itself. */
  readonly prefix: string
  /** How often the official stores look for an element. Theirs is a second where this is not given. */
  readonly pollMillis?: number | undefined
}

export interface ClusterOptions {
  readonly prefix: string
  /** The port that other runners reach this one at. A client where this is not given. */
  readonly port?: number | undefined
  /** How long the lock of a runner that is gone holds, in milliseconds. */
  readonly lockMillis: number
}

const natsClient = (servers: ReadonlyArray<string>) =>
  JetStream.layer().pipe(Layer.provideMerge(NatsLayer.fromUnknown({ servers })))

const postgresClient = (port: number, maxConnections = 10) =>
  PgClient.layer({
    url: Redacted.make(`postgres://bench@127.0.0.1:${port}/postgres`),
    maxConnections,
    // Both sides of a run make their tables where there are none, and PostgreSQL says so.
    applicationName: "bench"
  })

export const queueLayer = (
  server: StoreServer,
  { pollMillis, prefix }: QueueOptions
): Layer.Layer<PersistedQueue.PersistedQueueFactory, unknown> => {
  const polling = pollMillis === undefined ? {} : { pollInterval: pollMillis }
  switch (server.kind) {
    case "nats":
      return PersistedQueue.layer.pipe(
        Layer.provide(NatsPersistedQueue.layerStore({ prefix, replicas: server.replicas })),
        Layer.provide(natsClient(server.servers))
      )
    case "postgres":
      return PersistedQueue.layer.pipe(
        Layer.provide(PersistedQueue.layerStoreSql({ tableName: `queue_${prefix}`, ...polling })),
        Layer.provide(postgresClient(server.port, 20))
      )
    case "redis":
      return PersistedQueue.layer.pipe(
        Layer.provide(PersistedQueue.layerStoreRedis({ prefix: `${prefix}:`, ...polling })),
        Layer.provide(NodeRedis.layer({ url: `redis://127.0.0.1:${server.port}` }))
      )
  }
}

/** How often the locks of a runner are confirmed. */
export const refreshMillis = (lockMillis: number): number => lockMillis / 4

/** The same for every store: what Effect's cluster does by itself must not differ between the runs. */
const shardingConfig = (
  { lockMillis, port }: ClusterOptions
): Partial<ShardingConfig.ShardingConfig["Service"]> => ({
  runnerAddress: port === undefined
    ? Option.none()
    : Option.some(RunnerAddress.make("127.0.0.1", port)),
  shardLockExpiration: lockMillis,
  shardLockRefreshInterval: refreshMillis(lockMillis),
  refreshAssignmentsInterval: 1_000,
  entityMessagePollInterval: 1_000,
  runnerHealthCheckInterval: 1_000,
  entityTerminationTimeout: 2_000
})

export const clusterLayer = (
  server: StoreServer,
  options: ClusterOptions
): Layer.Layer<Sharding | MessageStorage, unknown> => {
  const config = shardingConfig(options)
  const clientOnly = options.port === undefined
  switch (server.kind) {
    case "nats": {
      const layer = clientOnly ? NatsCluster.layerClientOnly : NatsCluster.layer
      return layer({ prefix: options.prefix, replicas: server.replicas, shardingConfig: config }).pipe(
        Layer.provide(natsClient(server.servers))
      )
    }
    case "postgres":
      return NodeClusterSocket.layer({ clientOnly, storage: "sql", shardingConfig: config }).pipe(
        Layer.provide(postgresClient(server.port))
      )
    case "redis":
      throw new Error("effect has no storage of a cluster on Redis")
  }
}
