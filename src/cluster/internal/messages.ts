/** The message storage of `NatsCluster`, whose replies expect the fences of the shards. */
import type * as MessageStorage from "effect/cluster/MessageStorage"
import * as Layer from "effect/Layer"
import type { JetStream } from "../../jetstream/JetStream.ts"
import type { StreamStoreError } from "../../persistence/NatsPersistenceError.ts"
import * as NatsMessageStorage from "../NatsMessageStorage.ts"
import { RunsHandlers } from "./messageTransaction.ts"

export const layerMessages = (
  options: NatsMessageStorage.Options
): Layer.Layer<MessageStorage.MessageStorage, StreamStoreError, JetStream> => NatsMessageStorage.layer(options)

/** For who only calls: nothing is handled, and runners remove what is to be removed. */
export const layerCalls = (
  options: Omit<NatsMessageStorage.Options, "retention">
): Layer.Layer<MessageStorage.MessageStorage, StreamStoreError, JetStream> =>
  Layer.provide(layerMessages({ ...options, retention: "forever" }), Layer.succeed(RunsHandlers, false))
