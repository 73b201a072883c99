/**
 * A buffer that is full ends neither a service nor a side of rpc. The clients here make every buffer of theirs one of two
 * messages, so that one write of a stranger is more than it takes.
 */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema } from "effect"
import { NatsClient, NatsHealth } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { recordStatus, type StatusRecord } from "../fixtures/clients.ts"
import { until } from "../fixtures/following.ts"
import { Slow } from "../fixtures/slow.ts"

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

/** A client with such buffers, what it has subscribed, and what became full. */
const narrow = Effect.gen(function*() {
  const nats = yield* connect
  const subjects: Array<string> = []
  const status = yield* recordStatus(nats)
  const copy: NatsClient.NatsClient = {
    ...nats,
    subscription: (subject, options) => {
      subjects.push(subject)
      return nats.subscription(subject, { ...options, capacity: 2 })
    }
  }
  return { nats: copy, subjects, status }
})

/** More messages than a buffer has room for, in one write. */
const flood = (nats: NatsClient.NatsClient, subject: string) =>
  Effect.andThen(
    Effect.forEach(Array.from({ length: 50 }, (_, i) => String(i)), (text) => nats.publish(subject, text), {
      discard: true
    }),
    nats.flush
  )

/** A flood that is read in parts is several overflows. All of it has come then. */
const isFull = (nats: NatsClient.NatsClient, status: StatusRecord, subject: string) =>
  Effect.andThen(
    until(Effect.sync(() => status.of("Overflow").some((overflow) => overflow.subject === subject))),
    nats.flush
  )

const Calls = RpcGroup.make(Rpc.make("twice", { payload: Schema.Finite, success: Schema.Finite }))

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a full buffer", (it) => {
  it.effect("of an endpoint costs the newest requests: those before are handled in order, and the service goes on", () =>
    Effect.gen(function*() {
      const caller = yield* connect
      const { nats, status } = yield* narrow
      const gate = yield* Deferred.make<void>()
      const begun: Array<number> = []
      const service = yield* NatsService.make(Slow, { name: "full", version: "1.0.0", concurrency: 1 }).pipe(
        Effect.provide(Slow.toLayer({
          work: (n) => {
            begun.push(n)
            return Effect.as(Deferred.await(gate), n * 2)
          }
        })),
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      yield* flood(caller, "full.work")
      const overflow = yield* status.nth("Overflow")
      // All of it has come then: what came later would take the room of the request.
      yield* nats.flush
      assert.deepStrictEqual(overflow, { _tag: "Overflow", subject: "full.work", policy: "dropNewest" })
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* caller.request("full.work", "77")).text, "154")
      const handled = begun.slice(0, -1)
      assert.deepStrictEqual(handled, handled.map((_, i) => i))
      assert.isBelow(handled.length, 50)
      assert.deepStrictEqual((yield* service.info).endpoints.map(({ name }) => name), ["work"])
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }))

  it.effect("of its discovery is no end of it", () =>
    Effect.gen(function*() {
      const caller = yield* connect
      const { nats, status } = yield* narrow
      yield* NatsService.make(Slow, { name: "found", version: "1.0.0" }).pipe(
        Effect.provide(Slow.toLayer({ work: (n) => Effect.succeed(n) })),
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      for (const verb of ["PING", "INFO", "STATS"]) {
        yield* flood(caller, `$SRV.${verb}.found`)
        yield* isFull(nats, status, `$SRV.${verb}.found`)
        assert.include((yield* caller.request(`$SRV.${verb}.found`)).text, `"name":"found"`)
      }
    }))

  it.effect("of either side of rpc is no end of it: the next call is answered", () =>
    Effect.gen(function*() {
      const stranger = yield* connect
      const server = yield* narrow
      const client = yield* narrow
      yield* Layer.build(
        RpcServer.layer(Calls).pipe(
          Layer.provide([
            Calls.toLayer({ twice: (n) => Effect.succeed(n * 2) }),
            NatsRpc.layerServerProtocol({ subject: "calls" })
          ]),
          Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, server.nats)])
        )
      )
      const protocol = yield* Layer.build(
        NatsRpc.layerClientProtocol({ subject: "calls" }).pipe(
          Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, client.nats)])
        )
      )
      const calls = yield* Effect.provide(RpcClient.make(Calls), protocol)
      assert.strictEqual(yield* calls.twice(1), 2)
      for (const { nats, status, subjects } of [server, client]) {
        for (const [i, subject] of subjects.entries()) {
          yield* flood(stranger, subject.replace(/[>*]$/, "9"))
          yield* isFull(nats, status, subject)
          assert.strictEqual(yield* Effect.timeout(calls.twice(i), "5 seconds"), i * 2)
        }
      }
      // None of them was subscribed anew.
      assert.deepStrictEqual([server.subjects.length, client.subjects.length], [2, 1])
      assert.isTrue((yield* NatsHealth.check(server.nats)).ready)
    }))
})
