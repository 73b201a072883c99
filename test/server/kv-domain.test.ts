/** Buckets behind a leaf node, and mirrors of buckets: where reads and writes go. */
import { assert, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { rawApi } from "../fixtures/jetStream.ts"
import { hasTtl, on, rawBucket } from "../fixtures/keyValue.ts"

const text = (entry: Option.Option<KeyValue.Entry<Uint8Array>>): string | undefined =>
  Option.isSome(entry) ? Buffer.from(entry.value.value).toString() : undefined

const sides = Effect.gen(function*() {
  const hub = yield* TestNatsServer.make({ name: "hub", leafnodes: true, jetstream: { domain: "hub" } })
  const leaf = yield* TestNatsServer.make({
    name: "leaf",
    leafnodeOf: [{ port: hub.leafnodePort! }],
    jetstream: { domain: "leaf" }
  })
  const near = yield* NatsClient.make({ servers: leaf.url })
  const far = yield* NatsClient.make({ servers: hub.url })
  const make = (nats: NatsClient.NatsClient, options?: JetStream.Options) =>
    Effect.provideService(JetStream.make(options), NatsClient.NatsClient, nats)
  return { hub, near, far, make }
})

it.live("with a domain every write reaches the bucket behind the leaf, and one of the same name here stays untouched", () =>
  Effect.gen(function*() {
    const { far, hub, make, near } = yield* sides
    const config = hasTtl(hub.version) ? { allow_msg_ttl: true, max_msgs_per_subject: 5 } : { max_msgs_per_subject: 5 }
    for (const nats of [near, far]) yield* rawBucket(nats, "same", config)
    const here = yield* on(yield* make(near), KeyValue.open("same"))
    const there = yield* on(yield* make(near, { domain: "hub" }), KeyValue.open("same"))
    const local = yield* on(yield* make(far), KeyValue.open("same"))
    yield* here.put("a", "here")

    const first = yield* there.put("a", "1")
    yield* there.update("a", "2", first)
    assert.strictEqual(text(yield* local.get("a")), "2")
    assert.strictEqual(text(yield* there.get("a")), "2")
    assert.strictEqual(text(yield* there.get("a", { consistent: true })), "2")
    yield* there.create("b", "1")
    yield* there.modify("b", () => "2")
    assert.strictEqual(text(yield* local.get("b")), "2")
    yield* there.delete("a")
    yield* there.purge("b")
    assert.strictEqual(Option.isNone(yield* local.get("a")), true)
    assert.strictEqual(Option.isNone(yield* local.get("b")), true)
    const events = yield* Stream.runCollect(Stream.takeUntil(there.watch(), (event) => event._tag === "InitialDone"))
    assert.deepStrictEqual(events.map((event) => event._tag), ["Deletion", "Deletion", "InitialDone"])
    if (hasTtl(hub.version)) {
      yield* there.put("c", "short", { ttl: "1 second" })
      const info = yield* rawApi(far, "STREAM.MSG.GET.KV_same", { last_by_subj: "$KV.same.c" })
      assert.include(Buffer.from(info["message"].hdrs, "base64").toString(), "Nats-TTL: 1s")
      assert.strictEqual(
        yield* KeyValue.lock(there, "lock", { ttl: "3 seconds" }, ({ token }) => Effect.succeed(token > 0)),
        true
      )
    }
    assert.isAbove(yield* there.purgeDeletes({ olderThan: 0 }), 0)

    assert.strictEqual(text(yield* here.get("a")), "here")
    const state = (yield* rawApi(near, "STREAM.INFO.KV_same"))["state"]
    assert.strictEqual(state.last_seq, 1)
  }))

it.live("a mirror is read here and written at its origin, also where that is behind the leaf", () =>
  Effect.gen(function*() {
    const { far, make, near } = yield* sides
    yield* rawBucket(far, "origin")
    yield* rawApi(near, "STREAM.CREATE.KV_copy", {
      name: "KV_copy",
      storage: "memory",
      max_msgs_per_subject: 1,
      allow_direct: true,
      mirror_direct: true,
      mirror: { name: "KV_origin", external: { api: "$JS.hub.API" } }
    })
    const origin = yield* on(yield* make(far), KeyValue.open("origin"))
    const copy = yield* on(yield* make(near), KeyValue.open("copy"))
    const first = yield* origin.put("a", "1")
    while (Option.isNone(yield* copy.get("a"))) yield* Effect.sleep("10 millis")
    assert.strictEqual(Option.getOrThrow(yield* copy.get("a")).revision, first)
    const second = yield* copy.update("a", "2", first)
    assert.strictEqual(text(yield* origin.get("a")), "2")
    // The last word is that of the origin, whatever the mirror has yet.
    assert.strictEqual(text(yield* copy.get("a", { consistent: true })), "2")
    assert.strictEqual((yield* Effect.flip(copy.create("a", "3")))._tag, "KeyAlreadyExists")
    const seen = yield* Stream.runHead(
      Stream.filter(copy.watch("a"), (event) => event._tag === "Entry" && event.revision === second)
    )
    assert.strictEqual(Option.isSome(seen), true)
    assert.deepStrictEqual(yield* Stream.runCollect(copy.keys()), ["a"])
  }))
