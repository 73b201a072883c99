/**
 * JetStream, key-value and objects on a real server, and publishing many messages at once without JetStream.
 */
import { type Cases, job, type Row, row, type Run, type Runs } from "./cases.ts"

const onJetStream = (
  client: "ours" | "raw",
  work: string,
  size: number,
  warm: number,
  count: number,
  inFlight?: number
): Run => ({ server: "jetstream", job: job(client, work, size, warm, count, inFlight) })

/** Objects take long, and vary little. */
const rarely = (run: Run): Run => ({ ...run, rounds: 5 })

const objectSize = 50 * 1024 * 1024

/** How many keys `KEYS` has: the work of a watch is counted by the key. */
export const keysWatched = 10_000

/** How many messages the streams that are read hold. */
export const messagesRead = 1_000_000

const runs: Runs = {
  "js publish/all": onJetStream("ours", "js-publish-all", 128, 40_000, 120_000, 256),
  "js publish/each": onJetStream("ours", "js-publish-each", 128, 40_000, 80_000, 256),
  "js publish/raw": onJetStream("raw", "js-publish", 128, 20_000, 40_000, 256),
  "js publish/raw, no traces": onJetStream("raw", "js-publish, no traces", 128, 20_000, 40_000, 256),
  "js consume/messages": onJetStream("ours", "js-consume-each", 128, 50_000, 200_000),
  "js consume/process": onJetStream("ours", "js-process", 128, 50_000, 200_000),
  "js consume/for await": onJetStream("raw", "js-consume", 128, 50_000, 150_000),
  "js consume/callback": onJetStream("raw", "js-consume-callback", 128, 50_000, 150_000),
  "js ordered/ours": onJetStream("ours", "js-ordered", 128, 100_000, 400_000),
  "js ordered/for await": onJetStream("raw", "js-ordered", 128, 100_000, 300_000),
  "js ordered/callback": onJetStream("raw", "js-ordered-callback", 128, 100_000, 300_000),
  "kv put/ours": onJetStream("ours", "js-kv-put", 128, 10_000, 40_000, 50),
  "kv put/raw": onJetStream("raw", "js-kv-put", 128, 10_000, 30_000, 50),
  "kv put/raw, no traces": onJetStream("raw", "js-kv-put, no traces", 128, 10_000, 30_000, 50),
  "kv get/ours": onJetStream("ours", "js-kv-get", 128, 10_000, 40_000, 50),
  "kv get/raw": onJetStream("raw", "js-kv-get", 128, 10_000, 30_000, 50),
  "kv get/raw, no traces": onJetStream("raw", "js-kv-get, no traces", 128, 10_000, 30_000, 50),
  "kv watch/ours": onJetStream("ours", "js-kv-watch", 128, 5 * keysWatched, 10 * keysWatched),
  "kv watch/raw": onJetStream("raw", "js-kv-watch", 128, 5 * keysWatched, 10 * keysWatched),
  "object put/ours": rarely(onJetStream("ours", "js-object-put", objectSize, 1, 3)),
  "object put/raw": rarely(onJetStream("raw", "js-object-put", objectSize, 1, 3)),
  "object get/ours": rarely(onJetStream("ours", "js-object-get", objectSize, 1, 3)),
  "object get/raw": rarely(onJetStream("raw", "js-object-get", objectSize, 1, 3)),
  "js flow/ours": { ...onJetStream("ours", "hold-js-consume", 128, 100_000, 1_000_000), rounds: 3 },
  "js flow/raw": { ...onJetStream("raw", "hold-js-consume", 128, 100_000, 1_000_000), rounds: 3 },
  "core publish/all": { server: "scripted", job: job("ours", "publish-all", 128, 100_000, 400_000) },
  "core publish/loop": { server: "scripted", job: job("raw", "publish", 128, 100_000, 400_000) }
}

const inMillis: Partial<Row> = { unit: "ms", target: 0.3 }

const rows: ReadonlyArray<Row> = [
  row("Publish 128 B, 256 in flight", "`publishAll`", "js publish/all", "js publish/raw", { target: 0.12 }),
  row("Publish 128 B, 256 in flight", "against `noAsyncTraces`", "js publish/all", "js publish/raw, no traces", {
    target: 0.25
  }),
  row("Publish 128 B, 256 in flight", "an `Effect` each", "js publish/each", "js publish/raw", { target: 0.3 }),
  row(
    "Publish 128 B, 256 in flight",
    "an `Effect` each, against `noAsyncTraces`",
    "js publish/each",
    "js publish/raw, no traces"
  ),
  row("Consume and ack 128 B", "`messages`, against `for await`", "js consume/messages", "js consume/for await", {
    target: 0.25
  }),
  row("Consume and ack 128 B", "against a callback", "js consume/messages", "js consume/callback", { target: 0.5 }),
  row("Consume and ack 128 B", "`process`, against `for await`", "js consume/process", "js consume/for await", {
    target: 0.25
  }),
  row("Consume and ack 128 B", "`process`, against a callback", "js consume/process", "js consume/callback", {
    target: 0.5
  }),
  row("Ordered 128 B", "against `for await`", "js ordered/ours", "js ordered/for await", { target: 0.4 }),
  row("Ordered 128 B", "against a callback", "js ordered/ours", "js ordered/callback"),
  row("Key-value, 50 in flight", "put", "kv put/ours", "kv put/raw", { target: 0.3 }),
  row("Key-value, 50 in flight", "put, against `noAsyncTraces`", "kv put/ours", "kv put/raw, no traces"),
  row("Key-value, 50 in flight", "get", "kv get/ours", "kv get/raw", { target: 0.4 }),
  row("Key-value, 50 in flight", "get, against `noAsyncTraces`", "kv get/ours", "kv get/raw, no traces"),
  row("Key-value", "watch of 10,000 keys, a key", "kv watch/ours", "kv watch/raw", { target: 0.7 }),
  row("Object of 50 MiB", "put", "object put/ours", "object put/raw", inMillis),
  row("Object of 50 MiB", "get", "object get/ours", "object get/raw", inMillis),
  row("Flow", "1,000,000 messages of 128 B, acked", "js flow/ours", "js flow/raw", {
    measure: "held",
    unit: "MB",
    by: "itself",
    target: 1
  }),
  row("Core publish 128 B", "`publishAll`, against `publish` in a loop", "core publish/all", "core publish/loop", {
    target: 0.3
  })
]

export const jetStreamCases: Cases = { runs, sections: [{ title: "JetStream", rows }] }
