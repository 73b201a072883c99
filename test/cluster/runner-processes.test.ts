/** Runners that are processes, and what becomes of their entities when they are killed, stopped, or have each other's name. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { caller, runner, runnerProcess, settled, shardsOf } from "../fixtures/clusters.ts"
import { until } from "../fixtures/following.ts"
import { quick } from "../fixtures/places.ts"

const ids = Array.from({ length: 40 }, (_, i) => `place-${i}`)

describe.concurrent("the process of a runner", () => {
  it.live(
    "that is killed leaves its shards to another: calls reach the new owner, with larger tokens",
    () =>
      Effect.gen(function*() {
        const { url } = yield* TestNatsServer.make({ jetstream: true })
        const one = yield* runner(url, "one")
        const two = yield* runnerProcess(url, "two")
        assert.strictEqual(yield* two.says, "running")
        const client = yield* caller(url)
        const all = Effect.forEach(ids, (id) => client.call(id).Where(), { concurrency: "unbounded" })
        yield* until(Effect.map(all, (places) => new Set(places.map(({ runner }) => runner)).size === 2))
        const before = yield* all
        const at = performance.now()
        yield* two.kill
        // Each call waits for the new owner by itself.
        const after = yield* all
        yield* Effect.log(`all entities answer ${Math.round(performance.now() - at)} ms after the kill, lease 2 s`)
        for (const [i, { runner, token }] of after.entries()) {
          assert.strictEqual(runner, "one")
          if (before[i]!.runner === "two") assert.isAbove(token!, before[i]!.token!)
        }
        assert.strictEqual(shardsOf(one), quick.shardsPerGroup)
      }),
    120_000
  )

  it.live(
    "that is stopped in order hands its shards over, and its name is free at once",
    () =>
      Effect.gen(function*() {
        const { url } = yield* TestNatsServer.make({ jetstream: true })
        const one = yield* runner(url, "one")
        const two = yield* runnerProcess(url, "two", 60_000)
        assert.strictEqual(yield* two.says, "running")
        yield* until(Effect.sync(() => shardsOf(one) < quick.shardsPerGroup))
        yield* two.signal("SIGTERM")
        yield* two.ended
        yield* settled(one)
        const next = yield* runnerProcess(url, "two", 60_000)
        assert.strictEqual(yield* next.says, "running")
      }),
    120_000
  )

  it.live(
    "with the name of one that lives does not start and takes nothing; that of one that was killed is had after its lease",
    () =>
      Effect.gen(function*() {
        const { url } = yield* TestNatsServer.make({ jetstream: true })
        const first = yield* runnerProcess(url, "same", 4_000)
        assert.strictEqual(yield* first.says, "running")
        const client = yield* caller(url)
        const { pid, token } = yield* client.call("place-1").Where()
        const second = yield* runnerProcess(url, "same", 4_000)
        assert.strictEqual(yield* second.says, "RunnerAddressTaken")
        yield* second.ended
        assert.strictEqual((yield* client.call("place-1").Where()).pid, pid)
        yield* first.kill
        const third = yield* runnerProcess(url, "same", 4_000)
        assert.strictEqual(yield* third.says, "running")
        assert.isAbove((yield* client.call("place-1").Where()).token!, token!)
      }),
    120_000
  )
})
