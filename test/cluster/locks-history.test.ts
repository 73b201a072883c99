/** Many runners and many locks, while runners are killed, stopped and cut off: who had which lock when. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { conflicts, hold, type Holder, type Tenure } from "../fixtures/lockHistory.ts"
import { runnerStore, shardsUpTo } from "../fixtures/runnerStores.ts"

const lease = Duration.seconds(2)
const shards = shardsUpTo(30)

describe("of thirty locks and four runners", () => {
  it.live(
    "each lock is one runner's at any time, with tokens that only grow, while runners are killed, stopped and cut off",
    () =>
      Effect.gen(function*() {
        const { port } = yield* TestNatsServer.make({ jetstream: true })
        const history: Array<Tenure> = []
        let started = 0
        const start = Effect.gen(function*() {
          const store = yield* runnerStore(port, `runner-${started++}`, { lease })
          yield* store.register
          return yield* hold(store, { shards, most: 12, lease, history, spread: true })
        })
        const holders: Array<Holder> = []
        for (let i = 0; i < 4; i++) holders.push(yield* start)
        const freed: Array<number> = []
        for (let step = 0; step < 9; step++) {
          // Whoever has the most.
          const holder = holders.toSorted((a, b) => b.held.size - a.held.size)[0]!
          const index = holders.indexOf(holder)
          const { proxy } = holder.store
          switch (step % 3) {
            case 0: {
              const lost = [...holder.held.keys()]
              const at = performance.now()
              yield* holder.dead
              holders[index] = yield* start
              // Each of its locks is another's, which nobody tells but the end of its time. It may have been before, where that
              // one was late to see that it had lost it.
              yield* until(Effect.sync(() => lost.every((shard) => holders.some(({ held }) => held.has(shard)))))
              for (const shard of lost) {
                const next = history.find((tenure) => tenure.shard === shard && tenure.from > at)
                if (next !== undefined) freed.push(next.from - at)
              }
              break
            }
            case 1: {
              // Cut off for longer than its lease, and back.
              yield* proxy.refuse
              yield* proxy.drop("RST")
              yield* Effect.sleep(Duration.times(lease, 1.25))
              yield* proxy.heal
              break
            }
            case 2: {
              // Nothing comes through, in either direction, and it hears of it late.
              yield* proxy.delay(Duration.times(lease, 0.75))
              yield* holders[(index + 1) % holders.length]!.letGo
              yield* Effect.sleep(lease)
              yield* proxy.delay(0)
            }
          }
        }
        assert.deepStrictEqual(conflicts(history, Duration.toMillis(lease)), [])
        // It is about locks that went from one to another.
        assert.isAbove(history.length, shards.length)
        const inOrder = freed.toSorted((a, b) => a - b)
        yield* Effect.log(`${history.length} tenures, free after a kill: ${inOrder[0]} to ${inOrder.at(-1)} ms`)
      }),
    120_000
  )
})
