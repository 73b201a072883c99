/**
 * Messaging: receive, publish, request, decode, spans, on the scripted server and on a real one.
 */
import { both, type Cases, job, type Row, row, type Run, type Runs } from "./cases.ts"

const receive = (name: string, server: Run["server"], size: number, warm: number, count: number): Runs => ({
  [`${name}/raw`]: { server, job: job("raw", "receive-callback", size, warm, count) },
  [`${name}/arrays`]: { server, job: job("ours", "receive-arrays", size, warm, count) },
  [`${name}/each`]: { server, job: job("ours", "receive-each", size, warm, count) }
})

const scripted = (client: "ours" | "raw", work: string, warm: number, count: number): Run => ({
  server: "scripted",
  job: job(client, work, 128, warm, count)
})

const runs: Runs = {
  ...receive("receive 128", "scripted", 128, 300_000, 800_000),
  "receive 128/for await": scripted("raw", "receive-iterator", 300_000, 800_000),
  "receive 128/map and filter": scripted("ours", "receive-map-filter", 300_000, 800_000),
  "wait/each": scripted("ours", "receive-wait", 150_000, 400_000),
  "wait/each, callback": scripted("ours", "receive-wait-callback", 150_000, 400_000),
  "wait/consume 16": scripted("ours", "consume-wait-16", 150_000, 400_000),
  "wait/consume 16, callback": scripted("ours", "consume-wait-callback-16", 150_000, 400_000),
  "wait/for await": scripted("raw", "receive-wait", 150_000, 400_000),
  ...receive("receive 16", "scripted", 16, 300_000, 800_000),
  "receive 16/for await": { server: "scripted", job: job("raw", "receive-iterator", 16, 300_000, 800_000) },
  ...receive("receive 4096", "scripted", 4096, 20_000, 60_000),
  ...both("publish", "scripted", "publish", 128, 100_000, 400_000),
  "publish/batch": scripted("ours", "publish-batch", 100_000, 400_000),
  ...both("request", "scripted", "request", 128, 20_000, 40_000),
  "request/raw, no traces": scripted("raw", "request-no-traces", 20_000, 40_000),
  ...both("request 1000", "scripted", "request", 128, 20_000, 40_000, 1_000),
  ...both("one by one", "scripted", "request-one-by-one", 128, 2_000, 4_000),
  "json/decode": scripted("ours", "decode", 150_000, 400_000),
  "json/parse": scripted("raw", "parse", 150_000, 400_000),
  "json/typed stream": scripted("ours", "receive-typed", 100_000, 300_000),
  "json/callback": scripted("raw", "receive-json", 100_000, 300_000),
  "spans/consume": scripted("ours", "consume", 100_000, 300_000),
  "spans/consume, off": scripted("ours", "consume, untraced", 100_000, 300_000),
  "spans/consume, on": scripted("ours", "consume, traced", 50_000, 150_000),
  "spans/publish, off": scripted("ours", "publish, untraced", 100_000, 400_000),
  "spans/publish, on": scripted("ours", "publish, traced", 50_000, 150_000),
  ...receive("real receive", "real", 128, 300_000, 600_000),
  ...both("real publish", "real", "publish", 128, 100_000, 400_000),
  ...both("real request", "real", "request", 128, 20_000, 40_000),
  ...both("real one by one", "real", "request-one-by-one", 128, 1_000, 3_000)
}

const wall: Partial<Row> = { unit: "ms", target: 1 }

const span: Partial<Row> = { by: "difference", targetInstructions: 15_000 }

