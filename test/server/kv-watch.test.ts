/** What a watch of a bucket tells, and when all that was there has been told. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Queue, Schema, Stream } from "effect"
import type { NatsClient } from "effect-nats"
import { KeyValue } from "effect-nats/jetstream"
import { rawApi } from "../fixtures/jetStream.ts"
import { hasTtl, on, rawBucket, withBucket } from "../fixtures/keyValue.ts"

const told = (event: KeyValue.WatchEvent<Uint8Array>): string => {
  switch (event._tag) {
    case "InitialDone":
      return "done"
    case "Deletion":
      return `${event.key} ${event.reason}`
  }
  return `${event.key}=${Buffer.from(event.value).toString()}`
}

/** A watch whose events are waited for one by one. */
const following = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function*() {
    const events = yield* Queue.make<A, E>()
    yield* Effect.forkScoped(
      Effect.onExit(Stream.runForEach(stream, (event) => Queue.offer(events, event)), (exit) =>
        exit._tag === "Failure" ? Queue.failCause(events, exit.cause) : Effect.void)
    )
    return Queue.take(events)
  })

const consumersOf = (nats: NatsClient.NatsClient, bucket: string) =>
  Effect.map(rawApi(nats, `STREAM.INFO.KV_${bucket}`), (info) => Number(info["state"].consumer_count))

