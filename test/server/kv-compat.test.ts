/** Buckets that are written by the library of nats.js and read by ours, and the reverse. */
import { assert, it } from "@effect/vitest"
import { Base64KeyCodec, type KvEntry } from "@nats-io/kv"
import { Effect, Option, Stream } from "effect"
import { KeyValue } from "effect-nats/jetstream"
import { hasTtl, on, rawBucket, theirs, withBucket } from "../fixtures/keyValue.ts"

type Change = KeyValue.WatchEvent<Uint8Array>

const ours = (event: Change): string =>
  event._tag === "InitialDone"
    ? "done"
    : event._tag === "Deletion"
    ? `${event.revision} ${event.key} ${event.reason}`
    : `${event.revision} ${event.key}=${Buffer.from(event.value).toString("hex")}`

const operations: Readonly<Record<string, string>> = { DEL: "delete", PURGE: "purge" }

const theirEntry = (entry: KvEntry): string =>
  entry.operation === "PUT"
    ? `${entry.revision} ${entry.key}=${Buffer.from(entry.value).toString("hex")}`
    : `${entry.revision} ${entry.key} ${operations[entry.operation]}`

const collect = async <A>(from: AsyncIterable<A>, count: number): Promise<ReadonlyArray<A>> => {
  const all: Array<A> = []
  for await (const each of from) {
    all.push(each)
    if (all.length === count) break
  }
  return all
}

const keys = ["a", "a.b.c", "-/_=", "UPPER.lower.09", "x".repeat(200)]
const values = [
  new Uint8Array(0),
  new Uint8Array([0, 13, 10, 255]),
  Buffer.from("über 日本"),
  new Uint8Array(100_000).fill(7)
]

it.live("what theirs writes ours reads: values, deletes, purges, history, keys, watch", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withBucket()
    const { kvm } = yield* theirs(server.url)
    const store = yield* Effect.promise(() => kvm.create("shared", { history: 5 }))
    const kv = yield* on(js, KeyValue.open("shared"))
    for (const key of keys) {
      for (const value of values) {
        const revision = yield* Effect.promise(() => store.put(key, value))
        for (const consistent of [false, true]) {
          const entry = Option.getOrThrow(yield* kv.get(key, { consistent }))
          assert.deepStrictEqual([entry.revision, entry.key], [revision, key])
          assert.deepStrictEqual(Buffer.from(entry.value), Buffer.from(value))
        }
      }
    }
    yield* Effect.promise(() => store.delete("a"))
    yield* Effect.promise(() => store.purge("a.b.c"))
    assert.strictEqual(Option.isNone(yield* kv.get("a")), true)
    assert.strictEqual(Option.isNone(yield* kv.get("a.b.c")), true)
    const created = yield* kv.create("a", "again")
    assert.strictEqual((yield* Effect.promise(() => store.get("a")))?.revision, created)

    const history = yield* Stream.runCollect(kv.history(">"))
    const theirHistory = yield* Effect.promise(async () => collect(await store.history(), -1))
    assert.deepStrictEqual(history.map(ours), theirHistory.map(theirEntry))
    const theirKeys = yield* Effect.promise(async () => collect(await store.keys(), -1))
    assert.deepStrictEqual((yield* Stream.runCollect(kv.keys())).toSorted(), theirKeys.toSorted())
    const last = yield* Stream.runCollect(Stream.takeUntil(kv.watch(), (event) => event._tag === "InitialDone"))
    const theirWatch = yield* Effect.promise(async () => collect(await store.watch(), last.length - 1))
    assert.deepStrictEqual(last.slice(0, -1).map(ours), theirWatch.map(theirEntry))
  }))

it.live("what ours writes theirs reads, and each sees the other's comparison fail", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withBucket()
    yield* rawBucket(nats, "shared", { max_msgs_per_subject: 5 })
    const kv = yield* on(js, KeyValue.open("shared"))
    const { kvm } = yield* theirs(server.url)
    const store = yield* Effect.promise(() => kvm.open("shared"))
    for (const key of keys) {
      for (const value of values) {
        const revision = yield* kv.put(key, value)
        const entry = yield* Effect.promise(() => store.get(key))
        assert.deepStrictEqual([entry?.revision, entry?.key, entry?.operation], [revision, key, "PUT"])
        assert.deepStrictEqual(Buffer.from(entry!.value), Buffer.from(value))
      }
    }
    yield* kv.delete("a")
    yield* kv.purge("a.b.c")
    assert.strictEqual((yield* Effect.promise(() => store.get("a")))?.operation, "DEL")
    assert.strictEqual((yield* Effect.promise(() => store.get("a.b.c")))?.operation, "PURGE")
    const revision = yield* Effect.promise(() => store.create("a", "theirs"))
    assert.strictEqual((yield* Effect.flip(kv.create("a", "ours")))._tag, "KeyAlreadyExists")
    yield* kv.update("a", "ours", revision)
    const refused = yield* Effect.promise(() => store.update("a", "theirs", revision).then(() => "", String))
    assert.include(refused, "wrong last sequence")
  }))

it.live("markers of keys that expired mean the same to both; keys of their codec are read by it here", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withBucket()
    const { kvm } = yield* theirs(server.url)
    const kv = yield* on(js, KeyValue.open("test", { keys: Base64KeyCodec() }))
    const coded = yield* Effect.promise(() => kvm.open("test", { codec: { key: Base64KeyCodec(), value: plainValue } }))
    yield* Effect.promise(() => coded.put("über.x y", "1"))
    assert.strictEqual(Option.isSome(yield* kv.get("über.x y")), true)
    yield* kv.put("zwei.x y", "2")
    assert.deepStrictEqual(yield* Stream.runCollect(kv.keys("über.>")), ["über.x y"])
    if (!hasTtl(server.version)) return
    yield* rawBucket(nats, "marked", { allow_msg_ttl: true, subject_delete_marker_ttl: 1e9 })
    const marked = yield* on(js, KeyValue.open("marked"))
    const store = yield* Effect.promise(() => kvm.open("marked"))
    yield* Effect.promise(() => store.create("theirs", "1", "1s"))
    yield* marked.create("ours", "1", { ttl: "1 second" })
    assert.strictEqual(Option.isSome(yield* marked.get("theirs")), true)
    const gone = yield* marked.watch().pipe(
      Stream.filter((event) => event._tag === "Deletion"),
      Stream.take(2),
      Stream.runCollect
    )
    assert.deepStrictEqual(gone.map((event) => `${event.key} ${event.reason}`).toSorted(), [
      "ours expired",
      "theirs expired"
    ])
  }))

const plainValue = {
  encode: (value: string | Uint8Array) => typeof value === "string" ? Buffer.from(value) : value,
  decode: (value: Uint8Array) => value
}
