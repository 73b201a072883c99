/** What is kept in memory, and for how long. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import { living } from "../fixtures/living.ts"

const megabytes = 1024 * 1024

const heap = Effect.sync(() => living().heap / megabytes)

describe("a service of 2,000 endpoints", () => {
  it.live("keeps some kilobytes for each, and no more for each when there are many", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const names = Array.from({ length: 2000 }, (_, i) => `e${i}`)
      const group = RpcGroup.make(...names.map((name) => Rpc.make(name)))
      const handlers = Object.fromEntries(names.map((name) => [name, () => Effect.void]))
      yield* Effect.gen(function*() {
        const before = yield* heap
        const service = yield* NatsService.make(group, { name: "many", version: "1.0.0", schemas: false })
        assert.isBelow((yield* heap) - before, 60)
        const nats = yield* NatsClient.NatsClient
        assert.strictEqual((yield* nats.request("many.e1999")).header("Nats-Service-Error"), undefined)
        assert.lengthOf((yield* service.info).endpoints, 2000)
      }).pipe(Effect.provide([group.toLayer(handlers), NatsClient.layer({ servers: server.url })]))
    }))
})

describe("requests that were answered", () => {
  it.live("are let go of at once, with their replies, however long their timeout", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const service = yield* NatsClient.make({ servers: server.url })
      const large = "x".repeat(32 * 1024)
      const { stream } = yield* service.subscription("large")
      yield* Effect.forkScoped(Stream.runForEach(stream, (message) => message.respond(large)))
      const memory = Effect.sync(() => living().all / megabytes)
      const before = yield* memory
      const ask = nats.request("large", "", { timeout: "1 hour" })
      const askMany = Stream.runDrain(nats.requestMany("large", "", { timeout: "1 hour", count: 1 }))
      yield* Effect.forEach(Array.from({ length: 500 }), () => Effect.andThen(ask, askMany), { concurrency: 10 })
      // 32 MB of replies came.
      assert.isBelow((yield* memory) - before, 12)
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))
})
