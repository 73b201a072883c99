/**
 * A measured process of a queue: offers and takes as quickly as it can, or waits for what another process offers. Started by
 * `stores.ts`, which it tells the result.
 *
 *   node bench/storeTaker.ts '<Job as JSON>'
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Schema from "effect/Schema"
import { now } from "./clusterWork.ts"
import { queueLayer, type QueueOptions } from "./storeLayers.ts"
import type { StoreServer } from "./storeServers.ts"

export const Element = Schema.Struct({ n: Schema.Number, at: Schema.Number })

export const queueName = "bench"

export interface QueueJob {
  readonly store: StoreServer
  readonly queue: QueueOptions
  readonly work: "throughput" | "latency"
  readonly count: number
}

export interface QueueResult {
  /** Per second. */
  readonly offers: number
  readonly takes: number
  /** From offer to handler, in milliseconds. */
  readonly latencies: ReadonlyArray<number>
}

const atOnce = 64

const rate = (count: number, since: number): number => count / (now() - since) * 1_000

/** So many fibers take, complete and take again, until `count` elements are done. */
const takeAll = (
  queue: PersistedQueue.PersistedQueue<typeof Element.Type>,
  count: number,
  fibers: number,
  handle: (at: number) => void
): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const done = yield* Deferred.make<void>()
    let left = count
    const taker = queue.take(({ at }) => Effect.sync(() => handle(at))).pipe(
      Effect.andThen(Effect.suspend(() => --left === 0 ? Deferred.succeed(done, undefined) : Effect.void)),
      Effect.forever
    )
    yield* Effect.raceFirst(
      Deferred.await(done),
      Effect.forEach(Array.from({ length: fibers }), () => taker, { concurrency: "unbounded", discard: true })
    )
  })

const measured = (
  { count, work }: QueueJob
): Effect.Effect<QueueResult, unknown, PersistedQueue.PersistedQueueFactory> =>
  Effect.gen(function*() {
    const queue = yield* PersistedQueue.make({ name: queueName, schema: Element })
    if (work === "latency") {
      const latencies: Array<number> = []
      process.send?.("waiting")
      yield* takeAll(queue, count, 1, (at) => latencies.push(now() - at))
      return { offers: NaN, takes: NaN, latencies }
    }
    const offer = (n: number) => queue.offer({ n, at: 0 })
    const offerAll = (many: number) =>
      Effect.forEach(Array.from({ length: many }, (_, n) => n), offer, { concurrency: atOnce, discard: true })
    yield* offerAll(count / 10)
    yield* takeAll(queue, count / 10, atOnce, () => {})
    const beforeOffers = now()
    yield* offerAll(count)
    const offers = rate(count, beforeOffers)
    const beforeTakes = now()
    yield* takeAll(queue, count, atOnce, () => {})
    return { offers, takes: rate(count, beforeTakes), latencies: [] }
  })

if (import.meta.main) {
  const job: QueueJob = JSON.parse(process.argv[2])
  process.once("disconnect", () => process.exit(1))
  const result = await Effect.runPromise(Effect.provide(measured(job), queueLayer(job.store, job.queue)))
  process.send?.(result, () => process.exit())
}
