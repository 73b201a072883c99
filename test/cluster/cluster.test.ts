/** A cluster on a real server: entities on several runners, called through NATS. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { caller, runner, settled } from "../fixtures/clusters.ts"

const ids = Array.from({ length: 40 }, (_, i) => `place-${i}`)

describe("a cluster of two runners", () => {
  it.live(
    "answers calls and streams from either runner, and from one that calls only",
    () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({ jetstream: true })
        const one = yield* runner(server.url, "one")
        const two = yield* runner(server.url, "two")
        yield* settled(one, two)
        const client = yield* caller(server.url)
        for (const { call } of [one, two, client]) {
          const places = yield* Effect.forEach(ids, (id) => call(id).Where(), { concurrency: 10 })
          assert.deepStrictEqual(new Set(places.map((place) => place.runner)), new Set(["one", "two"]))
          const counted = yield* Effect.forEach(ids, (id) => Stream.runCollect(call(id).Count({ to: 50 })), {
            concurrency: 10
          })
          for (const count of counted) assert.strictEqual(count.length, 50)
          assert.strictEqual(yield* Effect.flip(call("place-1").Fail()), "no")
        }
      }),
    60_000
  )
})
