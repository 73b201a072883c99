/** How long a message waits by the number of its delivery, and what is told of a failure. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Schedule } from "effect"
import { reasonOf } from "../../src/jetstream/internal/deadLetter.ts"
import { defaultRetry, type Retry, retryDelay } from "../../src/jetstream/internal/retryDelay.ts"

const delays = (retry: Retry, ...deliveries: ReadonlyArray<number>) =>
  Effect.map(
    Effect.forEach(deliveries, (delivery) => retryDelay(retry, delivery, "failure")),
    (all) => all.map(Duration.toMillis)
  )

describe("the delay of a retry", () => {
  it.effect("is that of the schedule at the step of the delivery, whichever instance asks", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays(Schedule.exponential("10 millis"), 1, 2, 3, 2), [10, 20, 40, 20])
      assert.deepStrictEqual(yield* delays(Schedule.spaced("1 second"), 1, 1_000_000), [1000, 1000])
    }))

  it.effect("is a second by default, doubled with each delivery, and a minute at most", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays(defaultRetry, 1, 2, 6, 7, 8, 5000), [
        1000,
        2000,
        32_000,
        60_000,
        60_000,
        60_000
      ])
    }))

  it.effect("stays the last one where the schedule has ended or cannot go on", () =>
    Effect.gen(function*() {
      const ending = Schedule.exponential("10 millis").pipe(Schedule.upTo({ times: 2 }))
      assert.deepStrictEqual(yield* delays(ending, 1, 2, 3, 9), [10, 20, 20, 20])
    }))

  it.effect("has a bound that the server can read", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays(Schedule.exponential("300 days"), 1, 2, 100), [
        Duration.toMillis("300 days"),
        Duration.toMillis("365 days"),
        Duration.toMillis("365 days")
      ])
    }))
})

describe("the reason of a dead letter", () => {
  const told = (cause: Cause.Cause<unknown>) => reasonOf(cause, (text) => text.replaceAll("secret", "withheld"))

  it("is the tag and the words of the failure, or of what the handler died of", () => {
    assert.deepStrictEqual(told(Cause.fail({ _tag: "Sold", message: "out" })), { error: "Sold", text: "out" })
    assert.deepStrictEqual(told(Cause.die(new TypeError("no such"))), { error: "TypeError", text: "no such" })
    assert.deepStrictEqual(told(Cause.fail("words")), { error: "Unknown", text: "words" })
    assert.strictEqual(told(Cause.interrupt(1)).error, "Interrupted")
  })

  it("is printable, bounded and without secrets, whatever the failure is", () => {
    const { error, text } = told(Cause.fail({ _tag: "A\r\nX: secret", message: `secret\u001b${"x".repeat(2000)}` }))
    assert.strictEqual(error, "A\\r\\nX: withheld")
    assert.isAtMost(text.length, 513)
    assert.match(text, /^withheld\\u001bx/)
    const trap = new Proxy({}, {
      get: () => {
        throw new Error("looked at")
      }
    })
    assert.strictEqual(told(Cause.fail(trap)).error, "Unknown")
  })
})
