/** When a connection that is half open is found, and that one that is not is left alone. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestFakeServer, TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { follow, until } from "../fixtures/following.ts"

const reconnect = { initialDelay: "10 millis", maxDelay: "20 millis" } as const

const setUp = Effect.fnUntraced(function*(options: NatsClient.Options) {
  const server = yield* TestNatsServer.make()
  const proxy = yield* TestNatsProxy.make({ port: server.port })
  const nats = yield* NatsClient.make({
    servers: proxy.url,
    reconnect,
    ...options
  })
  const witness = yield* NatsClient.make({ servers: server.url })
  yield* witness.subscription("silent")
  const status = yield* follow(nats)
  const pings = Effect.map(proxy.sent("toServer"), (bytes) => bytes.toString("latin1").split("PING\r\n").length - 1)
  return { nats, pings, proxy, status, witness }
})

/** Blocks the event loop, as a long computation does. */
const block = (millis: number) =>
  Effect.sync(() => {
    const end = performance.now() + millis
    while (performance.now() < end) { /* nothing else runs */ }
  })

describe.concurrent("half open, with pings every 30 seconds", () => {
  const rows: ReadonlyArray<readonly [string, (nats: NatsClient.NatsClient) => Effect.Effect<unknown, unknown>]> = [
    ["a request that times out", (nats) => nats.request("silent", "", { timeout: "200 millis" })],
    ["replies that do not come", (nats) => Stream.runDrain(nats.requestMany("silent", "", { timeout: "200 millis" }))],
    ["a flush that is given a time", (nats) => Effect.timeout(nats.flush, "200 millis")],
    [
      "a confirmed publish that is given a time",
      (nats) => Effect.timeout(nats.publish("x", "", { confirm: true }), "200 millis")
    ]
  ]
  for (const [what, operation] of rows) {
    it.live(`${what} brings the next ping forward, and the session is replaced after connectTimeout`, () =>
      Effect.gen(function*() {
        const { nats, proxy, status } = yield* setUp({ connectTimeout: "2 seconds" })
        yield* proxy.swallow("toClient")
        const began = performance.now()
        yield* Effect.ignore(operation(nats))
        yield* Effect.timeoutOrElse(status.seen("Disconnected"), {
          duration: "10 seconds",
          orElse: () => Effect.die("the session goes on")
        })
        assert.deepStrictEqual(status.losses, ["StaleConnection"])
        assert.isAtLeast(performance.now() - began, 2180)
        yield* proxy.heal
        yield* status.connected(2)
      }))
  }
})

describe("a healthy connection", () => {
  it.live("on which requests time out pays a ping a second at most, and none where something else came", () =>
    Effect.gen(function*() {
      const { nats, pings, status, witness } = yield* setUp({ connectTimeout: "1 second" })
      // The inbox is open, with the PING behind its SUB.
      yield* Effect.flip(nats.request("nobody", ""))
      const before = yield* pings
      const ask = Effect.ignore(nats.request("silent", "", { timeout: "100 millis" }))
      const began = performance.now()
      yield* Effect.forEach(Array.from({ length: 50 }), () => ask, { concurrency: "unbounded" })
      yield* ask
      yield* ask
      yield* until(Effect.map(pings, (now) => now > before))
      yield* ask
      assert.isAtMost((yield* pings) - before, 1 + Math.floor((performance.now() - began) / 1000))
      // The answer to it is there when its time is over.
      yield* Effect.sleep("1300 millis")
      const { stream } = yield* nats.subscription("tick")
      yield* Effect.forkScoped(Stream.runDrain(stream))
      const quiet = yield* pings
      // In the time of a request that has enough of it for something else to come.
      const patient = Effect.flip(nats.request("silent", "", { timeout: "2 seconds" }))
      const asking = yield* Effect.forkChild(patient, { startImmediately: true })
      yield* witness.publish("tick")
      yield* Fiber.join(asking)
      yield* nats.flush
      // The flush's own.
      assert.strictEqual((yield* pings) - quiet, 1)
      assert.deepStrictEqual(status.losses, [])
    }))

  it.live("on which a request times out is left alone where the way is long", () =>
    Effect.gen(function*() {
      const { nats, proxy, status } = yield* setUp({ connectTimeout: "2 seconds" })
      yield* nats.flush
      yield* proxy.delay("300 millis")
      yield* Effect.flip(nats.request("silent", "", { timeout: "50 millis" }))
      yield* nats.flush
      assert.deepStrictEqual(status.losses, [])
    }))

  it.live("survives a loop that is blocked for longer than the pings, on a link with a long way", () =>
    Effect.gen(function*() {
      // It stands still with the loop, and never by itself, as a real one can for longer than these pings.
      const server = yield* TestFakeServer.make(TestFakeServer.handshake())
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const options = { pingInterval: "200 millis", maxPingOut: 1, reconnect } as const
      const nats = yield* NatsClient.make({ servers: proxy.url, ...options })
      const status = yield* follow(nats)
      yield* proxy.delay("50 millis")
      for (let i = 0; i < 5; i++) {
        yield* Effect.sleep(215 + i * 37)
        yield* block(500)
      }
      yield* nats.flush
      assert.deepStrictEqual(status.losses, [])
    }))

  it.live("that has died is still found by the pings, also where the loop is busy", () =>
    Effect.gen(function*() {
      const { proxy, status } = yield* setUp({ pingInterval: "80 millis", maxPingOut: 1 })
      yield* proxy.swallow()
      const busy = yield* Effect.forkChild(Effect.forever(Effect.andThen(Effect.sleep(5), block(30))))
      const found = yield* Effect.timeoutOption(status.seen("Disconnected"), "10 seconds")
      yield* Fiber.interrupt(busy)
      assert.isTrue(Option.isSome(found))
      assert.deepStrictEqual(status.losses.slice(0, 1), ["StaleConnection"])
    }))
})
