/**
 * The stores of this package beside the official ones on PostgreSQL and Redis: queues and a cluster's persisted messages,
 * on servers that are started for it. Prints a table.
 *
 *   node bench/stores.ts                     three rounds, some minutes
 *   node bench/stores.ts --rounds 1          whether it runs
 *   node bench/stores.ts --only queue        or cluster, or takeover
 *   node bench/stores.ts --stores postgres,redis
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as References from "effect/References"
import { fork } from "node:child_process"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { now, Worker } from "./clusterWork.ts"
import { makeRunners } from "./runners.ts"
import { clusterLayer, queueLayer, type QueueOptions } from "./storeLayers.ts"
import { startNats, startPostgres, startRedis, type StoreServer } from "./storeServers.ts"
import { Element, type QueueJob, queueName, type QueueResult } from "./storeTaker.ts"
import { quantile } from "./workload.ts"

const { values: given } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    only: { type: "string", default: "" },
    stores: { type: "string", default: "nats,nats-sync,postgres,redis" },
    count: { type: "string", default: "5000" }
  }
})
const count = Number(given.count)

interface Column {
  readonly name: string
  readonly store: StoreServer
}

/** A table's cell: all samples of one measure with one store. */
type Samples = Map<string, Map<string, Array<number>>>

const child = (job: QueueJob, whenWaiting: Effect.Effect<void, unknown> = Effect.void) =>
  Effect.gen(function*() {
    const waiting = yield* Deferred.make<void>()
    const result = Effect.callback<QueueResult, unknown>((resume) => {
      const process = fork(path.join(import.meta.dirname, "storeTaker.ts"), [JSON.stringify(job)])
      process.on("message", (message) => {
        if (message === "waiting") Deferred.doneUnsafe(waiting, Effect.void)
        else resume(Effect.succeed(message as QueueResult))
      })
      process.once("exit", (code) => resume(Effect.die(new Error(`a measured process ended with ${code}`))))
      return Effect.sync(() => process.kill("SIGKILL"))
    })
    if (job.work === "throughput") return yield* result
    const [measured] = yield* Effect.all([result, Effect.andThen(Deferred.await(waiting), whenWaiting)], {
      concurrency: 2
    })
    return measured
  })

const queueRates = ({ store }: Column, round: number) =>
  Effect.map(
    child({ store, queue: { prefix: `rates${round}` }, work: "throughput", count }),
    ({ offers, takes }) => ({ "queue: offers/s, 64 at once": offers, "queue: take and complete/s, 64 at once": takes })
  )

/** Elements are offered one after the other to a taker in another process that waits for them. */
const queueLatency = ({ store }: Column, queue: QueueOptions, title: string) =>
  Effect.gen(function*() {
    const many = 100
    const { latencies } = yield* child(
      { store, queue, work: "latency", count: many },
      Effect.gen(function*() {
        const offering = yield* PersistedQueue.make({ name: queueName, schema: Element })
        // Its first look at an empty queue is over.
        yield* Effect.sleep("1 second")
        for (let n = 0; n < many; n++) {
          yield* offering.offer({ n, at: now() })
          yield* Effect.sleep(20 + Math.random() * 60)
        }
      }).pipe(Effect.provide(queueLayer(store, queue)))
    )
    return {
      [`queue: offer to waiting handler, p50 ms${title}`]: quantile(latencies, 0.5),
      [`queue: offer to waiting handler, p99 ms${title}`]: quantile(latencies, 0.99)
    }
  })

const lockMillis = 4_000

/** One runner, and its client in this process. */
const messages = ({ store }: Column, round: number) =>
  Effect.gen(function*() {
    const cluster = { prefix: `messages${round}`, lockMillis }
    const runners = yield* makeRunners(store, cluster)
    const runner = yield* runners.start
    yield* runner.serving
    return yield* Effect.gen(function*() {
      const client = yield* Worker.client
      // Official tables are those of all rounds: a key of another one would be answered by what is stored.
      const send = (key: string, n: number) => client(`e${n % 100}`).Work({ key: `${round}-${key}`, millis: 0 })
      const sendAll = (prefix: string, many: number, concurrency: number, latencies: Array<number> = []) =>
        Effect.forEach(
          Array.from({ length: many }, (_, n) => n),
          (n) =>
            Effect.suspend(() => {
              const since = now()
              return Effect.map(send(`${prefix}${n}`, n), () => latencies.push(now() - since))
            }),
          { concurrency, discard: true }
        )
      // All entities are there, and so is what is compiled.
      yield* sendAll("warm", 500, 16)
      const since = now()
      yield* sendAll("many", count / 2, 64)
      const rate = count / 2 / (now() - since) * 1_000
      const latencies: Array<number> = []
      yield* sendAll("one", 200, 1, latencies)
      return {
        "cluster: persisted messages/s, 64 at once": rate,
        "cluster: persisted message, p50 ms": quantile(latencies, 0.5),
        "cluster: persisted message, p99 ms": quantile(latencies, 0.99)
      }
    }).pipe(Effect.provide(clusterLayer(store, cluster)))
  }).pipe(Effect.scoped)

