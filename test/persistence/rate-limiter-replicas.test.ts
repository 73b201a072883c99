/** A limit on three servers, of which the one that leads its bucket is killed. */
import { assert, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { NatsRateLimiter } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { connectJetStream, insistRaw, rawApi } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"

it.live("counts no take twice and forgets none while another server becomes the leader", () =>
  Effect.gen(function*() {
    const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
    const urls = servers.map(({ url }) => url)
    const stores = yield* Effect.forEach([0, 1], (first) =>
      Effect.gen(function*() {
        const order = [...urls.slice(first), ...urls.slice(0, first)]
        const { js, nats } = yield* connectJetStream(servers[first], { servers: order, randomizeServers: false })
        // The leader of a new cluster refuses replicas until it has the numbers of all peers.
        yield* insistRaw(rawApi(nats, "STREAM.CREATE.FIRST", { name: "FIRST", subjects: ["first"], num_replicas: 3 }))
        yield* on(js, NatsRateLimiter.makeStore({ replicas: 3 }))
        // The bucket may take its time. Takes are not to wait for long for what nobody answers any more.
        const quick = yield* Effect.provideService(
          JetStream.make({ timeout: "2 seconds" }),
          NatsClient.NatsClient,
          nats
        )
        return { nats, store: yield* Effect.eventually(on(quick, NatsRateLimiter.makeStore({ replicas: 3 }))) }
      }))
    const take = (at: number) =>
      stores[at % 2].store.fixedWindow({ key: "hot", tokens: 1, refillRate: Duration.minutes(1), limit: undefined })
    const counts: Array<number> = []
    let failures = 0
    const some = (size: number) =>
      Effect.forEach(
        Array.from({ length: size }, (_, at) => at),
        (at) =>
          Effect.match(take(at), {
            onSuccess: ([count]) => void counts.push(count),
            onFailure: () => void failures++
          }),
        { concurrency: 8, discard: true }
      )
    yield* some(100)
    assert.strictEqual(failures, 0)
    const { cluster } = yield* insistRaw(rawApi(stores[0].nats, "STREAM.INFO.KV_rate-limiter"))
    const leader = servers.findIndex((_, at) => cluster.leader === `test-${at + 1}`)
    assert.isAtLeast(leader, 0)
    yield* servers[leader].kill
    yield* some(200)
    yield* servers[leader].restart
    yield* some(100)
    const [last] = yield* Effect.retry(take(0), { times: 20 })
    // Each answer is of its own, and what failed may have been counted.
    assert.strictEqual(new Set(counts).size, counts.length)
    assert.isAtLeast(last, counts.length + 1)
    assert.isAtMost(last, counts.length + failures + 21)
    assert.isAbove(counts.length, 150)
  }), 120_000)
