/** Workers over a source that is an array: what each message comes to, and who has what nobody has begun. */
import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber } from "effect"
import { type Source, Worker } from "../src/internal/operations/worker.ts"

const sourceOf = (messages: Array<number>): Source<number, never> => ({
  read: (limit) =>
    Effect.succeed(Effect.suspend(() =>
      messages.length === 0
        ? Effect.fail(Cause.Done())
        : Effect.succeed(messages.splice(0, limit ?? messages.length) as [number, ...Array<number>])
    )),
  takeOne: () => messages.shift(),
  rest: () => messages.splice(0)
})

const inTurn: ReadonlyArray<Effect.Effect<void> | undefined> = [Effect.yieldNow, undefined, Effect.die("no"), undefined]

for (const [concurrency, oneByOne] of [[1, false], [1, true], [2, true], ["unbounded", false]] as const) {
  it.effect(`a message is settled once: at once, later, or as failed where that dies, with ${concurrency}, ${oneByOne}`, () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const worker = new Worker<number, never, never>(sourceOf([1, 2, 3, 4, 5]), {
        concurrency,
        oneByOne,
        handle: (message) => {
          if (message === 5) throw new Error("no")
          return Effect.void
        },
        settle: {
          succeeded: (message) => {
            told.push(`${message} succeeded`)
            const owed = inTurn[message - 1]
            return owed && Effect.onExit(owed, () => Effect.sync(() => told.push(`${message} was owed`)))
          },
          failed: (message) => Effect.sync(() => told.push(`${message} failed`))
        },
        report: (message) => Effect.sync(() => told.push(`${message} was reported`))
      })
      yield* worker.run
      // In a fiber of its own a failure of what is owed is only reported.
      const isForked = concurrency === "unbounded"
      assert.deepStrictEqual(
        told.toSorted(),
        [
          "1 succeeded",
          "1 was owed",
          "2 succeeded",
          ...(isForked ? [] : ["3 failed"]),
          "3 succeeded",
          "3 was owed",
          "3 was reported",
          "4 succeeded",
          "5 failed",
          "5 was reported"
        ].toSorted()
      )
    }))
}

it.effect("what no handler has begun is given out once, and no handler begins it then", () =>
  Effect.gen(function*() {
    const messages = [1, 2, 3]
    const finish = yield* Deferred.make<void>()
    const begun: Array<number> = []
    const worker = new Worker<number, never, never>(sourceOf(messages), {
      concurrency: 1,
      handle: (message) => {
        begun.push(message)
        return Deferred.await(finish)
      },
      report: () => Effect.void
    })
    const fiber = yield* Effect.forkChild(worker.run, { startImmediately: true })
    messages.push(4)
    assert.deepStrictEqual(worker.rest(), [2, 3, 4])
    assert.deepStrictEqual(worker.rest(), [])
    yield* Deferred.succeed(finish, undefined)
    yield* Fiber.join(fiber)
    assert.deepStrictEqual(begun, [1])
  }))
