/** The message storage of `NatsCluster`, whose replies expect the fences of the shards. */
import type * as MessageStorage from "effect/cluster/MessageStorage"
import type * as Layer from "effect/Layer"
import type { JetStream } from "../../jetstream/JetStream.ts"
import type { StreamStoreError } from "../../persistence/NatsPersistenceError.ts"
import * as NatsMessageStorage from "../NatsMessageStorage.ts"

export const layerMessages = (
  options: NatsMessageStorage.Options
): Layer.Layer<MessageStorage.MessageStorage, StreamStoreError, JetStream> => NatsMessageStorage.layer(options)
