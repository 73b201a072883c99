/**
 * What is measured, and what is promised of it.
 */
import type { Job, Sample } from "./workload.ts"

export interface Run {
  readonly server: "scripted" | "real" | "none"
  readonly job?: Job | undefined
  /** Instead of a job: the modules to import. */
  readonly imports?: ReadonlyArray<string> | undefined
}

export type Unit = "µs" | "ms" | "MB"

/** One line of the result: a measure of two runs, by ratio or by difference. */
export interface Row {
  readonly group: string
  readonly name: string
  readonly ours: string
  readonly raw: string
  /** `cpu` is instructions where the machine counts them. */
  readonly measure: "cpu" | "p50" | "p99" | "rss" | "first" | "start"
  readonly unit: Unit
  readonly by: "ratio" | "difference"
  /** The most that is promised. Absent: told for what it is worth. */
  readonly target?: number | undefined
}

const job = (client: Job["client"], work: string, size: number, warm: number, count: number): Job => ({
  client,
  work,
  size,
  warm,
  count
})

const both = (name: string, server: Run["server"], work: string, size: number, warm: number, count: number) => ({
  [`${name}/ours`]: { server, job: job("ours", work, size, warm, count) },
  [`${name}/raw`]: { server, job: job("raw", work, size, warm, count) }
})

const receive = (name: string, server: Run["server"], size: number, warm: number, count: number) => ({
  [`${name}/raw`]: { server, job: job("raw", "receive-callback", size, warm, count) },
  [`${name}/arrays`]: { server, job: job("ours", "receive-arrays", size, warm, count) },
  [`${name}/each`]: { server, job: job("ours", "receive-each", size, warm, count) }
})

const effectAlone = ["effect/Effect", "effect/Layer", "effect/Stream", "effect/Schema", "effect/Config"]

/** Every process of a round, by name. */
export const runs: Record<string, Run> = {
  ...both("connect", "real", "connect", 0, 20, 60),
  ...receive("receive 128", "scripted", 128, 300_000, 800_000),
  "receive 128/iterator": { server: "scripted", job: job("raw", "receive-iterator", 128, 300_000, 800_000) },
  ...receive("receive 16", "scripted", 16, 300_000, 800_000),
  ...receive("receive 4096", "scripted", 4096, 20_000, 60_000),
  ...both("publish", "scripted", "publish", 128, 100_000, 400_000),
  ...both("request", "scripted", "request", 128, 30_000, 60_000),
  "request/raw, no traces": { server: "scripted", job: job("raw", "request-no-traces", 128, 30_000, 60_000) },
  ...both("one by one", "scripted", "request-one-by-one", 128, 2_000, 4_000),
  ...receive("real receive", "real", 128, 300_000, 600_000),
  ...both("real publish", "real", "publish", 128, 100_000, 400_000),
  ...both("real request", "real", "request", 128, 20_000, 40_000),
  ...both("real one by one", "real", "request-one-by-one", 128, 1_000, 3_000),
  "import/nothing": { server: "none", imports: [] },
  "import/raw": { server: "none", imports: ["@nats-io/transport-node"] },
  "import/ours": { server: "none", imports: ["effect-nats"] },
  "import/effect": { server: "none", imports: effectAlone }
}

type Details = Partial<Row>

const row = (group: string, name: string, ours: string, raw: string, details: Details = {}): Row => ({
  group,
  name,
  ours,
  raw,
  measure: "cpu",
  unit: "µs",
  by: "ratio",
  ...details
})

const wall: Details = { unit: "ms", target: 1 }

export const rows: ReadonlyArray<Row> = [
  row("Connect, real server", "layer build to connected, p50", "connect/ours", "connect/raw", {
    measure: "p50",
    unit: "ms",
    by: "difference",
    target: 5
  }),
  row("Connect, real server", "the first one of a process", "connect/ours", "connect/raw", {
    measure: "first",
    unit: "ms",
    by: "difference"
  }),
  row("Receive 128 B", "arrays", "receive 128/arrays", "receive 128/raw", { target: 0.4 }),
  row("Receive 128 B", "each, `Effect.sync`", "receive 128/each", "receive 128/raw", { target: 0.6 }),
  row("Receive 128 B", "each, against `for await`", "receive 128/each", "receive 128/iterator"),
  row("Receive 16 B", "arrays", "receive 16/arrays", "receive 16/raw"),
  row("Receive 16 B", "each, `Effect.sync`", "receive 16/each", "receive 16/raw"),
  row("Receive 4 KiB", "arrays", "receive 4096/arrays", "receive 4096/raw"),
  row("Receive 4 KiB", "each, `Effect.sync`", "receive 4096/each", "receive 4096/raw"),
  row("Publish 128 B", "in an `Effect` loop", "publish/ours", "publish/raw", { target: 0.65 }),
  row("Request 128 B", "50 in flight", "request/ours", "request/raw", { target: 0.15 }),
  row("Request 128 B", "50 in flight, against `noAsyncTraces`", "request/ours", "request/raw, no traces"),
  row("Request 128 B", "one by one", "one by one/ours", "one by one/raw", { target: 1 }),
  row("Request 128 B", "one by one, p50", "one by one/ours", "one by one/raw", { ...wall, measure: "p50" }),
  row("Request 128 B", "one by one, p99", "one by one/ours", "one by one/raw", { ...wall, measure: "p99" }),
  row("Real server, 128 B", "receive, arrays", "real receive/arrays", "real receive/raw", { target: 0.4 }),
  row("Real server, 128 B", "receive, each", "real receive/each", "real receive/raw", { target: 0.6 }),
  row("Real server, 128 B", "publish", "real publish/ours", "real publish/raw", { target: 0.65 }),
  row("Real server, 128 B", "request, 50 in flight", "real request/ours", "real request/raw", { target: 0.15 }),
  row("Real server, 128 B", "request, one by one", "real one by one/ours", "real one by one/raw", { target: 1 }),
  row("Real server, 128 B", "one by one, p50", "real one by one/ours", "real one by one/raw", {
    ...wall,
    measure: "p50"
  }),
  row("Real server, 128 B", "one by one, p99", "real one by one/ours", "real one by one/raw", {
    ...wall,
    measure: "p99"
  }),
  row("Import", "resident memory", "import/ours", "import/raw", {
    measure: "rss",
    unit: "MB",
    by: "difference",
    target: 40
  }),
  row("Import", "resident memory of `effect` alone", "import/effect", "import/raw", {
    measure: "rss",
    unit: "MB",
    by: "difference"
  }),
  row("Import", "import", "import/ours", "import/raw", { unit: "ms", target: 3 }),
  row("Import", "import of `effect` alone", "import/effect", "import/raw", { unit: "ms" }),
  row("Import", "process start to imported", "import/ours", "import/raw", { measure: "start", unit: "ms" })
]

/** What a row takes from a sample, in its unit. */
export const valueOf = ({ measure, unit }: Row, sample: Sample): number => {
  if (measure !== "cpu") return sample[measure] ?? NaN
  return sample.instructions ?? (unit === "ms" ? sample.cpu / 1000 : sample.cpu)
}
