/**
 * effect's `PersistedQueue` on a stream of JetStream: elements that survive restarts, taken by any number of processes, one
 * process at a time.
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { JetStream } from "effect-nats/jetstream"
 * import { NatsPersistedQueue } from "effect-nats/persistence"
 * import { PersistedQueue } from "effect/persistence"
 *
 * const program = Effect.gen(function*() {
 *   const mails = yield* PersistedQueue.make({ name: "mails", schema: Schema.Struct({ to: Schema.String }) })
 *   yield* mails.offer({ to: "ann@example.org" }, { id: "welcome-ann" })
 *   yield* mails.take(({ to }, { attempts }) => Effect.log(`to ${to}, attempt ${attempts}`))
 * })
 *
 * const Live = PersistedQueue.layer.pipe(
 *   Layer.provide(NatsPersistedQueue.layerStore({ prefix: "jobs" })),
 *   Layer.provide(JetStream.layer()),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * const main = Effect.provide(program, Live)
 * ```
 *
 * Needs nats-server 2.11, and 2.12 for `delay`. Names of queues and ids are any text. What it promises beside effect's
 * interface:
 *
 * - A `take` that waits is told by the server: nothing is polled. It outlives restarts of the server and lost connections.
 * - An element is kept from others for `lockExpiration`, which is renewed each third of it for as long as its process is
 *   well. Whoever comes later than that, as a process that was stopped, settles nothing: that is logged at level Warning.
 *   Until then it may have run beside the next one, so handlers must be idempotent.
 * - An interrupted `take` gives its element back at once; one whose process was killed comes back when its lease is over. A
 *   process that was stopped while it waited can keep as many elements from others for one lease as it had waiting takes.
 * - Delays, retries and ages go by the server's clock, and no clock of a program decides. A delay begins when the element is
 *   offered.
 * - Elements come in the order in which they were offered; one that was given back comes before those that nobody had yet.
 *   After a `kill -9` of a single server, what was being worked on can be given to another one at once.
 * - What is done is kept as a small record until `PersistedQueue.layerCleanup` removes it, so that its id is not taken again.
 *
 * @since 0.2.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { apiOf } from "../jetstream/internal/api.ts"
import { unsupported } from "../jetstream/internal/level.ts"
import { JetStream } from "../jetstream/JetStream.ts"
import * as JetStreamStream from "../jetstream/JetStreamStream.ts"
import { ensureStream, opening } from "./internal/opening.ts"
import { failedOf, putBack } from "./internal/queueDeadLetters.ts"
import { QueueNames } from "./internal/queueNames.ts"
import { failedWith, makeQueueStore, type OpenedStore } from "./internal/queueStore.ts"
import type { QueueBase } from "./internal/queueWrites.ts"
import type { StreamStoreError } from "./NatsPersistenceError.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /**
   * What the subjects of the store begin with, and its stream is called by: stores of different prefixes know nothing of
   * each other. The stream of `"jobs"` is `QUEUE_jobs`, and stores `jobs.q.*.*` and the same with `w`, `c`, `d` and `f`, whoever
   * publishes there. Any text; characters other than letters, digits, `-` and `_` are escaped, but dots in subjects. Default
   * `"effectq"`.
   */
  readonly prefix?: string | undefined
  /**
   * How long an element is kept from others without a sign of life of the process that has it. A process that is well
   * renews it each third of that; one that is killed delays its elements by it. At least 100 milliseconds. Default 30
   * seconds.
   *
   * It is noted on the server when a queue is first taken from: where it is another one there, that one counts, and a
   * warning says so.
   */
  readonly lockExpiration?: Duration.Input | undefined
  /** Servers that keep the stream. Default: what it has, 1 where it is made. */
  readonly replicas?: number | undefined
  /**
   * Default: what it has, `"file"` where it is made. One with `"memory"` and one replica is gone when its server restarts: operations fail
   * then until the layer is built again.
   */
  readonly storage?: "file" | "memory" | undefined
}

/**
 * Of which store.
 *
 * @category options
 * @since 0.2.0
 */
export interface StoreName {
  /** As that of the store. Default `"effectq"`. */
  readonly prefix?: string | undefined
}

/**
 * An element that has failed for good.
 *
 * @category models
 * @since 0.2.0
 */
export interface DeadLetter {
  /** The queue that it was in. */
  readonly name: string
  readonly id: string
  /** How often it was begun. */
  readonly attempts: number
  /** What was offered, as JSON has it. `undefined` where it was none of a queue's. */
  readonly element: unknown
  /** The last failure as `Cause.pretty` writes it: the class of an error and its `message`. The end may be cut off. */
  readonly lastFailure: string
  /** When it failed, by the server's clock, in milliseconds since 1970. */
  readonly failedAtMillis: number
}

