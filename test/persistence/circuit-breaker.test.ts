/** Circuits that several processes share: who is let through, who is the probe, and who hears that one is open. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Exit, Scope } from "effect"
import { NatsCircuitBreaker } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { CircuitBreaker } from "effect/persistence"
import { until } from "../fixtures/following.ts"
import { storeOn } from "../fixtures/limits.ts"

const store = (options?: NatsCircuitBreaker.Options) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.TestNatsServer
    return (yield* storeOn(server, NatsCircuitBreaker.makeStore(options))).store
  })

type Store = CircuitBreaker.CircuitBreakerStore["Service"]

const tripPolicy = CircuitBreaker.consecutive(1)

/** Opens a circuit by a call that fails. */
const open = (store: Store, key: string, openFor: Duration.Input) =>
  Effect.scoped(
    Effect.flatMap(store.admit(key), ({ generation }) =>
      store.record({
        key,
        generation,
        outcome: "Failure",
        tripPolicy,
        openFor: Duration.fromInputUnsafe(openFor)
      }))
  )

/** What a call is told. */
const told = (store: Store, key: string) =>
  Effect.scoped(
    Effect.match(store.admit(key), {
      onSuccess: ({ probe }) => probe ? "probe" : "admitted",
      onFailure: ({ reason }) => reason._tag
    })
  )

layer(TestNatsServer.layer({ jetstream: true }), { excludeTestServices: true })("a circuit", (it) => {
  it.effect("opens for all, lets one probe through, and closes for all", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* store(), yield* store()]
      const key = "life of *.> one"
      assert.strictEqual(yield* told(one, key), "admitted")
      const moved = yield* open(one, key, "300 millis")
      assert.strictEqual(moved?.to, "Open")
      assert.strictEqual(yield* told(one, key), "CircuitOpen")
      assert.strictEqual(yield* told(two, key), "CircuitOpen")
      yield* until(Effect.map(two.state(key), (state) => state._tag === "Open" && Duration.isZero(state.retryAfter)))
      const scope = yield* Scope.make()
      const admission = yield* Scope.provide(two.admit(key), scope)
      assert.isTrue(admission.probe)
      assert.deepStrictEqual(admission.transition, { key, from: "Open", to: "HalfOpen" })
      assert.strictEqual(yield* told(one, key), "CircuitHalfOpen")
      assert.strictEqual(yield* told(two, key), "CircuitHalfOpen")
      const closed = yield* two.record({
        key,
        generation: admission.generation,
        outcome: "Success",
        tripPolicy,
        openFor: Duration.zero
      })
      assert.deepStrictEqual(closed, { key, from: "HalfOpen", to: "Closed" })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* told(one, key), "admitted")
    }))
})