const messaging: ReadonlyArray<Row> = [
  row("Receive 128 B", "arrays", "receive 128/arrays", "receive 128/raw", { target: 0.35 }),
  row("Receive 128 B", "each, `Effect.sync`", "receive 128/each", "receive 128/raw", { target: 0.5 }),
  row("Receive 128 B", "each, against `for await`", "receive 128/each", "receive 128/for await", { target: 0.3 }),
  row("Receive 128 B", "map and filter, each", "receive 128/map and filter", "receive 128/raw", { target: 0.6 }),
  row("Receive 128 B", "each with `Effect.promise`, against `for await` with `await`", "wait/each", "wait/for await", {
    target: 0.5
  }),
  row("Receive 128 B", "each with `Effect.callback`, against the same", "wait/each, callback", "wait/for await", {
    target: 0.5
  }),
  row("Receive 128 B", "16 handlers with `Effect.promise`, against the same", "wait/consume 16", "wait/for await", {
    target: 0.5
  }),
  row(
    "Receive 128 B",
    "16 handlers with `Effect.callback`, against the same",
    "wait/consume 16, callback",
    "wait/for await",
    {
      target: 0.5
    }
  ),
  row("Receive 16 B", "arrays", "receive 16/arrays", "receive 16/raw", { target: 0.35 }),
  row("Receive 16 B", "each, `Effect.sync`", "receive 16/each", "receive 16/raw", { target: 0.5 }),
  row("Receive 16 B", "each, against `for await`", "receive 16/each", "receive 16/for await", { target: 0.3 }),
  row("Receive 4 KiB", "arrays", "receive 4096/arrays", "receive 4096/raw", { target: 1 }),
  row("Receive 4 KiB", "each, `Effect.sync`", "receive 4096/each", "receive 4096/raw"),
  row("Publish 128 B", "in an `Effect` loop", "publish/ours", "publish/raw", { target: 0.65 }),
  row("Publish 128 B", "batches, `Effect.forEach`", "publish/batch", "publish/raw", { target: 0.4 }),
  row("Request 128 B", "50 in flight", "request/ours", "request/raw", { target: 0.1 }),
  row("Request 128 B", "50 in flight, against `noAsyncTraces`", "request/ours", "request/raw, no traces"),
  row("Request 128 B", "1,000 in flight", "request 1000/ours", "request 1000/raw", { target: 0.1 }),
  row("Request 128 B", "one by one", "one by one/ours", "one by one/raw", { target: 1 }),
  row("Request 128 B", "one by one, p50", "one by one/ours", "one by one/raw", { ...wall, measure: "p50" }),
  row("Request 128 B", "one by one, p99", "one by one/ours", "one by one/raw", { ...wall, measure: "p99" }),
  row("JSON, 6 fields", "`SubjectSchema.decode`, against `JSON.parse`", "json/decode", "json/parse", { target: 1.5 }),
  row("JSON, 6 fields", "typed stream, each, against callback and `json()`", "json/typed stream", "json/callback"),
  row("Spans 128 B", "consume, off, against no tracer", "spans/consume, off", "spans/consume", { target: 1.05 }),
  row("Spans 128 B", "publish, off, against no tracer", "spans/publish, off", "publish/ours", { target: 1.05 }),
  row("Spans 128 B", "consume, a span each, against none", "spans/consume, on", "spans/consume", span),
  row("Spans 128 B", "publish, a span each, against none", "spans/publish, on", "publish/ours", span)
]

const real: ReadonlyArray<Row> = [
  row("Receive 128 B", "arrays", "real receive/arrays", "real receive/raw", { target: 0.4 }),
  row("Receive 128 B", "each, `Effect.sync`", "real receive/each", "real receive/raw", { target: 0.6 }),
  row("Publish 128 B", "in an `Effect` loop", "real publish/ours", "real publish/raw", { target: 0.65 }),
  row("Request 128 B", "50 in flight", "real request/ours", "real request/raw", { target: 0.15 }),
  row("Request 128 B", "one by one", "real one by one/ours", "real one by one/raw", { target: 1 }),
  row("Request 128 B", "one by one, p50", "real one by one/ours", "real one by one/raw", { ...wall, measure: "p50" }),
  row("Request 128 B", "one by one, p99", "real one by one/ours", "real one by one/raw", { ...wall, measure: "p99" })
]

export const messagingCases: Cases = {
  runs,
  sections: [{ title: "Messaging", rows: messaging }, { title: "Messaging on a real server", rows: real }]
}
