/**
 * The work done with nats.js alone.
 */
import {
  connect,
  type ConnectionOptions,
  type Msg,
  type NatsConnection,
  type Subscription
} from "@nats-io/transport-node"
import { callsOf, type Order, quoteOf } from "./quotes.ts"
import { floodOf, flushEvery, Goal, type Job, type Prepared, shortWait } from "./workload.ts"

type Work = Prepared["run"]

const readEach = async (goal: Goal, subscription: Subscription): Promise<void> => {
  for await (const message of subscription) goal.take(message.data)
}

const readWaiting = async (goal: Goal, subscription: Subscription): Promise<void> => {
  for await (const message of subscription) {
    await shortWait()
    goal.take(message.data)
  }
}

const callbacks: Record<string, (goal: Goal) => (message: Msg) => void> = {
  "receive-callback": (goal) => (message) => goal.take(message.data),
  "hold-nothing": (goal) => (message) => goal.take(message.data),
  "receive-json": (goal) => (message) => {
    if (message.json<Order>().quantity > 0) goal.take(message.data)
  }
}

const receive = async (nc: NatsConnection, job: Job): Promise<Work> => {
  const goal = new Goal()
  if (job.work in callbacks) {
    const take = callbacks[job.work](goal)
    nc.subscribe("data", { callback: (_error, message) => take(message) })
  } else {
    void (job.work === "receive-wait" ? readWaiting : readEach)(goal, nc.subscribe("data"))
  }
  await nc.flush()
  return async (count) => {
    for (let left = count; left > 0; left -= floodOf) {
      const some = Math.min(left, floodOf)
      const done = goal.next(some)
      nc.publish("flood", `${job.work === "receive-json" ? "order" : job.size} ${some}`)
      await done
    }
  }
}

/** One message, parsed again and again. */
const parse = async (nc: NatsConnection): Promise<Work> => {
  const message = await new Promise<Msg>((resolve) => {
    nc.subscribe("data", { max: 1, callback: (_error, message) => resolve(message) })
    nc.publish("flood", "order 1")
  })
  const decoder = new TextDecoder()
  return async (count) => {
    let quantity = 0
    for (let i = 0; i < count; i++) quantity += (JSON.parse(decoder.decode(message.data)) as Order).quantity
  }
}

const publish = async (nc: NatsConnection, { size }: Job): Promise<Work> => {
  const payload = new Uint8Array(size).fill(0x78)
  return async (count) => {
    for (let i = 1; i <= count; i++) {
      nc.publish("sink", payload)
      if (i % flushEvery === 0) await nc.flush()
    }
  }
}

const request = async (nc: NatsConnection, { inFlight = 50, size }: Job): Promise<Work> => {
  const payload = new Uint8Array(size).fill(0x78)
  const worker = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await nc.request("echo", payload)
  }
  return async (count) => {
    await Promise.all(Array.from({ length: inFlight }, () => worker(count / inFlight)))
  }
}

const requestOneByOne = async (nc: NatsConnection, { size }: Job): Promise<Work> => {
  const payload = new Uint8Array(size).fill(0x78)
  return async (count) => {
    const latencies: Array<number> = []
    for (let i = 0; i < count; i++) {
      const since = performance.now()
      await nc.request("echo", payload)
      latencies.push(performance.now() - since)
    }
    return latencies
  }
}

/** Messages that nobody reads. */
const holdUnread = async (nc: NatsConnection, { size }: Job): Promise<Work> => {
  const subscription = nc.subscribe("data")
  await nc.flush()
  return async (count) => {
    const goal = nc.stats().inMsgs + count
    nc.publish("flood", `${size} ${count}`)
    while (nc.stats().inMsgs < goal) await new Promise((resolve) => setTimeout(resolve, 1))
    // Kept until here, as by a reader that is slow.
    return subscription.isClosed() ? [] : undefined
  }
}

const holdIdle = async (nc: NatsConnection, { work }: Job): Promise<Work> => {
  let opened = 0
  return async (count) => {
    for (let i = 0; i < count; i++) {
      const subscription = nc.subscribe(`idle.${opened++}`)
      if (work === "hold-idle-read") void readEach(new Goal(), subscription)
    }
    await nc.flush()
  }
}

/** A responder that the load generator calls. */
const service = async (nc: NatsConnection, { inFlight = 50 }: Job): Promise<Work> => {
  nc.subscribe("quotes.price", {
    queue: "q",
    callback: (_error, message) => {
      message.respond(JSON.stringify(quoteOf(message.json<Order>())))
    }
  })
  await nc.flush()
  return async (count) => {
    const answer = await nc.request("calls", JSON.stringify(callsOf("quotes.price", inFlight, count)), {
      timeout: 60_000
    })
    return answer.json<ReadonlyArray<number>>()
  }
}

const connectMany = (options: ConnectionOptions): Prepared => ({
  async run(count) {
    const latencies: Array<number> = []
    for (let i = 0; i < count; i++) {
      const since = performance.now()
      const nc = await connect(options)
      latencies.push(performance.now() - since)
      await nc.close()
    }
    return latencies
  },
  close: async () => {}
})

const works: Record<string, (nc: NatsConnection, job: Job) => Promise<Work>> = {
  "hold-nothing": receive,
  "hold-unread": holdUnread,
  "hold-idle": holdIdle,
  "hold-idle-read": holdIdle,
  parse,
  publish,
  request,
  "request-no-traces": request,
  "request-one-by-one": requestOneByOne,
  service
}

export const prepare = async (servers: string, job: Job): Promise<Prepared> => {
  if (job.work === "connect") return connectMany({ servers })
  const nc = await connect({ servers, noAsyncTraces: job.work === "request-no-traces" })
  const run = await (works[job.work] ?? receive)(nc, job)
  return { run, close: () => nc.close() }
}
