/** What a take makes of a state, without a server. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import type { Held } from "../../src/persistence/internal/cells.ts"
import { takeFixed, takeFromBucket } from "../../src/persistence/internal/rateLimits.ts"
import { randomOf } from "../fixtures/random.ts"

const today = Date.parse("2026-11-27T00:00:00Z")

describe("a token bucket", () => {
  it("never shows a whole interval, nor less than none, however its interval divides", () => {
    const random = randomOf(3)
    for (const limit of [7, 2200, 5300, 7100]) {
      const refillMillis = 1000 / limit
      const take = { key: "a", tokens: 100, limit, refillRate: Duration.millis(refillMillis), allowOverflow: true }
      let held: Held<{ readonly tokens: number; readonly lastRefill: number }> | undefined
      let now = today
      for (let nth = 0; nth < 20_000; nth++) {
        now += Math.floor(random() * 4)
        const { answer, next } = takeFromBucket(take)(held, now)
        assert.isAtLeast(answer[1], 0)
        assert.isBelow(answer[1], refillMillis)
        held = next
      }
    }
  })

  it("that is full again is as one that never was", () => {
    const take = { key: "a", tokens: 3, limit: 10, refillRate: Duration.seconds(1), allowOverflow: true }
    const { next } = takeFromBucket(take)(undefined, today)
    assert(next !== undefined)
    assert.strictEqual(next.expiresAt, today + 3000)
    assert.deepStrictEqual(
      takeFromBucket(take)(next, next.expiresAt).answer,
      takeFromBucket(take)(undefined, next.expiresAt).answer
    )
  })
})

describe("a fixed window", () => {
  it("has a time that can be stored, whatever its interval", () => {
    for (const refillRate of [Duration.infinity, Duration.zero, Duration.days(1e9)]) {
      const { answer, next } = takeFixed({ key: "a", tokens: 2, refillRate, limit: undefined })(undefined, today)
      assert.strictEqual(answer[0], 2)
      assert(next !== undefined && Number.isFinite(next.expiresAt) && next.expiresAt > today)
    }
  })
})
