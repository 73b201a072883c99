/**
 * An `RpcGroup` as a NATS micro service: a typed client, a caller that knows nothing of Effect, failures, discovery, and
 * a stop that answers what is in flight.
 *
 *   node examples/service.ts
 *
 * Prints:
 *   two instances of orders 1.0.0 answer
 *   the total is 12.5
 *   no order 7: OrderNotFound
 *   anybody else sees: 404 There is no order 7.
 *   a bad payload: 400 the payload does not fit at id: …
 *   orders.get on queue group "q": … requests
 *   the instances had 5 requests, 3 errors
 *   stopping with a request in flight
 *   it was answered: the total is 4
 *   now: NoResponders
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Deferred, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService, ServiceDiscovery } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"

class OrderNotFound extends Schema.TaggedError<OrderNotFound>()(
  "OrderNotFound",
  { id: Schema.String },
  { natsServiceErrorCode: 404 }
) {
  override get message(): string {
    return `There is no order ${this.id}.`
  }
}

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })

// The contract: services and clients share it.
const Orders = RpcGroup.make(
  Rpc.make("get", { payload: { id: Schema.String }, success: Order, error: OrderNotFound })
)

const inStock = new Map([["1", 12.5], ["2", 4]])

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make()
  const connect = NatsClient.make({ servers: server.url })
  const nats = yield* connect

  // Order 2 takes until the end of the example.
  const slow = yield* Deferred.make<void>()
  const started = yield* Deferred.make<void>()
  const get = Effect.fnUntraced(function*({ id }: { readonly id: string }) {
    const total = inStock.get(id)
    if (total === undefined) return yield* new OrderNotFound({ id })
    if (id === "2") {
      yield* Deferred.succeed(started, undefined)
      yield* Deferred.await(slow)
    }
    return { id, total }
  })

  const instances = yield* Scope.make()
  const instance = Effect.flatMap(connect, (own) =>
    Layer.build(
      NatsService.layer(Orders, { name: "orders", version: "1.0.0" }).pipe(
        Layer.provide([Orders.toLayer({ get }), Layer.succeed(NatsClient.NatsClient, own)])
      )
    ).pipe(Scope.provide(instances)))
  yield* instance
  yield* instance

  yield* Effect.gen(function*() {
    const found = yield* Stream.runCollect(ServiceDiscovery.ping({ name: "orders" }))
    yield* Console.log(`${found.length === 2 ? "two" : found.length} instances of orders ${found[0].version} answer`)

    const orders = yield* NatsService.client(Orders, { name: "orders", timeout: "5 seconds" })
    yield* Console.log(`the total is ${(yield* orders.get({ id: "1" })).total}`)
    yield* orders.get({ id: "7" }).pipe(
      Effect.catchTag("OrderNotFound", (error) => Console.log(`no order ${error.id}: ${error._tag}`))
    )

    const told = (answer: { readonly header: (name: string) => string | undefined }) =>
      `${answer.header("Nats-Service-Error-Code")} ${answer.header("Nats-Service-Error")}`
    yield* Console.log(`anybody else sees: ${told(yield* nats.request("orders.get", "{\"id\":\"7\"}"))}`)
    yield* Console.log(`a bad payload: ${told(yield* nats.request("orders.get", "{\"id\":7}"))}`)
    yield* orders.get({ id: "1" })

    const stats = yield* Stream.runCollect(ServiceDiscovery.stats({ name: "orders" }))
    const endpoints = stats.flatMap((instance) => instance.endpoints)
    const [first] = endpoints
    yield* Console.log(`${first.subject} on queue group "${first.queue_group}": ${first.num_requests} requests`)
    const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)
    const requests = sum(endpoints.map((endpoint) => endpoint.num_requests))
    const errors = sum(endpoints.map((endpoint) => endpoint.num_errors))
    yield* Console.log(`the instances had ${requests} requests, ${errors} errors`)

    const inFlight = yield* Effect.forkChild(orders.get({ id: "2" }))
    yield* Deferred.await(started)
    yield* Console.log("stopping with a request in flight")
    const stopped = yield* Effect.forkChild(Scope.close(instances, Exit.void), { startImmediately: true })
    yield* Deferred.succeed(slow, undefined)
    yield* Console.log(`it was answered: the total is ${(yield* Fiber.join(inFlight)).total}`)
    yield* Fiber.join(stopped)
    yield* Effect.catchTag(orders.get({ id: "1" }), "NoResponders", (error) => Console.log(`now: ${error._tag}`))
  }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
