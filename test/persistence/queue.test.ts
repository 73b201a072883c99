/** Queues of effect on a stream: what is offered is taken once, and what came of it stays. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Schedule, Schema, Stream } from "effect"
import { JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { NatsPersistedQueue } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { PersistedQueue } from "effect/persistence"
import { until } from "../fixtures/following.ts"
import { on } from "../fixtures/keyValue.ts"
import { anotherStore, kinds, untilKinds, withQueues } from "../fixtures/queues.ts"

const jobs = { name: "jobs", schema: Schema.String }

const atOnce = Schedule.spaced(0)

describe("a queue", () => {
  it.live("gives each element once, in their order, and leaves one record of what is done", () =>
    Effect.gen(function*() {
      const { nats, queues } = yield* withQueues()
      const queue = yield* queues.make({ name: "jobs", schema: Schema.Struct({ n: Schema.Finite }) })
      for (let n = 0; n < 5; n++) yield* queue.offer({ n }, { id: `job ${n}` })
      const taken: Array<readonly [number, string, number]> = []
      for (let n = 0; n < 5; n++) {
        yield* queue.take((job, { attempts, id }) => Effect.sync(() => taken.push([job.n, id, attempts])))
      }
      assert.deepStrictEqual(taken, [0, 1, 2, 3, 4].map((n) => [n, `job ${n}`, 1] as const))
      yield* untilKinds(nats, { d: 5 })
    }))

  it.live("an id is not taken twice: while its element waits, when it is done, and behind a restart of the server", () =>
    Effect.gen(function*() {
      const { nats, queues, server } = yield* withQueues()
      const queue = yield* queues.make(jobs)
      assert.strictEqual(yield* queue.offer("first", { id: "a" }), "a")
      assert.strictEqual(yield* queue.offer("second", { id: "a" }), "a")
      yield* untilKinds(nats, { q: 1 })
      assert.strictEqual(yield* queue.take(Effect.succeed), "first")
      assert.strictEqual(yield* queue.offer("third", { id: "a" }), "a")
      yield* server.restart
      assert.strictEqual(yield* queue.offer("fourth", { id: "a" }), "a")
      yield* untilKinds(nats, { d: 1 })
    }))

  it.live("of many offers of one id at once, by two clients, one is stored", () =>
    Effect.gen(function*() {
      const one = yield* withQueues()
      const other = yield* anotherStore(one.server)
      const both = [yield* one.queues.make(jobs), yield* other.queues.make(jobs)]
      yield* Effect.forEach(
        Array.from({ length: 400 }, (_, i) => i),
        (i) => both[i % 2].offer(String(i), { id: String(i % 40) }),
        { concurrency: "unbounded" }
      )
      // All that the stream has ever stored.
      assert.strictEqual((yield* on(one.js, JetStreamStream.info("QUEUE_effectq"))).state.lastSequence, 40)
    }))

  it.live("names and ids are any text, and no two are one", () =>
    Effect.gen(function*() {
      const { js, nats, queues } = yield* withQueues({ prefix: "any. *>text" })
      const long = "x".repeat(5_000)
      const names = [
        "a",
        "a.b",
        "A",
        "",
        ".",
        "*",
        ">",
        " ",
        "\ud800",
        "\udc00",
        "\u0000",
        "=",
        "=002e",
        "\u00e9",
        "e\u0301",
        long,
        `${long}y`
      ]
      const ids = ["b.c", "c", ...names]
      for (const name of names) {
        const queue = yield* queues.make({ name, schema: Schema.String })
        for (const id of ids) yield* queue.offer(JSON.stringify([name, id]), { id })
      }
      const [stream] = yield* on(js, Stream.runCollect(JetStreamStream.names()))
      yield* untilKinds(nats, { q: names.length * ids.length }, stream)
      for (const name of names) {
        const queue = yield* queues.make({ name, schema: Schema.String })
        for (const id of ids) {
          yield* queue.take((text, metadata) =>
            Effect.sync(() => {
              assert.strictEqual(metadata.id, id)
              assert.strictEqual(text, JSON.stringify([name, id]))
            })
          )
        }
      }
      yield* untilKinds(nats, { d: names.length * ids.length }, stream)
    }))
})

describe("what came of a take", () => {
  it.live("one that is interrupted gives its element back to one that waits, and its attempt does not count", () =>
    Effect.gen(function*() {
      // The lease is longer than the test.
      const { nats, queues } = yield* withQueues({ lockExpiration: "5 minutes" })
      const queue = yield* queues.make(jobs)
      yield* queue.offer("a", { id: "a" })
      const begun = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(
        queue.take(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      )
      yield* Deferred.await(begun)
      const second = yield* Effect.forkChild(queue.take((_, { attempts }) => Effect.succeed(attempts)))
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* Fiber.join(second), 1)
      yield* untilKinds(nats, { d: 1 })
    }))

  it.live("one that is interrupted while it waits takes nothing with it", () =>
    Effect.gen(function*() {
      const { js, nats, queues } = yield* withQueues({ lockExpiration: "5 minutes" })
      const queue = yield* queues.make({ name: "jobs", schema: Schema.Finite })
      const seen: Array<number> = []
      const idle = yield* Effect.forkChild(queue.take((n) => Effect.sync(() => seen.push(n))))
      yield* until(
        Effect.map(
          on(js, JetStreamConsumer.info({ stream: "QUEUE_effectq", consumer: "jobs" })),
          ({ waiting }) => waiting > 0
        ).pipe(Effect.orElseSucceed(() => false))
      )
      yield* Fiber.interrupt(idle)
      // Each offer meets a take that is just being interrupted.
      for (let i = 0; i < 100; i++) {
        const waiting = yield* Effect.forkChild(queue.take((n) => Effect.sync(() => seen.push(n))))
        if (i % 3 > 0) yield* Effect.yieldNow
        yield* Effect.all([queue.offer(i, { id: String(i) }), Fiber.interrupt(waiting)], { concurrency: 2 })
      }
      while (seen.length < 100) yield* queue.take((n) => Effect.sync(() => seen.push(n)))
      assert.deepStrictEqual(seen.toSorted((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i))
      yield* untilKinds(nats, { d: 100 })
    }))

  it.live("one that fails comes again by the schedule, with its attempts, and is a dead letter in the end", () =>
    Effect.gen(function*() {
      const { js, nats, queues } = yield* withQueues({ lockExpiration: "5 minutes" })
      const queue = yield* queues.make({ ...jobs, maxAttempts: 3, retrySchedule: atOnce })
      yield* queue.offer("bad", { id: "bad" })
      yield* queue.offer("good", { id: "good" })
      const seen: Array<string> = []
      const take = queue.take((text, { attempts }) => {
        seen.push(`${text} ${attempts}`)
        return text === "bad" ? Effect.fail(`no ${attempts}`) : Effect.void
      })
      for (let i = 0; i < 4; i++) yield* Effect.exit(take)
      assert.sameMembers(seen, ["bad 1", "bad 2", "bad 3", "good 1"])
      yield* untilKinds(nats, { d: 1, f: 1 })
      const [letter, ...others] = yield* on(js, Stream.runCollect(NatsPersistedQueue.deadLetters({ name: "jobs" })))
      assert.lengthOf(others, 0)
      assert.include(letter, { name: "jobs", id: "bad", attempts: 3, element: "bad" })
      assert.include(letter.lastFailure, "no 3")
      assert.isEmpty(yield* on(js, Stream.runCollect(NatsPersistedQueue.deadLetters({ name: "other" }))))
      // Its id stays taken.
      yield* queue.offer("again", { id: "bad" })
      yield* untilKinds(nats, { d: 1, f: 1 })
      // And it can be put back, once.
      const retried = on(js, NatsPersistedQueue.retryDeadLetter({ name: "jobs", id: "bad" }))
      assert.isTrue(yield* retried)
      assert.isFalse(yield* retried)
      yield* untilKinds(nats, { d: 1, q: 1 })
      assert.deepStrictEqual(
        yield* queue.take((text, { attempts }) => Effect.succeed([text, attempts])),
        ["bad", 1]
      )
      yield* untilKinds(nats, { d: 2 })
    }))

  it.live("a retry waits for its delay, and what is behind it does not", () =>
    Effect.gen(function*() {
      const { queues } = yield* withQueues({ lockExpiration: "5 minutes" })
      const queue = yield* queues.make({ ...jobs, retrySchedule: Schedule.spaced("1 second") })
      yield* queue.offer("slow", { id: "slow" })
      yield* queue.offer("next", { id: "next" })
      yield* Effect.exit(queue.take(() => Effect.fail("no")))
      const failedAt = Date.now()
      assert.strictEqual(yield* queue.take(Effect.succeed), "next")
      assert.strictEqual(yield* queue.take(Effect.succeed), "slow")
      assert.isAtLeast(Date.now() - failedAt, 990)
    }))

  it.live("an element that does not decode is a dead letter at once, and the next one is given", () =>
    Effect.gen(function*() {
      const { js, nats, queues } = yield* withQueues()
      const texts = yield* queues.make(jobs)
      yield* texts.offer("no number", { id: "a" })
      yield* texts.offer("7", { id: "b" })
      const numbers = yield* queues.make({ name: "jobs", schema: Schema.FiniteFromString })
      assert.strictEqual(yield* numbers.take(Effect.succeed), 7)
      yield* untilKinds(nats, { d: 1, f: 1 })
      const [letter] = yield* on(js, Stream.runCollect(NatsPersistedQueue.deadLetters()))
      assert.include(letter, { id: "a", attempts: 1, element: "no number" })
    }))

  it.live("what another program wrote into the queue is a dead letter as it is, and the next one is given", () =>
    Effect.gen(function*() {
      const { js, nats, queues } = yield* withQueues()
      const queue = yield* queues.make(jobs)
      yield* js.publish("effectq.q.jobs.strange", "{ no JSON")
      yield* queue.offer("a", { id: "a" })
      assert.strictEqual(yield* queue.take(Effect.succeed), "a")
      yield* untilKinds(nats, { d: 1, f: 1 })
      const [letter] = yield* on(js, Stream.runCollect(NatsPersistedQueue.deadLetters()))
      assert.include(letter, { id: "strange", attempts: 0, element: "{ no JSON" })
    }))
})

describe("a cleanup", () => {
  it.live("takes what was done before its time, and its ids are free again; what is under work and dead letters stay", () =>
    Effect.gen(function*() {
      const { nats, queues, store } = yield* withQueues({ lockExpiration: "5 minutes" })
      const queue = yield* queues.make({ ...jobs, maxAttempts: 1 })
      for (const id of ["a", "dead", "busy"]) yield* queue.offer(id, { id })
      yield* queue.take(() => Effect.void)
      yield* Effect.exit(queue.take(() => Effect.fail("no")))
      const [begun, end] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const busy = yield* Effect.forkChild(
        queue.take((id, { attempts }) =>
          Effect.andThen(Deferred.succeed(begun, undefined), Effect.as(Deferred.await(end), [id, attempts]))
        )
      )
      yield* Deferred.await(begun)
      const cleaned = (timeToLive: number, failedTimeToLive?: number) =>
        Effect.andThen(
          store.cleanup({
            timeToLive: Duration.millis(timeToLive),
            failedTimeToLive: failedTimeToLive === undefined ? undefined : Duration.millis(failedTimeToLive)
          }),
          kinds(nats)
        )
      assert.deepStrictEqual(yield* cleaned(3_600_000, 3_600_000), { c: 1, d: 1, f: 1, q: 1 })
      assert.deepStrictEqual(
        yield* Effect.andThen(
          store.cleanup({ timeToLive: Duration.infinity, failedTimeToLive: undefined }),
          kinds(nats)
        ),
        { c: 1, d: 1, f: 1, q: 1 }
      )
      yield* until(Effect.map(cleaned(0), (found) => found["d"] === undefined))
      yield* queue.offer("a", { id: "a" })
      yield* untilKinds(nats, { c: 1, f: 1, q: 2 })
      yield* until(Effect.map(cleaned(0, 0), (found) => found["f"] === undefined))
      yield* Deferred.succeed(end, undefined)
      assert.deepStrictEqual(yield* Fiber.join(busy), ["busy", 1])
      yield* untilKinds(nats, { d: 1, q: 1 })
    }))
})

describe("an element that is too large", () => {
  it.live("is one error that names its size and the limit, and what just fits can fail and is whole", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true, config: "max_payload: 65536" })
      const { js, nats, queues } = yield* anotherStore(server)
      const queue = yield* queues.make({ ...jobs, maxAttempts: 1 })
      const error = yield* Effect.flip(queue.offer("x".repeat(70_000), { id: "large" }))
      assert.instanceOf(error, PersistedQueue.PersistedQueueError)
      assert.include(error.message, "\"large\"")
      assert.include(error.message, "\"jobs\"")
      assert.match(error.message, /has 70\d\d\d bytes.*at most 61440/)
      // What is noted of one that fails has to fit, too.
      yield* Effect.flip(queue.offer("x".repeat(62_000), { id: "nearly" }))
      yield* untilKinds(nats, {})
      const most = "\u0001".repeat(10_000)
      yield* queue.offer(most, { id: "most" })
      yield* Effect.exit(queue.take(() => Effect.fail("\u0001".repeat(100_000))))
      const [letter] = yield* on(js, Stream.runCollect(NatsPersistedQueue.deadLetters()))
      assert.strictEqual(letter.element, most)
    }))
})
