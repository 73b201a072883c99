/** Effect's persistence in a bucket: what is kept, for how long, and for whom. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Layer, Schema } from "effect"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { NatsKeyValueStore, NatsPersistence } from "effect-nats/persistence"
import { Persistable, PersistedCache, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { rawApi } from "../fixtures/jetStream.ts"
import { hasTtl, on, rawBucket } from "../fixtures/keyValue.ts"
import { requests, together, withBacking } from "../fixtures/stores.ts"
import { strangeKeys } from "../fixtures/strangeKeys.ts"

const of = (n: number): object => ({ n })

describe("a backing store", () => {
  it.live("gives what was set, in the order of the keys that are asked for", () =>
    Effect.gen(function*() {
      const { backing } = yield* withBacking()
      const store = yield* backing.make("users")
      assert.isUndefined(yield* store.get("a"))
      yield* store.set("a", of(1), undefined)
      yield* store.setMany([["b", of(0), undefined], ["c", of(3), Duration.minutes(1)], ["b", of(2), undefined]])
      assert.deepStrictEqual(yield* store.get("a"), of(1))
      assert.deepStrictEqual(yield* store.getMany(["c", "x", "a", "c", "b"]), [of(3), undefined, of(1), of(3), of(2)])
      yield* store.remove("a")
      yield* store.remove("x")
      assert.isUndefined(yield* store.get("a"))
      yield* store.clear
      assert.deepStrictEqual(yield* store.getMany(["a", "b", "c"]), [undefined, undefined, undefined])
    }))

  it.live("takes any text as a key", () =>
    Effect.gen(function*() {
      const { backing, nats } = yield* withBacking()
      const store = yield* backing.make("any")
      const [first, ...rest] = strangeKeys.map((key, i) => [key, of(i), undefined] as const)
      yield* store.setMany([first!, ...rest])
      const [key, ...others] = strangeKeys
      assert.deepStrictEqual(yield* store.getMany([key!, ...others]), strangeKeys.map((_, i) => of(i)) as never)
      for (const [i, key] of strangeKeys.entries()) assert.deepStrictEqual(yield* store.get(key), of(i))
      // What is too long for a subject is in the value.
      const { message } = yield* rawApi(nats, "STREAM.MSG.GET.KV_stores", { seq: strangeKeys.length })
      assert.deepStrictEqual(JSON.parse(Buffer.from(message.data, "base64").toString()), [
        of(strangeKeys.length - 1),
        null,
        strangeKeys.at(-1)
      ])
    }))

  it.live("gives 2,500 keys by few requests where the server has them, and as many as there are before 2.11", () =>
    Effect.gen(function*() {
      const { backing, nats, server } = yield* withBacking()
      const store = yield* backing.make("many")
      const keys = Array.from({ length: 2_500 }, (_, i) => `key ${i}`)
      const entries = keys.filter((_, i) => i % 2 === 0).map((key) => [key, { key }, undefined] as const)
      yield* store.setMany([entries[0]!, ...entries.slice(1)])
      const asked = yield* requests(nats, "$JS.API.*.GET.>")
      const leader = yield* requests(nats, "$JS.API.STREAM.MSG.GET.>")
      const found = yield* store.getMany([keys[0]!, ...keys.slice(1)])
      assert.deepStrictEqual(found, keys.map((key, i) => i % 2 === 0 ? { key } : undefined) as never)
      if (hasTtl(server.version)) {
        // 512 values of each 1,024 keys are read 256 at a time.
        assert.isAtMost(yield* asked.count, 8)
        assert.strictEqual(yield* leader.count, 0)
      } else assert.strictEqual(yield* leader.count, 2_500)
    }))

  it.live("clears exactly its own of all stores in its bucket, and of a key-value store in it nothing", () =>
    Effect.gen(function*() {
      const { backing, js } = yield* withBacking()
      const ids = ["users", "users:a", "users.a", "users.*", ">", "*", "", "u".repeat(2_000), "\ud800"]
      const stores = yield* Effect.forEach(ids, (id) => backing.make(id))
      const values = yield* on(js, NatsKeyValueStore.make({ bucket: "stores", storeId: "users" }))
      const keys = ["", "*", ">", "a.b", "a b", "users"]
      for (const key of keys) {
        yield* values.set(key, key)
        for (const [i, store] of stores.entries()) yield* store.set(key, of(i), undefined)
      }
      for (const [i, store] of stores.entries()) {
        yield* store.clear
        for (const [j, other] of stores.entries()) {
          const expected = keys.map(() => j > i ? of(j) : undefined)
          assert.deepStrictEqual(yield* other.getMany([keys[0]!, ...keys.slice(1)]), expected as never)
        }
      }
      assert.sameMembers([...yield* values.keys], keys)
      yield* stores[0]!.set("a", of(1), undefined)
      yield* values.clear
      assert.deepStrictEqual(yield* stores[0]!.get("a"), of(1))
    }))

  it.live("takes a mark in place of a value for none: of a deletion, a purge, and a time that is over", () =>
    Effect.gen(function*() {
      const { backing, js, nats } = yield* withBacking()
      const store = yield* backing.make("users")
      const kv = yield* on(js, KeyValue.open("stores"))
      const marks = [
        kv.delete("p.users.a"),
        kv.purge("p.users.a"),
        nats.request("$KV.stores.p.users.a", "", { headers: { "Nats-Marker-Reason": "MaxAge" } })
      ]
      for (const mark of marks) {
        yield* store.set("a", of(1), undefined)
        yield* mark
        assert.isUndefined(yield* store.get("a"))
        assert.deepStrictEqual(yield* store.getMany(["a"]), [undefined])
      }
    }))

  it.live("fails a read of what another program has put there, and takes it for missing among others", () =>
    Effect.gen(function*() {
      const { backing, js } = yield* withBacking()
      const store = yield* backing.make("users")
      const kv = yield* on(js, KeyValue.open("stores"))
      yield* store.set("good", of(1), undefined)
      for (const text of ["s3cr3t", "{}", "[1, null]", ""]) {
        yield* kv.put("p.users.bad", text)
        const error = yield* Effect.flip(store.get("bad"))
        assert.strictEqual(error._tag, "PersistenceError")
        assert.match(
          error.message,
          /Could not read "bad" in the store "users" of the bucket "stores"\. .*remove the key/
        )
        assert.notInclude(JSON.stringify(error), "s3cr3t")
        assert.deepStrictEqual(yield* store.getMany(["bad", "good"]), [undefined, of(1)])
      }
      yield* store.set("bad", of(2), undefined)
      assert.deepStrictEqual(yield* store.get("bad"), of(2))
    }))

  it.live("fails at once for what is no JSON and for what is too large, and says so", () =>
    Effect.gen(function*() {
      const { backing } = yield* withBacking()
      const store = yield* backing.make("users")
      const loop: Record<string, unknown> = {}
      loop["loop"] = loop
      for (const set of [store.set("a", loop, undefined), store.setMany([["a", { n: 1n }, undefined]])]) {
        const error = yield* Effect.flip(set)
        assert.strictEqual(error._tag, "PersistenceError")
        assert.match(error.message, /^Could not write .* in the store "users" .* It is no JSON: .+$/)
      }
      const large = { text: "x".repeat(1024 * 1024) }
      const error = yield* Effect.flip(store.set("large", large, undefined))
      assert.match(error.message, /"large" .*message of 10485\d\d bytes .* limit of 1048576/)
      const many = yield* Effect.flip(store.setMany([["first", of(1), undefined], ["large", large, undefined]]))
      assert.match(many.message, /message of 10485\d\d bytes .* limit of 1048576/)
      // What was in front of it is written.
      assert.deepStrictEqual(yield* store.getMany(["first", "large"]), [of(1), undefined])
    }))
})

describe("a value that ends", () => {
  it.effect("is there until the very millisecond by the clock of who reads, and never again", () =>
    Effect.gen(function*() {
      const { backing } = yield* withBacking()
      const store = yield* backing.make("users")
      yield* store.set("short", of(1), Duration.millis(300))
      yield* store.setMany([["long", of(2), Duration.hours(1)], ["never", of(3), undefined]])
      yield* store.set("none", of(4), Duration.infinity)
      yield* TestClock.adjust("299 millis")
      assert.deepStrictEqual(yield* store.get("short"), of(1))
      assert.deepStrictEqual(yield* store.getMany(["short", "long"]), [of(1), of(2)])
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(yield* store.get("short"))
      assert.deepStrictEqual(yield* store.getMany(["short", "long"]), [undefined, of(2)])
      yield* TestClock.adjust(Duration.subtract(Duration.hours(1), Duration.millis(301)))
      assert.deepStrictEqual(yield* store.get("long"), of(2))
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(yield* store.get("long"))
      yield* TestClock.adjust("10000 days")
      assert.deepStrictEqual(yield* store.getMany(["short", "long", "never", "none"]), [
        undefined,
        undefined,
        of(3),
        of(4)
      ])
    }))

  for (const millis of [300, 1_000, 1_500]) {
    it.live(`in real time is neither gone early nor seen late, after ${millis} ms`, () =>
      Effect.gen(function*() {
        const { backing } = yield* withBacking()
        const store = yield* backing.make("users")
        const [before, after] = [Date.now(), Effect.sync(() => Date.now())]
        yield* store.set("a", of(1), Duration.millis(millis))
        const set = yield* after
        for (;;) {
          const begun = Date.now()
          const value = yield* store.get("a")
          if (value === undefined) break
          assert.isBelow(begun, set + millis)
        }
        assert.isAtLeast(Date.now(), before + millis)
        for (let again = 0; again < 20; again++) assert.isUndefined(yield* store.get("a"))
      }))
  }

  it.live("is deleted by the server a minute later at the soonest, where it can, and never sooner", () =>
    Effect.gen(function*() {
      const { backing, nats, server } = yield* withBacking()
      const store = yield* backing.make("users")
      const ttls = [1, 999, 1_000, 1_001, 3_600_000, -100_000, 0].map((millis) => Duration.millis(millis))
      const expected = ["61s", "61s", "61s", "62s", "3660s", "60s", "60s"]
      for (const [i, ttl] of ttls.entries()) {
        yield* store.set("a", of(1), ttl)
        const { message } = yield* rawApi(nats, "STREAM.MSG.GET.KV_stores", { last_by_subj: "$KV.stores.p.users.a" })
        const headers = Buffer.from(message.hdrs ?? "", "base64").toString()
        if (hasTtl(server.version)) assert.include(headers, `Nats-TTL: ${expected[i]}\r\n`)
        else assert.strictEqual(headers, "")
      }
      for (const ttl of [undefined, Duration.infinity, Duration.days(1_000_000)]) {
        yield* store.set("a", of(1), ttl)
        const { message } = yield* rawApi(nats, "STREAM.MSG.GET.KV_stores", { last_by_subj: "$KV.stores.p.users.a" })
        assert.isUndefined(message.hdrs)
        assert.deepStrictEqual(yield* store.get("a"), of(1))
      }
    }))

  it.effect("is deleted a minute later by who reads it where the server does not, and nothing that was written since", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withBacking({ bucket: "other" })
      // As a server before 2.11 makes it.
      yield* rawBucket(nats, "old")
      const backing = yield* on(js, NatsPersistence.makeBacking({ bucket: "old" }))
      const store = yield* backing.make("users")
      const left = Effect.map(rawApi(nats, "STREAM.INFO.KV_old"), (info) => info["state"].messages as number)
      const purges = yield* requests(nats, "$JS.API.STREAM.PURGE.>")
      yield* store.setMany([["a", of(1), Duration.millis(5)], ["b", of(2), Duration.millis(5)], [
        "c",
        of(3),
        undefined
      ]])
      yield* TestClock.adjust("60004 millis")
      // Another clock can be behind.
      assert.deepStrictEqual(yield* store.getMany(["a", "b", "c"]), [undefined, undefined, of(3)])
      assert.isUndefined(yield* store.get("a"))
      assert.strictEqual(yield* left, 3)
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(yield* store.get("a"))
      assert.strictEqual(yield* left, 2)
      assert.deepStrictEqual(yield* store.getMany(["b", "a", "c"]), [undefined, undefined, of(3)])
      assert.strictEqual(yield* left, 1)
      assert.strictEqual(yield* purges.count, 2)
      assert.deepStrictEqual(purges.payloads.map((text) => JSON.parse(text)), [
        { filter: "$KV.old.p.users.a", seq: 2 },
        { filter: "$KV.old.p.users.b", seq: 3 }
      ])
    }))
})

class Name extends Persistable.Class<{ payload: { id: number } }>()("Name", {
  primaryKey: ({ id }) => `${id}.*`,
  success: Schema.String,
  error: Schema.Finite
}) {}

describe("persistence", () => {
  const Live = (js: JetStream.JetStream) =>
    NatsPersistence.layer({ bucket: "stores" }).pipe(Layer.provide(Layer.succeed(JetStream.JetStream, js)))

  it.effect("keeps successes and failures for their times", () =>
    Effect.gen(function*() {
      const { js } = yield* withBacking()
      yield* Effect.gen(function*() {
        const { make } = yield* Persistence.Persistence
        const store = yield* make({
          storeId: "names",
          timeToLive: (exit) => Exit.isSuccess(exit) ? "1 minute" : "500 millis"
        })
        const [one, two] = [new Name({ id: 1 }), new Name({ id: 2 })]
        yield* store.set(one, Exit.succeed("one"))
        yield* store.set(two, Exit.fail(2))
        assert.deepStrictEqual(yield* store.getMany([two, one]), [Exit.fail(2), Exit.succeed("one")])
        yield* TestClock.adjust("500 millis")
        assert.deepStrictEqual(yield* store.getMany([two, one]), [undefined, Exit.succeed("one")])
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(yield* store.get(one))
        yield* store.set(one, Exit.succeed("again"))
        yield* store.remove(one)
        assert.isUndefined(yield* store.get(one))
      }).pipe(Effect.provide(Live(js)))
    }))

  it.effect("holds a cache that outlives its process, and looks up again when a value has ended", () =>
    Effect.gen(function*() {
      const { js } = yield* withBacking()
      let lookups = 0
      const cache = PersistedCache.make((key: Name) => Effect.sync(() => `${key.id} by ${++lookups}`), {
        storeId: "names",
        timeToLive: () => "1 minute"
      })
      // Each as a process of its own would have it: with nothing in memory.
      const look = Effect.flatMap(cache, ({ get }) => get(new Name({ id: 1 }))).pipe(
        Effect.scoped,
        Effect.provide(Live(js))
      )
      assert.strictEqual(yield* look, "1 by 1")
      assert.strictEqual(yield* look, "1 by 1")
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(yield* look, "1 by 1")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* look, "1 by 2")
    }))

  it.live(
    "of one cold key that 50 fibers of each of three processes ask for has one lookup in a process at most",
    () =>
      Effect.gen(function*() {
        const { backing, server } = yield* withBacking()
        const said = yield* together(3, [server.url, "look", "50"])
        const length = "a whole value of 1. ".length * 1_000
        for (const each of said) {
          const { different, lookups, values } = each as { different: unknown; lookups: number; values: number }
          assert.isAtMost(lookups, 1)
          assert.strictEqual(values, 50)
          assert.deepStrictEqual(different, [length])
        }
        const store = yield* backing.make("names")
        assert.include(JSON.stringify(yield* store.get("1")), "a whole value of 1. ".repeat(1_000))
      }),
    120_000
  )

  it.live("has the clock of who reads, which can be behind the clock of who wrote", () =>
    Effect.gen(function*() {
      const { backing } = yield* withBacking()
      const store = yield* backing.make("users")
      const clock = Clock.Clock.defaultValue()
      const behind = { ...clock, currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - 5_000 } as Clock.Clock
      yield* store.set("a", of(1), Duration.millis(1))
      yield* Effect.sleep("2 millis")
      assert.isUndefined(yield* store.get("a"))
      assert.deepStrictEqual(yield* Effect.provideService(store.get("a"), Clock.Clock, behind), of(1))
    }))
})
