/**
 * A program of layers that does not live on deaf: what ends in the background ends it, with the part and the cause.
 *
 *   node examples/launch.ts
 *
 * Prints:
 *   it runs: pens 12, ready
 *   the user loses the right to listen to stock.counted
 *   the program ends: The listener "stock.counted" has ended: This user may not subscribe to "stock.counted" in queue group "stock": …
 *   the user has it again, and the program is started without `launch`
 *   it runs: pens 12, ready
 *   …A listener has ended…
 *   it lives on, not ready: the listener "stock.counted" has ended: …
 *   a service that loses an endpoint goes on with the others
 *   …An endpoint of a service has ended; the service goes on with the others…
 *   warehouse.left gives 12, and $SRV.INFO has: left
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Latch, Layer, Schema, Stream } from "effect"
import { NatsClient, NatsHealth, NatsLayer, SubjectSchema } from "effect-nats"
import { NatsService, ServiceDiscovery } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"

// An event, a request and a service, each with its handler as a layer.
const Counted = SubjectSchema.make("stock.counted", Schema.Struct({ item: Schema.String, count: Schema.Int }))
const GetStock = SubjectSchema.makeRequest("stock.get", { payload: Schema.String, success: Schema.Int })
const Warehouse = RpcGroup.make(Rpc.make("left", { success: Schema.Int }), Rpc.make("ordered", { success: Schema.Int }))

const stock = new Map([["pen", 12]])
const left = Effect.sync(() => stock.get("pen") ?? 0)

const Handlers = Layer.mergeAll(
  Counted.layer(({ count, item }) => Effect.sync(() => stock.set(item, count)), { queue: "stock" }),
  GetStock.layer((item) => Effect.sync(() => stock.get(item) ?? 0), { queue: "stock", concurrency: 8 }),
  NatsService.layer(Warehouse, { name: "warehouse", version: "1.0.0" }).pipe(
    Layer.provide(Warehouse.toLayer({ left: () => left, ordered: () => Effect.succeed(0) }))
  )
)

const john = { user: "john", password: "johnpassword" }
const withoutRightTo = (...deny: ReadonlyArray<string>) => ({
  users: [{ ...john, permissions: { publish: [">"], subscribe: { deny } } }]
})

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make(withoutRightTo())
  const running = yield* Latch.make()

  // The first thing that stands on the handlers.
  const Show = Layer.effectDiscard(Effect.gen(function*() {
    const { ready } = yield* NatsHealth.check(yield* NatsClient.NatsClient)
    yield* Console.log(`it runs: pens ${yield* GetStock.request("pen")}, ${ready ? "ready" : "not ready"}`)
    yield* running.open
  }))
  const App = Show.pipe(
    Layer.provide(Handlers),
    Layer.provideMerge(NatsClient.layer({ servers: server.url, auth: john }))
  )

  // In a program: NatsLayer.launch(App).pipe(NodeRuntime.runMain)
  const launched = yield* Effect.forkChild(NatsLayer.launch(App))
  yield* running.await
  yield* Console.log("the user loses the right to listen to stock.counted")
  yield* server.reload(withoutRightTo("stock.counted"))
  yield* Fiber.join(launched).pipe(
    Effect.catchTag(
      "BackgroundEnded",
      ({ message }) => Console.log(`the program ends: ${message}`)
    )
  )

  yield* server.reload(withoutRightTo())
  yield* Console.log("the user has it again, and the program is started without `launch`")
  yield* Effect.gen(function*() {
    const nats = yield* NatsClient.NatsClient
    // Each check asks the server, so this does not spin.
    const trouble = Effect.map(
      Effect.repeat(NatsHealth.check(nats), { until: ({ ready }) => !ready }),
      ({ reason }) => reason
    )
    yield* server.reload(withoutRightTo("stock.counted"))
    yield* Console.log(`it lives on, not ready: ${yield* trouble}`)

    yield* Console.log("a service that loses an endpoint goes on with the others")
    yield* server.reload(withoutRightTo("stock.counted", "warehouse.ordered"))
    const has = yield* Stream.runCollect(ServiceDiscovery.info({ name: "warehouse", count: 1 })).pipe(
      Effect.map(([info]) => info.endpoints.map(({ name }) => name)),
      Effect.repeat({ until: ({ length }) => length === 1 })
    )
    const warehouse = yield* NatsService.client(Warehouse, { name: "warehouse" })
    yield* Console.log(`warehouse.left gives ${yield* warehouse.left()}, and $SRV.INFO has: ${has.join(", ")}`)
  }).pipe(Effect.provide(App))
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
