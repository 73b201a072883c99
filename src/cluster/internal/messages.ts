/** The message storage of `NatsCluster`. */
import * as MessageStorage from "effect/cluster/MessageStorage"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import type * as Layer from "effect/Layer"
import type { ClusterStreamOptions } from "./clusterStream.ts"

export const layerMessages = (
  _options: ClusterStreamOptions
): Layer.Layer<MessageStorage.MessageStorage, never, ShardingConfig> => MessageStorage.layerMemory
