/** Buckets: how they are made, brought to what is declared, listed, looked at and deleted. */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Option, Stream } from "effect"
import { type JetStream, JetStreamStream, KeyValue } from "effect-nats/jetstream"
import { rawApi, withJetStream } from "../fixtures/jetStream.ts"
import { hasTtl, on, theirs } from "../fixtures/keyValue.ts"

it.live("a bucket is made as it is declared, and its status says so", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    const made = on(
      js,
      KeyValue.create("made", {
        description: "what it is for",
        history: 3,
        ttl: "90 seconds",
        storage: "memory",
        maxValueSize: "1 KiB",
        maxBytes: "10 MiB",
        metadata: { owner: "me" },
        ...(hasTtl(server.version) ? { deleteMarkers: "5 seconds", compression: true } : {})
      })
    )
    if (server.version.startsWith("2.9.")) {
      // It has no metadata, and says nothing.
      assert.strictEqual((yield* Effect.flip(made))._tag, "UnsupportedByServer")
      return
    }
    const kv = yield* made
    yield* kv.put("a", "1")
    const status = yield* on(js, KeyValue.status("made"))
    assert.deepInclude(status, {
      bucket: "made",
      values: 1,
      lastRevision: 1,
      history: 3,
      storage: "memory",
      replicas: 1,
      description: "what it is for",
      keyTtl: hasTtl(server.version),
      isCompressed: hasTtl(server.version)
    })
    assert.strictEqual(status.metadata["owner"], "me")
    assert.strictEqual(Duration.toSeconds(status.ttl!), 90)
    const { config } = yield* rawApi(nats, "STREAM.INFO.KV_made")
    assert.deepInclude(config, {
      subjects: ["$KV.made.>"],
      discard: "new",
      deny_delete: true,
      allow_rollup_hdrs: true,
      allow_direct: true,
      max_msg_size: 1024,
      max_bytes: 10 * 1024 * 1024,
      duplicate_window: 90e9
    })
    const large = yield* Effect.flip(kv.put("b", new Uint8Array(2000)))
    assert(large._tag === "MessageRefused", large._tag)
    assert.include(large.message, "10054")
  }))

it.live("made twice it is the same, made otherwise it exists, and provision brings it there and then changes nothing", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const first = yield* on(js, KeyValue.create("b", { history: 2 }))
    yield* first.put("a", "1")
    yield* on(js, KeyValue.create("b", { history: 2 }))
    const exists = yield* Effect.flip(on(js, KeyValue.create("b", { history: 4 })))
    assert(exists._tag === "BucketExists", exists._tag)
    assert.deepStrictEqual(exists.differences, ["maxMessagesPerSubject"])
    const kv = yield* on(js, KeyValue.provision("b", { history: 4 }))
    assert.strictEqual(Option.isSome(yield* kv.get("a")), true)
    assert.strictEqual((yield* on(js, KeyValue.status("b"))).history, 4)
    // Fewer values of each key lose some.
    const lossy = yield* Effect.flip(on(js, KeyValue.provision("b", { history: 1 })))
    assert.strictEqual(lossy._tag, "ProvisionRefused")
    yield* on(js, KeyValue.provision("b", { history: 1 }, { apply: "lossy" }))
    // Its window for duplicates, 2 minutes, would be longer than messages live: it goes along.
    yield* on(js, KeyValue.provision("b", { history: 1, ttl: "1 minute" }, { apply: "lossy" }))
    assert.strictEqual(Duration.toSeconds((yield* on(js, KeyValue.status("b"))).ttl!), 60)
    yield* on(js, KeyValue.provision("new", { history: 7 }))
    const before = (yield* nats.stats).messagesOut
    yield* on(js, KeyValue.provision("new", { history: 7 }))
    assert.isBelow((yield* nats.stats).messagesOut - before, 4)
    for (
      const [name, config, tag] of [
        ["a.b", {}, "InvalidName"],
        ["ü", {}, "InvalidName"],
        ["many", { history: 65 }, "InvalidDefinition"],
        ["none", { history: 0 }, "InvalidDefinition"],
        ["odd", { ttl: "soon" as never }, "InvalidDefinition"]
      ] as const
    ) {
      assert.strictEqual((yield* Effect.flip(on(js, KeyValue.create(name, config))))._tag, tag, name)
    }
  }))

it.live("one that nats.js has made is opened and provisioned as it is", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withJetStream()
    const { kvm } = yield* theirs(server.url)
    const store = yield* Effect.promise(() => kvm.create("theirs", { history: 5, ttl: 60_000 }))
    yield* Effect.promise(() => store.put("a", "1"))
    const kv = yield* on(js, KeyValue.provision("theirs", { history: 5, ttl: "1 minute" }))
    assert.strictEqual(Option.isSome(yield* kv.get("a")), true)
    yield* on(js, KeyValue.create("ours", { history: 5, ttl: "1 minute" }))
    const ours = yield* Effect.promise(async () => (await kvm.open("ours")).status())
    assert.deepInclude({ history: ours.history, ttl: ours.ttl, bucket: ours.bucket }, {
      history: 5,
      ttl: 60_000,
      bucket: "ours"
    })
  }))

it.live("buckets are listed each once and no other stream is, over more than a page; a deleted one is not found", () =>
  Effect.gen(function*() {
    const { js } = yield* withJetStream()
    yield* on(js, JetStreamStream.create(JetStreamStream.make("OTHER", { subjects: ["other"], storage: "memory" })))
    const names = Array.from({ length: 260 }, (_, n) => `b-${n}`)
    yield* Effect.forEach(names, (name) => on(js, KeyValue.create(name, { storage: "memory" })), { concurrency: 32 })
    const listed = yield* on(js, Stream.runCollect(KeyValue.buckets))
    assert.deepStrictEqual(listed.map(({ bucket }) => bucket).toSorted(), names.toSorted())
    yield* on(js, KeyValue.deleteBucket("b-7"))
    for (const operation of [KeyValue.deleteBucket("b-7"), KeyValue.status("b-7"), KeyValue.open("b-7")]) {
      const error = yield* Effect.flip(
        on(js, operation as Effect.Effect<unknown, { readonly _tag: string }, JetStream.JetStream>)
      )
      assert.strictEqual(error._tag, "BucketNotFound")
    }
  }))

it.live("a bucket that takes values from others has them under its own name, and a mirror has those of its origin", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withJetStream()
    const origin = yield* on(js, KeyValue.create("origin"))
    yield* origin.put("a", "1")
    const mirror = yield* on(js, KeyValue.create("mirror", { mirror: "origin" }))
    while (Option.isNone(yield* mirror.get("a"))) yield* Effect.sleep("10 millis")
    const sourced = on(js, KeyValue.create("sum", { sources: ["origin"] }))
    if (server.version.startsWith("2.9.")) {
      assert.strictEqual((yield* Effect.flip(sourced))._tag, "UnsupportedByServer")
      return
    }
    const sum = yield* sourced
    while (Option.isNone(yield* sum.get("a"))) yield* Effect.sleep("10 millis")
  }))
