/**
 * From samples to the tables of the document.
 */
import { type Row, type Section, valueOf } from "./cases.ts"
import { quantile, type Sample } from "./workload.ts"

export type Samples = ReadonlyMap<string, ReadonlyArray<Sample>>

export interface Result {
  readonly section: string
  readonly row: Row
  readonly ours: number
  /** `NaN` where ours is compared with nothing. */
  readonly raw: number
  /** Ratio or difference within a round, or ours: median, lowest, highest. */
  readonly median: number
  readonly lowest: number
  readonly highest: number
}

const median = (values: ReadonlyArray<number>): number => values.length === 0 ? NaN : quantile(values, 0.5)

const compare = ({ by }: Row, ours: number, raw: number): number =>
  by === "ratio" ? ours / raw : by === "difference" ? ours - raw : ours

/** Every row whose runs were measured. */
export const evaluate = (sections: ReadonlyArray<Section>, samples: Samples): ReadonlyArray<Result> =>
  sections.flatMap(({ rows, title }) =>
    rows.flatMap((row) => {
      const ours = samples.get(row.ours)?.map((sample) => valueOf(row, sample)) ?? []
      const raw = row.raw === undefined ? [] : samples.get(row.raw)?.map((sample) => valueOf(row, sample)) ?? []
      if (ours.length === 0 || (row.raw !== undefined && raw.length === 0)) return []
      const compared = ours.map((value, round) => compare(row, value, raw[round]))
      return [{
        section: title,
        row,
        ours: median(ours),
        raw: median(raw),
        median: median(compared),
        lowest: Math.min(...compared),
        highest: Math.max(...compared)
      }]
    })
  )

const plain = (value: number, unit: string): string => {
  const size = Math.abs(value)
  const digits = unit === "" || size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3
  return unit === "" ? value.toFixed(0) : `${value.toFixed(digits)} ${unit}`
}

const cell = ({ by }: Row, value: number, unit: string): string =>
  by === "ratio" ? value.toFixed(2) : `${by === "itself" || value < 0 ? "" : "+"}${plain(value, unit)}`

export const targetOf = ({ measure, target, targetInstructions }: Row, instructions: boolean): number | undefined =>
  instructions && measure === "cpu" ? targetInstructions ?? target : target

export const isMet = ({ median, row }: Result, instructions: boolean): boolean | undefined => {
  const target = targetOf(row, instructions)
  return target === undefined ? undefined : median <= target
}

const columns = ["what", "case", "ours", "nats.js", "ours to nats.js", "spread", "target", ""]

const cells = (result: Result, instructions: boolean): ReadonlyArray<string> => {
  const { highest, lowest, median, ours, raw, row } = result
  const unit = instructions && row.measure === "cpu" && row.unit === "µs" ? "instr" : row.unit
  const target = targetOf(row, instructions)
  const met = isMet(result, instructions)
  return [
    row.group,
    row.name,
    plain(ours, unit),
    Number.isNaN(raw) ? "" : plain(raw, unit),
    `**${cell(row, median, unit)}**`,
    `${cell(row, lowest, unit)} to ${cell(row, highest, unit)}`,
    target === undefined ? "" : `≤ ${cell(row, target, unit)}`,
    met === undefined ? "" : met ? "met" : "**missed**"
  ]
}

const toTable = (results: ReadonlyArray<Result>, instructions: boolean): string => {
  const lines = [columns, ...results.map((result) => cells(result, instructions))]
  const widths = columns.map((_, column) => Math.max(3, ...lines.map((line) => line[column].length)))
  const toLine = (line: ReadonlyArray<string>): string =>
    `| ${line.map((text, column) => text.padEnd(widths[column])).join(" | ")} |`
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`
  return [toLine(lines[0]), rule, ...lines.slice(1).map(toLine)].join("\n")
}

/** A Markdown table for each section. `instructions`: what is otherwise CPU time is counted in instructions. */
export const toTables = (results: ReadonlyArray<Result>, instructions: boolean): string =>
  [...Map.groupBy(results, ({ section }) => section)]
    .map(([title, some]) => `### ${title}\n\n${toTable(some, instructions)}`)
    .join("\n\n")

/** One sentence: how many targets there are, and which are missed. */
export const verdict = (results: ReadonlyArray<Result>, instructions: boolean): string => {
  const judged = results.filter((result) => isMet(result, instructions) !== undefined)
  const missed = judged.filter((result) => isMet(result, instructions) === false)
  const names = missed.map(({ row }) => `${row.group}, ${row.name}`).join("; ")
  return `${judged.length - missed.length} of ${judged.length} targets are met${
    missed.length === 0 ? "" : `. Missed: ${names}`
  }.`
}
