/**
 * Streams and consumers brought to what a program declares: a report of what differs, what is refused, and what is done.
 *
 *   node examples/provisioning.ts
 *
 * Prints:
 *   stream ORDERS: created
 *   consumer worker of ORDERS: created
 *   a second time:
 *   stream ORDERS: as declared
 *   consumer worker of ORDERS: as declared
 *   what is safe is done:
 *   stream ORDERS: updated
 *     subjects: ["orders.>"] -> ["orders.>","returns.>"]; in place
 *     maxAge: 7 days -> 30 days; in place
 *   consumer worker of ORDERS: updated
 *     ackWait: 30 seconds -> 1 minute; in place
 *   what is not is refused, and nothing is done:
 *   stream ORDERS: to update
 *     maxMessages: unlimited -> 1000; loses messages (apply: "lossy" does it)
 *     storage: memory -> file; cannot be changed: delete and create anew, or correct the definition
 *   still unlimited
 *   a service with its stream: ORDERS
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

const Orders = JetStreamStream.make("ORDERS", { subjects: ["orders.>"], storage: "memory", maxAge: "7 days" })
const Worker = JetStreamConsumer.make(Orders, "worker", { filter: "orders.*.created", ackWait: "30 seconds" })

// The next version of the program.
const Longer = JetStreamStream.make("ORDERS", {
  ...Orders.options,
  subjects: ["orders.>", "returns.>"],
  maxAge: "30 days"
})
const Slower = JetStreamConsumer.make(Longer, "worker", { filter: "orders.*.created", ackWait: "1 minute" })

// And one that nobody should deploy without a look.
const Smaller = JetStreamStream.make("ORDERS", { maxMessages: 1000, storage: "file" })

const say = (report: JetStreamStream.ProvisionReport) => Console.log(JetStreamStream.formatReport(report))

const program = Effect.gen(function*() {
  yield* say(yield* JetStreamStream.provision([Orders, Worker]))
  yield* Console.log("a second time:")
  yield* say(yield* JetStreamStream.provision([Orders, Worker]))

  yield* Console.log("what is safe is done:")
  yield* say(yield* JetStreamStream.provision([Longer, Slower]))

  yield* Console.log("what is not is refused, and nothing is done:")
  yield* JetStreamStream.provision([Smaller]).pipe(
    Effect.catchTag("ProvisionRefused", ({ report }) => say(report))
  )
  const { config } = yield* JetStreamStream.info(Orders)
  yield* Console.log(`still ${config.maxMessages}`)
})

// A definition is a layer: what demands it does not start without it.
const service = Effect.gen(function*() {
  const stream = yield* JetStreamStream.provisioned(Longer)
  yield* Console.log(`a service with its stream: ${stream.name}`)
}).pipe(Effect.provide(JetStreamStream.layer(Longer)))

const main = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const Live = JetStream.layer().pipe(Layer.provide(NatsClient.layer({ servers: server.url })))
  yield* Effect.andThen(program, service).pipe(Effect.provide(Live))
})

NodeRuntime.runMain(Effect.scoped(main))
