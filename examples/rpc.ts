/**
 * RPC between two Effect programs: calls, typed errors, streams with back-pressure and interruption, over NATS.
 *
 *   node examples/rpc.ts
 *
 * Two servers share the calls. One of them is shut down in the end, and no call fails.
 *
 * Prints:
 *   The price of ACME: 42
 *   UnknownSymbol: NOPE
 *   Watching: 1, 2, 3
 *   The server has produced … of 1000 prices, then it was told to stop.
 *   Without a server: RpcClientDefect: NoResponders: Nobody answers requests on "nobody": start the service, or correct the subject.
 *   100 calls answered while a server was shut down
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Deferred, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import type { NatsClient } from "effect-nats"
import { NatsRpc } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"

// The contract: what both sides know.
class UnknownSymbol extends Schema.TaggedError<UnknownSymbol>()("UnknownSymbol", { symbol: Schema.String }) {
  override get message(): string {
    return this.symbol
  }
}

const Prices = RpcGroup.make(
  Rpc.make("Latest", { payload: { symbol: Schema.String }, success: Schema.Finite, error: UnknownSymbol }),
  Rpc.make("Watch", { payload: { symbol: Schema.String }, success: Schema.Finite, stream: true })
)

// The handlers, and what a watcher's interruption does.
let produced = 0
const stopped = Deferred.makeUnsafe<void>()

const Handlers = Prices.toLayer({
  Latest: ({ symbol }) => symbol === "ACME" ? Effect.succeed(42) : Effect.fail(new UnknownSymbol({ symbol })),
  Watch: () =>
    Stream.range(1, 1000).pipe(
      Stream.rechunk(1),
      Stream.tap(() =>
        Effect.sync(() => {
          produced++
        })
      ),
      Stream.ensuring(Deferred.succeed(stopped, undefined))
    )
})

const server = RpcServer.layer(Prices).pipe(
  Layer.provide(Handlers),
  Layer.provide(NatsRpc.layerServerProtocol({ subject: "prices" })),
  Layer.provide(RpcSerialization.layerJson)
)

const clientOf = (subject: string) =>
  NatsRpc.makeClientProtocol({ subject }).pipe(
    Effect.flatMap((protocol) => Effect.provideService(RpcClient.make(Prices), RpcClient.Protocol, protocol)),
    Effect.provide(RpcSerialization.layerJson)
  )

const program = Effect.gen(function*() {
  // Each server is a layer in a scope of its own; they share this program's connection.
  const nats = yield* Effect.context<NatsClient.NatsClient>()
  const start = Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    yield* Layer.buildWithScope(Layer.fresh(server), scope).pipe(Effect.provideContext(nats))
    return { stop: Scope.close(scope, Exit.void) }
  })
  const first = yield* start
  yield* start

  yield* Effect.scoped(Effect.gen(function*() {
    const prices = yield* clientOf("prices")
    yield* Console.log(`The price of ACME: ${yield* prices.Latest({ symbol: "ACME" })}`)
    yield* prices.Latest({ symbol: "NOPE" }).pipe(
      Effect.catchTag("UnknownSymbol", (error) => Console.log(`${error._tag}: ${error.message}`))
    )

    const three = yield* prices.Watch({ symbol: "ACME" }).pipe(Stream.take(3), Stream.runCollect)
    yield* Console.log(`Watching: ${three.join(", ")}`)
    yield* Deferred.await(stopped)
    yield* Console.log(`The server has produced ${produced} of 1000 prices, then it was told to stop.`)

    const nobody = yield* clientOf("nobody")
    const error = yield* Effect.flip(nobody.Latest({ symbol: "ACME" }))
    yield* Console.log(`Without a server: ${error.message}`)

    const calls = yield* Effect.forkChild(
      Effect.forEach(Array.from({ length: 100 }), () => prices.Latest({ symbol: "ACME" }), { concurrency: 10 })
    )
    yield* first.stop
    yield* Console.log(`${(yield* Fiber.join(calls)).length} calls answered while a server was shut down`)
  }))
}).pipe(Effect.scoped, Effect.provide(TestNatsServer.layerClient()))

NodeRuntime.runMain(program)