// A consumer whose lease is that short is one that others take from at once.
const shortestLeaseMillis = 100

const leaseOf = (lockExpiration: Duration.Input | undefined): number => {
  const millis = Duration.toMillis(lockExpiration ?? Duration.seconds(30))
  if (Number.isFinite(millis) && millis >= shortestLeaseMillis) return millis
  throw new RangeError(
    `the \`lockExpiration\` of a queue store is ${millis} ms: it must be at least ${shortestLeaseMillis}, and finite`
  )
}

const baseOf = (js: JetStream, { prefix }: StoreName): QueueBase => ({
  js,
  api: apiOf(js),
  names: new QueueNames(prefix ?? "effectq")
})

const definitionOf = ({ names }: QueueBase, { replicas, storage }: Options, schedules: boolean) =>
  JetStreamStream.make(names.stream, {
    subjects: names.all,
    retention: "workqueue",
    storage,
    replicas,
    discard: "old",
    maxMessagesPerSubject: 1,
    allowDirect: true,
    ...(schedules ? { schedules } : {})
  })

/**
 * A store of queues. Makes its stream where there is none; one that is there and is configured otherwise fails it with
 * `StreamExists`, and is left as it is. Dies of a `lockExpiration` that is out of range.
 *
 * The client may connect in the background: the store is there before its server. A `take` waits for the first session then,
 * however long that takes; `offer` and the clean-up no longer than for the answer to a request. When the scope closes, leases
 * are not renewed any more: close what takes before. Takes that are interrupted give back what they have.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeStore: (
  options?: Options
) => Effect.Effect<PersistedQueue.PersistedQueueStore["Service"], StreamStoreError, JetStream | Scope.Scope> = Effect
  .fnUntraced(function*(options: Options = {}) {
    const leaseMillis = leaseOf(options.lockExpiration)
    const base = baseOf(yield* JetStream, options)
    const open = Effect.suspend(() => {
      const hasSchedules = unsupported(base.api, "schedules") === undefined
      return ensureStream(definitionOf(base, options, hasSchedules)).pipe(
        Effect.as<OpenedStore>({ hasSchedules }),
        Effect.catchTag("StreamExists", (error) =>
          // One that was made on an older server has all but delays.
          error.differences.every((field) => field === "schedules")
            ? Effect.succeed<OpenedStore>({ hasSchedules: false })
            : Effect.fail(error))
      )
    })
    const ready = yield* opening({ name: base.names.stream, needs: ["expectedSubject"], open })
    return yield* makeQueueStore(base, ready, leaseMillis)
  })

/**
 * A layer of `makeStore`: provide it to `PersistedQueue.layer`.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerStore = (
  options?: Options
): Layer.Layer<PersistedQueue.PersistedQueueStore, StreamStoreError, JetStream> =>
  Layer.effect(PersistedQueue.PersistedQueueStore, makeStore(options))

/**
 * The dead letters of a queue, or of all queues of the store, oldest first: elements that have failed `maxAttempts` times,
 * whose process was ended so often while it had them, or that do not decode. They stay until `failedTimeToLive` of
 * `PersistedQueue.layerCleanup`. Up to those that are there when it is read to its end; it can be read again.
 *
 * @category dead letters
 * @since 0.2.0
 */
export const deadLetters = (
  options: StoreName & { readonly name?: string | undefined } = {}
): Stream.Stream<DeadLetter, PersistedQueue.PersistedQueueError, JetStream> =>
  Stream.unwrap(Effect.map(JetStream, (js) =>
    failedOf(baseOf(js, options), options.name).pipe(
      Stream.map(({ record: { attempts, element, id, lastFailure, name }, timestampMillis }): DeadLetter => ({
        name,
        id,
        attempts,
        element,
        lastFailure,
        failedAtMillis: timestampMillis
      })),
      Stream.mapError(failedWith("The dead letters cannot be read"))
    )))

/**
 * Puts a dead letter back into its queue as if it had just been offered: its attempts count from 1 again. `false`: there is
 * none of this id, or it has been put back already.
 *
 * @category dead letters
 * @since 0.2.0
 */
export const retryDeadLetter = (
  options: StoreName & { readonly name: string; readonly id: string }
): Effect.Effect<boolean, PersistedQueue.PersistedQueueError, JetStream> =>
  Effect.flatMap(JetStream, (js) =>
    Effect.mapError(
      putBack(baseOf(js, options), options.name, options.id),
      failedWith("The dead letter is not put back")
    ))
