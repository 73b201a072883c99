/** What a process is told of transactions when it builds its storages. It is told once, so that the order here counts. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
import { caller, runner } from "../fixtures/clusters.ts"
import { withJetStream } from "../fixtures/jetStream.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"

it.live(
  "who only calls is not told, the first runner of a process is, and the next one is not",
  () =>
    Effect.gen(function*() {
      const { server } = yield* withJetStream()
      if (!isAtLeast(server.version, 2, 12)) return
      const told: Array<string> = []
      const logger = Logger.layer([
        Logger.make(({ logLevel, message }) => {
          if (String(message).includes("WithTransaction")) told.push(logLevel)
        })
      ])
      yield* Effect.gen(function*() {
        yield* caller(server.url)
        assert.deepStrictEqual(told, ["Debug"])
        yield* runner(server.url, "one")
        assert.deepStrictEqual(told, ["Debug", "Info"])
        yield* runner(server.url, "two")
        assert.deepStrictEqual(told, ["Debug", "Info", "Debug"])
      }).pipe(
        Effect.scoped,
        Effect.provide(yield* Layer.build(logger)),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
    }),
  30_000
)
