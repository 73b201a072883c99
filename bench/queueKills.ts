/**
 * Jobs of a queue through processes that are killed: how many are lost, done twice, or had by two at once.
 *
 *   node bench/queueKills.ts                          3,000 jobs, 3 processes, a kill each second, 20 of them
 *   node bench/queueKills.ts --replicas 3             on three servers, of which one is killed every five seconds for a minute
 *   node bench/queueKills.ts --jobs 300 --kills 3     shorter
 *
 * It ends with 1 when one of the promises was broken, and says which.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { parseArgs } from "node:util"
import { runQueue } from "./persistence/queueRun.ts"
import { killInTurns, startNats } from "./storeServers.ts"

const numeric = { type: "string" } as const
const { values } = parseArgs({
  options: {
    jobs: numeric,
    kills: numeric,
    every: numeric,
    processes: numeric,
    work: numeric,
    lock: numeric,
    replicas: numeric
  }
})
const replicas = Number(values.replicas ?? 1) === 3 ? 3 : 1
const kills = Number(values.kills ?? 20)

const program = Effect.gen(function*() {
  const { servers, store } = yield* startNats({ replicas })
  // For a minute: with a kill each five seconds there is rarely a leader.
  const killing = yield* Effect.forkChild(
    replicas === 1 ? Effect.void : Effect.timeoutOption(killInTurns(servers, "5 seconds"), "1 minute")
  )
  const result = yield* runQueue({
    servers: store.servers,
    replicas,
    jobs: Number(values.jobs ?? 3_000),
    processes: Number(values.processes ?? 3),
    kills,
    killEveryMillis: Number(values.every ?? 1_000),
    concurrency: 8,
    workMillis: Number(values.work ?? 100),
    // An election takes up to 9 seconds, in which nothing can be stored.
    lockMillis: Number(values.lock ?? (replicas === 3 ? 10_000 : 2_000))
  })
  yield* Fiber.interrupt(killing)
  console.table(result)
  const broken = [
    ...(result.lost > 0 ? [`${result.lost} lost`] : []),
    ...(result.done === result.jobs ? [] : [`${result.done} records of what is done`]),
    ...(result.atOnce > 0 ? [`${result.atOnce} had by two at once`] : []),
    ...(result.mostAttempts > kills + 1 ? [`${result.mostAttempts} attempts`] : [])
  ]
  for (const each of broken) console.error(each)
  if (broken.length > 0) process.exitCode = 1
})

await Effect.runPromise(Effect.scoped(program))
