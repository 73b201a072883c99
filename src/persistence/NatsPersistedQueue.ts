/**
 * effect's `PersistedQueueStore` on a stream.
 *
 * @since 0.2.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import type * as Scope from "effect/Scope"
import { apiOf } from "../jetstream/internal/api.ts"
import { unsupported } from "../jetstream/internal/level.ts"
import { JetStream } from "../jetstream/JetStream.ts"
import * as JetStreamStream from "../jetstream/JetStreamStream.ts"
import { ensureStream, opening } from "./internal/opening.ts"
import { QueueNames } from "./internal/queueNames.ts"
import { makeQueueStore, type OpenedStore } from "./internal/queueStore.ts"
import type { StreamStoreError } from "./NatsPersistenceError.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  readonly prefix?: string | undefined
  readonly lockExpiration?: Duration.Input | undefined
  readonly replicas?: number | undefined
  readonly storage?: "file" | "memory" | undefined
}

export const makeStore: (
  options?: Options
) => Effect.Effect<PersistedQueue.PersistedQueueStore["Service"], StreamStoreError, JetStream | Scope.Scope> = Effect
  .fnUntraced(function*(options: Options = {}) {
    const js = yield* JetStream
    const api = apiOf(js)
    const names = new QueueNames(options.prefix ?? "effectq")
    const base = { js, api, names }
    const leaseMillis = Duration.toMillis(options.lockExpiration ?? Duration.seconds(30))
    const definition = (schedules: boolean) =>
      JetStreamStream.make(names.stream, {
        subjects: [names.all],
        retention: "workqueue",
        storage: options.storage ?? "file",
        replicas: options.replicas ?? 1,
        discard: "old",
        maxMessagesPerSubject: 1,
        allowDirect: true,
        ...(schedules ? { schedules: true } : {})
      } as JetStreamStream.StreamOptions)
    const open = Effect.suspend(() => {
      const hasSchedules = unsupported(api, "schedules") === undefined
      return ensureStream(definition(hasSchedules)).pipe(
        Effect.as<OpenedStore>({ ...base, hasSchedules }),
        Effect.catchTag("StreamExists", (error) =>
          error.differences.every((field) => field === "schedules")
            ? Effect.succeed<OpenedStore>({ ...base, hasSchedules: false })
            : Effect.fail(error))
      )
    })
    const ready = yield* opening({ name: names.stream, needs: ["expectedSubject"], open })
    return yield* makeQueueStore(base, ready, leaseMillis)
  })

export const layerStore = (
  options?: Options
): Layer.Layer<PersistedQueue.PersistedQueueStore, StreamStoreError, JetStream> =>
  Layer.effect(PersistedQueue.PersistedQueueStore, makeStore(options))
