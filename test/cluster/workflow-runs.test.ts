/** Effect's own workflow engine on the message storage: what is stored survives the end of the runner. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { until } from "../fixtures/following.ts"
import { approve, Order, orderOf, runnerOn, setting, Steps } from "../fixtures/workflows.ts"

const isSuspended = (executionId: string) =>
  Effect.map(Order.poll(executionId), (result) => Option.isSome(result) && result.value._tag === "Suspended")

describe("a workflow", () => {
  it.live("of activities, a sleep and a signal completes", () =>
    Effect.gen(function*() {
      const { js } = yield* setting
      const steps = new Steps()
      const runner = yield* runnerOn(js, orderOf(steps))
      const payload = { id: "a", sleepMillis: 100 }
      const run = yield* Effect.forkScoped(runner.as(Order.execute(payload)))
      yield* runner.as(Effect.flatMap(Order.executionId(payload), (id) => approve(id, "yes")))
      assert.deepStrictEqual(yield* Fiber.join(run), ["first", "second", "yes", "third"])
      assert.deepStrictEqual(steps.ran, ["first", "second", "third"])
    }), 60_000)

  it.live(
    "whose runner ends during the sleep goes on with the next one, and no stored activity runs again",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        const steps = new Steps()
        const one = yield* runnerOn(js, orderOf(steps))
        const id = yield* one.as(Order.execute({ id: "a", sleepMillis: 1_000 }, { discard: true }))
        yield* until(one.as(isSuspended(id)))
        yield* one.stop
        assert.deepStrictEqual(steps.ran, ["first"])
        // The sleep ends while nobody is there.
        yield* Effect.sleep("1 second")
        const two = yield* runnerOn(js, orderOf(steps))
        yield* two.as(approve(id, "yes"))
        const result = yield* two.as(Order.execute({ id: "a", sleepMillis: 1_000 }))
        assert.deepStrictEqual(result, ["first", "second", "yes", "third"])
        assert.deepStrictEqual(steps.ran, ["first", "second", "third"])
      }),
    60_000
  )
})
