/**
 * A fleet: three services and a gateway. `examples/shop` has a file for each, and `contracts.ts` for what they agree on.
 * Here they are started, asked, broken, and replaced one after the other under load, each with a connection of its own.
 * The program ends when it has proved that nothing was lost.
 *
 *   node examples/shop.ts
 *
 * Prints:
 *   The gateway listens at http://127.0.0.1:…
 *   a pen: 201 {"id":"…","item":"pen","quantity":1,"price":3}
 *   an empty card: 402 {"error":"Declined","message":"The card was declined: there are no 3 on it."}
 *   too many pens: 409 {"error":"OutOfStock","message":"There are 99999 of pen left."}
 *   no pens: 400 {"error":"SchemaError","message":"Expected a value greater than 0…"}
 *   a card that payments dies of: 500
 *   payments is away: 503 {"error":"Unavailable","message":"The service payments cannot be had now: NoResponders."}
 *   stock is not: 200 {"item":"pen","left":99999}
 *   payments is back: 201 {"id":"…","item":"pen","quantity":1,"price":3}
 *   5000 orders, 50 at a time. Meanwhile:
 *   stock-3 has taken the place of stock-1.
 *   stock-4 has taken the place of stock-2.
 *   orders-3 has taken the place of orders-1.
 *   orders-4 has taken the place of orders-2.
 *   5000 answered, 0 failed: 4500 placed, 450 declined, 50 faults.
 *   one more pen: 201 {"id":"…","item":"pen","quantity":1,"price":3}
 *   GET / shows the instances that are there:
 *   payments 1.0.0 … charge: … requests, … errors, … ns each
 *   stock 1.0.0 … reserve: … requests, … errors, … ns each
 *   stock 1.0.0 … reserve: … requests, … errors, … ns each
 *   the metrics of all that were there:
 *   nats_client_messages_in_total{client="orders-1"} …
 *   nats_client_messages_in_total{client="orders-4"} …
 *   nats_client_messages_in_total{client="stock-1"} …
 *   nats_client_messages_in_total{client="stock-4"} …
 *   and the last pen, from the order to the shipping:
 *   POST (server) … ms
 *   orders.place (client) … ms
 *   orders.place (server) … ms
 *   request stock.reserve (client) … ms
 *   process stock.reserve (server) … ms
 *   request payments.charge (client) … ms
 *   process payments.charge (server) … ms
 *   publish orders.{id}.placed (producer) … ms
 *   process orders.{id}.placed (consumer) …
 *   publish orders.{id}.shipped (producer) …
 *   4503 orders were placed, and each was shipped once.
 *   The warehouse lacks as many pens, and no other.
 *   Logged 51 times: payments: A request died
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Exit, Fiber, Layer, Logger, Metric, Queue, References, Scope, Stream, Tracer } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { HttpClient, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { OrderShipped, PlacedOrders, Shipping } from "./shop/contracts.ts"
import { type Card, load, order, readPage } from "./shop/customers.ts"
import { gateway } from "./shop/gateway.ts"
import * as Orders from "./shop/orders.ts"
import * as Payments from "./shop/payments.ts"
import * as Stock from "./shop/stock.ts"
import { tracer } from "./shop/traces.ts"

const total = 5_000

/** A connection with its name in the metrics. */
const connection = (name: string) =>
  Layer.unwrap(Effect.map(TestNatsServer.TestNatsServer, ({ url }) => NatsClient.layer({ servers: url, name }))).pipe(
    Layer.provide(Layer.succeed(Metric.CurrentMetricAttributes, { client: name }))
  )

/** Starts an instance of a service. `stop` is what `SIGTERM` does under `NodeRuntime.runMain`. */
const start = Effect.fnUntraced(function*<E, R>(name: string, instance: Layer.Layer<never, E, R>) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  // Fresh: two instances of a layer share nothing.
  yield* Layer.buildWithScope(Layer.fresh(Layer.provide(instance, connection(name))), scope)
  return { stop: Scope.close(scope, Exit.void) }
})

// What services log of their faults, and how often. Those who asked are not told.
const faults = new Map<string, number>()
const faultLog = Logger.make(({ fiber, logLevel, message }) => {
  if (logLevel !== "Error" && logLevel !== "Warn") return
  const { service } = fiber.getRef(References.CurrentLogAnnotations)
  const fault = `${String(service)}: ${String(message)}`
  faults.set(fault, (faults.get(fault) ?? 0) + 1)
})

/** Says what holds, and ends the program where it does not. */
const proved = (holds: boolean, what: string) =>
  holds ? Console.log(what) : Effect.die(new Error(`This does not hold: ${what}`))

const show = (title: string, quantity: number, card: Card) =>
  Effect.tap(order(quantity, card), ({ status, text }) => Console.log(`${title}: ${status} ${text}`.trimEnd()))

