/**
 * The streams, buckets and objects that the measured processes find. Made by the runner, with nats.js.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import { Objm } from "@nats-io/obj"
import { connect } from "@nats-io/transport-node"
import { keysWatched, messagesRead } from "./jetStreamCases.ts"
import { flushEvery } from "./workload.ts"

/** What is published goes here; the stream keeps the last ones only. */
export const writeSubject = "bench.write"

/** Holds what is read. */
export const readStream = "READ"

/** How many messages a reader has asked for. */
export const windowOf = 500

const keysWritten = 1_000

/** The key that is put or got in the n-th place. */
export const keysOf = (index: number): string => `key.${index % keysWritten}`

const size = 128
const objectSize = 50 * 1024 * 1024

/** Makes all of it on a server that has nothing yet. */
export const setUp = async (servers: string): Promise<void> => {
  const nc = await connect({ servers })
  const js = jetstream(nc)
  const manager = await jetstreamManager(nc)
  const payload = new Uint8Array(size).fill(0x78)
  await manager.streams.add({ name: "WRITE", subjects: [writeSubject], storage: "memory", max_msgs: 10_000 })
  await manager.streams.add({ name: readStream, subjects: ["bench.read"], storage: "memory" })
  const fill = async (subjectOf: (index: number) => string, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      nc.publish(subjectOf(i), payload)
      if (i % flushEvery === 0) await nc.flush()
    }
    await nc.flush()
  }
  await fill(() => "bench.read", messagesRead + 1)
  const buckets = new Kvm(js)
  await buckets.create("BENCH", { storage: "memory" })
  await fill((index) => `$KV.BENCH.${keysOf(index)}`, keysWritten)
  await buckets.create("KEYS", { storage: "memory" })
  await fill((index) => `$KV.KEYS.key.${index}`, keysWatched)
  const store = await new Objm(js).create("BENCH", { storage: "memory" })
  await store.putBlob({ name: "get", options: { max_chunk_size: 128 * 1024 } }, new Uint8Array(objectSize).fill(0x78))
  await nc.close()
}
