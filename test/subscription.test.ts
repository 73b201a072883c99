/** The buffer of a subscription, fed by hand: whom its messages go to, what they keep in memory, when it tells of an overflow. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import type { DeliveryOwner, SubscriptionSettings } from "../src/internal/delivery/delivery.ts"
import { lend } from "../src/internal/delivery/lending.ts"
import { Subscription } from "../src/internal/delivery/subscription.ts"
import { oneTurn } from "./fixtures/following.ts"

const open = (settings: Partial<SubscriptionSettings> = {}) => {
  const told = { overflows: 0 }
  const owner: DeliveryOwner = {
    tracing: undefined,
    publish: () => Effect.void,
    overflowed: () => {
      told.overflows++
    },
    unsubscribe: () => {},
    completed: () => {}
  }
  const subscription = new Subscription(2, {
    subject: "a",
    queue: undefined,
    capacity: 100_000,
    capacityBytes: 100_000_000,
    overflow: "dropNewest",
    ...settings
  }, owner)
  /** Messages as they come in one chunk, which can hold much of others, too. */
  const feed = (texts: ReadonlyArray<string>, chunkSize = 0): void => {
    const lines = texts.map((text) => Buffer.from(`a${text}`))
    const size = lines.reduce((sum, line) => sum + line.length, 0)
    const chunk = Buffer.allocUnsafeSlow(Math.max(size, chunkSize))
    let at = 0
    for (const line of lines) {
      line.copy(chunk, at)
      subscription.accept(chunk, at, at + 1, at + 1, at + 1, at + 1, at + 1, at + line.length)
      at += line.length
    }
    subscription.commit()
  }
  const stream = Stream.unwrap(Effect.map(lend(subscription), (pull) => Stream.fromPull(Effect.succeed(pull))))
  return { feed, stream, subscription, told }
}

const numbers = (from: number, to: number): Array<string> => Array.from({ length: to - from }, (_, i) => `${from + i}`)

const textsOf = <E, R>(stream: Stream.Stream<{ readonly text: string }, E, R>) =>
  Effect.map(Stream.runCollect(stream), (messages) => Array.from(messages, ({ text }) => text))

describe("a stream that is run again", () => {
  it.effect("begins where the run before has ended, by `runHead`, `take`, `takeUntil` or a failure, small or long", () =>
    Effect.gen(function*() {
      const { feed, stream, subscription } = open()
      feed(numbers(0, 20_000))
      for (const i of [0, 1, 2]) {
        assert.strictEqual(Option.getOrThrow(yield* Stream.runHead(stream)).text, `${i}`)
      }
      let next = 3
      for (const count of [1, 2, 3, 100, 129, 1000, 5000, 1]) {
        assert.deepStrictEqual(yield* textsOf(Stream.take(stream, count)), numbers(next, next + count))
        next += count
      }
      assert.deepStrictEqual(
        yield* textsOf(Stream.takeUntil(stream, ({ text }) => text === `${next + 2000}`)),
        numbers(next, next + 2001)
      )
      next += 2001
      assert.deepStrictEqual(
        yield* textsOf(Stream.map(stream, ({ text }) => ({ text })).pipe(Stream.take(7))),
        numbers(next, next + 7)
      )
      next += 7
      yield* Effect.exit(
        Stream.runForEach(stream, ({ text }) => text === `${next + 4}` ? Effect.fail("no") : Effect.void)
      )
      next += 5
      assert.deepStrictEqual(yield* textsOf(Stream.take(stream, 1)), [`${next}`])
      assert.strictEqual(subscription.pending, 20_000 - next - 1)
      assert.strictEqual(subscription.dropped, 0)
    }))

  it.effect("after a run that was cut off in a handler has lost no more than a small part of what that had", () =>
    Effect.gen(function*() {
      const { feed, stream } = open()
      feed(numbers(0, 20_000))
      let handled = 0
      yield* Effect.exit(Stream.runForEach(stream, () => ++handled === 6400 ? Effect.fail("no") : Effect.void))
      const [next] = yield* textsOf(Stream.take(stream, 1))
      assert.isAtMost(Number(next) - handled, 100)
    }))

  it.effect("gets what was given back before what has come since, also where it waits already", () =>
    Effect.gen(function*() {
      const { feed, stream, subscription } = open()
      feed(["1", "2"])
      const taken = subscription.rest()
      feed(["3"])
      subscription.giveBack(taken)
      assert.strictEqual(subscription.pendingBytes, 6)
      assert.deepStrictEqual(yield* textsOf(Stream.take(stream, 3)), ["1", "2", "3"])
      const waiting = yield* Effect.forkChild(textsOf(Stream.take(stream, 2)), { startImmediately: true })
      subscription.giveBack(taken)
      assert.deepStrictEqual(yield* Fiber.join(waiting), ["1", "2"])
      assert.strictEqual(subscription.pendingBytes, 0)
    }))

  it.effect("gives its arrays to who wants arrays, and takes nothing back of one that was looked at in part", () =>
    Effect.gen(function*() {
      const { feed, stream } = open()
      feed(numbers(0, 20_000))
      const arrays: Array<ReadonlyArray<{ readonly text: string }>> = []
      yield* Stream.runForEachArray(Stream.take(stream, 10_000), (array) =>
        Effect.sync(() => {
          // One from before tells nothing of the one that is read.
          arrays.at(-1)?.slice(0, 1)
          arrays.push(array)
        }))
      assert.deepStrictEqual(arrays.flatMap((array) => array.slice().map(({ text }) => text)), numbers(0, 10_000))
      const [first] = yield* textsOf(Stream.take(Stream.drop(stream, 300), 1))
      assert.strictEqual(first, "10300")
      const [next] = yield* textsOf(Stream.take(stream, 1))
      assert.isAbove(Number(next), 10_300)
    }))

  it.effect("gives nothing back to a subscription that is closed", () =>
    Effect.gen(function*() {
      const { feed, stream, subscription } = open()
      feed(numbers(0, 1000))
      const close = ({ text }: { readonly text: string }) =>
        Effect.sync(() => {
          if (text === "899") subscription.discard()
        })
      const taken = Stream.take(stream, 900).pipe(Stream.rechunk(900))
      yield* Stream.runForEach(taken, close)
      assert.strictEqual(subscription.pending, 0)
    }))
})

