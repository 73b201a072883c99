/**
 * The work done with nats.js alone.
 */
import { connect, type ConnectionOptions, type NatsConnection } from "@nats-io/transport-node"
import { floodOf, flushEvery, Goal, inFlight, type Job, type Prepared } from "./workload.ts"

const receive = async (nc: NatsConnection, job: Job): Promise<Prepared["run"]> => {
  const goal = new Goal()
  if (job.work === "receive-iterator") {
    const subscription = nc.subscribe("data")
    void (async () => {
      for await (const message of subscription) goal.take(message.data)
    })()
  } else {
    nc.subscribe("data", {
      callback: (_error, message) => goal.take(message.data)
    })
  }
  await nc.flush()
  return async (count) => {
    for (let left = count; left > 0; left -= floodOf) {
      const some = Math.min(left, floodOf)
      const done = goal.next(some)
      nc.publish("flood", `${job.size} ${some}`)
      await done
    }
  }
}

const publish = (nc: NatsConnection, { size }: Job): Prepared["run"] => {
  const payload = new Uint8Array(size).fill(0x78)
  return async (count) => {
    for (let i = 1; i <= count; i++) {
      nc.publish("sink", payload)
      if (i % flushEvery === 0) await nc.flush()
    }
  }
}

const request = (nc: NatsConnection, { size }: Job): Prepared["run"] => {
  const payload = new Uint8Array(size).fill(0x78)
  const worker = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await nc.request("echo", payload)
  }
  return async (count) => {
    await Promise.all(Array.from({ length: inFlight }, () => worker(count / inFlight)))
  }
}

const requestOneByOne = (nc: NatsConnection, { size }: Job): Prepared["run"] => {
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

export const prepare = async (servers: string, job: Job): Promise<Prepared> => {
  if (job.work === "connect") return connectMany({ servers })
  const nc = await connect({ servers, noAsyncTraces: job.work === "request-no-traces" })
  const run = job.work.startsWith("receive")
    ? await receive(nc, job)
    : job.work === "publish"
    ? publish(nc, job)
    : job.work === "request-one-by-one"
    ? requestOneByOne(nc, job)
    : request(nc, job)
  return { run, close: () => nc.close() }
}
