/** Effect's key-value store in a bucket: any key, any value, and what is told apart. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NatsKeyValueStore } from "effect-nats/persistence"
import { withJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"

const withStore = (options: Partial<NatsKeyValueStore.Options> = {}) =>
  Effect.gen(function*() {
    const made = yield* withJetStream()
    return { ...made, store: yield* on(made.js, NatsKeyValueStore.make({ bucket: "state", ...options })) }
  })

describe("a key-value store", () => {
  it.live("gives what was set, and nothing where nothing was or where it was removed", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      assert.isUndefined(yield* store.get("a"))
      assert.isFalse(yield* store.has("a"))
      yield* store.set("a", "1")
      assert.strictEqual(yield* store.get("a"), "1")
      yield* store.set("a", new Uint8Array([0, 255]))
      assert.strictEqual(yield* store.get("a"), "AP8=")
      assert.deepStrictEqual(yield* store.getUint8Array("a"), new Uint8Array([0, 255]))
      yield* store.set("a", new Uint8Array([65]))
      assert.strictEqual(yield* store.get("a"), "QQ==")
      yield* store.set("b", "")
      assert.strictEqual(yield* store.get("b"), "")
      assert.sameMembers([...yield* store.keys], ["a", "b"])
      assert.strictEqual(yield* store.size, 2)
      yield* store.remove("a")
      assert.isUndefined(yield* store.get("a"))
      assert.strictEqual(yield* store.size, 1)
      yield* store.clear
      assert.isTrue(yield* store.isEmpty)
    }))
})
