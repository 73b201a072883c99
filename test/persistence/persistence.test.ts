/** Effect's persistence in a bucket: what is kept, for how long, and for whom. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { NatsPersistence } from "effect-nats/persistence"
import { withJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"

const withBacking = (options: Partial<NatsPersistence.Options> = {}) =>
  Effect.gen(function*() {
    const made = yield* withJetStream()
    return { ...made, backing: yield* on(made.js, NatsPersistence.makeBacking({ bucket: "cache", ...options })) }
  })

describe("a backing store", () => {
  it.live("gives what was set, in the order of the keys that are asked for", () =>
    Effect.gen(function*() {
      const { backing } = yield* withBacking()
      const store = yield* backing.make("users")
      assert.isUndefined(yield* store.get("a"))
      yield* store.set("a", { n: 1 }, undefined)
      yield* store.setMany([["b", { n: 2 }, undefined], ["c", { n: 3 }, Duration.minutes(1)]])
      assert.deepStrictEqual(yield* store.get("a"), { n: 1 })
      assert.deepStrictEqual(yield* store.getMany(["c", "x", "a", "c", "b"]), [
        { n: 3 },
        undefined,
        { n: 1 },
        { n: 3 },
        { n: 2 }
      ])
      yield* store.remove("a")
      assert.isUndefined(yield* store.get("a"))
      yield* store.clear
      assert.deepStrictEqual(yield* store.getMany(["a", "b", "c"]), [undefined, undefined, undefined])
    }))
})
