/** What a store of queues stands on: made or compared when its layer is built. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Schema, Version } from "effect"
import { JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { PersistedQueue } from "effect/persistence"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { anotherStore, storeOn, untilKinds, withQueues } from "../fixtures/queues.ts"

const jobs = { name: "jobs", schema: Schema.String }

describe("a store of queues", () => {
  it.live("makes its stream, and takes one that is as it declares", () =>
    Effect.gen(function*() {
      const { js, server } = yield* withQueues({ prefix: "shop.mails", storage: "memory" })
      const { config } = yield* on(js, JetStreamStream.info("QUEUE_shop=002emails"))
      assert.deepInclude(config, {
        subjects: ["q", "w", "c", "d", "f"].map((kind) => `shop.mails.${kind}.*.*`),
        retention: "workqueue",
        storage: "memory",
        replicas: 1,
        maxMessagesPerSubject: 1
      })
      yield* anotherStore(server, { prefix: "shop.mails", storage: "memory" })
      // What is left out is as it is.
      yield* anotherStore(server, { prefix: "shop.mails" })
    }))

  it.live("leaves other subjects of its prefix to others", () =>
    Effect.gen(function*() {
      const { nats } = yield* withQueues({ prefix: "shop" })
      assert.strictEqual((yield* Effect.flip(nats.request("shop.s.orders.one", "")))._tag, "NoResponders")
    }))

  it.live("fails typed where its stream is configured otherwise, and leaves it as it is", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "QUEUE_effectq", {
        subjects: ["q", "w", "c", "d", "f"].map((kind) => `effectq.${kind}.*.*`),
        storage: "file"
      })
      const error = yield* Effect.flip(storeOn(js))
      assert.strictEqual(error._tag, "StreamExists")
      if (error._tag !== "StreamExists") return
      assert.sameMembers([...error.differences].filter((field) => field !== "schedules"), [
        "retention",
        "maxMessagesPerSubject",
        "allowDirect"
      ])
      assert.strictEqual((yield* on(js, JetStreamStream.info("QUEUE_effectq"))).config.retention, "limits")
    }))

  it.live("whose stream was made on a server without schedules has all but delays, and says how to have them", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "QUEUE_effectq", {
        subjects: ["q", "w", "c", "d", "f"].map((kind) => `effectq.${kind}.*.*`),
        storage: "file",
        retention: "workqueue",
        max_msgs_per_subject: 1,
        allow_direct: true
      })
      const store = yield* storeOn(js)
      const offered = (delay?: Duration.Duration) =>
        store.offer({ name: "jobs", id: "a", element: 1, isCustomId: true, delay })
      const error = yield* Effect.flip(offered(Duration.seconds(1)))
      assert.include(error.message, "allow_msg_schedules")
      yield* offered()
      yield* untilKinds(nats, { q: 1 })
    }))

  it.live("of two prefixes knows nothing of the other one's elements", () =>
    Effect.gen(function*() {
      const one = yield* withQueues({ prefix: "a" })
      const other = yield* anotherStore(one.server, { prefix: "a.q" })
      yield* (yield* one.queues.make(jobs)).offer("one", { id: "id" })
      yield* (yield* other.queues.make(jobs)).offer("other", { id: "id" })
      assert.strictEqual(yield* (yield* one.queues.make(jobs)).take(Effect.succeed), "one")
      assert.strictEqual(yield* (yield* other.queues.make(jobs)).take(Effect.succeed), "other")
    }))

  it.live("of a client that connects in the background is there before its server, and works when that is", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      yield* server.kill
      const { nats, queues } = yield* anotherStore(server, {}, {
        reconnect: { initialDelay: "10 millis", onFirstConnect: "background" }
      })
      const queue = yield* queues.make(jobs)
      const taking = yield* Effect.forkChild(queue.take(Effect.succeed))
      const offering = yield* Effect.forkChild(queue.offer("a", { id: "a" }))
      yield* server.restart
      yield* Fiber.join(offering)
      assert.strictEqual(yield* Fiber.join(taking), "a")
      yield* untilKinds(nats, { d: 1 })
    }))

  it.live("is not built on an effect of another minor", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const installed = Version.getCurrentVersion()
      yield* Effect.acquireRelease(
        Effect.sync(() => Version.setCurrentVersion("4.2.0")),
        () => Effect.sync(() => Version.setCurrentVersion(installed))
      )
      const error = yield* Effect.flip(storeOn(js))
      assert.strictEqual(error._tag, "UnsupportedEffect")
      assert.strictEqual((yield* rawApi(nats, "STREAM.NAMES"))["total"], 0)
    }))

  it.live("dies of a lock expiration that is none", () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      for (const lockExpiration of [0, "99 millis", Infinity] as const) {
        const exit = yield* Effect.exit(storeOn(js, { lockExpiration }))
        assert.include(String(exit), "lockExpiration")
      }
    }))

  it.live("says in its errors what was not done, and why", () =>
    Effect.gen(function*() {
      const { js, store } = yield* withQueues()
      yield* on(js, JetStreamStream.delete("QUEUE_effectq"))
      const offered = yield* Effect.flip(store.offer({ name: "jobs", id: "a", element: 1, isCustomId: true }))
      assert.include(offered.message, "\"a\"")
      assert.include(offered.message, "\"jobs\"")
      const retryDelay = () => Effect.succeed(Duration.zero)
      const taken = yield* Effect.flip(store.take({ name: "jobs", maxAttempts: 1, retryDelay }))
      assert.include(taken.message, "\"jobs\"")
      assert.include(taken.message, "QUEUE_effectq")
      const circular: Record<string, unknown> = {}
      circular["self"] = circular
      const none = yield* Effect.flip(store.offer({ name: "jobs", id: "b", element: circular, isCustomId: true }))
      assert.include(none.message, "it is no JSON")
      assert.instanceOf(none, PersistedQueue.PersistedQueueError)
    }))
})
