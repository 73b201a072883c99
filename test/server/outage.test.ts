/**
 * A client whose server goes away: what it dials, when, for how long, and what it says meanwhile. One server is scripted,
 * as a real one does not let clients in and throw them out again and again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestFakeServer, TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { TestClock } from "effect/testing"
import { count, follow, keepLedger, oneTurn, unhandled, until } from "../fixtures/following.ts"
import { living } from "../fixtures/living.ts"

/** The dials that a schedule without jitter makes in one outage of so many milliseconds, the first one at once. */
const dialsIn = (outage: number, initialDelay: number, maxDelay: number): number => {
  let dials = 1
  let elapsed = 0
  while (true) {
    elapsed += Math.min(maxDelay, initialDelay * 2 ** (dials - 1))
    if (elapsed > outage) return dials
    dials++
  }
}

describe("a server that goes away", () => {
  it.live("killed and restarted, twice: the streams go on, a request in flight is ConnectionLost with the cause", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const reconnect = { initialDelay: "20 millis", maxDelay: "100 millis" } as const
      const app = yield* NatsClient.make({ servers: server.url, reconnect })
      const witness = yield* NatsClient.make({ servers: server.url, reconnect })
      const problems = yield* unhandled
      const status = yield* follow(app)
      const { ledger } = yield* keepLedger(app, "in")
      const heard = yield* keepLedger(app, "unanswered")
      yield* count(witness, "in")
      for (const outage of [1, 2]) {
        yield* ledger.more(50)
        const request = yield* Effect.forkChild(Effect.flip(app.request("unanswered", "1")))
        const ping = Effect.flip(Effect.forever(app.flush))
        yield* heard.ledger.more(1)
        const flushing = yield* Effect.forkChild(ping, { startImmediately: true })
        yield* server.kill
        const lost = yield* Fiber.join(request)
        assert(lost._tag === "ConnectionLost", lost._tag)
        assert.strictEqual(lost.reason._tag, "ConnectionReset")
        assert.strictEqual((yield* Fiber.join(flushing))._tag, "ConnectionLost")
        yield* status.until((status) => status.last._tag === "Reconnecting")
        yield* server.restart
        yield* status.connected(outage + 1)
        yield* ledger.more(50)
      }
      assert.strictEqual(ledger.disorder, 0)
      assert.isAtMost(ledger.gaps, 4)
      assert.match(status.tags.join(" "), /^Connected( Disconnected( Reconnecting)+ Connected){2}$/)
      assert.strictEqual((yield* app.stats).pendingRequests, 0)
      yield* oneTurn
      assert.deepStrictEqual(problems, [])
    }))

  it.live("stopped with its sockets open: found as StaleConnection within the bound of the pings", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ trace: true })
      const app = yield* NatsClient.make({
        servers: server.url,
        pingInterval: "200 millis",
        maxPingOut: 2,
        connectTimeout: "600 millis",
        reconnect: { initialDelay: "20 millis", maxDelay: "50 millis" }
      })
      const status = yield* follow(app)
      const { ledger } = yield* keepLedger(app, "in")
      // From here on the log has the pings of the interval alone. A server that answers is left alone, for more of them
      // than are borne without an answer.
      yield* app.publish("marked")
      yield* server.awaitLog(/<<- \[PUB marked/)
      for (let pings = 0; pings < 4; pings++) {
        yield* server.awaitLog(/<<- \[PING\]/, { from: (yield* server.logs).length })
      }
      assert.deepStrictEqual(status.tags, ["Connected"])
      const request = yield* Effect.forkChild(Effect.flip(app.request("anything")))
      yield* server.pause
      const before = Date.now()
      // The pings count time as the event loop runs, in slices of an eighth of the interval: so does what is measured with.
      const bound = yield* Effect.forkChild(Effect.repeat(Effect.sleep("25 millis"), { times: 3 * 8 + 12 }))
      yield* status.seen("Disconnected")
      assert.isUndefined(bound.pollUnsafe(), "the bound of the pings is over")
      assert.isAtLeast(Date.now() - before, 2 * 200 - 50)
      yield* Fiber.interrupt(bound)
      assert.deepStrictEqual(status.losses, ["StaleConnection"])
      assert.strictEqual((yield* app.state)._tag === "Connected", false)
      yield* status.seen("Reconnecting", 2)
      for (const { reason } of status.all("Reconnecting")) {
        assert(reason._tag === "ConnectTimedOut", reason._tag)
        assert.strictEqual(reason.stage, "info")
      }
      yield* server.resume
      yield* status.connected(2)
      yield* app.publish("in", "1")
      yield* ledger.more(1)
      yield* Fiber.interrupt(request)
    }))

  it.live("that accepts and closes at once, again and again, is not dialled in a tight loop", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([
        ...TestFakeServer.handshake(),
        // Sent by a client that is let in.
        { expect: "SUB in" },
        { end: "FIN" }
      ])
      const app = yield* NatsClient.make({
        servers: server.url,
        reconnect: { initialDelay: "40 millis", maxDelay: "10 seconds", jitter: false, maxElapsed: "2 seconds" }
      })
      const status = yield* follow(app)
      yield* Effect.forkChild(Effect.ignore(Stream.runDrain(app.subscribe("in"))), { startImmediately: true })
      yield* status.connected(5)
      // The first session after a longer one is dialled at once; then each waits twice as long as the one before.
      const putOff = status.all("Reconnecting").map((event) => [event.attempt, event.delayMillis, event.reason._tag])
      assert.deepStrictEqual(putOff, [40, 80, 160].map((delay) => [0, delay, "ConnectionReset"]))
    }))
})

