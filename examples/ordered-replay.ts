/**
 * An ordered read: a stream from its beginning, from a sequence, the last value of each subject, and what comes next, each
 * message once and without a consumer of one's own.
 *
 *   node examples/ordered-replay.ts
 *
 * Prints:
 *   all: 1 2 3 4 5
 *   from the fourth: 4 5
 *   the last of each: orders.2=paid orders.1=shipped
 *   through a restart: 6
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Layer, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

const Orders = JetStreamStream.make("ORDERS", { subjects: ["orders.*"] })

/** The next `count` messages of a read. */
const read = (options: Omit<JetStreamConsumer.OrderedOptions, "stream">, count: number) =>
  JetStreamConsumer.ordered({ stream: "ORDERS", ...options }).pipe(Stream.take(count), Stream.runCollect)

const program = (server: TestNatsServer.TestNatsServer) =>
  Effect.gen(function*() {
    const js = yield* JetStream.JetStream
    yield* JetStreamStream.create(Orders)
    for (const [order, state] of [[1, "created"], [2, "created"], [1, "paid"], [2, "paid"], [1, "shipped"]] as const) {
      yield* js.publish(`orders.${order}`, state)
    }

    const all = yield* read({}, 5)
    yield* Console.log(`all: ${all.map(({ sequence }) => sequence).join(" ")}`)

    const late = yield* read({ from: { sequence: 4 } }, 2)
    yield* Console.log(`from the fourth: ${late.map(({ sequence }) => sequence).join(" ")}`)

    const last = yield* read({ from: "lastPerSubject" }, 2)
    yield* Console.log(`the last of each: ${last.map(({ subject, text }) => `${subject}=${text}`).join(" ")}`)

    // It goes on behind what it has seen, whatever happens to the server meanwhile.
    const reading = yield* Effect.forkChild(read({ from: { sequence: 6 } }, 1))
    yield* server.restart
    yield* js.publish("orders.3", "created")
    const [next] = yield* Fiber.join(reading)
    yield* Console.log(`through a restart: ${next.sequence}`)
  })

// A real program has the address of its server here.
const main = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const Nats = NatsClient.layer({ servers: server.url, banner: false, logStatus: false })
  yield* Effect.provide(program(server), JetStream.layer().pipe(Layer.provideMerge(Nats)))
})

NodeRuntime.runMain(Effect.scoped(main))
