/**
 * What importing the root costs beyond `effect` alone, in this tree and in others: processor time, time, and memory, as
 * medians of processes of their own, one after the other in changing order.
 *
 *   node bench/importCost.mjs [rounds] [directory of another checkout, built]...
 */
import { execFileSync } from "node:child_process"
import * as path from "node:path"
import { pathToFileURL } from "node:url"

const root = path.resolve(import.meta.dirname, "..")
const [rounds = "15", ...others] = process.argv.slice(2)

const effectAlone = ["effect/Effect", "effect/Layer", "effect/Stream", "effect/Schema", "effect/Config"]
const trees = [root, ...others.map((other) => path.resolve(other))]
const cases = [
  { name: "effect", specifiers: effectAlone },
  ...trees.map((tree) => ({ name: tree, specifiers: [pathToFileURL(path.join(tree, "dist", "index.js")).href] }))
]

/** Bytes that are made in the heap, which the collector's steps do not blur as they blur what is resident. */
const measured = `const before = process.cpuUsage()
const heap = process.memoryUsage().heapUsed
const since = performance.now()
for (const specifier of process.argv.slice(1)) await import(specifier)
const wall = performance.now() - since
const { system, user } = process.cpuUsage(before)
const { heapUsed, rss } = process.memoryUsage()
console.log(JSON.stringify({ cpu: (user + system) / 1e3, wall, rss: rss / 1e6, made: (heapUsed - heap) / 1e6 }))`

const sample = (specifiers, flags) =>
  JSON.parse(
    execFileSync(process.execPath, [...flags, "--input-type=module", "--eval", measured, "--", ...specifiers], {
      cwd: root,
      encoding: "utf8"
    })
  )

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

// With a young generation that is never full, all that was made is still there.
const uncollected = ["--min-semi-space-size=64", "--max-semi-space-size=64"]
const results = new Map(cases.map(({ name }) => [name, []]))
for (let round = -1; round < Number(rounds); round++) {
  for (const { name, specifiers } of round % 2 === 0 ? cases : cases.toReversed()) {
    const result = { ...sample(specifiers, []), made: sample(specifiers, uncollected).made }
    if (round >= 0) results.get(name).push(result)
  }
}

const of = (name, measure) => median(results.get(name).map((result) => result[measure]))
const show = (label, values) => console.log([label.padEnd(14), ...values.map((text) => text.padStart(16))].join(""))
const measures = ["cpu", "wall", "rss", "made"]
show("", ["processor, ms", "time, ms", "resident, MB", "made, MB"])
show("effect alone", measures.map((measure) => of("effect", measure).toFixed(1)))
for (const tree of trees) {
  const beyond = (measure) => of(tree, measure) - of("effect", measure)
  show(path.basename(tree), measures.map((measure) => `${beyond(measure) < 0 ? "" : "+"}${beyond(measure).toFixed(1)}`))
}
