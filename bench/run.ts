/**
 * Measures the package against nats.js and writes the tables of `docs/performance.md` and the chart beside it.
 *
 *   npm run bench                      nine rounds, some minutes
 *   npm run bench -- --quick           two rounds, nothing written
 *   npm run bench -- --only receive    the runs whose name has the word, nothing written
 *   npm run bench -- --rounds 15       more rounds; fewer than nine write nothing
 *
 * Every sample comes from a process of its own, ours and nats.js in turn, so that no one inherits the other's compiled
 * code, memory or noise. Ratios are taken within a round; the table has their median and their range.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { findServer } from "../scripts/natsServer.mjs"
import type { Runs } from "./cases.ts"
import { toChart } from "./chart.ts"
import { jetStreamCases } from "./jetStreamCases.ts"
import { messagingCases } from "./messagingCases.ts"
import { processCases } from "./processCases.ts"
import {
  countsInstructions,
  measure,
  type Servers,
  startJetStream,
  startReal,
  startScripted,
  stopAll
} from "./processes.ts"
import { serviceCases } from "./serviceCases.ts"
import { evaluate, toTables, verdict } from "./table.ts"
import type { Sample } from "./workload.ts"

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string" }
  }
})
const rounds = Number(values.rounds ?? (values.quick ? 2 : 9))
// What is written down has rounds enough to tell.
const whole = values.only === undefined && rounds >= 9
const docs = path.join(import.meta.dirname, "..", "docs")
const document = path.join(docs, "performance.md")

const runs: Runs = { ...messagingCases.runs, ...serviceCases.runs, ...processCases.runs, ...jetStreamCases.runs }
const sections = [
  ...messagingCases.sections,
  ...serviceCases.sections,
  ...processCases.sections,
  ...jetStreamCases.sections
]

const chosen = Object.entries(runs).filter(([name]) => values.only === undefined || name.includes(values.only))

const measureAll = async (servers: Servers, instructions: boolean) => {
  const samples = new Map<string, Array<Sample>>()
  for (let round = 0; round < rounds; round++) {
    // Back and forth, so that no run always follows the same other one.
    for (const [name, run] of round % 2 === 0 ? chosen : chosen.toReversed()) {
      if (round >= (run.rounds ?? rounds)) continue
      if (process.stderr.isTTY) process.stderr.write(`\rround ${round + 1} of ${rounds}: ${name.padEnd(40)}`)
      const of = samples.get(name) ?? []
      const since = performance.now()
      of.push(await measure(run, servers, instructions))
      samples.set(name, of)
      // Some of them take half a minute on a busy machine.
      if (!process.stderr.isTTY) {
        const took = ((performance.now() - since) / 1_000).toFixed(1)
        process.stderr.write(`round ${round + 1} of ${rounds}: ${name}, ${took} s\n`)
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write(`\r${" ".repeat(60)}\r`)
  return samples
}

const between = (text: string, mark: string, content: string): string => {
  const begin = `<!-- ${mark}: begin, written by npm run bench -->`
  const end = `<!-- ${mark}: end -->`
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < 0) throw new Error(`docs/performance.md has no place for ${mark}`)
  return `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(to)}`
}

const main = async (): Promise<void> => {
  const binary = await findServer()
  if (binary === undefined) throw new Error("no nats-server: run `node scripts/setup.mjs` first")
  const instructions = countsInstructions()
  const files = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-bench-"))
  process.once("exit", () => fs.rmSync(files, { recursive: true, force: true }))
  const needs = (server: string): boolean => chosen.some(([, run]) => run.server === server)
  const servers = {
    scripted: needs("scripted") ? await startScripted() : "",
    real: needs("real") ? await startReal(binary.path) : "",
    jetstream: needs("jetstream") ? await startJetStream(binary.path, files) : ""
  }
  const since = performance.now()
  const results = evaluate(sections, await measureAll(servers, instructions))
  const tables = toTables(results, instructions)
  const transport = JSON.parse(
    fs.readFileSync(path.join(import.meta.dirname, "..", "node_modules/@nats-io/transport-node/package.json"), "utf8")
  )
  const conditions = [
    `\`npm run bench\` on ${
      new Date().toISOString().slice(0, 10)
    }: Node ${process.versions.node}, nats-server ${binary.version},`,
    `nats.js ${transport.version}, ${os.platform()} ${os.arch()}, ${os.availableParallelism()} cores, ${rounds} rounds in`,
    `${Math.round((performance.now() - since) / 60_000)} minutes. Cost is ${
      instructions ? "instructions (`perf stat`)" : "CPU time (this machine counts no instructions)"
    } per operation.`
  ].join("\n")
  console.log(`${conditions}\n\n${tables}\n\n${verdict(results, instructions)}`)
  if (!whole) return
  const codec = spawnSync(process.execPath, [path.join(import.meta.dirname, "codec.ts")], { encoding: "utf8" })
  if (codec.status !== 0) throw new Error(`bench/codec.ts failed:\n${codec.stderr}`)
  console.log(`\n${codec.stdout}`)
  let text = fs.readFileSync(document, "utf8")
  text = between(text, "results", `${conditions}\n${verdict(results, instructions)}\n\n${tables}`)
  text = between(text, "codec", `\`\`\`\n${codec.stdout.trimEnd()}\n\`\`\``)
  fs.writeFileSync(document, text)
  fs.writeFileSync(path.join(docs, "performance.svg"), toChart(results, instructions))
}

try {
  await main()
} finally {
  stopAll()
}
process.exit()
