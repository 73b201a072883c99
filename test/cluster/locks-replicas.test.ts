/** Locks on three servers, of which one is killed: a lock's fate is decided by the write, whichever replica is behind. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { insistRaw, rawStream } from "../fixtures/jetStream.ts"
import { conflicts, hold, type Holder, type Tenure } from "../fixtures/lockHistory.ts"
import { runnerStore, shardsUpTo } from "../fixtures/runnerStores.ts"

const lease = Duration.seconds(4)
const shards = shardsUpTo(30)

describe("of thirty locks on three servers", () => {
  it.live(
    "each is one runner's at any time, while a server is killed and comes back, and a runner is killed",
    () =>
      Effect.gen(function*() {
        const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
        const nats = yield* NatsClient.make({ servers: servers[0].url })
        yield* insistRaw(rawStream(nats, "FIRST", { num_replicas: 3 }))
        const history: Array<Tenure> = []
        const start = (index: number, name: string) =>
          Effect.gen(function*() {
            const store = yield* runnerStore(servers[index]!.port, name, { lease, replicas: 3 })
            yield* store.register
            return yield* hold(store, { shards, most: 15, lease, history, spread: true })
          })
        const holders: Array<Holder> = []
        for (let i = 0; i < 3; i++) holders.push(yield* start(i, `runner-${i}`))
        const held = Effect.sync(() => holders.reduce((all, holder) => all + holder.held.size, 0) === shards.length)
        yield* until(held)
        yield* servers[1].kill
        // Whoever was on that server is cut off, and the others go on.
        yield* Effect.sleep(Duration.times(lease, 1.5))
        yield* servers[1].restart
        yield* until(held)
        const at = performance.now()
        const lost = [...holders[0]!.held.keys()]
        yield* holders[0]!.dead
        holders[0] = yield* start(0, "runner-3")
        yield* until(
          Effect.sync(() => lost.every((shard) => holders.some(({ held }) => held.has(shard))))
        )
        yield* Effect.log(
          `${lost.length} locks of the killed runner are others' after ${Math.round(performance.now() - at)} ms`
        )
        yield* until(held)
        assert.deepStrictEqual(conflicts(history, Duration.toMillis(lease)), [])
      }),
    120_000
  )
})
