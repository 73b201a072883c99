/** What is kept in memory, and for how long. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import v8 from "node:v8"
import vm from "node:vm"

v8.setFlagsFromString("--expose-gc")
const gc: () => void = vm.runInNewContext("gc")

const megabytes = 1024 * 1024

const heap = Effect.sync(() => {
  gc()
  return process.memoryUsage().heapUsed / megabytes
})

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
      }).pipe(
        Effect.provide(group.toLayer(handlers)),
        Effect.provide(NatsClient.layer({ servers: server.url }))
      )
    }))
})
