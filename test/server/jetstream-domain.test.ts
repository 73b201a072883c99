/** JetStream of another domain, over a leaf node: what is meant for the other side is there and not here. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, KeyValue, ObjectStore } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { rawApi } from "../fixtures/jetStream.ts"
import { bytesOf, chunksIn, makeStore } from "../fixtures/objects.ts"

const hubPrefix = "$JS.hub.API"

/** A hub and a leaf node with JetStream each, clients on both, and JetStream of the hub as it is asked from the leaf. */
const withLeaf = Effect.gen(function*() {
  const hub = yield* TestNatsServer.make({ name: "hub", leafnodes: true, jetstream: { domain: "hub" } })
  const leaf = yield* TestNatsServer.make({
    name: "leaf",
    leafnodeOf: [{ port: hub.leafnodePort! }],
    jetstream: { domain: "leaf" }
  })
  const connect = (url: string) => NatsClient.make({ servers: url, reconnect: { initialDelay: "10 millis" } })
  const [nats, hubNats] = [yield* connect(leaf.url), yield* connect(hub.url)]
  const on = (client: NatsClient.NatsClient, options?: JetStream.Options) =>
    Effect.provideService(JetStream.make(options), NatsClient.NatsClient, client)
  return {
    hub,
    leaf,
    nats,
    hubNats,
    /** From the leaf to the hub. */
    across: yield* on(nats, { domain: "hub" }),
    here: yield* on(nats),
    there: yield* on(hubNats)
  }
})

const isOld = (version: string) => version.startsWith("2.9.")

it.live("publish, messages, an ordered read and a bucket of what is behind the leaf node", () =>
  Effect.gen(function*() {
    const { across, here, nats } = yield* withLeaf
    yield* rawApi(
      nats,
      "STREAM.CREATE.ORDERS",
      { name: "ORDERS", subjects: ["orders.>"], storage: "memory" },
      hubPrefix
    )
    yield* rawApi(nats, "CONSUMER.DURABLE.CREATE.ORDERS.worker", {
      stream_name: "ORDERS",
      config: { durable_name: "worker", ack_policy: "explicit" }
    }, hubPrefix)
    const ack = yield* across.publish("orders.1", "one")
    assert.deepStrictEqual([ack.stream, ack.sequence, ack.domain], ["ORDERS", 1, "hub"])
    yield* across.publish("orders.2", "two")
    const run = <A, E>(effect: Effect.Effect<A, E, JetStream.JetStream>) =>
      Effect.provideService(effect, JetStream.JetStream, across)
    const target = { stream: "ORDERS", consumer: "worker" }
    const got = yield* run(Stream.runCollect(
      JetStreamConsumer.messages(target).pipe(Stream.take(2), Stream.tap((message) => message.ackConfirmed))
    ))
    assert.deepStrictEqual(got.map(({ sequence, text }) => [sequence, text]), [[1, "one"], [2, "two"]])
    const ordered = yield* run(Stream.runCollect(Stream.take(JetStreamConsumer.ordered({ stream: "ORDERS" }), 2)))
    assert.deepStrictEqual(ordered.map(({ text }) => text), ["one", "two"])
    const info = yield* rawApi(nats, "CONSUMER.INFO.ORDERS.worker", {}, hubPrefix)
    assert.deepStrictEqual([info["num_ack_pending"], info["num_pending"]], [0, 0])
    const bucket = yield* run(KeyValue.create("config", { storage: "memory" }))
    const revision = yield* bucket.create("a", "1")
    yield* bucket.update("a", "2", revision)
    const [entry] = yield* Stream.runCollect(Stream.take(bucket.watch(), 1))
    assert.strictEqual(entry._tag === "Entry" ? Buffer.from(entry.value).toString() : entry._tag, "2")
    const absent = yield* Effect.flip(Effect.provideService(KeyValue.open("config"), JetStream.JetStream, here))
    assert.strictEqual(absent._tag, "BucketNotFound")
    // Nothing of it is on this side.
    const none = yield* Effect.flip(
      Effect.provideService(Stream.runDrain(JetStreamConsumer.ordered({ stream: "ORDERS" })), JetStream.JetStream, here)
    )
    assert.strictEqual(none._tag, "StreamNotFound")
  }))

