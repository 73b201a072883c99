/** Limits that several processes share: what is granted, by whose time, and what a refused take costs. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { NatsRateLimiter } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { elsewhen, storeOn } from "../fixtures/limits.ts"

const minute = Duration.minutes(1)

const Server = TestNatsServer.layer({ jetstream: true })

const store = (options?: NatsRateLimiter.Options) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.TestNatsServer
    return (yield* storeOn(server, NatsRateLimiter.makeStore(options))).store
  })

layer(Server, { excludeTestServices: true })("a fixed window", (it) => {
  it.effect("is one for all stores, and a refused take uses nothing, in whatever order costs come", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* store(), yield* store()]
      const orders = [[8, 1, 1, 1], [1, 8, 1, 1], [1, 1, 1, 8], [3, 8, 7, 1]]
      for (const [at, costs] of orders.entries()) {
        let granted = 0
        for (const [nth, tokens] of costs.entries()) {
          const [count] = yield* (nth % 2 === 0 ? one : two).fixedWindow({
            key: `order.${at}`,
            tokens,
            refillRate: minute,
            limit: 10
          })
          assert.strictEqual(count, granted + tokens)
          if (count <= 10) granted += tokens
        }
        assert.isAtMost(granted, 10)
      }
    }))

  it.effect("is one for processes whose wall clocks are five minutes apart", () =>
    Effect.gen(function*() {
      const ahead = yield* elsewhen(5, store())
      const behind = yield* elsewhen(-5, store())
      const take = { key: "clocks", tokens: 1, refillRate: minute, limit: undefined }
      const [first, ttl] = yield* ahead.fixedWindow(take)
      assert.strictEqual(first, 1)
      assert.approximately(ttl, 60_000, 1)
      const [second, left] = yield* behind.fixedWindow(take)
      assert.strictEqual(second, 2)
      assert.isAbove(left, 90_000)
      assert.isAtMost(left, 120_000)
      const [third] = yield* ahead.fixedWindow(take)
      assert.strictEqual(third, 3)
    }))
})
