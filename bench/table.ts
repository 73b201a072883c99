/**
 * From samples to the table of the document.
 */
import { type Row, rows, valueOf } from "./cases.ts"
import { quantile, type Sample } from "./workload.ts"

export type Samples = ReadonlyMap<string, ReadonlyArray<Sample>>

export interface Result {
  readonly row: Row
  readonly ours: number
  readonly raw: number
  /** Ratio or difference within a round: median, lowest, highest. */
  readonly median: number
  readonly lowest: number
  readonly highest: number
}

const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** Every row whose two runs were measured. */
export const evaluate = (samples: Samples): ReadonlyArray<Result> =>
  rows.flatMap((row) => {
    const ours = samples.get(row.ours)?.map((sample) => valueOf(row, sample)) ?? []
    const raw = samples.get(row.raw)?.map((sample) => valueOf(row, sample)) ?? []
    if (ours.length === 0 || raw.length === 0) return []
    const compared = ours.map((value, round) => row.by === "ratio" ? value / raw[round] : value - raw[round])
    return [{
      row,
      ours: median(ours),
      raw: median(raw),
      median: median(compared),
      lowest: Math.min(...compared),
      highest: Math.max(...compared)
    }]
  })

const plain = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)

const cell = ({ by, unit }: Row, value: number): string =>
  by === "ratio" ? value.toFixed(2) : `${value < 0 ? "" : "+"}${plain(value)} ${unit}`

const verdict = ({ median, row }: Result): string =>
  row.target === undefined ? "" : median <= row.target ? "met" : "**missed**"

const columns = ["what", "case", "ours", "nats.js", "ours to nats.js", "spread", "target", ""]

const cells = (result: Result, unit: string): ReadonlyArray<string> => {
  const { lowest, highest, median, ours, raw, row } = result
  return [
    row.group,
    row.name,
    `${plain(ours)} ${unit}`,
    `${plain(raw)} ${unit}`,
    row.by === "ratio" ? `**${cell(row, median)}**` : `**${cell(row, median)}**`,
    `${cell(row, lowest)} to ${cell(row, highest)}`,
    row.target === undefined ? "" : `≤ ${cell(row, row.target)}`,
    verdict(result)
  ]
}

/** A Markdown table. `instructions`: what is otherwise CPU time is counted in instructions. */
export const toTable = (results: ReadonlyArray<Result>, instructions: boolean): string => {
  const unitOf = ({ measure, unit }: Row): string => instructions && measure === "cpu" && unit === "µs" ? "instr" : unit
  const lines = [columns, ...results.map((result) => cells(result, unitOf(result.row)))]
  const widths = columns.map((_, column) => Math.max(3, ...lines.map((line) => line[column].length)))
  const toLine = (line: ReadonlyArray<string>): string =>
    `| ${line.map((text, column) => text.padEnd(widths[column])).join(" | ")} |`
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`
  return [toLine(lines[0]), rule, ...lines.slice(1).map(toLine)].join("\n")
}

export const missed = (results: ReadonlyArray<Result>): ReadonlyArray<Result> =>
  results.filter(({ median, row }) => row.target !== undefined && !(median <= row.target))
