/** The last steps of a service's stop: what it waits for, and what it does not. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { until } from "../fixtures/following.ts"
import { Slow } from "../fixtures/slow.ts"

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

/** The service has left its queue group: nobody else is in it. */
const left = (nats: NatsClient.NatsClient, subject: string) =>
  until(
    Effect.map(Effect.result(nats.request(subject, "1", { timeout: "20 millis" })), (result) =>
      result._tag === "Failure" && result.failure._tag === "NoResponders")
  )

it.layer(TestNatsServer.layer(), { timeout: "60 seconds", excludeTestServices: true })("a service that stops", (it) => {
  it.effect("answers what is queued behind a handler that does not let itself be interrupted", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      let running = 0
      const service = yield* NatsService.make(Slow, {
        name: "stuck",
        version: "1.0.0",
        drainTimeout: "20 millis",
        concurrency: 1
      })
        .pipe(
          Effect.provide(Slow.toLayer({
            work: (n) =>
              Effect.suspend(() => {
                running++
                return Effect.as(Effect.uninterruptible(Deferred.await(gate)), n)
              })
          })),
          Effect.provideService(NatsClient.NatsClient, nats),
          Scope.provide(scope)
        )
      const first = yield* Effect.forkChild(nats.request("stuck.work", "1"), { startImmediately: true })
      yield* until(Effect.sync(() => running === 1))
      const queued = yield* Effect.forkChild(
        Effect.forEach(["2", "3", "4"], (n) => nats.request("stuck.work", n, { timeout: "4 seconds" }), {
          concurrency: "unbounded"
        }),
        { startImmediately: true }
      )
      yield* nats.flush
      yield* Scope.close(scope, Exit.void)
      const codes = (yield* Fiber.join(queued)).map((reply) => reply.header("Nats-Service-Error-Code"))
      assert.deepStrictEqual(codes, ["503", "503", "503"])
      assert.strictEqual(running, 1)
      yield* service.ended
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(first)).header("Nats-Service-Error-Code"), "503")
    }))

  it.effect("begins no handler once its time is over, and turns away what waits at every endpoint for a slot", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const own = yield* connect
      const tags = ["a", "b", "c", "d"] as const
      const begun: Array<string> = []
      const Several = RpcGroup.make(Rpc.make("a"), Rpc.make("b"), Rpc.make("c"), Rpc.make("d"))
      const handler = (tag: string) => () =>
        Effect.suspend(() => {
          begun.push(tag)
          return Effect.never
        })
      const options = { name: "several", version: "1.0.0", drainTimeout: "20 millis", concurrency: 1 } as const
      const service = yield* NatsService.make(Several, options).pipe(
        Effect.provide(Several.toLayer({ a: handler("a"), b: handler("b"), c: handler("c"), d: handler("d") })),
        Effect.provideService(NatsClient.NatsClient, own)
      )
      const ask = (tag: string) =>
        Effect.forkChild(nats.request(`several.${tag}`, "", { timeout: "4 seconds" }), { startImmediately: true })
      const first = yield* ask("b")
      yield* until(Effect.sync(() => begun.length === 1))
      const queued = yield* Effect.forEach([...tags, ...tags], ask)
      yield* nats.flush
      yield* own.flush
      yield* service.stop
      const replies = yield* Effect.forEach([first, ...queued], Fiber.join)
      assert.deepStrictEqual(replies.map((reply) => reply.header("Nats-Service-Error-Code")), replies.map(() => "503"))
      assert.deepStrictEqual(begun, ["b"])
      const { endpoints } = yield* service.stats
      assert.deepStrictEqual(endpoints.map(({ num_errors, num_requests }) => [num_requests, num_errors]), [
        [2, 2],
        [3, 3],
        [2, 2],
        [2, 2]
      ])
    }))

  it.effect("has its answers at the server when it has stopped", () =>
    Effect.gen(function*() {
      const caller = yield* connect
      const proxy = yield* TestNatsProxy.make({ port: (yield* TestNatsServer.TestNatsServer).port })
      const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: false })
      const gate = yield* Deferred.make<void>()
      let running = 0
      const service = yield* NatsService.make(Slow, { name: "sent", version: "1.0.0" }).pipe(
        Effect.provide(Slow.toLayer({
          work: (n) =>
            Effect.suspend(() => {
              running++
              return Effect.as(Deferred.await(gate), n)
            })
        })),
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      const asked = yield* Effect.forkChild(caller.request("sent.work", "7", { timeout: "3 seconds" }), {
        startImmediately: true
      })
      yield* until(Effect.sync(() => running === 1))
      const stopping = yield* Effect.forkChild(service.stop, { startImmediately: true })
      yield* left(caller, "sent.work")
      yield* nats.flush
      yield* nats.flush
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stopping)
      yield* proxy.drop()
      assert.strictEqual((yield* Fiber.join(asked)).text, "7")
      // Nor is it found any more, though its scope is open.
      assert.strictEqual((yield* Effect.flip(caller.request("$SRV.PING.sent")))._tag, "NoResponders")
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
    }))

  it.effect("waits for the finalizers of what it interrupts", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      let running = 0
      let finalized = false
      const service = yield* NatsService.make(Slow, { name: "final", version: "1.0.0", drainTimeout: "10 millis" })
        .pipe(
          Effect.provide(Slow.toLayer({
            work: () =>
              Effect.suspend(() => {
                running++
                return Effect.never
              }).pipe(Effect.ensuring(Effect.delay(
                Effect.sync(() => {
                  finalized = true
                }),
                "50 millis"
              )))
          })),
          Effect.provideService(NatsClient.NatsClient, nats)
        )
      yield* nats.publish("final.work", "1")
      yield* until(Effect.sync(() => running === 1))
      yield* service.stop
      assert.isTrue(finalized)
    }))

  it.effect("waits for an answer that comes from elsewhere, and sends 503 when it does not come in time", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      for (const comes of [true, false]) {
        const later = yield* Deferred.make<number>()
        const begun = yield* Deferred.make<void>()
        const service = yield* NatsService.make(Slow, {
          name: `later-${comes}`,
          version: "1.0.0",
          drainTimeout: comes ? "10 seconds" : "10 millis"
        }).pipe(
          Effect.provide(Slow.toLayer({ work: () => Effect.as(Deferred.succeed(begun, undefined), later) })),
          Effect.provideService(NatsClient.NatsClient, nats)
        )
        const asked = yield* Effect.forkChild(nats.request(`later-${comes}.work`, "1", { timeout: "3 seconds" }), {
          startImmediately: true
        })
        yield* Deferred.await(begun)
        yield* nats.flush
        const stopping = yield* Effect.forkChild(service.stop, { startImmediately: true })
        yield* left(nats, `later-${comes}.work`)
        if (comes) {
          assert.isUndefined(stopping.pollUnsafe())
          yield* Deferred.succeed(later, 7)
        }
        yield* Fiber.join(stopping)
        const reply = yield* Fiber.join(asked)
        assert.strictEqual(comes ? reply.text : reply.header("Nats-Service-Error-Code"), comes ? "7" : "503")
      }
    }))
})
