/** Stores whose bucket has three replicas, of which one is behind. */
import { assert, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { NatsKeyValueStore, NatsPersistence } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { connectJetStream, insistRaw, rawStream } from "../fixtures/jetStream.ts"
import { on, rawBucket } from "../fixtures/keyValue.ts"
import { requests } from "../fixtures/stores.ts"

const of = (n: number): object => ({ n })

it.live(
  "what was removed or is over is seen by nobody again, whichever server is asked, and what was written is",
  () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
      const first = yield* connectJetStream(servers[0]!)
      yield* insistRaw(rawStream(first.nats, "FIRST", { num_replicas: 3 }))
      yield* rawBucket(first.nats, "single")
      const refused = yield* Effect.flip(on(first.js, NatsKeyValueStore.make({ bucket: "single", replicas: 3 })))
      assert.deepInclude({ ...refused }, { _tag: "BucketExists", differences: ["replicas"] })
      yield* on(first.js, NatsKeyValueStore.make({ bucket: "stores", replicas: 3 }))
      const stream = { stream: "KV_stores" }
      yield* TestNatsServer.awaitReplicas(servers, stream)
      const leader = yield* TestNatsServer.leaderOf(servers, stream)
      const [behind, other] = servers.filter((server) => server !== leader)

      const storesOf = (server: TestNatsServer.TestNatsServer) =>
        Effect.gen(function*() {
          const { js, nats } = yield* connectJetStream(server)
          const store = yield* on(js, NatsKeyValueStore.make({ bucket: "stores" }))
          const backing = yield* on(js, NatsPersistence.makeBacking({ bucket: "stores" }))
          // Any replica answers these, also one that is behind.
          const direct = yield* requests(nats, "$JS.API.DIRECT.GET.>")
          return { store, users: yield* backing.make("users"), direct }
        })
      const stores = yield* storesOf(other!)
      const { store, users } = stores
      const keys = Array.from({ length: 40 }, (_, i) => `key ${i}`)
      for (const key of keys) {
        yield* store.set(key, "old")
        yield* users.setMany([[key, of(0), undefined], [`${key} ends`, of(0), Duration.millis(1)]])
      }
      yield* store.set("changed", "old")
      yield* users.set("changed", of(0), undefined)
      yield* TestNatsServer.awaitReplicas(servers, stream)

      yield* behind!.pause
      for (const key of keys) {
        yield* store.remove(key)
        yield* users.remove(key)
      }
      yield* store.modify("changed", (text) => `${text}, then new`)
      yield* users.set("changed", of(1), undefined)
      const all = [...keys, ...keys.map((key) => `${key} ends`)]
      const look = ({ direct, store, users }: Effect.Success<ReturnType<typeof storesOf>>) =>
        Effect.gen(function*() {
          for (const key of keys) {
            assert.isUndefined(yield* store.get(key))
            assert.isFalse(yield* store.has(key))
            assert.isUndefined(yield* users.get(key))
            assert.isUndefined(yield* users.get(`${key} ends`))
          }
          assert.deepStrictEqual(yield* store.keys, ["changed"])
          assert.strictEqual(yield* store.size, 1)
          assert.strictEqual(yield* store.get("changed"), "old, then new")
          assert.deepStrictEqual(yield* users.get("changed"), of(1))
          const found = yield* users.getMany(["changed", ...all])
          assert.deepStrictEqual(found, [of(1), ...all.map(() => undefined)])
          assert.strictEqual(yield* direct.count, 0)
        })
      yield* look(stores)
      yield* behind!.resume
      for (const server of [behind!, leader, other!]) yield* look(yield* storesOf(server))
    }),
  120_000
)