describe("a reconnect that is asked for", () => {
  it.live("again and again is no outage: none of them is put off", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({
        servers: server.url,
        reconnect: { initialDelay: "1 hour", maxDelay: "1 hour" }
      })
      const status = yield* follow(app)
      for (let i = 0; i < 8; i++) yield* app.reconnect
      yield* status.connected(9)
      assert.notInclude(status.tags, "Reconnecting")
    }))

  it.live("is dialled once where nothing else is: reconnect: false ends with a loss, and with what that dial says", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({ servers: server.url, reconnect: false })
      yield* app.reconnect
      assert.strictEqual((yield* app.stats).reconnects, 1)
      yield* server.kill
      assert.strictEqual((yield* Effect.flip(app.closed))._tag, "ConnectionClosed")
    }))

  it.effect("is dialled at once, without the small wait of a loss", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({ servers: server.url })
      // By the test's clock no time passes.
      for (let i = 0; i < 3; i++) yield* app.reconnect
      assert.strictEqual((yield* app.stats).reconnects, 3)
    }))

  it.live("counts with no sessions that are kicked at once, and is not put off by them", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const app = yield* NatsClient.make({
        servers: proxy.url,
        reconnect: { initialDelay: "200 millis", maxDelay: "1 hour", factor: 100, jitter: false }
      })
      const status = yield* follow(app)
      for (let i = 0; i < 4; i++) yield* app.reconnect
      // The first session that is kicked is no short life after another.
      yield* proxy.drop("RST")
      yield* status.connected(6)
      assert.notInclude(status.tags, "Reconnecting")
      yield* proxy.drop("RST")
      yield* status.connected(7)
      const putOff = () => status.all("Reconnecting").map(({ delayMillis }) => delayMillis)
      assert.deepStrictEqual(putOff(), [200])
      yield* app.reconnect
      assert.deepStrictEqual(putOff(), [200])
      // One that is kept for a second ends their row.
      yield* Effect.sleep("1100 millis")
      yield* proxy.drop("RST")
      yield* status.connected(9)
      assert.deepStrictEqual(putOff(), [200])
    }))
})

