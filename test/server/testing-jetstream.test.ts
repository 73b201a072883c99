/** What the test kit does for clusters whose streams are replicated. Asked of by the client that is no part of it. */
import { assert, describe, it } from "@effect/vitest"
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import { TestNatsServer } from "../../src/testing/index.ts"
import { until } from "../fixtures/following.ts"

const opened = (servers: ReadonlyArray<TestNatsServer.TestNatsServer>) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      connect({ servers: servers.map(({ url }) => url), maxReconnectAttempts: -1, reconnectTimeWait: 50 })
    ),
    (connection) => Effect.promise(() => connection.close())
  )

/** Once more, where the leader is just not there. */
const insisting = <A>(attempt: () => Promise<A>): Effect.Effect<A> => Effect.eventually(Effect.tryPromise(attempt))

describe("a cluster of three with a replicated stream", () => {
  it.live(
    "has a leader of it, another one while that is killed or frozen, and all replicas again afterwards",
    () =>
      Effect.gen(function*() {
        const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
        const connection = yield* opened(servers)
        const manager = yield* insisting(() => jetstreamManager(connection))
        yield* insisting(() => manager.streams.add({ name: "ORDERS", subjects: ["orders.>"], num_replicas: 3 }))
        yield* insisting(() => manager.consumers.add("ORDERS", { durable_name: "worker", ack_policy: "explicit" }))
        const orders = { stream: "ORDERS" }
        const publish = Effect.forEach(
          Array.from({ length: 10 }),
          () => insisting(() => jetstream(connection).publish("orders.new", "1", { timeout: 1_000 }))
        )

        yield* TestNatsServer.awaitReplicas(servers, orders)
        const first = yield* TestNatsServer.leaderOf(servers, orders)
        yield* first.kill
        const second = yield* TestNatsServer.leaderOf(servers, orders)
        assert.notStrictEqual(second.port, first.port)
        yield* publish
        // One of three is down, and no leader says otherwise.
        const early = yield* Effect.flip(TestNatsServer.awaitReplicas(servers, orders, { timeout: "300 millis" }))
        assert.strictEqual(early._tag, "NatsServerTimedOut")
        assert.include(early.message, "waiting for all replicas of ORDERS")
        assert.match(early.message, /^server \d leads it, \S+ is (offline|behind)$/m)
        yield* first.restart
        // 2.10 can leave the replica of a server behind that comes back, whatever is published then. Another start takes it in.
        yield* TestNatsServer.awaitReplicas(servers, orders, { timeout: "10 seconds" }).pipe(
          Effect.catchIf(() => first.version.startsWith("2.10."), () => first.restart)
        )
        yield* TestNatsServer.awaitReplicas(servers, orders)
        // 2.9 can leave a consumer's replica behind for good when its server comes back, and then has no majority for a leader.
        const group = first.version.startsWith("2.9.") ? orders : { stream: "ORDERS", consumer: "worker" }
        yield* TestNatsServer.awaitReplicas(servers, group)
        yield* TestNatsServer.awaitReplicas(servers)

        // What was there before the kill is there again, and what came meanwhile; a replica learns with the next heartbeat
        // that what it has is agreed on.
        yield* until(Effect.map(first.monitor("/jsz?accounts=true&streams=true"), (json) => {
          const { account_details } = json as {
            account_details: [{ stream_detail: [{ state: { messages: number } }] }]
          }
          return account_details[0].stream_detail[0].state.messages >= 10
        }))

        const third = yield* TestNatsServer.leaderOf(servers, group)
        yield* third.pause
        const fourth = yield* TestNatsServer.leaderOf(servers, group)
        assert.notStrictEqual(fourth.port, third.port)
        yield* third.resume
      }),
    60_000
  )

  it.live("a single server leads its own streams, a stream that is not there has no leader", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const connection = yield* opened([server])
      const manager = yield* Effect.promise(() => jetstreamManager(connection))
      yield* Effect.promise(() => manager.streams.add({ name: "ORDERS", subjects: ["orders.>"] }))
      const leader = yield* TestNatsServer.leaderOf([server], { stream: "ORDERS" })
      assert.strictEqual(leader.port, server.port)
      yield* TestNatsServer.awaitReplicas([server], { stream: "ORDERS" })
      const error = yield* Effect.flip(
        TestNatsServer.leaderOf([server], { stream: "ORDERS", consumer: "nobody" }, { timeout: "200 millis" })
      )
      assert.include(error.message, "waiting for a leader of ORDERS/nobody")
      yield* server.kill
      yield* server.restart
      yield* TestNatsServer.leaderOf([server], { stream: "ORDERS" })
    }))
})
