/** What the documents promise of the handlers of a service, besides their answers. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, ErrorReporter, Fiber, Logger, Schema } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { until } from "../fixtures/following.ts"
import { Slow } from "../fixtures/slow.ts"

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a service's handler", (it) => {
  it.effect("that stops its own service does not wait for itself, and goes on to its answer", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const made = yield* Deferred.make<NatsService.NatsService>()
      const service = yield* NatsService.make(Slow, { name: "selfish", version: "1.0.0" }).pipe(
        Effect.provide(Slow.toLayer({
          work: (n) => Effect.as(Effect.flatMap(Deferred.await(made), ({ stop }) => stop), n * 2)
        })),
        Effect.provideService(NatsClient.NatsClient, yield* connect)
      )
      yield* Deferred.succeed(made, service)
      assert.strictEqual((yield* nats.request("selfish.work", "3", { timeout: "3 seconds" })).text, "6")
      yield* service.ended
    }))

  it.effect("that must not be interrupted is let end by a stop that is out of time, and answers", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const gate = yield* Deferred.make<void>()
      let running = 0
      const service = yield* NatsService.make(Slow, { name: "firm", version: "1.0.0", drainTimeout: "10 millis" }).pipe(
        Effect.provide(Slow.toLayer({
          work: (n) =>
            Rpc.uninterruptible(Effect.suspend(() => {
              running++
              return Effect.as(Deferred.await(gate), n * 2)
            }))
        })),
        Effect.provideService(NatsClient.NatsClient, yield* connect)
      )
      const asked = yield* Effect.forkChild(nats.request("firm.work", "3", { timeout: "5 seconds" }), {
        startImmediately: true
      })
      yield* until(Effect.sync(() => running === 1))
      yield* service.stop
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(asked)).text, "6")
    }))

  it.effect("that dies is told to the reporters of errors, and one that fails as its contract says is not", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const reported: Array<string> = []
      const reporter = ErrorReporter.make(({ error }) => {
        reported.push(error.message)
      })
      const Failing = RpcGroup.make(
        Rpc.make("work", { payload: Schema.String, success: Schema.Void, error: Schema.String })
      )
      yield* NatsService.make(Failing, { name: "failing", version: "1.0.0" }).pipe(
        Effect.provide(Failing.toLayer({
          work: (what) => what === "dies" ? Effect.die(new Error("no such table")) : Effect.fail(what)
        })),
        Effect.provideService(NatsClient.NatsClient, nats),
        Effect.provide(ErrorReporter.layer([reporter]))
      )
      for (const what of ["fails", "dies"]) yield* nats.request("failing.work", JSON.stringify(what))
      assert.deepStrictEqual(reported, ["no such table"])
    }))

  it.effect("whose answer cannot be sent has a warning that says why, with the service and the endpoint", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const lines: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => {
        lines.push(line)
      })
      const Big = RpcGroup.make(Rpc.make("big", { success: Schema.String }))
      yield* NatsService.make(Big, { name: "unsent", version: "1.0.0" }).pipe(
        Effect.provide(Big.toLayer({ big: () => Effect.succeed("x".repeat(2_000_000)) })),
        Effect.provideService(NatsClient.NatsClient, nats),
        Effect.provide(Logger.layer([logger]))
      )
      assert.strictEqual((yield* nats.request("unsent.big")).header("Nats-Service-Error-Code"), "500")
      yield* until(Effect.sync(() => lines.length > 0))
      assert.strictEqual(lines.length, 1)
      for (const part of ["An answer could not be sent", "MaxPayloadExceeded", "\"unsent\"", "\"big\"", "\"WARN\""]) {
        assert.include(lines[0], part)
      }
    }))

  it.effect("has the metadata that its contract says, also in place of a schema", () =>
    Effect.gen(function*() {
      const Own = RpcGroup.make(
        Rpc.make("own", { payload: Schema.String, success: Schema.String }).annotate(NatsService.Endpoint, {
          metadata: { request_schema: "see the handbook" }
        })
      )
      const service = yield* NatsService.make(Own, { name: "own", version: "1.0.0" }).pipe(
        Effect.provide(Own.toLayer({ own: (text) => Effect.succeed(text) })),
        Effect.provideService(NatsClient.NatsClient, yield* connect)
      )
      const [{ metadata }] = (yield* service.info).endpoints
      assert.deepStrictEqual(metadata, { request_schema: "see the handbook", response_schema: "{\"type\":\"string\"}" })
    }))
})
