/**
 * One trace across two clients: a shop that asks for a price and tells of an order, and a service that answers and
 * handles. The tracer is one in memory; an exporter of Effect (`effect/observability`) or OpenTelemetry takes its place.
 *
 *   node examples/tracing.ts
 *
 * Prints:
 *   checkout (internal)
 *     request prices.{sku} (client) at 127.0.0.1:…
 *       process prices.{sku} (server) in group pricing
 *         look up (internal)
 *     publish orders.{id}.created (producer) at 127.0.0.1:…
 *       process orders.*.created (consumer) of 11 bytes
 *   One trace: true
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Deferred, Effect, Option, Tracer } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const spans: Array<Tracer.Span> = []

const inMemory = Tracer.make({
  span: (options) => {
    const span = new Tracer.NativeSpan(options)
    spans.push(span)
    return span
  }
})

const describe = (span: Tracer.Span): string => {
  const { attributes, kind, name } = span
  switch (kind) {
    case "client":
    case "producer":
      return `${name} (${kind}) at ${attributes.get("server.address")}:${attributes.get("server.port")}`
    case "server":
      return `${name} (${kind}) in group ${attributes.get("messaging.consumer.group.name")}`
    case "consumer":
      return `${name} (${kind}) of ${attributes.get("messaging.message.body.size")} bytes`
    case "internal":
      return `${name} (${kind})`
  }
}

const print = (parent: string | undefined, indent: string): Effect.Effect<void> =>
  Effect.forEach(
    spans.filter((span) => Option.getOrUndefined(span.parent)?.spanId === parent),
    (span) => Effect.andThen(Console.log(indent + describe(span)), print(span.spanId, `${indent}  `)),
    { discard: true }
  )

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make()
  const service = yield* NatsClient.make({ servers: server.url, name: "service" })
  const shop = yield* NatsClient.make({ servers: server.url, name: "shop" })

  yield* Effect.forkChild(
    service.consume(
      "prices.*",
      (message) => Effect.andThen(Effect.withSpan(Effect.void, "look up"), message.respond("12.50")),
      { queue: "pricing", subjectTemplate: "prices.{sku}" }
    ),
    { startImmediately: true }
  )
  const handled = yield* Deferred.make<void>()
  yield* Effect.forkChild(
    service.consume("orders.*.created", () => Deferred.succeed(handled, undefined)),
    { startImmediately: true }
  )
  yield* service.flush

  yield* Effect.gen(function*() {
    yield* shop.request("prices.sku-7", "", { subjectTemplate: "prices.{sku}" })
    yield* shop.publish("orders.42.created", "one, please", { subjectTemplate: "orders.{id}.created" })
  }).pipe(Effect.withSpan("checkout"))

  yield* Deferred.await(handled)
  yield* service.drain
  yield* print(undefined, "")
  yield* Console.log(`One trace: ${new Set(spans.map((span) => span.traceId)).size === 1}`)
}).pipe(
  Effect.scoped,
  // Nothing else turns tracing on: spans are made where a tracer is.
  Effect.provideService(Tracer.Tracer, inMemory)
)

NodeRuntime.runMain(program)