describe("the schedule of an outage", () => {
  it.effect("each delay is between half and the whole of its step, not all alike, and is waited for on the clock", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({ servers: server.url })
      const status = yield* follow(app)
      yield* server.kill
      yield* status.seen("Disconnected", 1)
      // The first dial has a small wait, too, which is no part of the schedule.
      while ((yield* app.stats).dials < 2) yield* Effect.andThen(TestClock.adjust(1), oneTurn)
      const rounds = 16
      for (let round = 1; round <= rounds; round++) {
        yield* status.seen("Reconnecting", round)
        const { dials } = yield* app.stats
        assert.strictEqual(dials, 1 + round)
        const { delayMillis } = status.all("Reconnecting")[round - 1]
        yield* TestClock.adjust(delayMillis - 1)
        yield* oneTurn
        assert.strictEqual((yield* app.stats).dials, dials)
        yield* TestClock.adjust(1)
      }
      const parts = status.all("Reconnecting").map(({ attempt, delayMillis }) =>
        delayMillis / Math.min(5000, 100 * 2 ** (attempt - 1))
      )
      assert.isAtLeast(parts.length, rounds)
      for (const part of parts) {
        assert.isAtLeast(part, 0.5)
        assert.isAtMost(part, 1)
      }
      assert.isAbove(new Set(parts).size, rounds / 2)
      assert.deepStrictEqual(
        status.all("Reconnecting").map(({ attempt }) => attempt),
        Array.from(parts, (_, i) => i + 1)
      )
    }))

  it.effect("ten minutes without a server: as many dials as the schedule says, then the typed end", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({
        servers: server.url,
        reconnect: { jitter: false, maxElapsed: "10 minutes" }
      })
      const { stream } = yield* app.subscription("in")
      const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(stream)))
      yield* server.kill
      yield* until(Effect.map(app.state, (state) => state._tag === "Reconnecting"))
      const suspended = yield* Effect.forkChild(Effect.flip(app.publish("out")), { startImmediately: true })
      let elapsed = 0
      yield* Stream.runForEach(
        app.status,
        (event) =>
          event._tag !== "Reconnecting" ? Effect.void : Effect.suspend(() => {
            elapsed += event.delayMillis
            return Effect.andThen(oneTurn, TestClock.adjust(event.delayMillis))
          })
      )
      const expected = dialsIn(600_000, 100, 5_000)
      assert.isAbove(expected, 120)
      assert.strictEqual((yield* app.stats).dials, 1 + expected)
      assert.isAtMost(elapsed, 600_000)
      assert.isAbove(elapsed, 595_000 - 1)
      const closed = yield* Effect.flip(app.closed)
      assert.strictEqual(closed.reason?._tag, "ConnectionRefused")
      assert.deepInclude(yield* Fiber.join(reading), { _tag: "ConnectionClosed" })
      assert.deepInclude(yield* Fiber.join(suspended), { _tag: "ConnectionClosed" })
    }))

  it.live("thousands of failed rounds leave nothing on the heap", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({
        servers: server.url,
        auth: Effect.succeed({ user: "john", password: "pw" }),
        reconnect: { initialDelay: 1, maxDelay: 1 }
      })
      yield* app.subscription("in")
      const waiting = yield* Effect.forkChild(Effect.forever(app.flush))
      yield* server.kill
      // Looked at now and then: who looks in every turn takes the turns of those who dial.
      const dialled = (dials: number): Effect.Effect<void> =>
        Effect.flatMap(app.stats, (stats) =>
          stats.dials >= dials ? Effect.void : Effect.andThen(Effect.sleep("10 millis"), dialled(dials)))
      const heap = Effect.sync(() =>
        living().heap
      )
      const rounds = 400
      yield* dialled(rounds)
      // What a round leaves is left by each: the engine's own, which it takes as code gets warm, is in some of the rows.
      const grown: Array<number> = []
      for (let row = 2, before = yield* heap; row <= 5; row++) {
        yield* dialled(row * rounds)
        const after = yield* heap
        grown.push(after - before)
        before = after
      }
      // 256 bytes a round, for what the test itself leaves.
      assert.isBelow(Math.min(...grown), rounds * 256)
      yield* Fiber.interrupt(waiting)
      // What a dial takes of the processor is no promise: half a minute is too little where others want it, too.
    }), 120_000)
})

describe("the budget of an outage", () => {
  it.live("maxAttempts: so many rounds, then closed fails with the cause", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({
        servers: server.url,
        reconnect: { initialDelay: 1, maxDelay: 5, maxAttempts: 7 }
      })
      const status = yield* follow(app)
      yield* server.kill
      const closed = yield* Effect.flip(app.closed)
      assert.strictEqual(closed.reason?._tag, "ConnectionRefused")
      assert.strictEqual((yield* app.stats).dials, 1 + 7)
      yield* status.seen("Closed")
      assert.deepStrictEqual(status.tags, [
        "Connected",
        "Disconnected",
        ...Array.from({ length: 6 }, () => "Reconnecting" as const),
        "Closed"
      ])
    }))

  it.live("a session that came back has a new budget", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({ servers: server.url, reconnect: { initialDelay: 1, maxAttempts: 2 } })
      for (let i = 0; i < 5; i++) yield* app.reconnect
      assert.strictEqual((yield* app.stats).reconnects, 5)
      yield* server.kill
      const closed = yield* Effect.flip(app.closed)
      assert.include(["ConnectionRefused", "ConnectionReset"], closed.reason?._tag)
    }))

  it.live("reconnect: false ends with the first loss and its cause, and dials once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({ servers: server.url, reconnect: false })
      const status = yield* follow(app)
      const { stream } = yield* app.subscription("in")
      yield* server.kill
      const read = yield* Effect.flip(Stream.runDrain(stream))
      assert.deepInclude(read, { _tag: "ConnectionClosed" })
      const closed = yield* Effect.flip(app.closed)
      assert.strictEqual(closed.reason?._tag, "ConnectionReset")
      yield* status.seen("Closed")
      assert.deepStrictEqual(status.tags, ["Connected", "Disconnected", "Closed"])
      assert.strictEqual((yield* app.stats).dials, 1)
    }))
})
