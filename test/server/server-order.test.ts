/** Which of several servers a client dials, and when. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Random } from "effect"
import { NatsClient } from "effect-nats"
import { TestFakeServer, TestNatsServer } from "effect-nats/testing"
import { follow } from "../fixtures/following.ts"
import { between } from "../fixtures/manInTheMiddle.ts"

/** What chance is for who runs with it. */
const withChance = (chance: number) =>
  Effect.provideService(Random.Random, { nextDoubleUnsafe: () => chance, nextIntUnsafe: () => 0 })

const serverOf = (nats: NatsClient.NatsClient) =>
  Effect.map(nats.state, (state) => state._tag === "Connected" ? state.server : state._tag)

describe.concurrent("several servers", () => {
  it.live("are dialled in an order that is drawn once; with `randomizeServers: false` in the one given", () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(3)
      const urls = servers.map(({ url }) => url)
      const drawn = yield* NatsClient.make({ servers: urls, discoverServers: false }).pipe(withChance(0))
      const given = yield* NatsClient.make({ servers: urls, discoverServers: false, randomizeServers: false }).pipe(
        withChance(0)
      )
      assert.strictEqual(yield* serverOf(drawn), urls[2])
      assert.strictEqual(yield* serverOf(given), urls[0])
      const status = yield* follow(drawn)
      for (const [session, next] of [[2, 1], [3, 0], [4, 2]]) {
        yield* drawn.reconnect
        yield* status.connected(session)
        assert.strictEqual(yield* serverOf(drawn), urls[next])
      }
    }))

  it.live("that clients cannot reach, named by one that they can: it is dialled first when it is lost", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const silent = yield* TestFakeServer.make([])
      const middle = yield* between(server.port, (info) => ({ ...info, connect_urls: [`127.0.0.1:${silent.port}`] }))
      const nats = yield* NatsClient.make({ servers: `nats://127.0.0.1:${middle.port}` })
      const status = yield* follow(nats)
      yield* middle.cut
      yield* middle.heal
      yield* status.connected(2)
      assert.strictEqual((yield* nats.stats).dials, 2)
      assert.deepStrictEqual(status.tags, ["Connected", "Disconnected", "Connected"])
    }))
})

describe.concurrent("the first dial after a loss", () => {
  for (
    const [title, initialDelay, jitter, requested, waited] of [
      ["waits for a part of initialDelay that is drawn, 100 ms at most", 5_000, true, false, [90]],
      ["waits for a part of an initialDelay that is less than that", 50, true, false, [45]],
      ["is made at once without jitter", 5_000, false, false, []],
      ["is made at once where it was asked for", 5_000, true, true, []]
    ] as const
  ) {
    it.live(title, () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make()
        const middle = yield* between(server.port, (info) => info)
        const clock = yield* Clock.Clock
        const slept: Array<number> = []
        const noting: Clock.Clock = {
          ...clock,
          currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
          currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
          monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
          sleep: (duration) => {
            slept.push(Duration.toMillis(duration))
            return clock.sleep(duration)
          }
        }
        const nats = yield* NatsClient.make({
          servers: `nats://127.0.0.1:${middle.port}`,
          reconnect: { initialDelay, jitter }
        }).pipe(withChance(0.9), Effect.provideService(Clock.Clock, noting))
        const status = yield* follow(nats)
        slept.length = 0
        if (requested) yield* nats.reconnect
        else yield* Effect.andThen(middle.cut, middle.heal)
        yield* status.connected(2)
        // Besides it, what dials and pings are given: seconds.
        assert.deepStrictEqual(slept.filter((millis) => millis < 400), [...waited])
      }))
  }
})

describe("servers", () => {
  it.live("that never worked get a fifth of connectTimeout, and more in each further round", () =>
    Effect.gen(function*() {
      // It needs no processor of its own to let in, and no other servers start meanwhile: a second is little for that.
      const server = yield* TestFakeServer.make(TestFakeServer.handshake())
      const silent = yield* TestFakeServer.make([])
      const middle = yield* between(server.port, (info) => ({ ...info, connect_urls: [`127.0.0.1:${silent.port}`] }))
      const nats = yield* NatsClient.make({
        servers: `nats://127.0.0.1:${middle.port}`,
        connectTimeout: 1000,
        reconnect: { initialDelay: 1, maxDelay: 1 }
      })
      const status = yield* follow(nats)
      yield* middle.cut
      yield* status.seen("Reconnecting", 5)
      const waited = status.all("Reconnecting").flatMap(({ reason }) => reason.attempts ?? []).flatMap(({ error }) =>
        error._tag === "ConnectTimedOut" ? [error.timeoutMillis] : []
      )
      assert.deepStrictEqual(waited.slice(0, 5), [200, 400, 800, 1000, 1000])
    }))
})
