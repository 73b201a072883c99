/**
 * The chart of the document: a bar for each ratio that has a target, on a logarithmic scale, with the target as a mark.
 */
import { isMet, type Result, targetOf } from "./table.ts"

const left = 480
const plot = 420
const line = 20
const top = 64
const lowest = 0.03
const highest = 12
const grid = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10]

const x = (ratio: number): number => {
  const share = Math.log(Math.min(highest, Math.max(lowest, ratio)) / lowest) / Math.log(highest / lowest)
  return Math.round((left + share * plot) * 10) / 10
}

const escaped = (text: string): string =>
  text.replaceAll("`", "").replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

// The colours follow the reader's: an image has no other way to know.
const style = `<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.quiet { fill: #59636e }
.grid { stroke: #d1d9e0 }
.one { stroke: #59636e }
.met { fill: #2da44e }
.missed { fill: #cf222e }
.target { stroke: #1f2328; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .one { stroke: #9198a1 }
  .target { stroke: #f0f6fc }
}
</style>`

const bar = (result: Result, y: number, instructions: boolean): string => {
  const { median, row } = result
  const name = `${row.group}: ${row.name}`
  const at = x(targetOf(row, instructions) ?? NaN)
  return [
    `<text x="${left - 10}" y="${y + 13}" text-anchor="end">${escaped(name)}</text>`,
    `<rect x="${left}" y="${y + 3}" width="${(x(median) - left).toFixed(1)}" height="${line - 6}" class="${
      isMet(result, instructions) === true ? "met" : "missed"
    }"/>`,
    `<line x1="${at}" y1="${y + 1}" x2="${at}" y2="${y + line - 1}" class="target"/>`,
    `<text x="${left + plot + 8}" y="${y + 13}">${median.toFixed(2)}</text>`
  ].join("\n")
}

/** An SVG image. */
export const toChart = (results: ReadonlyArray<Result>, instructions: boolean): string => {
  const bars = results.filter((result) => result.row.by === "ratio" && isMet(result, instructions) !== undefined)
  const sections = [...Map.groupBy(bars, ({ section }) => section)]
  const parts: Array<string> = []
  let y = top
  for (const [title, some] of sections) {
    parts.push(`<text x="${left - 10}" y="${y + 14}" text-anchor="end" class="quiet">${escaped(title)}</text>`)
    y += line
    for (const result of some) {
      parts.push(bar(result, y, instructions))
      y += line
    }
    y += 6
  }
  const scale = grid.flatMap((ratio) => [
    `<line x1="${x(ratio)}" y1="${top - 8}" x2="${x(ratio)}" y2="${y}" class="${ratio === 1 ? "one" : "grid"}"/>`,
    `<text x="${x(ratio)}" y="${top - 14}" text-anchor="middle" class="quiet">${ratio}</text>`
  ])
  const width = left + plot + 60
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 8}" width="${width}" height="${
      y + 8
    }" role="img">`,
    `<title>Cost of this package in relation to nats.js, with targets</title>`,
    style,
    `<text x="${left - 10}" y="22" text-anchor="end" class="title">Cost, nats.js is 1</text>`,
    `<text x="${left}" y="22" class="quiet">shorter is better, the mark is the target, red misses it</text>`,
    ...scale,
    ...parts,
    "</svg>",
    ""
  ].join("\n")
}