it.live("objects that are put, changed, linked and deleted reach the store behind the leaf node, and one of that name here stays", () =>
  Effect.gen(function*() {
    const { across, here, hub, leaf, nats, there } = yield* withLeaf
    const ours = yield* makeStore(here, "files")
    yield* ours.put("report", "ours")
    const kept = yield* chunksIn(nats, "files")
    const theirs = yield* makeStore(across, "files")
    const untouched = Effect.gen(function*() {
      assert.deepStrictEqual(yield* chunksIn(nats, "files"), kept)
      assert.strictEqual(yield* ours.getText("report"), "ours")
      assert.lengthOf(yield* Stream.runCollect(ours.list({ includeDeleted: true })), 1)
    })
    const onHub = yield* Effect.provideService(ObjectStore.open("files"), JetStream.JetStream, there)

    if (isOld(leaf.version)) {
      // Without transforms there is no way to one store only.
      assert.isFalse((yield* theirs.status).acrossDomains)
      for (
        const refused of [
          theirs.put("report", "x"),
          theirs.delete("report"),
          theirs.link("link", { store: "files" }),
          theirs.updateMeta("report", { description: "x" })
        ]
      ) {
        const error = yield* Effect.flip<unknown, { readonly _tag: string }, never>(refused)
        assert.strictEqual(error._tag, "ObjectStoreAmbiguous")
      }
      yield* untouched
      const unsupported = yield* Effect.flip(makeStore(across, "more", { acrossDomains: true }))
      assert.strictEqual(unsupported._tag, "UnsupportedByServer")
      return
    }

    assert.isTrue((yield* theirs.status).acrossDomains)
    assert.strictEqual(hub.version, leaf.version)
    yield* theirs.put("report", bytesOf(300_000))
    yield* untouched
    assert.isTrue(Buffer.from(bytesOf(300_000)).equals(yield* onHub.getBytes("report")))
    assert.isTrue(Buffer.from(bytesOf(300_000)).equals(yield* theirs.getBytes("report")))
    yield* theirs.put("report", "theirs")
    yield* theirs.updateMeta("report", { description: "changed" })
    yield* theirs.link("link", yield* theirs.info("report"))
    assert.strictEqual(yield* onHub.getText("link"), "theirs")
    assert.strictEqual((yield* onHub.info("report")).description, "changed")
    assert.strictEqual(Object.keys(yield* chunksIn(nats, "files", hubPrefix)).length, 1)
    assert.isTrue(yield* theirs.delete("report"))
    assert.strictEqual((yield* Effect.flip(onHub.info("report")))._tag, "ObjectNotFound")
    assert.deepStrictEqual(yield* chunksIn(nats, "files", hubPrefix), {})
    yield* untouched
  }))

it.live("a store that another client made is written over the leaf node where no stream here takes its subjects, else refused", () =>
  Effect.gen(function*() {
    const { across, here, nats, there } = yield* withLeaf
    yield* makeStore(there, "plain")
    const theirs = yield* Effect.provideService(ObjectStore.open("plain"), JetStream.JetStream, across)
    assert.isFalse((yield* theirs.status).acrossDomains)
    yield* theirs.put("report", "theirs")
    assert.strictEqual(yield* theirs.getText("report"), "theirs")

    const ours = yield* makeStore(here, "plain")
    const before = yield* chunksIn(nats, "plain", hubPrefix)
    const refused = yield* Effect.flip(theirs.put("report", "both?"))
    assert.strictEqual(refused._tag, "ObjectStoreAmbiguous")
    assert.include(refused.message, "\"hub\"")
    assert.deepStrictEqual(yield* Stream.runCollect(ours.list()), [])
    assert.deepStrictEqual(yield* chunksIn(nats, "plain"), {})
    assert.deepStrictEqual(yield* chunksIn(nats, "plain", hubPrefix), before)
    assert.strictEqual(yield* theirs.getText("report"), "theirs")

    // A domain that is that of the server at hand is no other one.
    const leafJs = yield* Effect.provideService(
      JetStream.make({ domain: "leaf" }),
      NatsClient.NatsClient,
      nats
    )
    const own = yield* Effect.provideService(ObjectStore.open("plain"), JetStream.JetStream, leafJs)
    // What is published reaches the other side as well, if there is a store of the name.
    yield* Effect.provideService(ObjectStore.delete("plain"), JetStream.JetStream, there)
    yield* own.put("here", "own")
    assert.strictEqual(yield* ours.getText("here"), "own")
  }))
