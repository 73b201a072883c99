/** Values of a bucket: what is read, written, compared and deleted, and what each failure says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { KeyValue } from "effect-nats/jetstream"
import { hasTtl, on, rawBucket, withBucket } from "../fixtures/keyValue.ts"

const text = (entry: Option.Option<KeyValue.Entry<Uint8Array>>): string | undefined =>
  Option.isSome(entry) ? Buffer.from(entry.value.value).toString() : undefined

describe("a bucket", () => {
  it.live("gives the last value of a key, and none where it was deleted, purged or never written", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket({ max_msgs_per_subject: 5 })
      assert.strictEqual(Option.isNone(yield* kv.get("a")), true)
      assert.strictEqual(yield* kv.put("a", "one"), 1)
      assert.strictEqual(yield* kv.put("a", new Uint8Array([50])), 2)
      for (const consistent of [false, true]) {
        const found = Option.getOrThrow(yield* kv.get("a", { consistent }))
        assert.strictEqual(Buffer.from(found.value).toString(), "2")
        assert.deepInclude(found, { _tag: "Entry", key: "a", revision: 2 })
        assert.approximately(found.timestampMillis, Date.now(), 10_000)
        assert.strictEqual(text(yield* kv.get("a", { revision: 1, consistent })), "one")
        // A revision of another key is none of this one.
        assert.strictEqual(Option.isNone(yield* kv.get("b", { revision: 1, consistent })), true)
        assert.strictEqual(Option.isNone(yield* kv.get("a", { revision: 99, consistent })), true)
      }
      assert.strictEqual(yield* kv.delete("a"), 3)
      assert.strictEqual(Option.isNone(yield* kv.get("a")), true)
      assert.strictEqual(text(yield* kv.get("a", { revision: 2 })), "2")
      assert.strictEqual(yield* kv.purge("a"), 4)
      assert.strictEqual(Option.isNone(yield* kv.get("a", { consistent: true })), true)
      assert.strictEqual(Option.isNone(yield* kv.get("a", { revision: 2 })), true)
      // An empty value is a value.
      yield* kv.put("empty", "")
      assert.strictEqual(text(yield* kv.get("empty")), "")
    }))

  it.live("creates a key once, also after it was deleted, and updates it by its revision only", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket()
      assert.strictEqual(yield* kv.create("a", "1"), 1)
      const exists = yield* Effect.flip(kv.create("a", "2"))
      assert(exists._tag === "KeyAlreadyExists", exists._tag)
      assert.strictEqual(exists.revision, 1)
      assert.include(exists.message, "update it")
      const wrong = yield* Effect.flip(kv.update("a", "2", 7))
      assert(wrong._tag === "WrongLastSequence", wrong._tag)
      assert.strictEqual(wrong.actual, 1)
      assert.strictEqual(yield* kv.update("a", "2", 1), 2)
      const stale = yield* Effect.flip(kv.delete("a", { revision: 1 }))
      assert.strictEqual(stale._tag, "WrongLastSequence")
      assert.strictEqual(yield* kv.delete("a", { revision: 2 }), 3)
      assert.strictEqual(yield* kv.create("a", "again"), 4)
      assert.strictEqual(yield* kv.purge("a"), 5)
      assert.strictEqual(yield* kv.create("a", "and again"), 6)
      assert.strictEqual(yield* kv.update("new", "", 0), 7)
    }))

  it.live("50 fibers that create and delete one key: each create gives a revision or the one of a live value", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket()
      const written = new Set<number>()
      let created = 0
      const once = Effect.gen(function*() {
        const result = yield* Effect.result(kv.create("one", "x"))
        if (result._tag === "Success") {
          assert.strictEqual(written.has(result.success), false)
          written.add(result.success)
          created++
          yield* kv.delete("one")
          return
        }
        assert(result.failure._tag === "KeyAlreadyExists", result.failure._tag)
        const { revision } = result.failure
        // Whoever wrote it may not have heard of it yet; that it was no deletion the end shows.
        if (!written.has(revision)) pending.add(revision)
      })
      const pending = new Set<number>()
      yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.forEach(Array.from({ length: 10 }), () => once), {
        concurrency: "unbounded"
      })
      assert.isAbove(created, 10)
      for (const revision of pending) assert.strictEqual(written.has(revision), true, String(revision))
    }))

  it.live("modify loses no update of others, gives up after so many tries, and passes on what fails in it", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket()
      const add = kv.modify(
        "count",
        (current) => String(Number(text(current) ?? 0) + 1)
      )
      yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.forEach(Array.from({ length: 10 }), () => add), {
        concurrency: "unbounded"
      })
      assert.strictEqual(text(yield* kv.get("count")), "100")

      let tries = 0
      const lost = yield* Effect.flip(
        kv.modify("count", () => {
          tries++
          return Effect.as(kv.put("count", "other"), "mine")
        }, { times: 3 })
      )
      assert.strictEqual(lost._tag, "WrongLastSequence")
      assert.strictEqual(tries, 3)
      assert.strictEqual(yield* Effect.flip(kv.modify("count", () => Effect.fail("no" as const))), "no")
    }))

  it.live("a key that no client can read is InvalidKey in every operation, and nothing is sent", () =>
    Effect.gen(function*() {
      const { kv, nats } = yield* withBucket()
      const before = (yield* nats.stats).messagesOut
      for (const key of ["", ".a", "a.", "a..b", "a b", "a*", "*", "a.>", "ü", "a\u0000", "x".repeat(1025)]) {
        for (
          const operation of [
            kv.get(key),
            kv.put(key, ""),
            kv.create(key, ""),
            kv.update(key, "", 1),
            kv.modify(key, () => ""),
            kv.delete(key),
            kv.purge(key)
          ]
        ) {
          const error = yield* Effect.flip(operation as Effect.Effect<unknown, KeyValueFailure>)
          assert.strictEqual(error._tag, "InvalidKey", key)
        }
      }
      assert.strictEqual((yield* nats.stats).messagesOut, before)
    }))

  it.live("any text is a key through a codec, and an ordinary key stays as it is", () =>
    Effect.gen(function*() {
      const { js, kv } = yield* withBucket()
      const escaped = yield* on(js, KeyValue.open("test", { keys: KeyValue.escapedKeys }))
      for (const key of ["", ".", "a b", "über", "日本.*.>", "a=b", "users.7", "\u0000\n", "😀"]) {
        yield* escaped.put(key, key)
        assert.strictEqual(text(yield* escaped.get(key)), key)
      }
      assert.strictEqual(text(yield* kv.get("users.7")), "users.7")
      assert.strictEqual(text(yield* kv.get("=C3=BCber")), "über")
      const half = yield* Effect.flip(escaped.put("\ud800", ""))
      assert.strictEqual(half._tag, "InvalidKey")
    }))

  it.live("values of a schema: one that does not fit is typed, with the key and the path and nothing of the value", () =>
    Effect.gen(function*() {
      const { js, kv } = yield* withBucket()
      const typed = yield* on(js, KeyValue.schema("test", Schema.Struct({ total: Schema.Number })))
      yield* typed.put("a", { total: 1.5 })
      assert.strictEqual(text(yield* kv.get("a")), "{\"total\":1.5}")
      yield* typed.modify("a", (current) => ({ total: Option.getOrThrow(current).value.total + 1 }))
      assert.deepStrictEqual(Option.getOrThrow(yield* typed.get("a")).value, { total: 2.5 })
      yield* kv.put("a", "{\"total\":\"s3cr3t\"}")
      const error = yield* Effect.flip(typed.get("a"))
      assert(error._tag === "MessageDecodeError", error._tag)
      assert.strictEqual(error.path, "total")
      assert.include(error.subject, "$KV.test.a")
      assert.notInclude(JSON.stringify(error), "s3cr3t")
      const unfit = yield* Effect.flip(typed.put("a", { total: "x" } as never))
      assert.strictEqual(unfit._tag, "MessageEncodeError")
    }))

  it.live("that was deleted is BucketNotFound in every operation, and so is one that never was; without direct gets it is read too", () =>
    Effect.gen(function*() {
      // 2.9 is silent where a direct get finds nobody.
      const { js, kv, nats } = yield* withBucket({}, { requestTimeout: "1 second" })
      const missing = yield* Effect.flip(on(js, KeyValue.open("nope")))
      assert(missing._tag === "BucketNotFound", missing._tag)
      assert.strictEqual((yield* Effect.flip(on(js, KeyValue.open("no.pe"))))._tag, "InvalidName")
      yield* rawBucket(nats, "plain", { allow_direct: false })
      const plain = yield* on(js, KeyValue.open("plain"))
      yield* plain.put("a", "1")
      assert.strictEqual(text(yield* plain.get("a")), "1")
      yield* nats.request("$JS.API.STREAM.DELETE.KV_test")
      for (
        const operation of [
          kv.get("a"),
          kv.get("a", { consistent: true }),
          kv.put("a", ""),
          kv.create("a", ""),
          kv.delete("a")
        ]
      ) {
        const error = yield* Effect.flip(operation as Effect.Effect<unknown, KeyValueFailure>)
        assert.strictEqual(error._tag, "BucketNotFound")
      }
    }))

  it.live("a key lives as long as it is told, and can be created again at once; older servers say that they cannot", () =>
    Effect.gen(function*() {
      const { js, kv, nats, server } = yield* withBucket()
      if (!hasTtl(server.version)) {
        const error = yield* Effect.flip(kv.put("a", "1", { ttl: "1 second" }))
        assert(error._tag === "UnsupportedByServer", error._tag)
        assert.strictEqual(error.needs, "2.11")
        assert.strictEqual(Option.isNone(yield* kv.get("a")), true)
        return
      }
      const disabled = yield* Effect.flip(kv.put("a", "1", { ttl: "1 second" }))
      assert.strictEqual(disabled._tag, "KeyTtlDisabled")
      yield* rawBucket(nats, "ttl", { allow_msg_ttl: true })
      yield* rawBucket(nats, "marked", { allow_msg_ttl: true, subject_delete_marker_ttl: 60e9 })
      yield* rawBucket(nats, "aged", { max_age: 1e9 })
      yield* rawBucket(nats, "agedAndMarked", { max_age: 1e9, allow_msg_ttl: true, subject_delete_marker_ttl: 60e9 })
      yield* Effect.forEach(["ttl", "aged", "agedAndMarked"], (bucket) =>
        Effect.gen(function*() {
          const store = yield* on(js, KeyValue.open(bucket))
          const first = yield* bucket === "ttl" ? store.create("a", "1", { ttl: "1 second" }) : store.create("a", "1")
          assert.strictEqual((yield* Effect.flip(store.create("a", "2")))._tag, "KeyAlreadyExists")
          while (Option.isSome(yield* store.get("a"))) yield* Effect.sleep("20 millis")
          assert.isAbove(yield* store.create("a", "2"), first)
        }), { concurrency: "unbounded" })
    }))
})

type KeyValueFailure = { readonly _tag: string }
