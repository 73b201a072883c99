/**
 * The event that says a service is there, with Panini's subject, and who waits for it. And a banner.
 *
 *   node examples/started-event.ts
 *
 * Prints:
 *   …Connected to NATS…
 *   started: {"version":"1.0.0"} on panini_events.orders.orders-1.started
 *   its listeners answer: 42
 *   without the permission the program does not start: PermissionsViolation
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Stream } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const service = "orders"
const instance = "orders-1"

// The event is published when the listeners are there, and the server has confirmed it when the layer is built.
const Orders = NatsListener.layer("orders.total", NatsListener.replying(() => Effect.succeed("42"))).pipe(
  NatsListener.withStartedEvent(`panini_events.${service}.${instance}.started`, `{"version":"1.0.0"}`)
)

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({
    users: [
      { user: "watcher", password: "w" },
      { user: "orders", password: "o" },
      { user: "silent", password: "s", permissions: { publish: { deny: ["panini_events.>"] } } }
    ]
  })
  const watcher = yield* NatsClient.make({ servers: server.url, auth: { user: "watcher", password: "w" } })
  const { stream } = yield* watcher.subscription("panini_events.*.*.started")

  yield* Layer.build(Layer.provide(
    Orders,
    NatsClient.layer({
      servers: server.url,
      auth: { user: "orders", password: "o" },
      name: instance,
      banner: true
    })
  ))
  yield* stream.pipe(
    Stream.take(1),
    Stream.runForEach((event) => Console.log(`started: ${event.text} on ${event.subject}`))
  )
  yield* Console.log(`its listeners answer: ${(yield* watcher.request("orders.total")).text}`)

  const Silent = NatsClient.layer({ servers: server.url, auth: { user: "silent", password: "s" } })
  yield* Layer.build(Layer.provide(Orders, Silent)).pipe(
    Effect.catchTag(
      "PermissionsViolation",
      (error) => Console.log(`without the permission the program does not start: ${error._tag}`)
    )
  )
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
