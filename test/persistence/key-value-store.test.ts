/** Effect's key-value store in a bucket: any key, any value, what is told apart, and what is removed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KeyValue } from "effect-nats/jetstream"
import { NatsKeyValueStore } from "effect-nats/persistence"
import { on } from "../fixtures/keyValue.ts"
import { together, withStore } from "../fixtures/stores.ts"
import { strangeKeys } from "../fixtures/strangeKeys.ts"

const bytes = (...values: ReadonlyArray<number>): Uint8Array => new Uint8Array(values)

describe("a key-value store", () => {
  it.live("gives what was set, and nothing where nothing was or where it was removed", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      assert.isUndefined(yield* store.get("a"))
      assert.isUndefined(yield* store.getUint8Array("a"))
      assert.isFalse(yield* store.has("a"))
      assert.isTrue(yield* store.isEmpty)
      yield* store.remove("a")
      yield* store.clear
      yield* store.set("a", "1")
      yield* store.set("b", "")
      assert.strictEqual(yield* store.get("a"), "1")
      assert.strictEqual(yield* store.get("b"), "")
      assert.isTrue(yield* store.has("b"))
      assert.sameMembers([...yield* store.keys], ["a", "b"])
      assert.strictEqual(yield* store.size, 2)
      yield* store.remove("a")
      assert.isUndefined(yield* store.get("a"))
      assert.deepStrictEqual(yield* store.keys, ["b"])
      yield* store.clear
      assert.isTrue(yield* store.isEmpty)
      assert.deepStrictEqual(yield* store.keys, [])
    }))

  it.live("tells text from bytes: bytes as text are base64, and text as bytes is UTF-8", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      const cases: ReadonlyArray<readonly [string | Uint8Array, string, Uint8Array]> = [
        [bytes(), "", bytes()],
        [bytes(0, 255), "AP8=", bytes(0, 255)],
        [bytes(65), "QQ==", bytes(65)],
        [Buffer.from("QQ=="), "UVE9PQ==", bytes(81, 81, 61, 61)],
        [bytes(0xef, 0xbb, 0xbf, 65), "77u/QQ==", bytes(0xef, 0xbb, 0xbf, 65)],
        ["QQ==", "QQ==", bytes(81, 81, 61, 61)],
        ["\ufeffü", "\ufeffü", bytes(0xef, 0xbb, 0xbf, 0xc3, 0xbc)],
        ["a\ud800b", "a\ud800b", bytes(97, 0xef, 0xbf, 0xbd, 98)]
      ]
      for (const key of ["short", "long".repeat(200)]) {
        for (const [value, text, raw] of cases) {
          yield* store.set(key, value)
          assert.strictEqual(yield* store.get(key), text)
          const read = yield* store.getUint8Array(key)
          assert.deepStrictEqual(read, raw)
          // What is given is its own.
          read!.fill(1)
          assert.deepStrictEqual(yield* store.getUint8Array(key), raw)
        }
      }
    }))

  it.live("takes any text as a key, and lists, reads and removes each by itself", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      for (const [i, key] of strangeKeys.entries()) yield* store.set(key, String(i))
      const sorted = [...strangeKeys].toSorted()
      assert.deepStrictEqual([...yield* store.keys].toSorted(), sorted)
      assert.strictEqual(yield* store.size, strangeKeys.length)
      for (const [i, key] of strangeKeys.entries()) assert.strictEqual(yield* store.get(key), String(i))
      for (const [i, key] of strangeKeys.entries()) {
        yield* store.remove(key)
        assert.isFalse(yield* store.has(key))
        assert.strictEqual(yield* store.size, strangeKeys.length - i - 1)
      }
    }))

  it.live("clears exactly the keys of a prefix, and no pattern in it", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      const all = ["*", "**", "*.a", ">", ">>", "a", "a.b", "a.bc", "a b", "ab", "A", "", "a.b".repeat(200)]
      for (const prefix of ["*", ">", "a.b", "a", "a.", "x", "a.b".repeat(200), "a.b".repeat(199)]) {
        for (const key of all) yield* store.set(key, "1")
        yield* store.clearPrefix(prefix)
        assert.deepStrictEqual(
          [...yield* store.keys].toSorted(),
          all.filter((key) => !key.startsWith(prefix)).toSorted()
        )
      }
      yield* store.clearPrefix("")
      assert.isTrue(yield* store.isEmpty)
    }))

  it.live("of several in one bucket sees and clears its own keys only", () =>
    Effect.gen(function*() {
      const { js } = yield* withStore()
      const ids = ["users", "users:a", "users.a", "users.*", ">", "*", "", "u".repeat(2_000)]
      const stores = yield* Effect.forEach(ids, (storeId) =>
        on(js, NatsKeyValueStore.make({ bucket: "stores", storeId })))
      for (const [i, store] of stores.entries()) {
        for (const key of [`of ${i}`, "both", "*", ">"]) {
          yield* store.set(key, ids[i]!)
        }
      }
      for (const [i, store] of stores.entries()) {
        yield* store.clear
        assert.isTrue(yield* store.isEmpty)
        for (const [j, other] of [...stores.entries()].slice(i + 1)) {
          assert.sameMembers([...yield* other.keys], [`of ${j}`, "both", "*", ">"])
          assert.strictEqual(yield* other.get("both"), ids[j])
        }
      }
    }))

  it.live("takes a mark in place of a value for none: of a deletion, a purge, and a time that is over", () =>
    Effect.gen(function*() {
      const { js, nats, store } = yield* withStore()
      const kv = yield* on(js, KeyValue.open("stores"))
      const marks = [
        kv.delete("k.default.a"),
        kv.purge("k.default.a"),
        nats.request("$KV.stores.k.default.a", "", { headers: { "Nats-Marker-Reason": "MaxAge" } })
      ]
      for (const mark of marks) {
        yield* store.set("a", "1")
        yield* mark
        assert.isUndefined(yield* store.get("a"))
        assert.isUndefined(yield* store.getUint8Array("a"))
        assert.isFalse(yield* store.has("a"))
        assert.isUndefined(yield* store.modify("a", (text) => `${text}!`))
        yield* store.set("a", "2")
        assert.strictEqual(yield* store.modify("a", (text) => `${text}!`), "2!")
        yield* store.remove("a")
        assert.isTrue(yield* store.isEmpty)
      }
    }))

  it.live("takes a text that another program has put there, and bytes that are none", () =>
    Effect.gen(function*() {
      const { js, store } = yield* withStore()
      const kv = yield* on(js, KeyValue.open("stores"))
      yield* kv.put("k.default.text", "größe")
      yield* kv.put("k.default.raw", bytes(255))
      yield* kv.put("k.default.two.tokens", "no key of a store")
      yield* kv.put("k.default.===none", "no key of a store")
      assert.strictEqual(yield* store.get("text"), "größe")
      assert.strictEqual(yield* store.get("raw"), "/w==")
      assert.sameMembers([...yield* store.keys], ["text", "raw"])
    }))
})

describe("a value", () => {
  const mebibyte = 1024 * 1024

  it.live("can be as large as the server takes, and is refused at once with its size and the limit beyond", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      const text = "x".repeat(mebibyte)
      const raw = new Uint8Array(mebibyte).map((_, i) => i * 7)
      yield* store.set("text", text)
      yield* store.set("raw", raw)
      assert.isTrue((yield* store.get("text")) === text)
      assert.isTrue(Buffer.from(raw).equals((yield* store.getUint8Array("raw"))!))
      const zeros = new Uint8Array(mebibyte - 36)
      yield* store.set("zeros", zeros)
      assert.isTrue(Buffer.from(zeros).equals((yield* store.getUint8Array("zeros"))!))
      for (const [key, value] of [["over", `${text}x`], ["marked", new Uint8Array(mebibyte)]] as const) {
        const error = yield* Effect.flip(store.set(key, value))
        assert.strictEqual(error._tag, "KeyValueStoreError")
        assert.deepInclude({ ...error }, { method: "set", key })
        assert.include(error.message, `"${key}"`)
        assert.match(error.message, /104\d{4} bytes/)
        assert.include(error.message, "limit of 1048576")
        assert.isFalse(yield* store.has(key))
      }
      // A key, too, has to fit.
      const error = yield* Effect.flip(store.set(text, ""))
      assert.include(error.message, "limit of 1048576")
      assert.isBelow(error.message.length, 1_500)
    }))
})

describe("modify", () => {
  it.live("writes nothing where there is no value", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      assert.isUndefined(yield* store.modify("a", () => "1"))
      assert.isUndefined(yield* store.modifyUint8Array("a", () => bytes(1)))
      assert.isTrue(yield* store.isEmpty)
    }))

  it.live("gives what it has written, of text and of bytes", () =>
    Effect.gen(function*() {
      const { store } = yield* withStore()
      yield* store.set("a", "1")
      assert.strictEqual(yield* store.modify("a", (text) => `${text}2`), "12")
      assert.deepStrictEqual(yield* store.modifyUint8Array("a", (raw) => raw.slice(1)), bytes(50))
      assert.strictEqual(yield* store.get("a"), "Mg==")
    }))

  it.live("begins again with what another has written meanwhile, and finds what was removed meanwhile gone", () =>
    Effect.gen(function*() {
      const { js, store } = yield* withStore()
      const kv = yield* on(js, KeyValue.open("stores"))
      yield* store.set("a", "1")
      const seen: Array<string> = []
      const meanwhile = (act: Effect.Effect<unknown, unknown>) =>
        store.modify("a", (text) => {
          seen.push(text)
          // The server takes it before the write of this one.
          if (seen.length === 1) Effect.runFork(act)
          return `${text}!`
        })
      assert.strictEqual(yield* meanwhile(kv.put("k.default.a", "2")), "2!")
      assert.deepStrictEqual(seen, ["1", "2"])
      seen.length = 0
      assert.isUndefined(yield* meanwhile(kv.delete("k.default.a")))
      assert.deepStrictEqual(seen, ["2!"])
    }))

  it.live("of one key by eight processes loses nothing of 800", () =>
    Effect.gen(function*() {
      const { server, store } = yield* withStore()
      yield* store.set("count", "0")
      assert.deepStrictEqual(yield* together(8, [server.url, "add", "100"]), Array.from({ length: 8 }, () => "done"))
      assert.strictEqual(yield* store.get("count"), "800")
    }), 120_000)
})
