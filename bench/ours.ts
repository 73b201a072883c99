/**
 * The work done with this package, as its users would write it.
 */
import { NatsClient, type NatsMessage, NatsTracing, SubjectSchema } from "effect-nats"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { floodOf, flushEvery, Goal, type Job, type Prepared, shortWait } from "./workload.ts"

type Client = NatsClient.NatsClient
type Work = (count: number) => Effect.Effect<ReadonlyArray<number> | void, unknown>
type Message = NatsMessage.NatsMessage

const OrderSchema = Schema.Struct({
  id: Schema.String,
  customer: Schema.String,
  sku: Schema.String,
  quantity: Schema.Number,
  price: Schema.Number,
  express: Schema.Boolean
})

const Orders = SubjectSchema.make("data", OrderSchema)

/** Reads a flood. Each handler looks at the payload's length. */
type Reader = (goal: Goal) => (messages: Stream.Stream<Message, unknown>) => Effect.Effect<void, unknown>

const eachOf = (goal: Goal) => (message: Message) => Effect.sync(() => goal.take(message.data))

const waitingOf = (goal: Goal) => (message: Message) =>
  Effect.map(Effect.promise(shortWait), () => goal.take(message.data))

const waitingForCallbackOf = (goal: Goal) => (message: Message) =>
  Effect.callback<void>((resume) =>
    queueMicrotask(() => {
      goal.take(message.data)
      resume(Exit.void)
    })
  )

const readers: Record<string, Reader> = {
  "receive-arrays": (goal) =>
    Stream.runForEachArray((messages) =>
      Effect.sync(() => {
        for (const message of messages) goal.take(message.data)
      })
    ),
  "receive-each": (goal) => Stream.runForEach(eachOf(goal)),
  "receive-wait": (goal) => Stream.runForEach(waitingOf(goal)),
  "receive-wait-callback": (goal) => Stream.runForEach(waitingForCallbackOf(goal)),
  "receive-map-filter": (goal) => (messages) =>
    messages.pipe(
      Stream.map((message) => message.data),
      Stream.filter((data) => data.length > 0),
      Stream.runForEach((data) => Effect.sync(() => goal.take(data)))
    )
}

const flood = (nats: Client, goal: Goal, size: number | "order"): Work =>
  Effect.fnUntraced(function*(count: number) {
    for (let left = count; left > 0; left -= floodOf) {
      const some = Math.min(left, floodOf)
      const done = goal.next(some)
      yield* nats.publish("flood", `${size} ${some}`)
      yield* Effect.promise(() => done)
    }
  })

const receive = Effect.fnUntraced(function*(nats: Client, job: Job) {
  const goal = new Goal()
  const subscription = yield* nats.subscription("data")
  yield* Effect.forkScoped(readers[job.work](goal)(subscription.stream))
  return flood(nats, goal, job.size)
})

const consume = (handlerOf: (goal: Goal) => (message: Message) => Effect.Effect<void>, concurrency: number) =>
  Effect.fnUntraced(function*(nats: Client, job: Job) {
    const goal = new Goal()
    yield* Effect.forkScoped(nats.consume("data", handlerOf(goal), { concurrency }))
    // What is sent before the subscription is there would be missed.
    yield* nats.flush
    return flood(nats, goal, job.size)
  })

const receiveTyped = Effect.fnUntraced(function*(nats: Client) {
  const goal = new Goal()
  const orders = yield* Orders.subscription().pipe(Effect.provideService(NatsClient.NatsClient, nats))
  yield* Effect.forkScoped(Stream.runForEach(orders.stream, ({ message, value }) =>
    Effect.sync(() => {
      if (value.quantity > 0) goal.take(message.data)
    })))
  return flood(nats, goal, "order")
})

/** One message, decoded again and again. */
const decode = Effect.fnUntraced(function*(nats: Client) {
  const subscription = yield* nats.subscription("data")
  yield* nats.publish("flood", "order 1")
  const [message] = yield* Stream.runCollect(Stream.take(subscription.stream, 1))
  return (count: number) => {
    let quantity = 0
    let i = 0
    return Effect.whileLoop({
      while: () => i++ < count,
      body: () => Orders.decode(message),
      step: (value) => {
        quantity += value.quantity
      }
    })
  }
})

const publish = (nats: Client, { size }: Job): Effect.Effect<Work> => {
  const payload = new Uint8Array(size).fill(0x78)
  return Effect.succeed(Effect.fnUntraced(function*(count: number) {
    for (let i = 1; i <= count; i++) {
      yield* nats.publish("sink", payload)
      if (i % flushEvery === 0) yield* nats.flush
    }
  }))
}

