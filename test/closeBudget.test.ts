import { assert, describe, it } from "@effect/vitest"
import type { Clock } from "effect"
import { CloseBudget } from "../src/internal/connection/closeBudget.ts"

/** A budget of ten seconds, and the clock that it looks at, in milliseconds. */
const make = () => {
  let now = 1_000_000
  const clock = { monotonicTimeNanosUnsafe: () => BigInt(now) * 1_000_000n } as Clock.Clock
  const budget = new CloseBudget(clock, 10_000)
  return {
    budget,
    pass: (millis: number) => {
      now += millis
    },
    /** A finalizer that waits so long. */
    wait: (millis: number) => {
      budget.enter(0)
      now += millis
      budget.leave()
    }
  }
}

describe("the budget of a close", () => {
  it("is one for all that wait one after the other, with a last second for what is interrupted", () => {
    const { budget, wait } = make()
    wait(4_000)
    wait(4_000)
    assert.strictEqual(budget.remaining, 2_000)
    assert.strictEqual(budget.grace, 1_000)
    wait(2_600)
    assert.strictEqual(budget.remaining, 0)
    assert.strictEqual(budget.grace, 400)
    wait(400)
    assert.strictEqual(budget.grace, 0)
  })

  it("counts those side by side once, and what a program does between two of them not at all", () => {
    const { budget, pass, wait } = make()
    budget.enter(0)
    pass(1_000)
    budget.enter(0)
    pass(2_000)
    budget.leave()
    pass(3_000)
    budget.leave()
    assert.strictEqual(budget.remaining, 4_000)
    pass(9_000)
    wait(1_000)
    assert.strictEqual(budget.remaining, 3_000)
  })

  it("starts anew when nothing has waited for as long as it is", () => {
    const { budget, pass } = make()
    budget.enter(0)
    pass(10_000)
    budget.late(0)
    budget.leave()
    pass(9_999)
    budget.enter(0)
    assert.strictEqual(budget.remaining, 0)
    budget.leave()
    pass(10_000)
    budget.enter(0)
    assert.strictEqual(budget.remaining, 10_000)
  })

  it("starts anew when the client goes on, also where the ends of its parts overlap without a pause", () => {
    const { budget, pass } = make()
    budget.enter(0)
    for (let i = 0; i < 100; i++) {
      pass(1_000)
      budget.enter(0)
      budget.leave()
      budget.lives()
    }
    assert.strictEqual(budget.remaining, 10_000)
  })

  it("is not given back by a program that goes on subscribing while a part is out of time", () => {
    const { budget, pass, wait } = make()
    budget.enter(0)
    pass(10_000)
    budget.late(0)
    budget.leave()
    budget.lives()
    assert.strictEqual(budget.remaining, 0)
    for (let i = 0; i < 10; i++) {
      wait(10)
      budget.late(0)
      pass(1_000)
      budget.lives()
    }
    // The late ones after it had no time of their own to be late in.
    assert.strictEqual(budget.remaining, 10_000)
  })

  it("knows a server that was silent all the time, and no other", () => {
    const { budget, pass } = make()
    budget.enter(7)
    pass(10_000)
    assert.isTrue(budget.late(7))
    assert.isFalse(budget.late(8))
  })

  it("has what somebody else has waited for a silent server", () => {
    const { budget, wait } = make()
    budget.spend(10_000)
    wait(600)
    assert.strictEqual(budget.remaining, 0)
    assert.strictEqual(budget.grace, 400)
  })
})