describe("a watch", () => {
  it.live("gives what is there, then the marker once, then every change, with deletions and purges as such", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket({ max_msgs_per_subject: 5 })
      yield* kv.put("a", "1")
      yield* kv.put("a", "2")
      yield* kv.put("b", "1")
      yield* kv.delete("b")
      const next = yield* following(kv.watch())
      const take = Effect.map(next, told)
      assert.strictEqual(yield* take, "a=2")
      assert.strictEqual(yield* take, "b delete")
      assert.strictEqual(yield* take, "done")
      yield* kv.put("c.d", "x")
      // 2.9 passes over what it has not given yet when a key is purged.
      assert.strictEqual(yield* take, "c.d=x")
      yield* kv.purge("a")
      assert.strictEqual(yield* take, "a purge")

      const history = yield* Stream.runCollect(kv.history(">"))
      assert.deepStrictEqual(history.map(told), ["b=1", "b delete", "c.d=x", "a purge"])
      assert.deepStrictEqual(yield* Stream.runCollect(kv.keys()), ["c.d"])
      assert.deepStrictEqual(yield* Stream.runCollect(kv.keys("a")), [])
      assert.deepStrictEqual((yield* Stream.runCollect(Stream.take(kv.watch("c.*", { from: 1 }), 2))).map(told), [
        "c.d=x",
        "done"
      ])
      const headers = yield* Stream.runCollect(Stream.take(kv.watch(undefined, { headersOnly: true }), 4))
      assert.deepStrictEqual(headers.map((event) => event._tag), ["Deletion", "Entry", "Deletion", "InitialDone"])
      const live = yield* Stream.runCollect(Stream.take(kv.watch(">", { ignoreDeletes: true, history: true }), 3))
      assert.deepStrictEqual(live.map(told), ["b=1", "c.d=x", "done"])
      const fresh = yield* following(kv.watch(">", { updatesOnly: true }))
      assert.strictEqual(told(yield* fresh), "done")
      yield* kv.put("e", "new")
      assert.strictEqual(told(yield* fresh), "e=new")
    }))

  it.live("gives the marker within a second where nothing is there, where all is deleted, where the filter fits nothing", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket()
      const first = (stream: Stream.Stream<KeyValue.WatchEvent<Uint8Array>, unknown>) =>
        Effect.timeout(Effect.map(Stream.runHead(stream), (event) => told(Option.getOrThrow(event))), "1 second")
      assert.strictEqual(yield* first(kv.watch()), "done")
      yield* kv.put("a", "1")
      assert.strictEqual(yield* first(kv.watch("b.>")), "done")
      yield* kv.delete("a")
      assert.strictEqual(yield* first(kv.watch(undefined, { ignoreDeletes: true })), "done")
      assert.strictEqual(yield* first(kv.watch()), "a delete")
    }))

  it.live(
    "gives it once, and never before a value that was there, also when the last values are purged on the way",
    () =>
      Effect.gen(function*() {
        const { kv, nats, server } = yield* withBucket()
        yield* Effect.forEach(Array.from({ length: 2000 }, (_, n) => n), (n) => kv.put(`k.${n}`, String(n)), {
          concurrency: 50
        })
        // A window of 10, and a reader that stops after the first: the rest is purged before it is read.
        const seen: Array<string> = []
        yield* kv.watch("k.>", { window: 10 }).pipe(
          Stream.rechunk(1),
          Stream.tap((event) => {
            seen.push(event._tag)
            return seen.length === 1
              ? Effect.asVoid(rawApi(nats, "STREAM.PURGE.KV_test", { filter: "$KV.test.k.>" }))
              : seen.at(-1) === "InitialDone"
              ? Effect.asVoid(kv.put("k.new", ""))
              : Effect.void
          }),
          Stream.takeUntil((event) => event._tag === "Entry" && event.key === "k.new"),
          Stream.runDrain,
          // A server before 2.10 does not answer the pull whose messages went: it is missed after two heartbeats.
          Effect.timeout(server.version.startsWith("2.9.") ? "15 seconds" : "5 seconds")
        )
        assert.strictEqual(seen.filter((tag) => tag === "InitialDone").length, 1)
        assert.strictEqual(seen.at(-2), "InitialDone")
        assert.isBelow(seen.length, 50)
      }),
    20_000
  )

  it.live("gives it behind all values also to a reader that is slower than the server", () =>
    Effect.gen(function*() {
      const { kv } = yield* withBucket()
      yield* Effect.forEach(Array.from({ length: 1000 }, (_, n) => n), (n) => kv.put(`k.${n}`, ""), { concurrency: 50 })
      // All of them are asked for at once, and half a window is given at a time.
      const seen = yield* kv.watch("k.>").pipe(
        Stream.mapArrayEffect((events) => Effect.as(Effect.sleep("20 millis"), events)),
        Stream.takeUntil((event) => event._tag === "InitialDone"),
        Stream.runCollect
      )
      assert.strictEqual(seen.length, 1001)
    }))

  it.live("of several filters is one of all of them, also where one has what the other has; before 2.10 that is typed", () =>
    Effect.gen(function*() {
      const { kv, server } = yield* withBucket()
      for (const key of ["a.1", "a.2", "b.1", "c"]) yield* kv.put(key, "")
      assert.deepStrictEqual(yield* Stream.runCollect(kv.keys(["a.*", "a.1"])), ["a.1", "a.2"])
      const several = Stream.runCollect(kv.keys(["a.*", "c"]))
      if (server.version.startsWith("2.9.")) {
        assert.strictEqual((yield* Effect.flip(several))._tag, "UnsupportedByServer")
        return
      }
      assert.deepStrictEqual(yield* several, ["a.1", "a.2", "c"])
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(kv.watch("a.>.b"))))._tag, "InvalidKey")
    }))

  it.live("a bucket that is deleted fails it typed", () =>
    Effect.gen(function*() {
      const { kv, nats } = yield* withBucket()
      const next = yield* following(kv.watch())
      assert.strictEqual((yield* next)._tag, "InitialDone")
      // The server has the pull, so that it can answer it.
      yield* kv.put("a", "1")
      assert.strictEqual(told(yield* next), "a=1")
      yield* rawApi(nats, "STREAM.DELETE.KV_test")
      const error = yield* Effect.timeout(Effect.flip(next), "3 seconds")
      assert.strictEqual((error as KeyValueFailure)._tag, "BucketNotFound")
      const again = yield* Effect.flip(Stream.runDrain(kv.watch()))
      assert.strictEqual(again._tag, "BucketNotFound")
    }))

  it.live("interrupted with any number of unread entries it ends at once and leaves no consumer", () =>
    Effect.gen(function*() {
      const { kv, nats } = yield* withBucket()
      yield* Effect.forEach(Array.from({ length: 3000 }, (_, n) => n), (n) => kv.put(`k.${n}`, ""), {
        concurrency: 100
      })
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Stream.rechunk(kv.watch(), 1), () => Effect.never),
        { startImmediately: true }
      )
      while ((yield* consumersOf(nats, "test")) === 0) yield* Effect.sleep("5 millis")
      yield* Effect.sleep("50 millis")
      const started = Date.now()
      yield* Fiber.interrupt(fiber)
      // No request is waited for that nobody answers.
      assert.isBelow(Date.now() - started, 1_000)
      assert.strictEqual(yield* consumersOf(nats, "test"), 0)
    }))

  it.live("a value that does not fit the schema fails it after what came before, or is left out", () =>
    Effect.gen(function*() {
      const { js, kv } = yield* withBucket()
      const typed = yield* on(js, KeyValue.schema("test", Schema.Number))
      yield* kv.put("a", "1")
      yield* kv.put("b", "\"s3cr3t\"")
      yield* kv.put("c", "3")
      const seen: Array<unknown> = []
      const error = yield* Effect.flip(
        Stream.runForEach(typed.watch(), (event) => Effect.sync(() => seen.push(event._tag === "Entry" && event.value)))
      )
      assert(error._tag === "MessageDecodeError", error._tag)
      assert.deepStrictEqual(seen, [1])
      const left = yield* Stream.runCollect(Stream.take(typed.watch(undefined, { onInvalid: "skip" }), 3))
      assert.deepStrictEqual(left.map((event) => event._tag === "Entry" ? event.value : event._tag), [
        1,
        3,
        "InitialDone"
      ])
    }))

  it.live("expiry is seen as a deletion where the bucket marks it", () =>
    Effect.gen(function*() {
      const { js, nats, server } = yield* withBucket()
      if (!hasTtl(server.version)) return
      yield* rawBucket(nats, "marked", { allow_msg_ttl: true, subject_delete_marker_ttl: 1e9 })
      const marked = yield* on(js, KeyValue.open("marked"))
      const next = yield* following(marked.watch())
      assert.strictEqual(told(yield* next), "done")
      yield* marked.put("a", "1", { ttl: "1 second" })
      assert.strictEqual(told(yield* next), "a=1")
      assert.strictEqual(told(yield* next), "a expired")
      assert.strictEqual(Option.isNone(yield* marked.get("a")), true)
      assert.isAbove(yield* marked.create("a", "2"), 2)
    }))

  it.live("purgeDeletes removes old marks and what is behind young ones, and nothing that was written since", () =>
    Effect.gen(function*() {
      const { kv, nats } = yield* withBucket({ max_msgs_per_subject: 5 })
      for (const key of ["a", "b"]) {
        yield* kv.put(key, "1")
        yield* kv.put(key, "2")
        yield* kv.delete(key)
      }
      yield* kv.put("c", "1")
      assert.strictEqual(yield* kv.purgeDeletes(), 4)
      assert.deepStrictEqual((yield* Stream.runCollect(kv.history(">"))).map(told), ["a delete", "b delete", "c=1"])
      assert.strictEqual(yield* kv.purgeDeletes({ olderThan: 0 }), 2)
      assert.deepStrictEqual((yield* Stream.runCollect(kv.history(">"))).map(told), ["c=1"])
      assert.strictEqual(yield* consumersOf(nats, "test"), 0)
    }))
})

type KeyValueFailure = { readonly _tag: string }
