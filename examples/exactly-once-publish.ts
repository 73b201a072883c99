/**
 * Publishing exactly once: an outbox sends each of its messages under an id of its own, until it is known to be stored. The
 * answers to some are lost, so that nobody knows whether they were: they are sent again, and there is one copy of each.
 *
 *   node examples/exactly-once-publish.ts
 *
 * Prints:
 *   order-1 is stored with sequence 1
 *   order-2: the answer is lost, and the connection with it
 *   order-2 is stored with sequence 2, by the first try
 *   the import stopped after … of 1000: PublishOutcomeUnknown
 *   the rest is stored, … of it by the first try
 *   1002 in the stream, each once
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Schedule, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const operator = yield* NatsClient.make({ servers: server.url })
  const api = (request: string, body = {}) =>
    Effect.map(operator.request(`$JS.API.${request}`, JSON.stringify(body)), ({ text }) => JSON.parse(text))
  yield* api("STREAM.CREATE.ORDERS", { name: "ORDERS", subjects: ["orders.>"], storage: "memory" })
  const stored = Effect.map(api("STREAM.INFO.ORDERS"), ({ state }) => state.messages as number)
  const untilStored = (messages: number) =>
    Effect.repeat(stored, { until: (now) => now >= messages, schedule: Schedule.spaced("5 millis") })

  // A network that loses what the server answers.
  const network = yield* TestNatsProxy.make({ port: server.port })
  const nats = yield* NatsClient.make({
    servers: network.url,
    logStatus: false,
    reconnect: { initialDelay: "20 millis" }
  })
  const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)

  // One message. What may be stored is tried again, for a minute at most: the stream knows an id for two.
  const publish = (id: string) =>
    js.publish("orders.created", id, { msgId: id, timeout: "2 seconds", retry: Schedule.exponential("50 millis") })
  const first = yield* publish("order-1")
  yield* Console.log(`order-1 is stored with sequence ${first.sequence}`)

  yield* network.swallow("toClient")
  const second = yield* Effect.forkChild(publish("order-2"), { startImmediately: true })
  yield* untilStored(2)
  yield* Console.log("order-2: the answer is lost, and the connection with it")
  yield* network.drop()
  yield* network.heal
  const { duplicate, sequence } = yield* Fiber.join(second)
  yield* Console.log(`order-2 is stored with sequence ${sequence}, ${duplicate ? "by the first try" : "by the second"}`)

  // Many messages, 256 of them on their way at a time. Their ids are what makes it safe to begin again at the failed one.
  const orders = Stream.map(Stream.range(1, 1_000), (n) => ({
    subject: "orders.imported",
    payload: String(n),
    msgId: `import-${n}`
  }))
  yield* network.swallow("toClient")
  const run = yield* Effect.forkChild(Effect.flip(Stream.run(orders, js.sink())), { startImmediately: true })
  yield* untilStored(100)
  yield* network.drop()
  yield* network.heal
  const { acknowledged, reason } = yield* Fiber.join(run)
  yield* Console.log(`the import stopped after ${acknowledged} of 1000: ${reason._tag}`)
  const rest = yield* Stream.run(Stream.drop(orders, acknowledged), js.sink())
  yield* Console.log(`the rest is stored, ${rest.duplicates} of it by the first try`)
  yield* Console.log(`${yield* stored} in the stream, each once`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
