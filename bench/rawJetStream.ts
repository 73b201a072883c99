/**
 * The work on JetStream done with nats.js alone.
 */
import { type Consumer, jetstream, type JetStreamClient, type JsMsg } from "@nats-io/jetstream"
import { type KV, Kvm } from "@nats-io/kv"
import { Objm } from "@nats-io/obj"
import { connect } from "@nats-io/transport-node"
import { keysWatched } from "./jetStreamCases.ts"
import { keysOf, readStream, windowOf, writeSubject } from "./jetStreamSetup.ts"
import { Goal, type Job, type Prepared } from "./workload.ts"

type Work = Prepared["run"]

/** So many at a time, one after the other in each place. */
const inPlaces = async (places: number, count: number, each: (index: number) => Promise<unknown>): Promise<void> => {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await each(next++)
  }
  await Promise.all(Array.from({ length: places }, worker))
}

const publish = (js: JetStreamClient, { inFlight = 256, size }: Job): Work => {
  const payload = new Uint8Array(size).fill(0x78)
  return (count) => inPlaces(inFlight, count, () => js.publish(writeSubject, payload))
}

const eachMessage = async (
  consumer: Consumer,
  count: number,
  isCallback: boolean,
  take: (message: JsMsg) => void
): Promise<void> => {
  let left = count
  if (isCallback) {
    await new Promise<void>((resolve) => {
      const opening = consumer.consume({
        max_messages: windowOf,
        callback: (message) => {
          if (left === 0) return
          take(message)
          left--
          if (left === 0) void opening.then((messages) => messages.close()).then(() => resolve())
        }
      })
    })
    return
  }
  const messages = await consumer.consume({ max_messages: windowOf })
  for await (const message of messages) {
    take(message)
    if (--left === 0) break
  }
  await messages.close()
}

const consume = async (js: JetStreamClient, isCallback: boolean): Promise<Work> => {
  const manager = await js.jetstreamManager()
  const goal = new Goal()
  return async (count) => {
    const { name } = await manager.consumers.add(readStream, { ack_policy: "explicit", mem_storage: true })
    const consumer = await js.consumers.get(readStream, name)
    await eachMessage(consumer, count, isCallback, (message) => {
      goal.take(message.data)
      message.ack()
    })
    await manager.consumers.delete(readStream, name)
  }
}

const ordered = (js: JetStreamClient, isCallback: boolean): Work => {
  const goal = new Goal()
  return async (count) => {
    const consumer = await js.consumers.get(readStream)
    await eachMessage(consumer, count, isCallback, (message) => goal.take(message.data))
    await consumer.delete()
  }
}

const put = (kv: KV, { inFlight = 50, size }: Job): Work => {
  const payload = new Uint8Array(size).fill(0x78)
  return (count) => inPlaces(inFlight, count, (index) => kv.put(keysOf(index), payload))
}

const get = (kv: KV, { inFlight = 50 }: Job): Work => (count) =>
  inPlaces(inFlight, count, (index) => kv.get(keysOf(index)))

const watch = (kv: KV): Work => {
  const goal = new Goal()
  return async (count) => {
    for (let left = count; left > 0; left -= keysWatched) {
      const entries = await kv.watch()
      for await (const entry of entries) {
        goal.take(entry.value)
        if (entry.delta === 0) break
      }
      entries.stop()
    }
  }
}

const putObject = async (js: JetStreamClient, { size }: Job): Promise<Work> => {
  const store = await new Objm(js).open("BENCH")
  const part = new Uint8Array(128 * 1024).fill(0x78)
  return async (count) => {
    for (let i = 0; i < count; i++) {
      let left = size
      const stream = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (left <= 0) return controller.close()
          controller.enqueue(part)
          left -= part.length
        }
      })
      await store.put({ name: `put-raw`, options: { max_chunk_size: part.length } }, stream)
    }
  }
}

const getObject = async (js: JetStreamClient): Promise<Work> => {
  const store = await new Objm(js).open("BENCH")
  return async (count) => {
    for (let i = 0; i < count; i++) {
      const object = await store.get("get")
      if (object === null) throw new Error("no object")
      const reader = object.data.getReader()
      for (;;) {
        const { done } = await reader.read()
        if (done) break
      }
      await object.error
    }
  }
}

const works: Record<string, (js: JetStreamClient, job: Job) => Work | Promise<Work>> = {
  "js-publish": publish,
  "js-consume": (js) => consume(js, false),
  "js-consume-callback": (js) => consume(js, true),
  "hold-js-consume": (js) => consume(js, true),
  "js-ordered": (js) => ordered(js, false),
  "js-ordered-callback": (js) => ordered(js, true),
  "js-kv-put": async (js, job) => put(await new Kvm(js).open("BENCH"), job),
  "js-kv-get": async (js, job) => get(await new Kvm(js).open("BENCH"), job),
  "js-kv-watch": async (js) => watch(await new Kvm(js).open("KEYS")),
  "js-object-put": putObject,
  "js-object-get": getObject
}

export const prepare = async (servers: string, job: Job): Promise<Prepared> => {
  const [work, traces] = job.work.split(", ")
  const nc = await connect({ servers, noAsyncTraces: traces === "no traces" })
  const run = await works[work](jetstream(nc), job)
  return { run, close: () => nc.close() }
}
