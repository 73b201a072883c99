/**
 * Queue groups: each message goes to one member of each group.
 *
 *   node examples/queue-groups.ts
 *
 * Prints:
 *   the audit saw 100 orders
 *   three billing workers handled 100 orders, each at least one
 *   one that wanted 5 got 5, and the others got the remaining 95
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const orders = 100

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient

  const publishOrders = Effect.gen(function*() {
    for (let i = 0; i < orders; i++) yield* nats.publish("orders.created", String(i))
    // A round trip: the server has handled them, and what it sent to this client is here.
    yield* nats.flush
  })
  const countOf = ({ stream, unsubscribe }: NatsClient.Subscription) =>
    Effect.andThen(unsubscribe, Stream.runCount(stream))

  const audit = yield* nats.subscription("orders.>")
  const billing = yield* Effect.forEach([1, 2, 3], () => nats.subscription("orders.*", { queue: "billing" }))
  yield* publishOrders
  yield* Console.log(`the audit saw ${yield* countOf(audit)} orders`)
  const counts = yield* Effect.forEach(billing, countOf)
  const total = counts.reduce((sum, count) => sum + count, 0)
  const each = counts.every((count) => count > 0) ? "each at least one" : "some none"
  yield* Console.log(`three billing workers handled ${total} orders, ${each}`)

  // The server knows of the limit, so that no message goes to a member that would not take it.
  const some = yield* nats.subscription("orders.*", { queue: "shipping", max: 5 })
  const others = yield* nats.subscription("orders.*", { queue: "shipping" })
  yield* publishOrders
  yield* Console.log(
    `one that wanted 5 got ${yield* Stream.runCount(some.stream)}, and the others got the remaining ${yield* countOf(
      others
    )}`
  )
}).pipe(Effect.scoped)

NodeRuntime.runMain(Effect.provide(program, TestNatsServer.layerClient()))
