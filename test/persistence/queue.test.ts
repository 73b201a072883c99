/** Queues of effect on a stream: what is offered is taken once, and what came of it stays. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { kinds, withQueues } from "../fixtures/queues.ts"

describe("a queue", () => {
  it.live("gives each element once, in their order, and leaves one record of what is done", () =>
    Effect.gen(function*() {
      const { nats, queues } = yield* withQueues()
      const queue = yield* queues.make({ name: "jobs", schema: Schema.Struct({ n: Schema.Number }) })
      for (let n = 0; n < 5; n++) yield* queue.offer({ n }, { id: `job ${n}` })
      const taken: Array<readonly [number, string, number]> = []
      for (let n = 0; n < 5; n++) {
        yield* queue.take((job, { attempts, id }) => Effect.sync(() => taken.push([job.n, id, attempts])))
      }
      assert.deepStrictEqual(taken, [0, 1, 2, 3, 4].map((n) => [n, `job ${n}`, 1] as const))
      assert.deepStrictEqual(yield* kinds(nats), { d: 5 })
    }))

  it.live("an id that was offered is not offered again, before and after its element is done", () =>
    Effect.gen(function*() {
      const { nats, queues } = yield* withQueues()
      const queue = yield* queues.make({ name: "jobs", schema: Schema.String })
      assert.strictEqual(yield* queue.offer("first", { id: "a" }), "a")
      assert.strictEqual(yield* queue.offer("second", { id: "a" }), "a")
      assert.deepStrictEqual(yield* kinds(nats), { q: 1 })
      assert.strictEqual(yield* queue.take(Effect.succeed), "first")
      assert.strictEqual(yield* queue.offer("third", { id: "a" }), "a")
      assert.deepStrictEqual(yield* kinds(nats), { d: 1 })
    }))
})
