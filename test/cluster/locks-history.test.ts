/** Many runners and many locks, while runners are killed, stopped and cut off: who had which lock when. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { conflicts, race } from "../fixtures/lockHistory.ts"

const lease = Duration.seconds(2)

describe("of thirty locks and four runners", () => {
  it.live(
    "each lock is one runner's at any time, with tokens that only grow, while runners are killed, stopped and cut off",
    () =>
      Effect.gen(function*() {
        const { port } = yield* TestNatsServer.make({ jetstream: true })
        const { freed, history } = yield* race({ port, runners: 4, locks: 30, most: 12, lease, faults: 9 })
        assert.deepStrictEqual(conflicts(history, Duration.toMillis(lease)), [])
        // It is about locks that went from one to another.
        assert.isAbove(history.length, 30)
        yield* Effect.log(`${history.length} tenures, free after a kill: ${freed[0]} to ${freed.at(-1)} ms`)
      }),
    120_000
  )
})
