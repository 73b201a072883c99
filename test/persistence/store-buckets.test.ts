/** The bucket that a store stands on: made, taken or refused when the store is built, and what its operations fail with. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { NatsClient, NatsHealth } from "effect-nats"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { NatsKeyValueStore, NatsPersistence } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { KeyValueStore, Persistence } from "effect/persistence"
import { getCurrentVersion, setCurrentVersion } from "effect/Version"
import { follow } from "../fixtures/following.ts"
import { connectJetStream, rawApi, rawStream, whenCreated, withJetStream } from "../fixtures/jetStream.ts"
import { hasTtl, on, rawBucket } from "../fixtures/keyValue.ts"
import { requests, withBacking, withStore } from "../fixtures/stores.ts"

const configOf = (nats: NatsClient.NatsClient, bucket: string) =>
  Effect.map(rawApi(nats, `STREAM.INFO.KV_${bucket}`), (info) => info["config"])

const makes = [
  ["a key-value store", (options: NatsKeyValueStore.Options) => Effect.asVoid(NatsKeyValueStore.make(options))],
  ["a persistence", (options: NatsPersistence.Options) => Effect.asVoid(NatsPersistence.makeBacking(options))]
] as const

for (const [kind, make] of makes) {
  it.live(`${kind} makes its bucket as it is told, and takes it as it is the next time`, () =>
    Effect.gen(function*() {
      const { js, nats, server } = yield* withJetStream()
      const options = { bucket: "made", storage: "memory", compression: true, maxBytes: 100_000 } as const
      const old = { bucket: "made", storage: "memory", maxBytes: 100_000 } as const
      // There is no compression in 2.9.
      const given = server.version.startsWith("2.9.") ? old : options
      yield* Effect.all([on(js, make(given)), on(js, make(given))], { concurrency: "unbounded" })
      const config = yield* configOf(nats, "made")
      assert.deepInclude(config, {
        subjects: ["$KV.made.>"],
        storage: "memory",
        max_bytes: 100_000,
        max_age: 0,
        max_msgs_per_subject: 1,
        discard: "new",
        num_replicas: 1,
        allow_direct: true
      })
      assert.strictEqual(config.allow_msg_ttl === true, hasTtl(server.version))
      yield* on(js, make(given))
      yield* on(js, make({ bucket: "made" }))
      assert.deepStrictEqual(yield* configOf(nats, "made"), config)
    }))

  it.live(`${kind} takes a bucket that another one makes while it looks for it, if it is as declared`, () =>
    Effect.gen(function*() {
      const { nats, server } = yield* withJetStream()
      const times = hasTtl(server.version) ? { allow_msg_ttl: true } : {}
      const meanwhile = (bucket: string, config: object) =>
        whenCreated(nats, Effect.ignore(rawBucket(nats, bucket, { ...times, ...config })))
      // Another one declares more.
      yield* on(yield* meanwhile("wide", { max_bytes: 5_000 }), make({ bucket: "wide" }))
      assert.strictEqual((yield* configOf(nats, "wide")).max_bytes, 5_000)
      const other = on(yield* meanwhile("other", { max_bytes: 5_000 }), make({ bucket: "other", maxBytes: 1_000 }))
      const error = yield* Effect.flip(other)
      assert(error._tag === "BucketExists", error._tag)
      assert.deepStrictEqual(error.differences, ["maxBytes"])
    }))

  it.live(`${kind} asks once for a bucket that is there`, () =>
    Effect.gen(function*() {
      const { js, nats, server } = yield* withJetStream()
      yield* on(js, make({ bucket: "there" }))
      const witness = yield* connectJetStream(server)
      const asked = yield* requests(witness.nats, "$JS.API.STREAM.>")
      yield* on(js, make({ bucket: "there" }))
      yield* nats.flush
      assert.strictEqual(yield* asked.count, 1)
    }))

  it.live(`${kind} refuses a bucket that is otherwise, and leaves it as it is`, () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const other: ReadonlyArray<readonly [field: string, config: object, options?: object]> = [
        ["maxAge", { max_age: 60_000_000_000 }],
        ["maxMessagesPerSubject", { max_msgs_per_subject: 5 }],
        ["discard", { discard: "old" }],
        ["allowDirect", { allow_direct: false }],
        ["storage", { storage: "memory" }, { storage: "file" }],
        ["maxBytes", { max_bytes: 1_000 }, { maxBytes: 2_000 }]
      ]
      for (const [i, [field, config, options]] of other.entries()) {
        const bucket = `other${i}`
        yield* rawBucket(nats, bucket, { storage: "file", ...config })
        const before = yield* configOf(nats, bucket)
        const error = yield* Effect.flip(on(js, make({ bucket, ...options })))
        assert(error._tag === "BucketExists", `${field}: ${error._tag}`)
        assert.deepStrictEqual(error.differences, [field])
        assert.include(error.message, `"${bucket}"`)
        assert.deepStrictEqual(yield* configOf(nats, bucket), before)
      }
      yield* rawStream(nats, "KV_stream", { subjects: ["other.>"] })
      assert.strictEqual((yield* Effect.flip(on(js, make({ bucket: "stream" }))))._tag, "BucketExists")
      const invalid = yield* Effect.flip(on(js, make({ bucket: "no bucket" })))
      assert.strictEqual(invalid._tag, "InvalidName")
    }))

  it.live(`${kind} takes a bucket without times of its values, as older servers make them`, () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawBucket(nats, "old")
      const before = yield* configOf(nats, "old")
      yield* on(js, make({ bucket: "old" }))
      assert.deepStrictEqual(yield* configOf(nats, "old"), before)
      yield* rawBucket(nats, "older", { max_msgs_per_subject: 2 })
      assert.strictEqual((yield* Effect.flip(on(js, make({ bucket: "older" }))))._tag, "BucketExists")
    }))

  it.live(`${kind} is not built for another minor version of effect, and makes nothing`, () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      const version = getCurrentVersion()
      const error = yield* Effect.acquireUseRelease(
        Effect.sync(() => setCurrentVersion("4.2.0")),
        () => Effect.flip(on(js, make({ bucket: "made" }))),
        () => Effect.sync(() => setCurrentVersion(version))
      )
      assert(error._tag === "UnsupportedEffect", error._tag)
      assert.include(error.message, "4.2.0")
      assert.strictEqual((yield* Effect.flip(on(js, KeyValue.status("made"))))._tag, "BucketNotFound")
    }))
}

it.live("stores are there before their server, and what is done with them waits for it", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    yield* server.kill
    const { js, nats } = yield* connectJetStream(server, {
      reconnect: { initialDelay: "20 millis", maxDelay: "50 millis", onFirstConnect: "background" },
      requestTimeout: "1 minute"
    })
    const context = yield* Layer.build(
      Layer.merge(NatsKeyValueStore.layer({ bucket: "one" }), NatsPersistence.layerBacking({ bucket: "two" }))
    ).pipe(Effect.provideService(JetStream.JetStream, js))
    const store = yield* Effect.provide(KeyValueStore.KeyValueStore, context)
    const backing = yield* Effect.provide(Persistence.BackingPersistence, context)
    const users = yield* backing.make("users")
    const waiting = yield* Effect.forkChild(
      Effect.all([store.set("a", "1"), users.set("a", { n: 1 }, undefined)], { concurrency: "unbounded" }),
      { startImmediately: true }
    )
    yield* server.restart
    yield* Fiber.join(waiting)
    assert.strictEqual(yield* store.get("a"), "1")
    assert.deepStrictEqual(yield* users.get("a"), { n: 1 })
    assert.isTrue((yield* NatsHealth.check(nats)).ready)
  }))

it.live("a bucket that is otherwise when the server comes is what every operation fails with", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    yield* Effect.scoped(
      Effect.flatMap(
        connectJetStream(server),
        ({ nats }) => rawBucket(nats, "one", { max_msgs_per_subject: 5, storage: "file" })
      )
    )
    yield* server.kill
    const { js, nats } = yield* connectJetStream(server, {
      reconnect: { initialDelay: "20 millis", maxDelay: "50 millis", onFirstConnect: "background" }
    })
    const status = yield* follow(nats)
    const store = yield* on(js, NatsKeyValueStore.make({ bucket: "one" }))
    const backing = yield* on(js, NatsPersistence.makeBacking({ bucket: "one" }))
    const users = yield* backing.make("users")
    yield* server.restart
    yield* status.connected(1)
    for (const operation of [store.set("a", "1"), store.clear, users.get("a"), users.clear]) {
      const error = yield* Effect.flip<unknown, KeyValueStore.KeyValueStoreError | Persistence.PersistenceError, never>(
        operation
      )
      assert.deepInclude(error.cause as object, { _tag: "BucketExists" })
      assert.include(error.message, "maxMessagesPerSubject")
    }
  }))

it.live("behind a leaf node a store is in the domain of its JetStream", () =>
  Effect.gen(function*() {
    const hub = yield* TestNatsServer.make({ name: "hub", leafnodes: true, jetstream: { domain: "hub" } })
    const leaf = yield* TestNatsServer.make({
      name: "leaf",
      leafnodeOf: [{ port: hub.leafnodePort! }],
      jetstream: { domain: "leaf" }
    })
    const near = yield* NatsClient.make({ servers: leaf.url })
    const far = yield* NatsClient.make({ servers: hub.url })
    const js = (nats: NatsClient.NatsClient, options?: JetStream.Options) =>
      Effect.provideService(JetStream.make(options), NatsClient.NatsClient, nats)
    const through = yield* js(near, { domain: "hub" })
    const [here, there, local] = [
      yield* on(yield* js(near), NatsKeyValueStore.make({ bucket: "same" })),
      yield* on(through, NatsKeyValueStore.make({ bucket: "same" })),
      yield* on(yield* js(far), NatsKeyValueStore.make({ bucket: "same" }))
    ]
    yield* here.set("a", "here")
    yield* there.set("a", "1")
    assert.strictEqual(yield* there.modify("a", (text) => `${text}2`), "12")
    assert.strictEqual(yield* local.get("a"), "12")
    assert.deepStrictEqual(yield* there.keys, ["a"])
    const users = yield* Effect.flatMap(
      on(through, NatsPersistence.makeBacking({ bucket: "same" })),
      ({ make }) => make("users")
    )
    yield* users.setMany([["a", { n: 1 }, undefined], ["b", { n: 2 }, undefined]])
    assert.deepStrictEqual(yield* users.getMany(["b", "a"]), [{ n: 2 }, { n: 1 }])
    yield* users.clear
    yield* there.clear
    assert.isTrue(yield* local.isEmpty)
    assert.strictEqual(yield* here.get("a"), "here")
  }))

it.live("an operation says what it was about and where, and its cause is what JetStream fails with", () =>
  Effect.gen(function*() {
    const { js, store } = yield* withStore({ storeId: "mine" })
    const { make } = yield* on(js, NatsPersistence.makeBacking({ bucket: "stores" }))
    const users = yield* make("users")
    yield* store.set("key", "1")
    yield* on(js, KeyValue.deleteBucket("stores"))
    const key = "key \u202e\"\r\n" + "x".repeat(10_000)
    const operations: ReadonlyArray<
      readonly [string, string | undefined, Effect.Effect<unknown, KeyValueStore.KeyValueStoreError>]
    > = [
      ["get", key, store.get(key)],
      ["getUint8Array", key, store.getUint8Array(key)],
      ["has", key, store.has(key)],
      ["set", key, store.set(key, "2")],
      ["modify", key, store.modify(key, () => "2")],
      ["modifyUint8Array", key, store.modifyUint8Array(key, (bytes) => bytes)],
      ["remove", key, store.remove(key)],
      ["clear", undefined, store.clear],
      ["clearPrefix", undefined, store.clearPrefix(key)],
      ["keys", undefined, store.keys],
      ["size", undefined, store.size],
      ["size", undefined, store.isEmpty]
    ]
    for (const [method, about, operation] of operations) {
      const error = yield* Effect.flip(operation)
      assert.deepStrictEqual([error._tag, error.method, error.key], ["KeyValueStoreError", method, about])
      assert.match(error.message, /^Could not .* of the store "mine" in the bucket "stores"\. \S/)
      assert.match((error.cause as { readonly _tag: string })._tag, /^(StreamNotFound|NoStreamForSubject)$/)
      assert.isBelow(error.message.length, 1_500)
      assert.notMatch(error.message, /[\r\n\u202e]/)
    }
    const ours: ReadonlyArray<Effect.Effect<unknown, Persistence.PersistenceError>> = [
      users.get(key),
      users.getMany([key]),
      users.set(key, {}, undefined),
      users.setMany([[key, {}, undefined]]),
      users.remove(key),
      users.clear
    ]
    for (const operation of ours) {
      const error = yield* Effect.flip(operation)
      assert.strictEqual(error._tag, "PersistenceError")
      assert.match(error.message, /^Could not .* in the store "users" of the bucket "stores"\. \S/)
      assert.isDefined(error.cause)
      assert.isBelow(error.message.length, 1_500)
      assert.notMatch(error.message, /[\r\n\u202e]/)
    }
  }))

it.live("a bucket that is full refuses what is new, and loses nothing that is there", () =>
  Effect.gen(function*() {
    const { store } = yield* withStore({ maxBytes: 10_000 })
    yield* store.set("a", "x".repeat(5_000))
    const error = yield* Effect.flip(store.set("b", "x".repeat(9_000)))
    assert.deepInclude(error.cause as object, { _tag: "StreamFull" })
    assert.strictEqual((yield* store.get("a"))?.length, 5_000)
    yield* store.remove("a")
    yield* store.set("b", "x".repeat(9_000))
  }))

it.effect("who has lost a race waits by the clock of the client, whatever clock the test has", () =>
  Effect.gen(function*() {
    const { store } = yield* withStore()
    yield* store.set("count", "0")
    const add = store.modify("count", (text) => String(Number(text) + 1))
    yield* Effect.forEach(Array.from({ length: 40 }), () => add, { concurrency: "unbounded", discard: true })
    assert.strictEqual(yield* store.get("count"), "40")
    const { backing } = yield* withBacking()
    assert.isUndefined(yield* Effect.flatMap(backing.make("users"), ({ get }) => get("a")))
  }))