/** Each failure arrives as what it is, and the other services go on. */
const failures = Effect.gen(function*() {
  const payments = yield* start("payments-1", Payments.instance)
  yield* show("a pen", 1, "good")
  yield* show("an empty card", 1, "empty")
  yield* show("too many pens", 1_000_000, "good")
  yield* show("no pens", 0, "good")
  yield* show("a card that payments dies of", 1, "cursed")
  yield* payments.stop
  yield* show("payments is away", 1, "good")
  const left = yield* HttpClient.get("/stock/pen")
  yield* Console.log(`stock is not: ${left.status} ${yield* left.text}`)
  yield* start("payments-2", Payments.instance)
  yield* show("payments is back", 1, "good")
})

const ofStock = { kind: "stock", instance: Stock.instance }
const ofOrders = { kind: "orders", instance: Orders.instance }

/** Replaces every instance while requests run. The new one is there before the old one goes, which answers what it has. */
const rollingRestart = Effect.gen(function*() {
  const fleet = [
    { ...ofStock, number: 1, ...(yield* start("stock-1", Stock.instance)) },
    { ...ofStock, number: 2, ...(yield* start("stock-2", Stock.instance)) },
    { ...ofOrders, number: 1, ...(yield* start("orders-1", Orders.instance)) },
    { ...ofOrders, number: 2, ...(yield* start("orders-2", Orders.instance)) }
  ]
  yield* failures

  yield* Console.log(`${total} orders, 50 at a time. Meanwhile:`)
  const progress = yield* Queue.unbounded<number>()
  const running = yield* Effect.forkChild(load(total, progress))
  const stops: Array<Effect.Effect<void>> = []
  for (const { instance, kind, number, stop } of fleet) {
    yield* Queue.take(progress)
    const next = yield* start(`${kind}-${number + 2}`, instance)
    yield* stop
    stops.push(next.stop)
    yield* Console.log(`  ${kind}-${number + 2} has taken the place of ${kind}-${number}.`)
  }
  const underLoad = running.pollUnsafe() === undefined

  const { answered, counts, failed } = yield* Fiber.join(running)
  const placed = counts.get(201) ?? 0
  yield* proved(
    underLoad && answered === total && failed === 0,
    `${answered} answered, ${failed} failed: ${placed} placed, ${counts.get(402)} declined, ${counts.get(500)} faults.`
  )
  return { placed, stop: Effect.all(stops, { discard: true }) }
})

const program = Effect.gen(function*() {
  yield* HttpServer.addressFormattedWith((address) => Console.log(`The gateway listens at ${address}`))
  yield* Effect.provide(JetStreamStream.provision([PlacedOrders, Shipping]), JetStream.layer())
  const { left } = yield* Stock.Warehouse
  const before = left.get("pen") ?? 0
  const shipped = yield* Queue.unbounded<string>()
  const { stream } = yield* OrderShipped.subscription()
  yield* Effect.forkScoped(Stream.runForEach(stream, ({ parameters }) => Queue.offer(shipped, parameters.id)))

  const fleet = yield* rollingRestart
  const { trace } = yield* show("one more pen", 1, "good")
  const placed = fleet.placed + 3
  const ids = yield* Effect.timeout(Queue.takeN(shipped, placed), "10 seconds")

  yield* Console.log("GET / shows the instances that are there:")
  const page = yield* readPage(trace)
  const print = (lines: ReadonlyArray<string>) => Console.log(lines.map((line) => `  ${line}`).join("\n"))
  yield* print(page("Instances").filter((line) => /charge|reserve/.test(line)))
  yield* Console.log("the metrics of all that were there:")
  yield* print(page("Metrics").filter((line) => line.startsWith("nats_client_messages_in_total")).toSorted())
  yield* Console.log("and the last pen, from the order to the shipping:")
  yield* print(page("Trace"))

  yield* fleet.stop
  yield* (yield* NatsClient.NatsClient).flush
  const more = yield* Queue.size(shipped)
  yield* proved(new Set(ids).size === placed && more === 0, `${placed} orders were placed, and each was shipped once.`)
  yield* proved(before - (left.get("pen") ?? 0) === placed, "The warehouse lacks as many pens, and no other.")
  yield* Console.log([...faults].map(([fault, times]) => `Logged ${times} times: ${fault}`).join("\n"))
})

const http = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })

program.pipe(
  Effect.scoped,
  Effect.provide(
    Layer.mergeAll(
      gateway.pipe(Layer.provide(connection("gateway"))),
      // What the program itself is: a client of the gateway, and of NATS.
      HttpServer.layerTestClient.pipe(Layer.provide(NodeHttpClient.layerUndici)),
      connection("customers"),
      Logger.layer([faultLog])
    ).pipe(Layer.provideMerge([http, Stock.Warehouse.layer, TestNatsServer.layer({ jetstream: true })]))
  ),
  Effect.provideService(Tracer.Tracer, tracer),
  // Traces begin at the gateway.
  Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
  NodeRuntime.runMain
)
