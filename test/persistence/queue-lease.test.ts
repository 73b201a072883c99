/** Leases of queues: who has an element keeps it, who has lost it settles nothing, and a take that waits outlives all. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Logger, Metric, Schema } from "effect"
import { NatsMetrics } from "effect-nats"
import { JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { startWorker } from "../../bench/persistence/queueProcesses.ts"
import { until } from "../fixtures/following.ts"
import { on } from "../fixtures/keyValue.ts"
import { anotherStore, untilKinds, withQueues } from "../fixtures/queues.ts"

const jobs = { name: "jobs", schema: Schema.String }

/** Waits until somebody waits for an element. */
const asksFor = (js: Parameters<typeof on>[0]) =>
  until(
    Effect.map(
      on(js, JetStreamConsumer.info({ stream: "QUEUE_effectq", consumer: "jobs" })),
      ({ waiting }) => waiting > 0
    ).pipe(Effect.orElseSucceed(() => false))
  )

/** What the record of what is done says. */
const done = (js: Parameters<typeof on>[0], id: string) =>
  Effect.map(
    on(js, JetStreamStream.get("QUEUE_effectq", { last: `effectq.d.jobs.${id}` })),
    ({ text }) => JSON.parse(text) as { readonly attempts: number }
  )

describe.concurrent("a lease", () => {
  it.live("is renewed for five times its length, so that nobody else has the element", () =>
    Effect.gen(function*() {
      const lockExpiration = "2 seconds"
      const one = yield* withQueues({ lockExpiration })
      const other = yield* anotherStore(one.server, { lockExpiration })
      const queue = yield* one.queues.make(jobs)
      yield* queue.offer("a", { id: "a" })
      let starts = 0
      const begun = yield* Deferred.make<void>()
      const handler = (_: string, { attempts }: { readonly attempts: number }) =>
        Effect.gen(function*() {
          starts++
          yield* Deferred.succeed(begun, undefined)
          yield* Effect.sleep("10 seconds")
          return attempts
        })
      const working = yield* Effect.forkChild(queue.take(handler))
      yield* Deferred.await(begun)
      const waiting = yield* Effect.forkChild((yield* other.queues.make(jobs)).take(handler))
      assert.strictEqual(yield* Fiber.join(working), 1)
      assert.strictEqual(starts, 1)
      yield* untilKinds(one.nats, { d: 1 })
      yield* Fiber.interrupt(waiting)
    }))

  it.live("that another has by now is counted when its element is settled all the same", () =>
    Effect.gen(function*() {
      const late = Metric.value(Metric.withAttributes(NatsMetrics.lateResults, { store: "queue" }))
      const { js, nats, queues } = yield* withQueues()
      const queue = yield* queues.make(jobs)
      assert.strictEqual((yield* late).count, 0)
      for (const id of ["a", "b"]) yield* queue.offer(id, { id })
      yield* queue.take(() => js.publish("effectq.c.jobs.a", JSON.stringify({ attempts: 2, held: true })))
      yield* queue.take(() => Effect.void)
      assert.strictEqual((yield* late).count, 1)
      yield* untilKinds(nats, { c: 1, d: 1, q: 1 })
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.live(
    "of a process that is stopped is another's, and what the process settles late is refused and logged",
    () =>
      Effect.gen(function*() {
        const { js, nats, queues, server } = yield* withQueues({ lockExpiration: "2 seconds" })
        const queue = yield* queues.make(jobs)
        yield* queue.offer("a", { id: "a" })
        const worker = yield* startWorker(server.url, {
          queue: "jobs",
          lockMillis: 2_000,
          concurrency: 1,
          workMillis: 10
        })
        yield* worker.until(({ type }) => type === "start")
        worker.signal("SIGSTOP")
        // It comes again by its lease alone; three of them, and the one that was stopped goes on.
        const attempts = yield* queue.take((_, metadata) =>
          Effect.gen(function*() {
            yield* Effect.sleep("4 seconds")
            worker.signal("SIGCONT")
            yield* worker.until((event) => event.type === "log" && event.message.includes("too late"))
            yield* untilKinds(nats, { c: 1, q: 1 })
            return metadata.attempts
          })
        )
        assert.strictEqual(attempts, 2)
        yield* untilKinds(nats, { d: 1 })
        assert.strictEqual((yield* done(js, "a")).attempts, 2)
      }),
    120_000
  )

  it.live(
    "of a handler that computes for three leases without a turn for its renewal is another's, and one of both settles",
    () =>
      Effect.gen(function*() {
        const { js, nats, queues, server } = yield* withQueues({ lockExpiration: "2 seconds" })
        const queue = yield* queues.make(jobs)
        yield* queue.offer("a", { id: "a" })
        const worker = yield* startWorker(server.url, {
          queue: "jobs",
          lockMillis: 2_000,
          concurrency: 1,
          workMillis: 0,
          blockMillis: 6_000
        })
        yield* worker.until(({ type }) => type === "start")
        assert.strictEqual(yield* queue.take((_, { attempts }) => Effect.succeed(attempts)), 2)
        yield* worker.until((event) => event.type === "log" && event.message.includes("too late"))
        yield* untilKinds(nats, { d: 1 })
        assert.strictEqual((yield* done(js, "a")).attempts, 2)
      }),
    120_000
  )

  it.live(
    "of a process that is killed each time counts an attempt, and the last one makes a dead letter; what is behind it is done",
    () =>
      Effect.gen(function*() {
        const { js, nats, queues, server } = yield* withQueues({ lockExpiration: "1500 millis" })
        const queue = yield* queues.make({ ...jobs, maxAttempts: 3 })
        for (const id of ["bad", "b", "c"]) yield* queue.offer(id, { id })
        const options = {
          queue: "jobs",
          lockMillis: 1_500,
          maxAttempts: 3,
          concurrency: 1,
          workMillis: 0,
          crashes: ["bad"]
        }
        let starts = 0
        while (starts < 3) {
          const worker = yield* startWorker(server.url, options)
          yield* worker.ended
          starts += worker.events.filter((event) => event.type === "start" && event.id === "bad").length
        }
        const last = yield* startWorker(server.url, options)
        yield* untilKinds(nats, { d: 2, f: 1 })
        assert.isFalse(last.hasEnded)
        assert.isFalse(last.events.some((event) => event.type === "start" && event.id === "bad"))
        const letter = yield* on(js, JetStreamStream.get("QUEUE_effectq", { last: "effectq.f.jobs.bad" }))
        assert.include(JSON.parse(letter.text), { id: "bad", attempts: 3, element: "bad" })
      }),
    120_000
  )

  it.live("of a queue that has another one already is that one, and a warning says so", () =>
    Effect.gen(function*() {
      const { queues, server } = yield* withQueues({ lockExpiration: "5 minutes" })
      const queue = yield* queues.make(jobs)
      yield* queue.offer("a", { id: "a" })
      yield* queue.take(Effect.succeed)
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
      yield* Effect.gen(function*() {
        const other = yield* anotherStore(server, { lockExpiration: "1 minute" })
        yield* queue.offer("b", { id: "b" })
        yield* (yield* other.queues.make(jobs)).take(Effect.succeed)
        const info = yield* on(other.js, JetStreamConsumer.info({ stream: "QUEUE_effectq", consumer: "jobs" }))
        assert.strictEqual(Duration.toMillis(info.config.ackWait ?? 0), 300_000)
      }).pipe(Effect.provide(logger))
      assert.isTrue(lines.some((line) => line.includes("300000 ms") && line.includes("60000 ms")))
    }))
})

describe.concurrent("a take that waits", () => {
  it.live(
    "outlives a lost connection and restarts of the server, and gets the next offer of another process",
    () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({ jetstream: true })
        const proxy = yield* TestNatsProxy.make({ port: server.port, record: false })
        // What the server gave to the connection before it saw its end comes again by its lease.
        const lockExpiration = "2 seconds"
        const waits = yield* anotherStore({ ...server, url: proxy.url }, { lockExpiration })
        const queue = yield* waits.queues.make(jobs)
        const offers = yield* anotherStore(server, { lockExpiration })
        const offering = yield* offers.queues.make(jobs)
        const outages: ReadonlyArray<Effect.Effect<void, unknown>> = [
          proxy.drop("RST"),
          server.restart,
          Effect.andThen(server.kill, server.restart)
        ]
        let round = 0
        for (const outage of outages) {
          const waiting = yield* Effect.forkChild(queue.take((_, { id }) => Effect.succeed(id)))
          yield* asksFor(offers.js)
          yield* outage
          const id = `after outage ${round++}`
          yield* Effect.retry(offering.offer("a", { id }), { times: 10 })
          assert.strictEqual(yield* Fiber.join(waiting), id)
        }
        yield* untilKinds(offers.nats, { d: outages.length })
      }),
    60_000
  )

  it.live("goes on when somebody deletes its consumer", () =>
    Effect.gen(function*() {
      const { js, queues } = yield* withQueues()
      const queue = yield* queues.make(jobs)
      const waiting = yield* Effect.forkChild(queue.take(Effect.succeed))
      yield* asksFor(js)
      yield* on(js, JetStreamConsumer.delete({ stream: "QUEUE_effectq", consumer: "jobs" }))
      yield* queue.offer("a", { id: "a" })
      assert.strictEqual(yield* Fiber.join(waiting), "a")
    }))
})
