/**
 * What a queue takes: offers and takes a second, from an offer to its handler, from an interruption to the next taker, and
 * how late delays are.
 *
 *   node bench/queueSpeed.ts                    a single server with files
 *   node bench/queueSpeed.ts --delayed 50000    more elements with a delay
 */
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import { NatsPersistedQueue } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Schema from "effect/Schema"
import { parseArgs } from "node:util"

const { values } = parseArgs({ options: { jobs: { type: "string" }, delayed: { type: "string" } } })
const jobs = Number(values.jobs ?? 10_000)
const delayed = Number(values.delayed ?? 5_000)
const width = 64

const quantile = (times: ReadonlyArray<number>, part: number): number => {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

const timed = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const from = performance.now()
    return Effect.map(effect, () => performance.now() - from)
  })

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i)

const told: Record<string, number> = {}
const tell = (what: string, value: number): void => {
  told[what] = Math.round(value * 100) / 100
}

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const { url } = server
  const nats = yield* NatsClient.make({ servers: url })
  const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
  const store = yield* Effect.provideService(NatsPersistedQueue.makeStore(), JetStream.JetStream, js)
  const factory = yield* Effect.provideService(PersistedQueue.makeFactory, PersistedQueue.PersistedQueueStore, store)
  const queue = yield* factory.make({ name: "jobs", schema: Schema.Finite })
  const all = { concurrency: width, discard: true } as const

  const offers = Effect.forEach(numbers(jobs), (i) => queue.offer(i, { id: `job-${i}` }), all)
  tell("offers/s", jobs / (yield* timed(offers)) * 1_000)
  tell("offers of known ids/s", jobs / (yield* timed(offers)) * 1_000)
  const takes = Effect.forEach(numbers(jobs), () => queue.take(() => Effect.void), all)
  tell("take + complete/s", jobs / (yield* timed(takes)) * 1_000)
  yield* offers
  // What is done is known after a restart, too.
  yield* server.stop
  yield* server.restart
  yield* offers
  const { state } = yield* Effect.provideService(
    JetStreamStream.info("QUEUE_effectq", { subjects: "effectq.q.>" }),
    JetStream.JetStream,
    js
  )
  tell("stored twice", state.subjects?.size ?? 0)

  const reached: Array<number> = []
  for (const i of numbers(500)) {
    const taking = yield* Effect.forkChild(queue.take(() => Effect.sync(() => performance.now())))
    yield* Effect.sleep(2)
    const from = performance.now()
    yield* queue.offer(i, { id: `reached-${i}` })
    reached.push((yield* Fiber.join(taking)) - from)
  }
  tell("offer to handler p50 ms", quantile(reached, 0.5))
  tell("offer to handler p99 ms", quantile(reached, 0.99))

  const back: Array<number> = []
  for (const i of numbers(200)) {
    const begun = yield* Deferred.make<void>()
    yield* queue.offer(i, { id: `back-${i}` })
    const first = yield* Effect.forkChild(
      queue.take(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
    )
    yield* Deferred.await(begun)
    const second = yield* Effect.forkChild(queue.take(() => Effect.sync(() => performance.now())))
    yield* Effect.sleep(2)
    const from = performance.now()
    yield* Effect.forkChild(Fiber.interrupt(first))
    back.push((yield* Fiber.join(second)) - from)
  }
  tell("interruption to the next taker p50 ms", quantile(back, 0.5))
  tell("interruption to the next taker max ms", Math.max(...back))

  const late: Array<number> = []
  const takers = yield* Effect.forkChild(
    Effect.forEach(
      numbers(delayed),
      () => queue.take((due) => Effect.sync(() => void late.push(Date.now() - due))),
      all
    )
  )
  // Due one after the other, 2,000 a second: all at once they would wait for the takers, and not for their time.
  const firstDue = Date.now() + 2_000 + delayed / 5
  const offering = Effect.forEach(
    numbers(delayed),
    (i) =>
      Effect.suspend(() => {
        const due = firstDue + i / 2
        return queue.offer(due, { id: `late-${i}`, delay: due - Date.now() })
      }),
    all
  )
  tell("delayed offers/s", delayed / (yield* timed(offering)) * 1_000)
  yield* Fiber.join(takers)
  tell("delayed: early", late.filter((millis) => millis < 0).length)
  tell("delayed: late p50 ms", quantile(late, 0.5))
  tell("delayed: late p99 ms", quantile(late, 0.99))
  console.table(told)
})

await Effect.runPromise(Effect.scoped(program))
