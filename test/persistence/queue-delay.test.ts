/** Delays of queues: never early, by the server's clock alone. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Schema } from "effect"
import { JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { PersistedQueue } from "effect/persistence"
import { startWorker } from "../../bench/persistence/queueProcesses.ts"
import { makeAheadClock } from "../fixtures/aheadClock.ts"
import { until } from "../fixtures/following.ts"
import { on } from "../fixtures/keyValue.ts"
import { anotherStore, untilKinds, withQueues } from "../fixtures/queues.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"

const jobs = { name: "jobs", schema: Schema.String }

const minutes = 60_000

const isNew = Effect.map(TestNatsServer.make({ jetstream: true }), ({ version }) => isAtLeast(version, 2, 12))

describe.concurrent("a delay", () => {
  for (const [offering, taking] of [[5, -5], [-5, 5], [5, 5]] as const) {
    it.live(
      `goes by the server's clock: ${offering} minutes ahead who offers, ${taking} who takes`,
      () =>
        Effect.gen(function*() {
          if (!(yield* isNew)) return
          const server = yield* TestNatsServer.make({ jetstream: true })
          const shifted = (minutesAhead: number) =>
            Effect.flatMap(makeAheadClock, (clock) => Effect.as(clock.setWall(minutesAhead * minutes), clock))
          const offeringClock = yield* shifted(offering)
          const takingClock = yield* shifted(taking)
          const offers = yield* Effect.provideService(anotherStore(server), Clock.Clock, offeringClock)
          const takes = yield* Effect.provideService(anotherStore(server), Clock.Clock, takingClock)
          // The server is on this machine, so that this is its time, too.
          const offered = Date.now()
          yield* Effect.provideService(
            Effect.flatMap(offers.queues.make(jobs), (queue) => queue.offer("a", { id: "a", delay: "3 seconds" })),
            Clock.Clock,
            offeringClock
          )
          const stored = yield* on(offers.js, JetStreamStream.get("QUEUE_effectq", { last: "effectq.w.jobs.a" }))
          const [at = ""] = stored.headers["Nats-Schedule"] ?? []
          assert.isAtLeast(Date.parse(at.slice("@at ".length)), offered + 3_000)
          assert.isBelow(Date.parse(at.slice("@at ".length)), stored.timestampMillis + 60_000)
          const took = yield* Effect.provideService(
            Effect.flatMap(
              takes.queues.make(jobs),
              (queue) => queue.take(() => Effect.sync(() => Date.now() - offered))
            ),
            Clock.Clock,
            takingClock
          )
          assert.isAtLeast(took, 3_000)
          assert.isBelow(took, 60_000)
        })
    )
  }

  it.live(
    "is over for none of many too early, each comes once, and a killed taker takes none with it",
    () =>
      Effect.gen(function*() {
        if (!(yield* isNew)) return
        const { nats, queues, server } = yield* withQueues({ lockExpiration: "3 seconds" })
        const queue = yield* queues.make({ name: "jobs", schema: Schema.Finite })
        const others = yield* startWorker(server.url, {
          queue: "jobs",
          lockMillis: 3_000,
          concurrency: 10,
          workMillis: 0
        })
        const taken: Array<readonly [id: string, early: boolean]> = []
        const take = queue.take((due, { id }) => Effect.sync(() => taken.push([id, Date.now() < due])))
        const takers = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 10 }, () => Effect.replicateEffect(take, 10, { discard: true })), {
            concurrency: "unbounded",
            discard: true
          })
        )
        yield* Effect.forEach(
          Array.from({ length: 99 }, (_, i) => i),
          (i) => Effect.suspend(() => queue.offer(Date.now() + 2_000, { id: String(i), delay: "2 seconds" })),
          { concurrency: 10 }
        )
        yield* others.kill
        // What began there was not early, either, and may be done.
        const elsewhere = others.events.filter(({ type }) => type === "start").length
        // An offer of an id that waits changes nothing.
        yield* queue.offer(0, { id: "7" })
        yield* queue.offer(0, { id: "now" })
        yield* until(Effect.sync(() => taken.length >= 100 - elsewhere))
        yield* untilKinds(nats, { d: 100 })
        yield* Fiber.interrupt(takers)
        assert.deepStrictEqual(taken.filter(([, early]) => early), [])
        assert.strictEqual(new Set(taken.map(([id]) => id)).size, taken.length)
      }),
    60_000
  )

  it.live("of a server before 2.12 fails by itself, and says what it needs", () =>
    Effect.gen(function*() {
      if (yield* isNew) return
      const { queues } = yield* withQueues()
      const queue = yield* queues.make(jobs)
      const error = yield* Effect.flip(queue.offer("a", { id: "a", delay: "1 second" }))
      assert.instanceOf(error, PersistedQueue.PersistedQueueError)
      assert.include(error.message, "2.12")
      yield* queue.offer("a", { id: "a" })
      assert.strictEqual(yield* queue.take(Effect.succeed), "a")
    }))
})
