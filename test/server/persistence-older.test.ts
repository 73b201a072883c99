/** What stores ask of a server is said when they are built, and nothing is made before. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { NatsClient } from "effect-nats/NatsClient"
import { NatsCircuitBreaker, NatsRateLimiter, NatsReactivity } from "effect-nats/persistence"
import { getCurrentVersion, setCurrentVersion } from "effect/Version"
import { rawApi, withJetStream } from "../fixtures/jetStream.ts"
import { hasTtl, on } from "../fixtures/keyValue.ts"

describe("a store of another effect than the one that runs", () => {
  it.live("is not built, and fails typed", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const installed = getCurrentVersion()
      yield* Effect.acquireRelease(
        Effect.sync(() => setCurrentVersion("4.2.0")),
        () => Effect.sync(() => setCurrentVersion(installed))
      )
      const failures = [
        yield* Effect.flip(on(js, NatsRateLimiter.makeStore())),
        yield* Effect.flip(on(js, NatsCircuitBreaker.makeStore())),
        yield* Effect.flip(Effect.provideService(NatsReactivity.make(), NatsClient, nats))
      ]
      assert.deepStrictEqual(failures.map(({ _tag }) => _tag), Array.from({ length: 3 }, () => "UnsupportedEffect"))
    }).pipe(Effect.scoped))
})

describe("a store that needs keys with times of their own", () => {
  const stores = {
    limits: Effect.asVoid(NatsRateLimiter.makeStore()),
    circuits: Effect.asVoid(NatsCircuitBreaker.makeStore())
  }

  for (const [name, make] of Object.entries(stores)) {
    it.live(`of ${name} is built from nats-server 2.11 on, and makes nothing on an older one`, () =>
      Effect.gen(function*() {
        const { js, nats, server } = yield* withJetStream()
        const exit = yield* Effect.exit(on(js, make))
        assert.strictEqual(Exit.isSuccess(exit), hasTtl(server.version))
        if (Exit.isSuccess(exit)) return
        const error = yield* Effect.flip(on(js, make))
        assert(error._tag === "UnsupportedByServer")
        assert.strictEqual(error.needs, "2.11")
        assert.strictEqual((yield* rawApi(nats, "INFO"))["streams"], 0)
      }))
  }

  it.live("is not reactivity, which is built on any", () =>
    Effect.gen(function*() {
      const { nats } = yield* withJetStream()
      yield* Effect.provideService(NatsReactivity.make(), NatsClient, nats)
    }))
})
