/**
 * A fleet: two services, orders as durable workflows that call them, and a gateway. `examples/shop` has a file for each, and
 * `contracts.ts` for what they agree on. Here they are started, asked, broken, killed, and replaced one after the other under
 * load, each with a connection of its own. The program ends when it has proved that no order was lost, and none paid twice.
 *
 *   node examples/shop.ts
 *   node examples/shop.ts --stay   nothing is broken: some orders come until Ctrl-C, to look at the page of the gateway
 *
 * Prints:
 *   The gateway listens at http://127.0.0.1:…
 *   a pen: 201 {"id":"…","item":"pen","quantity":1,"price":3}
 *   the same order again: 201 {"id":"…","item":"pen","quantity":1,"price":3}
 *   an empty card: 402 {"error":"Declined","message":"The card was declined: there are no 3 on it."}
 *   too many pens: 409 {"error":"OutOfStock","message":"There are 99999 of pen left."}
 *   no pens: 400 {"error":"SchemaError","message":"Expected a value greater than 0…"}
 *   a card that payments dies of: 500
 *   payments is away, and the order waits: 202 {"id":"…","state":"accepted"}
 *   stock is not: 200 {"item":"pen","left":…}
 *   payments is back: 201 {"id":"…","item":"pen","quantity":1,"price":3}
 *   Orders, 50 at a time. Meanwhile:
 *   stock-3 has taken the place of stock-1.
 *   stock-4 has taken the place of stock-2.
 *   orders-1 is killed. It had not heard of … charges.
 *   orders-2 has taken the place of orders-1.
 *   orders-3 has taken the place of orders-2.
 *   … answered, 0 failed: … placed, … declined, … faults.
 *   one more pen: 201 {"id":"…","item":"pen","quantity":1,"price":3}
 *   GET /report shows the instances that are there:
 *   payments 1.0.0 … charge: … requests, … errors, … ns each
 *   stock 1.0.0 … reserve: … requests, … errors, … ns each
 *   stock 1.0.0 … reserve: … requests, … errors, … ns each
 *   the metrics of all that were there, but for the process that was killed:
 *   nats_client_messages_in_total{client="orders-2"} …
 *   nats_client_messages_in_total{client="orders-3"} …
 *   nats_client_messages_in_total{client="stock-1"} …
 *   nats_client_messages_in_total{client="stock-4"} …
 *   and the last pen, from the order to the shipping:
 *   POST (server) … ms
 *   PlaceOrder.execute (internal) … ms
 *   Workflow/PlaceOrder.run (server) … ms
 *   Reserve (internal) … ms
 *   request stock.reserve (client) … ms
 *   process stock.reserve (server) … ms
 *   Charge (internal) … ms
 *   request payments.charge (client) … ms
 *   process payments.charge (server) … ms
 *   Place (internal) … ms
 *   publish orders.{id}.placed (producer) … ms
 *   process orders.{id}.placed (consumer) …
 *   publish orders.{id}.shipped (producer) …
 *   … orders were placed, and each was shipped once.
 *   Each was charged once, though payments was asked for … of them again.
 *   The warehouse lacks as many pens, and no other: what was declined is back.
 *   Logged … times: payments: A request died
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Logger, Queue, References, Stream, Tracer } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import * as NatsHealthHttp from "effect-nats/NatsHealthHttp"
import { TestNatsServer } from "effect-nats/testing"
import { HttpClient, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { OrderShipped, PlacedOrders, Shipping } from "./shop/contracts.ts"
import { ordered, readReport, wish } from "./shop/customers.ts"
import { gateway } from "./shop/gateway.ts"
import { connection } from "./shop/instances.ts"
import { Bank } from "./shop/payments.ts"
import { proved, quietDay, rollingRestart } from "./shop/scenario.ts"
import { Warehouse } from "./shop/stock.ts"
import { tracer } from "./shop/traces.ts"

// What services log of their faults, and how often. Those who asked are not told.
const faults = new Map<string, number>()
const faultLog = Logger.make(({ fiber, logLevel, message }) => {
  if (logLevel !== "Error" && logLevel !== "Warn") return
  const { service } = fiber.getRef(References.CurrentLogAnnotations)
  const fault = `${String(service)}: ${String(message)}`
  faults.set(fault, (faults.get(fault) ?? 0) + 1)
})

const begin = Effect.gen(function*() {
  yield* HttpServer.addressFormattedWith((address) => Console.log(`The gateway listens at ${address}`))
  yield* Effect.provide(JetStreamStream.provision([PlacedOrders, Shipping]), JetStream.layer())
})

const program = Effect.gen(function*() {
  yield* begin
  const [bank, { left, price }] = [yield* Bank, yield* Warehouse]
  const before = left.get("pen") ?? 0
  const shipped = yield* Queue.unbounded<string>()
  const { stream } = yield* OrderShipped.subscription()
  yield* Effect.forkScoped(Stream.runForEach(stream, ({ parameters }) => Queue.offer(shipped, parameters.id)))

  const fleet = yield* rollingRestart
  const { trace } = yield* ordered("one more pen", wish(1, "good"))
  const placed = fleet.placed + 1
  const ids = yield* Effect.timeout(Queue.takeN(shipped, placed), "10 seconds")

  yield* Console.log("GET /report shows the instances that are there:")
  const report = yield* readReport(trace)
  const print = (lines: ReadonlyArray<string>) => Console.log(lines.map((line) => `  ${line}`).join("\n"))
  yield* print(report("Instances").filter((line) => /charge|reserve/.test(line)))
  yield* Console.log("the metrics of all that were there, but for the process that was killed:")
  yield* print(report("Metrics").filter((line) => line.startsWith("nats_client_messages_in_total")).toSorted())
  yield* Console.log("and the last pen, from the order to the shipping:")
  yield* print(report("Trace"))

  yield* fleet.stop
  yield* (yield* NatsClient.NatsClient).flush
  const more = yield* Queue.size(shipped)
  yield* proved(new Set(ids).size === placed && more === 0, `${placed} orders were placed, and each was shipped once.`)
  yield* proved(
    bank.charged.size === placed && ids.every((id) => bank.charged.get(id) === price) &&
      bank.askedAgain >= fleet.unheard,
    `Each was charged once, though payments was asked for ${bank.askedAgain} of them again.`
  )
  yield* proved(
    before - (left.get("pen") ?? 0) === placed,
    "The warehouse lacks as many pens, and no other: what was declined is back."
  )
  yield* Console.log([...faults].map(([fault, times]) => `Logged ${times} times: ${fault}`).join("\n"))
})

const http = () => NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })

// Probes of this process, on a port of their own. All connections stand on them, so the page of the gateway finds these, too.
const probes = NatsHealthHttp.layerServer().pipe(Layer.provide(http()))

const stays = process.argv.includes("--stay")

Effect.asVoid(stays ? Effect.andThen(begin, quietDay) : program).pipe(
  Effect.scoped,
  Effect.provide(
    Layer.mergeAll(
      gateway.pipe(Layer.provide(connection("gateway"))),
      // What the program itself is: a client of the gateway, and of NATS.
      HttpServer.layerTestClient.pipe(Layer.provide(NodeHttpClient.layerUndici)),
      connection("customers")
    ).pipe(
      Layer.provideMerge(
        Layer.mergeAll(
          http(),
          NodeServices.layer,
          Warehouse.layer,
          Bank.layer,
          TestNatsServer.layer({ jetstream: true })
        )
      ),
      Layer.provideMerge(probes),
      Layer.provideMerge(Logger.layer([faultLog]))
    )
  ),
  Effect.provideService(Tracer.Tracer, tracer),
  // Traces begin at the gateway.
  Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
  NodeRuntime.runMain
)
