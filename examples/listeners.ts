/**
 * Listeners as layers: over one subject and over several, with answers, in a queue group, and one that comes and goes.
 *
 *   node examples/listeners.ts
 *
 * Prints:
 *   greeted: Hello, Ada!
 *   refused: 400 the payload does not fit at total: …
 *   refused: 500 internal error
 *   heard orders.created: 7
 *   heard orders.7.changed: 8
 *   a dynamic listener heard: now
 *   after its stop: NoResponders
 *   everything received is handled: 3 messages
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Logger, Queue, Schema } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })

// What the handler gives is the answer. A failure is one, too: the caller does not wait for its timeout.
const Greeter = NatsListener.layer(
  "greet",
  NatsListener.replying((message) => Effect.succeed(`Hello, ${message.text}!`))
)

const Totals = NatsListener.layer(
  "orders.total",
  NatsListener.replying((message) =>
    Effect.map(message.decode(Order), (order) => {
      if (order.total < 0) throw new Error("a negative total, which nobody thought of")
      return String(order.total)
    })
  ),
  { queue: "orders", concurrency: 8 }
)

// Several subjects, patterns among them.
const events = Effect.runSync(Queue.unbounded<string>())
let handled = 0
const Events = NatsListener.layer(
  ["orders.created", "orders.*.changed"],
  (message) => Effect.andThen(Effect.sync(() => handled++), Queue.offer(events, `${message.subject}: ${message.text}`))
)

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient

  yield* Console.log(`greeted: ${(yield* nats.request("greet", "Ada")).text}`)
  for (const total of ["\"much\"", "-1"]) {
    const reply = yield* nats.request("orders.total", `{"id":"7","total":${total}}`)
    yield* Console.log(`refused: ${reply.header("Nats-Service-Error-Code")} ${reply.header("Nats-Service-Error")}`)
  }

  yield* nats.publish("orders.created", "7")
  yield* Console.log(`heard ${yield* Queue.take(events)}`)
  yield* nats.publish("orders.7.changed", "8")
  yield* Console.log(`heard ${yield* Queue.take(events)}`)

  // A listener that is made and stopped while the program runs.
  const dynamic = yield* NatsListener.make("later", NatsListener.replying((message) => Effect.succeed(message.text)))
  yield* Console.log(`a dynamic listener heard: ${(yield* nats.request("later", "now")).text}`)
  yield* dynamic.stop
  const gone = yield* Effect.flip(nats.request("later", "again"))
  yield* Console.log(`after its stop: ${gone._tag}`)

  yield* nats.publish("orders.created", "9")
  yield* nats.flush
}).pipe(Effect.scoped)

const Nats = Layer.unwrap(Effect.map(TestNatsServer.make(), (server) => NatsClient.layer({ servers: server.url })))

const App = Layer.mergeAll(Greeter, Totals, Events).pipe(
  Layer.provideMerge(Nats),
  // What fails in a handler is logged with its subject; here it goes to the other output.
  Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
)

program.pipe(
  Effect.provide(App),
  // The layers are closed now.
  Effect.andThen(Effect.suspend(() => Console.log(`everything received is handled: ${handled} messages`))),
  NodeRuntime.runMain
)
