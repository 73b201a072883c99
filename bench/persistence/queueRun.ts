/** Jobs through processes that are killed one after the other: what came of them. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as JetStream from "../../src/jetstream/JetStream.ts"
import * as JetStreamStream from "../../src/jetstream/JetStreamStream.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsPersistedQueue from "../../src/persistence/NatsPersistedQueue.ts"
import { historyOf, type QueueWorker, startWorker } from "./queueProcesses.ts"

export interface RunOptions {
  readonly servers: ReadonlyArray<string>
  readonly jobs: number
  readonly processes: number
  readonly kills: number
  readonly killEveryMillis: number
  readonly concurrency: number
  readonly workMillis: number
  readonly lockMillis: number
  readonly replicas?: number | undefined
}

export interface RunResult {
  readonly jobs: number
  readonly kills: number
  readonly done: number
  readonly lost: number
  readonly atOnce: number
  readonly startedAgain: number
  readonly mostAttempts: number
  readonly late: number
  readonly seconds: number
}

const counts = (js: JetStream.JetStream, stream: string, kind: string) =>
  Effect.map(
    Effect.provideService(JetStreamStream.info(stream, { subjects: `run.${kind}.*.*` }), JetStream.JetStream, js),
    ({ state }) => state.subjects?.size ?? 0
  )

/** The kills are spread over the jobs: the first when the workers are there, the next when its time is over. */
export const runQueue = (options: RunOptions): Effect.Effect<RunResult, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const { concurrency, jobs, killEveryMillis, kills, lockMillis, processes, replicas, servers, workMillis } = options
    const prefix = "run"
    const stream = "QUEUE_run"
    const nats = yield* NatsClient.make({ servers, reconnect: { initialDelay: "20 millis" } })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const store = yield* Effect.provideService(
      NatsPersistedQueue.makeStore({ prefix, lockExpiration: lockMillis, replicas }),
      JetStream.JetStream,
      js
    )
    const factory = yield* Effect.provideService(PersistedQueue.makeFactory, PersistedQueue.PersistedQueueStore, store)
    const queue = yield* factory.make({ name: "jobs", schema: Schema.Finite })
    const started = performance.now()
    const all: Array<QueueWorker> = []
    const start = Effect.map(
      startWorker(servers.join(), { prefix, queue: "jobs", lockMillis, concurrency, workMillis }),
      (worker) => {
        all.push(worker)
        return worker
      }
    )
    const living = yield* Effect.replicateEffect(start, processes, { concurrency: "unbounded" })
    const killing = Effect.gen(function*() {
      for (let i = 0; i < kills; i++) {
        yield* Effect.sleep(killEveryMillis)
        yield* living[i % processes].kill
        living[i % processes] = yield* start
      }
    })
    const offering = Effect.forEach(
      Array.from({ length: jobs }, (_, i) => i),
      (i) => queue.offer(i, { id: `job-${i}` }),
      {
        concurrency: 32,
        discard: true
      }
    )
    const killer = yield* Effect.forkChild(killing)
    yield* offering
    yield* Fiber.join(killer)
    const count = (kind: string) => Effect.eventually(counts(js, stream, kind))
    while ((yield* count("d")) < jobs || (yield* count("q")) > 0) yield* Effect.sleep(100)
    const seconds = (performance.now() - started) / 1_000
    yield* Effect.forEach(living, (worker) => worker.kill)
    const history = historyOf(all)
    const done = yield* count("d")
    return {
      jobs,
      kills,
      done,
      lost: jobs - history.ended.size,
      atOnce: history.overlaps.length,
      startedAgain: history.starts - jobs,
      mostAttempts: history.mostAttempts,
      late: history.logs.filter((log) => log.includes("too late")).length,
      seconds
    }
  })
