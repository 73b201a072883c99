/**
 * nats.js under the driver of faults.
 */
import { type ConsumerMessages, jetstream, JetStreamApiError, type JsMsg } from "@nats-io/jetstream"
import { type KV, Kvm, KvWatchInclude } from "@nats-io/kv"
import { connect, type NatsConnection, NoRespondersError, RequestError } from "@nats-io/transport-node"
import type { Outcome } from "../test/fixtures/history.ts"
import {
  type Bucket,
  type Entry,
  heartbeat,
  type Peer,
  publishTimeout,
  type Reader,
  reconnectDelays,
  type System,
  window
} from "./faultSystems.ts"

const wordsOf = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 120) : String(error)

const failureOf = (error: unknown): Outcome => {
  if (error instanceof JetStreamApiError) return { _tag: "refused", reason: `err_code ${error.code}` }
  const isUnheard = error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders()) ||
    (error instanceof Error && error.name === "JetStreamNotEnabled")
  return { _tag: isUnheard ? "refused" : "unknown", reason: wordsOf(error) }
}

const keep = <A>(messages: AsyncIterable<A> & { readonly stop: () => void }, each: (value: A) => void): Reader => {
  let ended: string | undefined
  let isStopped = false
  const reading = (async () => {
    try {
      for await (const value of messages) each(value)
      ended = "it ended"
    } catch (error) {
      ended = wordsOf(error)
    }
  })()
  return {
    ended: () => isStopped ? undefined : ended,
    async stop() {
      isStopped = true
      messages.stop()
      await Promise.race([reading, new Promise((resolve) => setTimeout(resolve, 1_000))])
    }
  }
}

const readerOf = (messages: ConsumerMessages, each: (message: JsMsg) => void): Reader => keep(messages, each)

const bucketOf = (kv: KV): Bucket => ({
  async get(key) {
    try {
      // By its last revision: not from whoever answers first.
      const entry = await kv.get(key)
      return entry === null || entry.operation !== "PUT" ? "none" : toEntry(entry)
    } catch {
      return "failed"
    }
  },
  async compareAndSet(key, value, revision) {
    try {
      const written = revision === 0 ? await kv.create(key, value) : await kv.update(key, value, revision)
      return { _tag: "stored", revision: written }
    } catch (error) {
      const failure = failureOf(error)
      if (failure._tag === "unknown") return { _tag: "unknown", reason: failure.reason }
      return failure._tag === "refused" && failure.reason === "err_code 10071"
        ? { _tag: "conflict" }
        : { _tag: "neverWritten", reason: wordsOf(error) }
    }
  },
  async put(key, value) {
    try {
      return { _tag: "stored", sequence: await kv.put(key, value) }
    } catch (error) {
      return failureOf(error)
    }
  },
  async watch(take) {
    const entries = await kv.watch({ include: KvWatchInclude.AllHistory })
    return keep(entries, (entry) => take(toEntry(entry)))
  }
})

const toEntry = (entry: { readonly key: string; readonly revision: number; string(): string }): Entry => ({
  key: entry.key,
  value: entry.string(),
  revision: entry.revision
})

const peerOf = (nc: NatsConnection): Peer => {
  const js = jetstream(nc, { timeout: publishTimeout })
  return {
    server: () => Promise.resolve(nc.isClosed() ? undefined : `nats://${nc.getServer()}`),
    async publish(subject, id, deduplicated) {
      try {
        const { duplicate, seq } = await js.publish(subject, id, {
          timeout: publishTimeout,
          ...(deduplicated ? { msgID: id } : {})
        })
        return { _tag: duplicate ? "duplicate" : "stored", sequence: seq }
      } catch (error) {
        return failureOf(error)
      }
    },
    async readDurable(stream, consumer, take) {
      const durable = await js.consumers.get(stream, consumer)
      const messages = await durable.consume({ max_messages: window, idle_heartbeat: heartbeat })
      return readerOf(messages, (message) => {
        take({ sequence: message.seq, id: message.string() })
        message.ack()
      })
    },
    async readOrdered(stream, take) {
      const ordered = await js.consumers.get(stream)
      const messages = await ordered.consume({ max_messages: window, idle_heartbeat: heartbeat })
      return readerOf(messages, (message) => take({ sequence: message.seq, id: message.string() }))
    },
    async bucket(name) {
      return bucketOf(await new Kvm(js).open(name))
    },
    async close() {
      await Promise.race([nc.close(), new Promise((resolve) => setTimeout(resolve, 2_000))])
    }
  }
}

export const raw: System = {
  name: "raw",
  open: async (servers) =>
    peerOf(
      await connect({
        servers: [...servers],
        ignoreClusterUpdates: true,
        maxReconnectAttempts: -1,
        reconnectTimeWait: reconnectDelays.initial,
        reconnectJitter: reconnectDelays.max - reconnectDelays.initial,
        pingInterval: 1_000,
        maxPingOut: 2,
        timeout: 2_000
      })
    )
}
