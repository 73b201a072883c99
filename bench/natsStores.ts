/** The stores of this package that are compared, by the parts that the benchmarks use. */
import * as cluster from "effect-nats/cluster"
import type { JetStream } from "effect-nats/jetstream"
import * as persistence from "effect-nats/persistence"
import type { MessageStorage } from "effect/cluster/MessageStorage"
import type { RunnerStorage } from "effect/cluster/RunnerStorage"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import type * as Layer from "effect/Layer"
import type { PersistedQueueStore } from "effect/persistence/PersistedQueue"

interface Options {
  readonly prefix: string
  readonly replicas: number
}

type Store<A, R = never> = (options: Options) => Layer.Layer<A, unknown, JetStream.JetStream | R>

// A store that is not there yet fails when it is asked for, and not when this is loaded.
const stores = { ...persistence, ...cluster } as unknown as {
  readonly NatsPersistedQueue: { readonly layerStore: Store<PersistedQueueStore> }
  readonly NatsMessageStorage: { readonly layer: Store<MessageStorage, ShardingConfig> }
  readonly NatsRunnerStorage: { readonly layer: Store<RunnerStorage, ShardingConfig> }
}

export const { NatsMessageStorage, NatsPersistedQueue, NatsRunnerStorage } = stores
