/**
 * What a user may not do, and how a program learns of it. The connection stays open through all of it.
 *
 *   node examples/permissions.ts
 *
 * Prints:
 *   publish to "orders.new", confirmed: done
 *   publish to "billing.new", confirmed: PermissionsViolation: This user may not publish to "billing.new": allow it in the user's permissions on the server.
 *   publish to "billing.new", not confirmed: done, as far as the client knows
 *   a moment later, as a status event: PermissionDenied: This user may not publish to "billing.new": …
 *   request to "billing.total": PermissionsViolation: This user may not publish to "billing.total": …
 *   subscribe to "billing.>": PermissionsViolation: This user may not subscribe to "billing.>": …
 *   subscribe to "orders.>": received 1
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient

  yield* nats.publish("orders.new", "1", { confirm: true })
  yield* Console.log("publish to \"orders.new\", confirmed: done")

  const confirmed = yield* Effect.flip(nats.publish("billing.new", "1", { confirm: true }))
  yield* Console.log(`publish to "billing.new", confirmed: ${confirmed._tag}: ${confirmed.message}`)

  // Without `confirm` nothing waits for the server: its refusal comes later, to whoever watches the status.
  const event = yield* nats.status.pipe(
    Stream.filter((event) => event._tag === "PermissionDenied"),
    Stream.take(1),
    Stream.runForEach(({ _tag, error }) => Console.log(`a moment later, as a status event: ${_tag}: ${error.message}`)),
    Effect.forkChild({ startImmediately: true })
  )
  yield* nats.publish("billing.new", "1")
  yield* Console.log("publish to \"billing.new\", not confirmed: done, as far as the client knows")
  yield* Fiber.join(event)

  const asked = yield* Effect.flip(nats.request("billing.total"))
  yield* Console.log(`request to "billing.total": ${asked._tag}: ${asked.message}`)

  const listened = yield* Effect.flip(nats.subscription("billing.>"))
  yield* Console.log(`subscribe to "billing.>": ${listened._tag}: ${listened.message}`)

  const orders = yield* nats.subscription("orders.>")
  yield* nats.publish("orders.new", "1")
  const received = yield* Stream.runCollect(Stream.take(orders.stream, 1))
  yield* Console.log(`subscribe to "orders.>": received ${received.length}`)
}).pipe(
  Effect.scoped,
  Effect.provide(
    TestNatsServer.layerClient(
      {
        users: [{
          user: "orders",
          password: "orderspassword",
          permissions: { publish: ["orders.>"], subscribe: ["orders.>", "_INBOX.>"] }
        }]
      },
      { auth: { user: "orders", password: "orderspassword" } }
    )
  )
)

NodeRuntime.runMain(program)
