/** What a process knows of the server's time. The server is on this machine, so that the time of day here is its own. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { TestClock } from "effect/testing"
import { apiOf } from "../../src/jetstream/internal/api.ts"
import { ServerClock } from "../../src/persistence/internal/serverClock.ts"
import { makeAheadClock } from "../fixtures/aheadClock.ts"
import { until } from "../fixtures/following.ts"
import { connectJetStream, rawStream } from "../fixtures/jetStream.ts"
import { requests } from "../fixtures/stores.ts"

const options = { freshMillis: 60_000, samples: 3 }

const setting = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const proxy = yield* TestNatsProxy.make({ port: server.port, record: false })
  const { js } = yield* connectJetStream({ ...server, url: proxy.url })
  const witness = yield* connectJetStream(server)
  yield* rawStream(witness.nats, "S")
  const asked = yield* requests(witness.nats, "$JS.API.STREAM.INFO.S")
  return { api: apiOf(js), proxy, asked: asked.count }
})

/** Whether the time of day is where the clock says that it is. */
const holds = (clock: ServerClock): void => {
  const now = clock.now()
  const here = Date.now()
  assert.isAtMost(now, here)
  assert.isAtLeast(clock.latest(), here)
}

it.live("is between its bounds, whichever way of the link is slow", () =>
  Effect.gen(function*() {
    const { api, proxy } = yield* setting
    for (const slow of [undefined, "toServer", "toClient"] as const) {
      if (slow !== undefined) yield* proxy.delay("30 millis", slow)
      for (const samples of [1, 3]) {
        const clock = new ServerClock(api, "S", { ...options, samples, clock: yield* Clock.Clock })
        const began = performance.now()
        yield* clock.fresh
        holds(clock)
        // No wider than an answer took, but for what is cut off below a millisecond.
        assert.isAtMost(clock.latest() - clock.now(), performance.now() - began + 5)
        yield* Effect.sleep("20 millis")
        holds(clock)
      }
      yield* proxy.heal
    }
  }))

it.live("is no matter of the wall clocks of the process, which may be set at any time", () =>
  Effect.gen(function*() {
    const { api } = yield* setting
    const ahead = yield* makeAheadClock
    yield* ahead.setWall(60 * 60_000)
    const clock = new ServerClock(api, "S", { ...options, clock: ahead })
    yield* Effect.provideService(clock.fresh, Clock.Clock, ahead)
    holds(clock)
    yield* ahead.setWall(-60 * 60_000)
    holds(clock)
  }))

it.live("is asked for by all that wait at once, when it is due, and in each session", () =>
  Effect.gen(function*() {
    const { api, asked, proxy } = yield* setting
    const brief = new ServerClock(api, "S", { clock: yield* Clock.Clock, freshMillis: 0, samples: 1 })
    const clock = new ServerClock(api, "S", { ...options, clock: yield* Clock.Clock })
    yield* Effect.all(Array.from({ length: 20 }, () => clock.fresh), { concurrency: "unbounded" })
    assert.strictEqual(yield* asked, 3)
    yield* clock.fresh
    assert.strictEqual(yield* asked, 3)
    yield* Effect.andThen(brief.fresh, brief.fresh)
    assert.strictEqual(yield* asked, 5)
    yield* proxy.drop()
    yield* until(Effect.sync(() => api.connection.sessions === 2))
    yield* clock.fresh
    assert.strictEqual(yield* asked, 8)
  }))

it.effect("goes on by the clock of a test", () =>
  Effect.gen(function*() {
    const { api } = yield* TestClock.withLive(setting)
    const clock = new ServerClock(api, "S", { ...options, clock: yield* Clock.Clock })
    yield* clock.fresh
    const before = clock.now()
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(clock.now(), before + 60 * 60_000)
  }))
