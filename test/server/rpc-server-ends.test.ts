/** The orderly end of an rpc server, seen by its callers. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { NatsRpc } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { until } from "../fixtures/following.ts"
import { caller, failureIn, serve } from "../fixtures/rpcRigs.ts"

describe("a shutdown", () => {
  it.live("does not speak for handlers that fail or die by themselves, however late", () =>
    Effect.gen(function*() {
      const servers = (yield* TestNatsServer.make()).url
      const Stay = RpcGroup.make(
        Rpc.make("stay", { payload: { how: Schema.String }, success: Schema.String, error: Schema.String })
      )
      const gate = yield* Deferred.make<void>()
      let begun = 0
      const ends: Readonly<Record<string, Effect.Effect<never, string>>> = {
        fails: Effect.fail("no"),
        dies: Effect.die(new Error("bug"))
      }
      const handlers = Stay.toLayer({
        stay: ({ how }) => {
          begun++
          const end = ends[how]
          return end === undefined ? Effect.never : Effect.uninterruptible(Effect.andThen(Deferred.await(gate), end))
        }
      })
      const scope = yield* Scope.fork(yield* Effect.scope)
      const clients = NatsClient.layer({ servers })
      yield* RpcServer.layer(Stay, { disableFatalDefects: true }).pipe(
        Layer.provide([handlers, NatsRpc.layerServerProtocol({ subject: "stay", drainTimeout: "100 millis" })]),
        Layer.provide([RpcSerialization.layerJson, clients]),
        Layer.buildWithScope(scope)
      )
      const { stay } = yield* RpcClient.make(Stay).pipe(
        Effect.provide(
          yield* Layer.build(
            NatsRpc.layerClientProtocol({ subject: "stay" }).pipe(Layer.provide([RpcSerialization.layerJson, clients]))
          )
        )
      )
      const calls = yield* Effect.forEach(
        [...Object.keys(ends), "is cut off"],
        (how) => Effect.forkChild(Effect.exit(stay({ how })), { startImmediately: true })
      )
      yield* until(Effect.sync(() => begun === 3))
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.deepInclude(failureIn(yield* Fiber.join(calls[2])), { _tag: "RpcServerLost", reason: "shutdown" })
      yield* Deferred.succeed(gate, undefined)
      const [failed, died] = yield* Effect.forEach(calls.slice(0, 2), Fiber.join)
      assert.isTrue(Exit.isFailure(failed) && Cause.squash(failed.cause) === "no")
      assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
      yield* Fiber.join(stopping)
    }))

  it.live("of a server of a NATS server that takes no headers is an interruption, and no wait", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make({ config: "no_header_support: true" })
      const { seen, stop } = yield* serve(url, "a", { drainTimeout: "100 millis" })
      const { users } = yield* caller(url)
      const waiting = yield* Effect.forkChild(Effect.exit(users.Wait({ id: "1" })), { startImmediately: true })
      yield* seen.until("Wait 1 started", 1)
      yield* stop
      const exit = yield* Fiber.join(waiting)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.isUndefined(failureIn(exit))
    }))
})
