/**
 * The short form of `bench/faults.ts`: the same workloads, faults and checks, for seconds instead of minutes. What is read
 * back, and the set-up, go by a client that is no part of this package.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cas, locks, watches } from "../../bench/faultBuckets.ts"
import { ours } from "../../bench/faultOurs.ts"
import { durable, restarts } from "../../bench/faultReaders.ts"
import type { Given, Told } from "../../bench/faultWorkload.ts"

const given = (time: number, faults: ReadonlyArray<string>): Given => ({
  seed: 7,
  time,
  publishes: 2_000,
  restarts: 20,
  watches: 20,
  isChosen: (fault) => faults.includes(fault),
  log: () => {}
})

/**
 * Before 2.10 replicated streams lose messages that they have acknowledged, and compare with what they have lost, whichever
 * client asks; what is not of that kind holds there, too.
 */
const brokenHere = ({ counts, violations }: Told): ReadonlyArray<string> =>
  String(counts["server"]).startsWith("2.9.")
    ? violations.filter((each) => /ended by itself|left out|never came|after \d+$/.test(each))
    : violations

describe("a reader of a server that restarts", () => {
  it.live("twenty restarts of a server, and no waiting pull is silent afterwards", () =>
    Effect.gen(function*() {
      const { counts, violations } = yield* restarts(ours, given(0, []))
      assert.deepStrictEqual(violations, [])
      assert.strictEqual(counts.restarts, 20)
      assert.strictEqual(counts["consumers in the end"], 2)
    }), 120_000)
})

// Each has a cluster of its own and mostly waits for elections, so all go at once.
describe.concurrent("a cluster of three under faults", () => {
  it.live(
    "2,000 messages while the stream's leader is killed and answers are lost: outcomes are true, ordered once, durable at least once",
    () =>
      Effect.gen(function*() {
        const told = yield* durable(
          ours,
          given(6_000, ["kill -9: the stream's leader", "link: answers held, then cut"])
        )
        assert.deepStrictEqual(brokenHere(told), [])
        assert.isAtLeast(Number(told.counts.faults), 1)
        assert.isAtLeast(Number(told.counts.stored), 1_000)
        assert.strictEqual(told.counts["given up"], 0)
      }),
    120_000
  )

  it.live(
    "five writers that compare and set fifteen keys through a kill: no update is lost, no revision goes back",
    () =>
      Effect.gen(function*() {
        const told = yield* cas(
          ours,
          given(3_000, ["kill -9: the client's server", "the stream's leader steps down"])
        )
        assert.deepStrictEqual(brokenHere(told), [])
        assert.isAtLeast(Number(told.counts.stored), 100)
      }),
    120_000
  )

  it.live("watches through a failover all go on, each revision once", () =>
    Effect.gen(function*() {
      const told = yield* watches(ours, given(3_000, ["kill -9: the stream's leader"]))
      assert.deepStrictEqual(brokenHere(told), [])
      assert.isAtLeast(Number(told.counts.puts), 20)
      assert.strictEqual(told.counts["consumers in the end"], 20)
    }), 120_000)

  it.live(
    "a lock through the loss of its holder's server: no token twice, and later ones are larger",
    () =>
      Effect.gen(function*() {
        const told = yield* locks(
          ours,
          given(4_000, ["kill -9: the client's server", "link: half open"])
        )
        assert.deepStrictEqual(brokenHere(told), [])
        assert.isAtLeast(Number(told.counts.held), 2)
      }),
    120_000
  )
})
