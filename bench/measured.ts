/**
 * A measured process: one client, one job. Started by the runner, which it tells the result.
 *
 *   node bench/measured.ts <server url> <job as JSON>
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { type Job, quantile, type Sample } from "./workload.ts"

const [, , servers, text] = process.argv
const job: Job = JSON.parse(text)
// One of them only, so that none carries another's modules.
const { prepare } = job.work.includes("js-")
  ? job.client === "raw"
    ? await import("./rawJetStream.ts")
    : await import("./oursJetStream.ts")
  : job.client === "raw"
  ? await import("./raw.ts")
  : job.work.startsWith("service")
  ? await import("./oursServices.ts")
  : await import("./ours.ts")

/** MB that are in use after a full collection, where the job is to keep something. */
const inUse = async (): Promise<number> => {
  if (!job.work.startsWith("hold")) return NaN
  setFlagsFromString("--expose_gc")
  const collect: () => void = runInNewContext("gc")
  // Memory outside of the heap is let go of in a turn after the one that collects its owner.
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { external, heapUsed } = process.memoryUsage()
  return (heapUsed + external) / 1e6
}

const told = (word: string): Promise<void> =>
  new Promise((resolve) => {
    process.on("message", function listen(message) {
      if (message !== word) return
      process.off("message", listen)
      resolve()
    })
  })

const prepared = await prepare(servers, job)
const [first] = await prepared.run(1) ?? []
await prepared.run(job.warm)
if (process.send !== undefined) {
  const go = told("go")
  process.send("warm")
  await go
}
const usedBefore = await inUse()
const failedBefore = prepared.failed?.() ?? 0
const before = process.cpuUsage()
const since = performance.now()
const latencies = await prepared.run(job.count)
const wall = performance.now() - since
const { system, user } = process.cpuUsage(before)
const held = await inUse() - usedBefore
const sample: Sample = {
  cpu: (user + system) / job.count,
  wall: wall * 1000 / job.count,
  ...(Number.isNaN(held) ? {} : { held, heldEach: held * 1000 / job.count }),
  ...(prepared.failed === undefined ? {} : { failed: prepared.failed() - failedBefore }),
  rss: process.memoryUsage.rss() / 1e6,
  ...(latencies === undefined || latencies === null
    ? {}
    : { first, p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) })
}
if (process.send === undefined) {
  console.log(sample)
} else {
  const end = told("end")
  process.send(sample)
  await end
}
await prepared.close()
process.exit()
