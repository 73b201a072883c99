/**
 * JetStream under faults: three servers, one of which is killed, frozen, restarted or cut off every few seconds, and what
 * was promised meanwhile. It measures nothing but times of silence, and ends with 1 when a promise of ours was broken.
 *
 *   node bench/faults.ts                                 everything, ours, a minute each
 *   node bench/faults.ts --only durable,cas --for 120    two workloads, two minutes each
 *   node bench/faults.ts --system both --seed 7          ours and nats.js, under the same faults in the same order
 *   node bench/faults.ts --only restarts --restarts 1000
 *   node bench/faults.ts --faults "kill,half open"       only faults whose name has one of the words
 *   NATS_SERVER=$(node scripts/natsServer.mjs 2.10) node bench/faults.ts
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { cas, locks, watches } from "./faultBuckets.ts"
import { durable, restarts } from "./faultReaders.ts"
import type { System } from "./faultSystems.ts"
import type { Given, Told, Workload } from "./faultWorkload.ts"

const workloads: Readonly<Record<string, Workload>> = { durable, restarts, cas, watches, locks }

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    for: { type: "string", default: "60" },
    only: { type: "string" },
    system: { type: "string", default: "ours" },
    publishes: { type: "string", default: "30000" },
    restarts: { type: "string", default: "200" },
    watches: { type: "string", default: "100" },
    faults: { type: "string", default: "" },
    quiet: { type: "boolean", default: false }
  }
})
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const time = Number.parseFloat(values.for) * 1_000
const words = values.faults.split(",")
const chosen = values.only === undefined ? Object.keys(workloads) : values.only.split(",")

const systemOf = async (name: string): Promise<System> =>
  name === "raw" ? (await import("./faultRaw.ts")).raw : (await import("./faultOurs.ts")).ours

const systems = await Promise.all((values.system === "both" ? ["ours", "raw"] : [values.system]).map(systemOf))

const told: Array<{ readonly workload: string; readonly system: string } & Told> = []
for (const workload of chosen) {
  const run = workloads[workload]
  if (run === undefined) throw new Error(`no workload ${workload}: ${Object.keys(workloads).join(", ")}`)
  for (const system of systems) {
    const since = performance.now()
    const log = (words: string): void => {
      if (!values.quiet) {
        process.stderr.write(`${((performance.now() - since) / 1_000).toFixed(0).padStart(5)} s  ${words}\n`)
      }
    }
    log(`${workload}, ${system.name}, seed ${seed}`)
    const given: Given = {
      seed,
      time,
      publishes: Number(values.publishes),
      restarts: Number(values.restarts),
      watches: Number(values.watches),
      isChosen: (fault) => words.some((word) => fault.includes(word)),
      log
    }
    told.push({ workload, system: system.name, ...await Effect.runPromise(run(system, given)) })
  }
}

console.log(`seed ${seed}, ${time / 1_000} seconds each`)
for (const { counts, system, violations, workload } of told) {
  console.log(`\n${workload}, ${system}`)
  for (const [name, value] of Object.entries(counts)) console.log(`  ${name.padEnd(26)} ${value}`)
  for (const words of violations.slice(0, 10)) console.log(`  BROKEN: ${words}`)
  if (violations.length > 10) console.log(`  and ${violations.length - 10} more`)
  if (violations.length === 0) console.log("  nothing broken")
}
process.exit(told.some(({ system, violations }) => system === "ours" && violations.length > 0) ? 1 : 0)