const publishBatch = (nats: Client, { size }: Job): Effect.Effect<Work> => {
  const payloads = Array.from({ length: flushEvery }, () => new Uint8Array(size).fill(0x78))
  return Effect.succeed(Effect.fnUntraced(function*(count: number) {
    for (let left = count; left > 0; left -= payloads.length) {
      yield* Effect.forEach(payloads.slice(0, left), (payload) => nats.publish("sink", payload), { discard: true })
      yield* nats.flush
    }
  }))
}

const publishAll = (nats: Client, { size, ...job }: Job): Effect.Effect<Work> => {
  const message = { subject: "sink", payload: new Uint8Array(size).fill(0x78) }
  // Made beforehand: what is measured is what becomes of them.
  const messages = Array.from({ length: Math.max(job.warm, job.count) }, () => message)
  return Effect.succeed((count) =>
    Effect.andThen(nats.publishAll(Stream.fromIterable(messages.slice(0, count))), nats.flush)
  )
}

const request = (nats: Client, { inFlight = 50, size }: Job): Effect.Effect<Work> => {
  const payload = new Uint8Array(size).fill(0x78)
  const worker = Effect.fnUntraced(function*(count: number) {
    for (let i = 0; i < count; i++) yield* nats.request("echo", payload)
  })
  return Effect.succeed((count) =>
    Effect.forEach(Array.from({ length: inFlight }), () => worker(count / inFlight), {
      concurrency: "unbounded",
      discard: true
    })
  )
}

const requestOneByOne = (nats: Client, { size }: Job): Effect.Effect<Work> => {
  const payload = new Uint8Array(size).fill(0x78)
  return Effect.succeed(Effect.fnUntraced(function*(count: number) {
    const latencies: Array<number> = []
    for (let i = 0; i < count; i++) {
      const since = performance.now()
      yield* nats.request("echo", payload)
      latencies.push(performance.now() - since)
    }
    return latencies
  }))
}

/** Messages that nobody reads. What the buffer does not take is dropped. */
const holdUnread = Effect.fnUntraced(function*(nats: Client, job: Job) {
  const { dropped, stream } = yield* nats.subscription("data", { overflow: "dropNewest" })
  const taken = Effect.map(nats.stats, ({ messagesIn }) => messagesIn)
  return Effect.fnUntraced(function*(count: number) {
    const goal = (yield* taken) + count
    yield* nats.publish("flood", `${job.size} ${count}`)
    while ((yield* taken) < goal) yield* Effect.sleep(1)
    // Kept until here, as by a reader that is slow.
    return Object.keys({ dropped, stream }).length > 0 ? undefined : []
  })
})

const holdIdle = (nats: Client, { work }: Job): Effect.Effect<Work, never, Scope.Scope> => {
  let opened = 0
  return Effect.map(Effect.scope, (scope) => (count) =>
    Effect.forEach(Array.from({ length: count }), () => {
      const subject = `idle.${opened++}`
      const open: Effect.Effect<unknown, unknown, Scope.Scope> = work === "hold-idle-read"
        ? Effect.flatMap(nats.subscription(subject), ({ stream }) =>
          Effect.forkScoped(Stream.runForEach(stream, () => Effect.void)))
        : nats.subscription(subject)
      return Scope.provide(open, scope)
    }, { concurrency: 1_000, discard: true }))
}

const works: Record<string, (nats: Client, job: Job) => Effect.Effect<Work, unknown, Scope.Scope>> = {
  ...Object.fromEntries(Object.keys(readers).map((work) => [work, receive])),
  "receive-typed": receiveTyped,
  "hold-nothing": (nats, job) => receive(nats, { ...job, work: "receive-each" }),
  "hold-unread": holdUnread,
  "hold-idle": holdIdle,
  "hold-idle-read": holdIdle,
  "consume": consume(eachOf, 1),
  "consume-wait-16": consume(waitingOf, 16),
  "consume-wait-callback-16": consume(waitingForCallbackOf, 16),
  decode,
  publish,
  "publish-batch": publishBatch,
  "publish-all": publishAll,
  request,
  "request-one-by-one": requestOneByOne
}

/** Spans as a tracer gets them that keeps none. */
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

// `<work>, traced`: with a tracer. `<work>, untraced`: with a tracer, and a client that makes no spans.
const tracingOf = (word: string | undefined) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  word === undefined ? effect : effect.pipe(
    Effect.provideService(Tracer.Tracer, tracer),
    Effect.provideService(NatsTracing.Enabled, word === "traced")
  )

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
  const [work, tracing] = job.work.split(", ")
  const observed = tracingOf(tracing)
  const scope = Scope.makeUnsafe()
  const run = await Effect.runPromise(
    Effect.gen(function*() {
      const nats = Context.get(yield* Layer.build(layer), NatsClient.NatsClient)
      return yield* works[work](nats, { ...job, work })
    }).pipe(observed, Scope.provide(scope))
  )
  return {
    run: (count) => Effect.runPromise(observed(run(count))),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
