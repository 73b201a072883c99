/**
 * A measured process: one client, one job. Started by the runner, which it tells the result.
 *
 *   node bench/measured.ts <server url> <job as JSON>
 */
import { type Job, quantile, type Sample } from "./workload.ts"

const [, , servers, text] = process.argv
const job: Job = JSON.parse(text)
// One of the two only, so that neither carries the other's modules.
const { prepare } = job.client === "ours" ? await import("./ours.ts") : await import("./raw.ts")

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
const before = process.cpuUsage()
const since = performance.now()
const latencies = await prepared.run(job.count)
const wall = performance.now() - since
const { system, user } = process.cpuUsage(before)
const sample: Sample = {
  cpu: (user + system) / job.count,
  wall,
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
