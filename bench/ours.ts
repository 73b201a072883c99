/**
 * The work done with this package, as its users would write it.
 */
import { NatsClient, type NatsMessage } from "effect-nats"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { floodOf, flushEvery, Goal, inFlight, type Job, type Prepared } from "./workload.ts"

type Client = NatsClient.NatsClient

const readers: Record<
  string,
  (goal: Goal) => (messages: Stream.Stream<NatsMessage.NatsMessage, unknown>) => Effect.Effect<void, unknown>
> = {
  "receive-arrays": (goal) =>
    Stream.runForEachArray((messages) =>
      Effect.sync(() => {
        for (const message of messages) goal.take(message.data)
      })
    ),
  "receive-each": (goal) => Stream.runForEach((message) => Effect.sync(() => goal.take(message.data)))
}

const receive = Effect.fnUntraced(function*(nats: Client, job: Job) {
  const goal = new Goal()
  const subscription = yield* nats.subscription("data")
  yield* Effect.forkScoped(readers[job.work](goal)(subscription.stream))
  return Effect.fnUntraced(function*(count: number) {
    for (let left = count; left > 0; left -= floodOf) {
      const some = Math.min(left, floodOf)
      const done = goal.next(some)
      yield* nats.publish("flood", `${job.size} ${some}`)
      yield* Effect.promise(() => done)
    }
  })
})

const publish = (nats: Client, { size }: Job) => {
  const payload = new Uint8Array(size).fill(0x78)
  return Effect.fnUntraced(function*(count: number) {
    for (let i = 1; i <= count; i++) {
      yield* nats.publish("sink", payload)
      if (i % flushEvery === 0) yield* nats.flush
    }
  })
}

const request = (nats: Client, { size }: Job) => {
  const payload = new Uint8Array(size).fill(0x78)
  const worker = Effect.fnUntraced(function*(count: number) {
    for (let i = 0; i < count; i++) yield* nats.request("echo", payload)
  })
  return (count: number) =>
    Effect.forEach(Array.from({ length: inFlight }), () => worker(count / inFlight), {
      concurrency: "unbounded",
      discard: true
    })
}

const requestOneByOne = (nats: Client, { size }: Job) => {
  const payload = new Uint8Array(size).fill(0x78)
  return Effect.fnUntraced(function*(count: number) {
    const latencies: Array<number> = []
    for (let i = 0; i < count; i++) {
      const since = performance.now()
      yield* nats.request("echo", payload)
      latencies.push(performance.now() - since)
    }
    return latencies
  })
}

const connectMany = (layer: Layer.Layer<Client, unknown>): Prepared => ({
  run: (count) =>
    Effect.runPromise(Effect.gen(function*() {
      const latencies: Array<number> = []
      for (let i = 0; i < count; i++) {
        const scope = yield* Scope.make()
        const since = performance.now()
        yield* Layer.buildWithScope(layer, scope)
        latencies.push(performance.now() - since)
        yield* Scope.close(scope, Exit.void)
      }
      return latencies
    })),
  close: async () => {}
})

export const prepare = async (servers: string, job: Job): Promise<Prepared> => {
  const layer = NatsClient.layer({ servers })
  if (job.work === "connect") return connectMany(layer)
  const scope = Scope.makeUnsafe()
  const run = await Effect.runPromise(
    Effect.gen(function*() {
      const nats = Context.get(yield* Layer.build(layer), NatsClient.NatsClient)
      if (job.work.startsWith("receive")) return yield* receive(nats, job)
      if (job.work === "publish") return publish(nats, job)
      return job.work === "request-one-by-one" ? requestOneByOne(nats, job) : request(nats, job)
    }).pipe(Effect.provideService(Scope.Scope, scope))
  )
  return {
    run: (count) => Effect.runPromise<ReadonlyArray<number> | void, unknown>(run(count)),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
