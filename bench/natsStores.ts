/** What of this package is compared with the official stores, by the parts that the benchmarks use. */
import * as cluster from "effect-nats/cluster"
import type { JetStream } from "effect-nats/jetstream"
import * as persistence from "effect-nats/persistence"
import type { MessageStorage } from "effect/cluster/MessageStorage"
import type { Sharding } from "effect/cluster/Sharding"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import type * as Layer from "effect/Layer"
import type { PersistedQueueStore } from "effect/persistence/PersistedQueue"

interface Options {
  readonly prefix: string
  readonly replicas: number
}

type Cluster = (
  options: Options & { readonly shardingConfig: Partial<ShardingConfig["Service"]> }
) => Layer.Layer<Sharding | MessageStorage, unknown, JetStream.JetStream>

// A store that is not there yet fails when it is asked for, and not when this is loaded.
const stores = { ...persistence, ...cluster } as unknown as {
  readonly NatsPersistedQueue: {
    readonly layerStore: (options: Options) => Layer.Layer<PersistedQueueStore, unknown, JetStream.JetStream>
  }
  readonly NatsCluster: { readonly layer: Cluster; readonly layerClientOnly: Cluster }
}

export const { NatsCluster, NatsPersistedQueue } = stores
