/** More entities than a runner may have at a time, whose messages wait in the stream. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { withJetStream } from "../fixtures/jetStream.ts"
import { faster, residentCaller, residentRunner } from "../fixtures/residents.ts"

const most = 100
const batch = 64

/** The entity of a number has its name. */
const stored = (js: Parameters<typeof residentCaller>[0], numbers: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const { call, stop } = yield* residentCaller(js)
    yield* Effect.forEach(numbers, (number) => call(String(number)).Ask({ number }, { discard: true }), {
      concurrency: 64
    })
    yield* stop
  })

const upTo = (count: number): Array<number> => Array.from({ length: count }, (_, number) => number)

describe("a runner that may have a hundred entities", () => {
  it.live(
    "answers two thousand whose messages waited, and has a hundred at most, a batch at a time",
    () =>
      Effect.gen(function*() {
        const { js } = yield* withJetStream({ requestTimeout: "60 seconds" })
        const numbers = upTo(2_000)
        yield* stored(js, numbers)
        yield* Effect.gen(function*() {
          const config = { maxResidentEntities: most, unprocessedMessageBatchSize: batch }
          const { call, reads, residents } = yield* residentRunner(js, config, "100 millis")
          yield* residents.until(({ asked }) => asked.length >= numbers.length)
          // What is stored is what was answered, and nobody is asked again.
          const answers = yield* Effect.forEach(numbers, (number) => call(String(number)).Ask({ number }), {
            concurrency: 64
          })
          assert.deepStrictEqual(answers, numbers)
          assert.sameMembers(residents.asked, numbers)
          assert.strictEqual(residents.peak, most)
          for (const { given, limit } of reads) {
            assert.isAtMost(limit!, batch)
            assert.isAtMost(given, limit!)
          }
        }).pipe(faster(20))
      }),
    120_000
  )

  it.live(
    "answers those that live while no other one can",
    () =>
      Effect.gen(function*() {
        const { js } = yield* withJetStream()
        yield* stored(js, upTo(300))
        const config = { maxResidentEntities: most, unprocessedMessageBatchSize: batch }
        const { reads, residents } = yield* residentRunner(js, config, "1 hour")
        yield* residents.until(({ asked }) => asked.length >= most)
        const living = [...residents.living]
        const later = upTo(500).map((number) => 1_000 + number)
        const caller = yield* residentCaller(js)
        yield* Effect.forEach(later, (number) =>
          caller.call(living[number % living.length]!).Ask({ number }, { discard: true }), { concurrency: 64 })
        yield* residents.until(({ asked }) =>
          asked.length >= most + later.length
        )
        assert.sameMembers(residents.asked.slice(most), later)
        assert.sameMembers([...residents.living], living)
        assert.isTrue(reads.some(({ given, ofResidents }) => ofResidents && given > 0))
        for (const { given } of reads) assert.isAtMost(given, batch)
      }),
    60_000
  )
})
