/** Views of a bucket: a map in memory that is always the current one, until it says that it is over. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Schema, Scope, Stream } from "effect"
import { KeyValue } from "effect-nats/jetstream"
import { rawApi } from "../fixtures/jetStream.ts"
import { on, withBucket } from "../fixtures/keyValue.ts"

const text = (entry: Option.Option<KeyValue.Entry<Uint8Array>>): string | undefined =>
  Option.isSome(entry) ? Buffer.from(entry.value.value).toString() : undefined

describe("a view", () => {
  it.live("has all that was there when it is ready, follows every change, and asks nobody for a value", () =>
    Effect.gen(function*() {
      const { kv, nats } = yield* withBucket()
      yield* kv.put("a", "1")
      yield* kv.put("b", "1")
      yield* kv.delete("b")
      const view = yield* KeyValue.view(kv)
      // Not ready yet: it waits, and never says that a value is not there that is.
      assert.strictEqual(text(yield* view.get("a")), "1")
      yield* view.ready
      assert.strictEqual(Option.isNone(yield* view.get("b")), true)
      const changes = yield* Effect.forkChild(Stream.runCollect(Stream.take(view.changes, 3)), {
        startImmediately: true
      })
      yield* kv.put("c", "1")
      yield* kv.put("a", "2")
      yield* kv.delete("c")
      const seen = yield* Fiber.join(changes)
      assert.deepStrictEqual(seen.map((change) => `${change._tag} ${change.key}`), ["Entry c", "Entry a", "Deletion c"])
      const sent = (yield* nats.stats).messagesOut
      assert.strictEqual(text(yield* view.get("a")), "2")
      assert.deepStrictEqual([...(yield* view.entries).keys()], ["a"])
      assert.strictEqual((yield* nats.stats).messagesOut, sent)
    }))

  it.live("gives a slow reader of changes the last one of each key, in the order of revisions", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket()
      const view = yield* KeyValue.view(kv, { filter: "k.*" })
      yield* view.ready
      const seen: Array<string> = []
      const slow = yield* Effect.forkChild(
        view.changes.pipe(
          Stream.rechunk(1),
          Stream.takeUntil((change) => change.key === "k.end"),
          Stream.runForEach((change) => {
            seen.push(`${change.key} ${change.revision}`)
            return seen.length === 1
              ? Effect.gen(function*() {
                for (let n = 0; n < 101; n++) yield* kv.put(`k.${n % 2}`, String(n))
                yield* kv.put("other", "")
                yield* kv.put("k.end", "")
                while (Option.isNone(yield* view.get("k.end"))) yield* Effect.sleep("1 millis")
              })
              : Effect.void
          })
        ),
        { startImmediately: true }
      )
      yield* kv.put("k.first", "")
      yield* Fiber.join(slow)
      assert.deepStrictEqual(seen, ["k.first 1", "k.1 101", "k.0 102", "k.end 104"])
    }))

  it.live("whose bucket is deleted fails everything typed, and one whose scope was closed says so", () =>
    Effect.gen(function*() {
      const { kv, nats } = yield* withBucket()
      const scope = yield* Scope.make()
      const closed = yield* Scope.provide(KeyValue.view(kv), scope)
      yield* closed.ready
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(closed.get("a")))._tag, "ViewClosed")
      assert.strictEqual((yield* Effect.flip(closed.ready))._tag, "ViewClosed")

      yield* kv.put("a", "1")
      const view = yield* KeyValue.view(kv)
      assert.strictEqual(text(yield* view.get("a")), "1")
      const changes = yield* Effect.forkChild(Effect.flip(Stream.runDrain(view.changes)), { startImmediately: true })
      yield* kv.put("a", "2")
      while (text(yield* view.get("a")) !== "2") yield* Effect.sleep("1 millis")
      yield* rawApi(nats, "STREAM.DELETE.KV_test")
      assert.strictEqual((yield* Fiber.join(changes))._tag, "BucketNotFound")
      assert.strictEqual((yield* Effect.flip(view.get("a")))._tag, "BucketNotFound")
      assert.strictEqual((yield* Effect.flip(view.entries))._tag, "BucketNotFound")
      assert.strictEqual((yield* Effect.flip(view.ready))._tag, "BucketNotFound")
      const none = yield* KeyValue.view(kv)
      assert.strictEqual((yield* Effect.flip(none.ready))._tag, "BucketNotFound")
      assert.strictEqual((yield* Effect.flip(KeyValue.view(kv, { filter: "a b" })))._tag, "InvalidKey")
    }))

  it.live("of a schema is over at a value that does not fit, or keeps the one before it", () =>
    Effect.gen(function*() {
      const { js, kv } = yield* withBucket()
      const flags = yield* on(js, KeyValue.schema("test", Schema.Boolean))
      yield* flags.put("dark", true)
      const strict = yield* KeyValue.view(flags)
      const lenient = yield* KeyValue.view(flags, { onInvalid: "skip" })
      yield* Effect.all([strict.ready, lenient.ready])
      yield* kv.put("dark", "nonsense")
      yield* flags.put("light", true)
      while (Option.isNone(yield* lenient.get("light"))) yield* Effect.sleep("1 millis")
      assert.strictEqual(Option.getOrThrow(yield* lenient.get("dark")).value, true)
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(strict.changes)))._tag, "MessageDecodeError")
      assert.strictEqual((yield* Effect.flip(strict.get("dark")))._tag, "MessageDecodeError")
    }))
})
