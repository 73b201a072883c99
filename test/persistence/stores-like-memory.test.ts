/** Whatever keys and values there are and whatever is done with them, stores in a bucket are what effect's own in memory are. */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { JetStream } from "effect-nats/jetstream"
import { NatsKeyValueStore, NatsPersistence } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import * as Arbitrary from "effect/Arbitrary"
import { KeyValueStore, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { anyBytes, anyKey, anyText, numberUpTo } from "../fixtures/strangeKeys.ts"

const Live = Layer.provide(JetStream.layer(), TestNatsServer.layerClient({ jetstream: true }))

const inMemory = Effect.all({
  store: Effect.provide(KeyValueStore.KeyValueStore, KeyValueStore.layerMemory),
  backing: Effect.provide(Persistence.BackingPersistence, Persistence.layerBackingMemory)
})

/** A few keys, and what is done with one after the other. */
const steps = <A>(value: Arbitrary.Arbitrary<A>) =>
  Arbitrary.all([
    Arbitrary.array(anyKey, { minLength: 1, maxLength: 4 }),
    Arbitrary.array(Arbitrary.all([numberUpTo(99), numberUpTo(99), value]), { minLength: 1, maxLength: 12 })
  ])

let run = 0

it.layer(Live, { timeout: "60 seconds" })("in a bucket", (it) => {
  it.effect.prop(
    "a key-value store",
    [steps(Arbitrary.all([anyText, anyBytes]))],
    ([[keys, all]]) =>
      Effect.gen(function*() {
        const ours = yield* NatsKeyValueStore.make({ bucket: "any", storeId: `run ${run++}` })
        const { store: theirs } = yield* inMemory
        const both = Effect.fnUntraced(function*<A>(
          use: (store: KeyValueStore.KeyValueStore) => Effect.Effect<A, KeyValueStore.KeyValueStoreError>
        ) {
          assert.deepStrictEqual(yield* use(ours), yield* use(theirs))
        })
        for (const [which, what, [text, bytes]] of all) {
          const key = keys[which % keys.length]!
          if (what < 30) yield* both((store) => Effect.asVoid(store.set(key, text)))
          else if (what < 60) yield* both((store) => Effect.asVoid(store.set(key, bytes)))
          else if (what < 70) yield* both((store) => Effect.asVoid(store.remove(key)))
          else if (what < 80) yield* both((store) => store.modify(key, (value) => `${value}${text}`))
          else if (what < 90) yield* both((store) => store.modifyUint8Array(key, (value) => value.slice(1)))
          else if (what < 98) yield* both((store) => store.clearPrefix(key.slice(0, 1 + (which % 2))))
          else yield* both((store) => store.clear)
          yield* both((store) => store.get(key))
          yield* both((store) => Effect.map(store.keys, (listed) => [...listed].toSorted()))
        }
        for (const key of keys) {
          yield* both((store) => store.get(key))
          yield* both((store) => store.getUint8Array(key))
          yield* both((store) => store.has(key))
        }
        yield* both((store) => store.size)
      }),
    { arbitrary: { runs: 100 }, timeout: 120_000 }
  )

  it.effect.prop(
    "a backing persistence, at every millisecond",
    [steps(Arbitrary.all([anyText, numberUpTo(2_500)]))],
    ([[keys, all]]) =>
      Effect.gen(function*() {
        const storeId = `${keys[0]} run ${run++}`
        const ours = yield* Effect.flatMap(NatsPersistence.makeBacking({ bucket: "any" }), ({ make }) => make(storeId))
        const theirs = yield* Effect.flatMap(inMemory, ({ backing }) => backing.make(storeId))
        const both = Effect.fnUntraced(function*<A>(
          use: (store: Persistence.BackingPersistenceStore) => Effect.Effect<A, Persistence.PersistenceError>
        ) {
          assert.deepStrictEqual(yield* use(ours), yield* use(theirs))
        })
        for (const [which, what, [text, millis]] of all) {
          const key = keys[which % keys.length]!
          const ttl = millis % 3 === 0 ? undefined : Duration.millis(millis)
          if (what < 30) yield* both((store) => Effect.asVoid(store.set(key, { text, [text]: null }, ttl)))
          else if (what < 60) {
            yield* both((store) => store.setMany([[keys[0]!, { text }, ttl], [key, [text], undefined], [key, {}, ttl]]))
          } else if (what < 70) yield* both((store) => Effect.asVoid(store.remove(key)))
          else if (what < 98) yield* TestClock.adjust(millis)
          else yield* both((store) => store.clear)
          for (const one of keys) yield* both((store) => store.get(one))
          yield* both((store) => store.getMany([key, ...keys, "absent"]))
        }
      }),
    { arbitrary: { runs: 100 }, timeout: 120_000 }
  )
})
