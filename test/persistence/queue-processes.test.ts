/** The short form of `bench/queueKills.ts`: jobs through three processes, of which some are killed. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { runQueue } from "../../bench/persistence/queueRun.ts"

it.live(
  "of jobs whose processes are killed none is lost, none is done twice, and no two have one at once",
  () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make({ jetstream: true })
      const kills = 3
      const result = yield* runQueue({
        servers: [url],
        jobs: 300,
        processes: 3,
        kills,
        killEveryMillis: 500,
        concurrency: 6,
        workMillis: 60,
        lockMillis: 5_000
      })
      assert.deepInclude(result, { done: 300, lost: 0, atOnce: 0 })
      assert.isAtMost(result.mostAttempts, kills + 1)
    }),
  120_000
)