/** From the kill of one of two runners until all its entities have answered from the other. */
const takeover = ({ store }: Column, round: number) =>
  Effect.gen(function*() {
    const cluster = { prefix: `takeover${round}`, lockMillis }
    const runners = yield* makeRunners(store, cluster)
    const both = yield* Effect.all([runners.start, runners.start], { concurrency: 2 })
    yield* Effect.forEach(both, (each) => each.serving, { concurrency: 2 })
    return yield* Effect.gen(function*() {
      const client = yield* Worker.client
      const sendAll = (prefix: string) =>
        Effect.forEach(
          Array.from({ length: 100 }, (_, n) => n),
          (n) => Effect.eventually(client(`e${n}`).Work({ key: `${round}-${prefix}${n}`, millis: 0 })),
          { concurrency: "unbounded", discard: true }
        )
      yield* sendAll("before")
      // Both have taken what is theirs.
      yield* Effect.sleep("5 seconds")
      yield* both[0].kill
      const since = now()
      yield* sendAll("after")
      return { "cluster: 100 entities answer after a kill of one of two runners, s": (now() - since) / 1_000 }
    }).pipe(Effect.provide(clusterLayer(store, cluster)))
  }).pipe(Effect.scoped)

const measures = (
  column: Column,
  round: number
): ReadonlyArray<readonly [string, Effect.Effect<Record<string, number>, unknown>]> => [
  ["queue", queueRates(column, round)],
  ["queue", queueLatency(column, { prefix: `waits${round}` }, "")],
  ...(column.store.kind === "nats" ? [] : [
    ["queue", queueLatency(column, { prefix: `polls${round}`, pollMillis: 50 }, ", looking each 50 ms")] as const
  ]),
  ...(column.store.kind === "redis" ? [] : [
    ["cluster", messages(column, round)] as const,
    ["takeover", takeover(column, round)] as const
  ])
]

const startColumns = Effect.gen(function*() {
  const wanted = given.stores.split(",")
  const columns: Array<Column> = []
  const add = (name: string, store: StoreServer | undefined): void => {
    if (store === undefined) console.log(`${name} is not on this machine, and is left out.`)
    else columns.push({ name, store })
  }
  if (wanted.includes("nats")) add("NATS", (yield* startNats({ replicas: 1 })).store)
  if (wanted.includes("nats-sync")) add("NATS, synced", (yield* startNats({ replicas: 1, sync: true })).store)
  if (wanted.includes("postgres")) add("PostgreSQL", yield* startPostgres)
  if (wanted.includes("redis")) add("Redis", yield* startRedis)
  return columns
})

const shown = (samples: ReadonlyArray<number> | undefined): string => {
  if (samples === undefined) return "–"
  const value = quantile(samples, 0.5)
  const text = (each: number): string => each >= 100 ? Math.round(each).toLocaleString("en") : each.toFixed(1)
  return samples.length === 1
    ? text(value)
    : `${text(value)} (${text(Math.min(...samples))}–${text(Math.max(...samples))})`
}

const toTable = (columns: ReadonlyArray<Column>, samples: Samples): string => {
  const rows = [...samples].map(([measure, of]) => [measure].concat(columns.map(({ name }) => shown(of.get(name)))))
  return [["", ...columns.map(({ name }) => name)], ["---", ...columns.map(() => "---:")], ...rows]
    .map((row) => `| ${row.join(" | ")} |`).join("\n")
}

const program = Effect.gen(function*() {
  const columns = yield* startColumns
  const samples: Samples = new Map()
  for (let round = 0; round < Number(given.rounds); round++) {
    // Back and forth, so that none always follows the same other one.
    for (const column of round % 2 === 0 ? columns : columns.toReversed()) {
      for (const [kind, measure] of measures(column, round)) {
        if (!kind.includes(given.only)) continue
        for (const [name, value] of Object.entries(yield* measure)) {
          process.stderr.write(`round ${round + 1}, ${column.name}: ${name}: ${shown([value])}\n`)
          const row = samples.get(name) ?? new Map<string, Array<number>>()
          samples.set(name, row.set(column.name, [...(row.get(column.name) ?? []), value]))
        }
      }
    }
  }
  console.log(
    `\`node bench/stores.ts\`, Node ${process.versions.node}, ${os.platform()} ${os.arch()}, ${os.availableParallelism()} cores, ` +
      `median (lowest–highest) of ${given.rounds}.\n\n${toTable(columns, samples)}`
  )
}).pipe(
  Effect.scoped,
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  Effect.provideService(References.MinimumLogLevel, "Error")
)

// A signal ends the servers and runners, too.
NodeRuntime.runMain(program, { teardown: (exit) => process.exit(Exit.isFailure(exit) ? 1 : process.exitCode) })