describe("a reader that is interrupted while it waits", () => {
  it.effect("takes nothing of what comes then", () =>
    Effect.gen(function*() {
      const { feed, stream } = open()
      const gone = yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      feed(["1", "2"])
      yield* oneTurn
      assert.deepStrictEqual(yield* textsOf(Stream.take(stream, 2)), ["1", "2"])
    }))

  it.effect("nor of what has come in the same turn", () =>
    Effect.gen(function*() {
      const { feed, stream } = open()
      const gone = yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
      feed(["1", "2"])
      gone.interruptUnsafe()
      yield* oneTurn
      assert.deepStrictEqual(yield* textsOf(Stream.take(stream, 2)), ["1", "2"])
    }))
})

describe("what waits", () => {
  it("is counted in bytes until it is taken, however it is taken", () => {
    const { feed, subscription } = open({ capacityBytes: 30 })
    const most = numbers(1000, 1006)
    for (const takeAll of [() => most.map(() => subscription.takeOne()), () => subscription.rest()]) {
      feed(most)
      assert.strictEqual(subscription.pendingBytes, 30)
      takeAll()
      assert.strictEqual(subscription.pendingBytes, 0)
    }
    feed(most)
    assert.strictEqual(subscription.takeOne()?.text, "1000")
    assert.strictEqual(subscription.pendingBytes, 25)
    feed(["1006"])
    assert.strictEqual(subscription.dropped, 0)
    feed(["1007"])
    assert.strictEqual(subscription.dropped, 1)
  })

  it("overflows with an event for each episode, which ends when it was emptied, however it was", () => {
    for (const overflow of ["dropNewest", "dropOldest"] as const) {
      const { feed, subscription, told } = open({ capacity: 2, overflow })
      feed(["1", "2"])
      assert.strictEqual(told.overflows, 0)
      feed(["3", "4"])
      feed(["5"])
      assert.strictEqual(told.overflows, 1)
      subscription.takeOne()
      feed(["6", "7"])
      assert.strictEqual(told.overflows, 1)
      subscription.takeOne()
      subscription.takeOne()
      feed(["8", "9", "10"])
      assert.strictEqual(told.overflows, 2)
      subscription.rest()
      feed(["11", "12", "13"])
      assert.strictEqual(told.overflows, 3)
    }
  })

  it("with dropOldest keeps its own memory, not that of the chunks it came in", () => {
    const { feed, subscription } = open({ capacity: 8, overflow: "dropOldest" })
    for (let chunk = 0; chunk < 3; chunk++) {
      feed(numbers(1000, 1500))
      const kept = subscription.rest()
      assert.deepStrictEqual(kept.map(({ text }) => text), numbers(1492, 1500))
      assert.strictEqual(kept[0].chunk.buffer.byteLength, 8 * 5)
      for (const part of [0, 1, 2]) feed(numbers(1000 + 500 * part, 1500 + 500 * part))
    }
    assert.strictEqual(subscription.rest()[0].chunk.buffer.byteLength, 8 * 5)
  })

  it.effect("behind a reader that took the first of it, too", () =>
    Effect.gen(function*() {
      const { feed, stream, subscription } = open()
      const one = yield* Effect.forkChild(Stream.runHead(stream), { startImmediately: true })
      feed(["1000", "1001", "1002"], 64 * 1024)
      yield* Effect.andThen(Fiber.join(one), oneTurn)
      assert.deepStrictEqual(subscription.rest().map(({ chunk }) => chunk.buffer.byteLength), [10, 10])
    }))
})
