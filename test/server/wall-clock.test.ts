import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Option, Result, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { makeAheadClock } from "../fixtures/aheadClock.ts"
import { follow } from "../fixtures/following.ts"

const hour = 3_600_000

/** A client on a clock whose time of day can be set, behind a proxy, and a subject that nobody answers on. */
const setUp = Effect.gen(function*() {
  const server = yield* TestNatsServer.make()
  const proxy = yield* TestNatsProxy.make({ port: server.port })
  const clock = yield* makeAheadClock
  const nats = yield* Effect.provideService(
    NatsClient.make({ servers: proxy.url, reconnect: { initialDelay: "10 millis", maxDelay: "20 millis" } }),
    Clock.Clock,
    clock
  )
  const other = yield* NatsClient.make({ servers: server.url })
  yield* other.subscription("silent")
  return { clock, nats, proxy }
})

/** How long it took in real milliseconds, and with which error it failed. */
const timed = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(Effect.result(effect), (result) => ({
      tag: Result.isFailure(result) ? result.failure._tag : undefined,
      millis: performance.now() - began
    }))
  })

describe.concurrent("timeouts are durations, whatever is done to the time of day", () => {
  it.live("set back by an hour: a request and a requestMany in flight end in their time", () =>
    Effect.gen(function*() {
      const { clock, nats } = yield* setUp
      const one = yield* Effect.forkChild(timed(nats.request("silent", "", { timeout: 400 })), {
        startImmediately: true
      })
      const many = yield* Effect.forkChild(
        timed(Stream.runDrain(nats.requestMany("silent", "", { timeout: 400 }))),
        { startImmediately: true }
      )
      yield* clock.setWall(-hour)
      const ended = yield* Effect.timeoutOption(Effect.all([Fiber.join(one), Fiber.join(many)]), "10 seconds")
      assert.strictEqual(Option.getOrThrow(ended)[0].tag, "RequestTimedOut")
      assert.strictEqual(Option.getOrThrow(ended)[1].tag, undefined)
    }))

  it.live("set forward by an hour: a request keeps its time, also when one before it with the same timeout ends", () =>
    Effect.gen(function*() {
      const { clock, nats } = yield* setUp
      const ask = timed(nats.request("silent", "", { timeout: 1000 }))
      const first = yield* Effect.forkChild(ask, { startImmediately: true })
      yield* Effect.sleep(700)
      const second = yield* Effect.forkChild(ask, { startImmediately: true })
      yield* clock.setWall(hour)
      assert.isAtLeast((yield* Fiber.join(first)).millis, 990)
      assert.isAtLeast((yield* Fiber.join(second)).millis, 990)
    }))

  it.live("set back while a request waits for a connection: what it waited is still taken from its time", () =>
    Effect.gen(function*() {
      const { clock, nats, proxy } = yield* setUp
      const status = yield* follow(nats)
      yield* proxy.refuse
      yield* proxy.drop("RST")
      yield* status.until(({ last }) => last._tag === "Reconnecting")
      const asking = yield* Effect.forkChild(timed(nats.request("silent", "", { timeout: 1500 })), {
        startImmediately: true
      })
      yield* clock.setWall(-hour)
      yield* proxy.heal
      const ended = yield* Effect.timeoutOption(Fiber.join(asking), "10 seconds")
      assert.strictEqual(Option.getOrThrow(ended).tag, "RequestTimedOut")
    }))
})
