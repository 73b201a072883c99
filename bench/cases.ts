/**
 * What is measured, and what is promised of it.
 */
import type { Job, Sample } from "./workload.ts"

export interface Run {
  readonly server: "scripted" | "real" | "jetstream" | "none"
  readonly job?: Job | undefined
  /** Instead of a job: the modules to import. */
  readonly imports?: ReadonlyArray<string> | undefined
  /** The most rounds that it takes part in: for what hardly varies, or takes long. */
  readonly rounds?: number | undefined
}

export type Unit = "µs" | "ms" | "MB" | "KB" | ""

/** One line of the result: a measure of two runs, by ratio or by difference, or that of ours alone. */
export interface Row {
  readonly group: string
  readonly name: string
  readonly ours: string
  /** What ours is compared with: nats.js, unless the name says otherwise. */
  readonly raw?: string | undefined
  /** `cpu` is instructions where the machine counts them. */
  readonly measure: "cpu" | "wall" | "p50" | "p99" | "rss" | "first" | "start" | "held" | "heldEach" | "failed"
  readonly unit: Unit
  readonly by: "ratio" | "difference" | "itself"
  /** The most that is promised. Absent: told for what it is worth. */
  readonly target?: number | undefined
  /** Instead, where instructions are counted. */
  readonly targetInstructions?: number | undefined
}

export interface Section {
  readonly title: string
  readonly rows: ReadonlyArray<Row>
}

export type Runs = Record<string, Run>

export const job = (
  client: Job["client"],
  work: string,
  size: number,
  warm: number,
  count: number,
  inFlight?: number
): Job => ({ client, work, size, warm, count, inFlight })

export const both = (
  name: string,
  server: Run["server"],
  work: string,
  size: number,
  warm: number,
  count: number,
  inFlight?: number
): Runs => ({
  [`${name}/ours`]: { server, job: job("ours", work, size, warm, count, inFlight) },
  [`${name}/raw`]: { server, job: job("raw", work, size, warm, count, inFlight) }
})

export const row = (
  group: string,
  name: string,
  ours: string,
  raw: string | undefined,
  details: Partial<Row> = {}
): Row => ({
  group,
  name,
  ours,
  raw,
  measure: "cpu",
  unit: "µs",
  by: "ratio",
  ...details
})

/** What a row takes from a sample, in its unit. */
export const valueOf = ({ measure, unit }: Row, sample: Sample): number => {
  if (measure !== "cpu") return sample[measure] ?? NaN
  return sample.instructions ?? (unit === "ms" ? sample.cpu / 1000 : sample.cpu)
}

/** Runs and rows of one part of the whole. */
export interface Cases {
  readonly runs: Runs
  readonly sections: ReadonlyArray<Section>
}
