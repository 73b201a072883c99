/**
 * Jobs of a queue through processes that are killed: how many are lost, done twice, or had by two at once.
 *
 *   node bench/queueKills.ts                          3,000 jobs, 3 processes, a kill each second, 20 of them
 *   node bench/queueKills.ts --jobs 300 --kills 3     shorter
 *
 * It ends with 1 when one of the promises was broken, and says which.
 */
import { TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { runQueue } from "./persistence/queueRun.ts"

const numeric = { type: "string" } as const
const { values } = parseArgs({
  options: { jobs: numeric, kills: numeric, every: numeric, processes: numeric, work: numeric, lock: numeric }
})
const kills = Number(values.kills ?? 20)

const program = Effect.gen(function*() {
  const { url } = yield* TestNatsServer.make({ jetstream: true })
  const result = yield* runQueue({
    url,
    jobs: Number(values.jobs ?? 3_000),
    processes: Number(values.processes ?? 3),
    kills,
    killEveryMillis: Number(values.every ?? 1_000),
    concurrency: 8,
    workMillis: Number(values.work ?? 100),
    lockMillis: Number(values.lock ?? 2_000)
  })
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
