/**
 * How long the command takes from its start to its end, as medians of processes one after the other, beside a process of
 * Node that does nothing.
 *
 *   node scripts/setup.mjs && node bench/commandStart.mjs [rounds] [URL of a server]
 */
import { spawnSync } from "node:child_process"
import * as path from "node:path"

const command = path.resolve(import.meta.dirname, "..", "dist", "cli", "effect-nats.js")
const [rounds = "15", server] = process.argv.slice(2)

const cases = [
  ["node, nothing", ["-e", "0"]],
  ["--version", [command, "--version"]],
  ["check --help", [command, "check", "--help"]],
  ["check, nobody there", [command, "check", "--server", "127.0.0.1:1"]],
  ...(server === undefined
    ? []
    : [["check", [command, "check", "--server", server]], ["whoami", [command, "whoami", "--server", server]]])
]

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

const times = cases.map(() => [])
for (let round = 0; round < Number(rounds); round++) {
  for (const [index, [, args]] of cases.entries()) {
    const since = performance.now()
    spawnSync(process.execPath, args, { stdio: "ignore", env: { PATH: process.env.PATH } })
    times[index].push(performance.now() - since)
  }
}
for (const [index, [name]] of cases.entries()) console.log(`${name.padEnd(20)} ${median(times[index]).toFixed(0)} ms`)
