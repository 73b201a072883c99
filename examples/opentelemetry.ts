/**
 * The OpenTelemetry SDK: a trace from a shop through NATS to the service that answers and the one that handles, and the
 * metrics of both clients. The exporters keep what they get; those of OTLP, Jaeger or Prometheus take their place.
 *
 *   node examples/opentelemetry.ts
 *
 * Prints:
 *   checkout (INTERNAL) of shop
 *     request prices.{sku} (CLIENT), messaging.system nats
 *       process prices.{sku} (SERVER), messaging.system nats
 *         look up (INTERNAL)
 *     publish orders.{id}.created (PRODUCER), messaging.system nats
 *       process orders.*.created (CONSUMER), messaging.system nats
 *   one trace: true
 *   nats_client_messages_out_total: 3
 *   nats_client_request_duration_seconds: 1 measured
 *   nats_client_handler_duration_seconds: 2 measured
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { SpanKind } from "@opentelemetry/api"
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Console, Deferred, Effect, Layer } from "effect"
import { NatsClient, NatsListener, NatsMetrics } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const spanExporter = new InMemorySpanExporter()
const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const metricReader = new PeriodicExportingMetricReader({ exporter: metricExporter })

// In a program: a BatchSpanProcessor, with the exporter of OTLP.
const Telemetry = NodeSdk.layer(() => ({
  resource: { serviceName: "shop" },
  spanProcessor: new SimpleSpanProcessor(spanExporter),
  metricReader
}))

const handled = Deferred.makeUnsafe<void>()
const Services = Layer.mergeAll(
  NatsListener.layer(
    "prices.*",
    NatsListener.replying(() => Effect.as(Effect.withSpan(Effect.void, "look up"), "12.50")),
    { subjectTemplate: "prices.{sku}" }
  ),
  NatsListener.layer("orders.*.created", () => Deferred.succeed(handled, undefined))
)

// Times are measured where they are asked for; without this the histograms are not there.
const Nats = TestNatsServer.layerClient().pipe(Layer.provide(Layer.succeed(NatsMetrics.Collect, "everything")))

const checkout = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  const price = yield* nats.request("prices.sku-7", "", { subjectTemplate: "prices.{sku}" })
  yield* nats.publish("orders.42.created", price.data, { subjectTemplate: "orders.{id}.created" })
}).pipe(Effect.withSpan("checkout"))

const print = (spans: ReadonlyArray<ReadableSpan>, parent: string | undefined, indent: string): Effect.Effect<void> =>
  Effect.forEach(
    spans.filter((span) => span.parentSpanContext?.spanId === parent),
    (span) => {
      const { "messaging.system": system } = span.attributes
      const detail = system === undefined ? "" : `, messaging.system ${system}`
      const owner = parent === undefined ? ` of ${span.resource.attributes["service.name"]}` : ""
      const line = `${indent}${span.name} (${SpanKind[span.kind]})${detail}${owner}`
      return Effect.andThen(Console.log(line), print(spans, span.spanContext().spanId, `${indent}  `))
    },
    { discard: true }
  )

const printMetric = Effect.fnUntraced(function*(name: string) {
  const metrics = metricExporter.getMetrics().at(-1)?.scopeMetrics.flatMap((scope) => scope.metrics) ?? []
  const metric = metrics.find(({ descriptor }) => descriptor.name === name)
  if (metric === undefined) return yield* Console.log(`${name}: none`)
  const text = metric.dataPointType === DataPointType.HISTOGRAM
    ? `${metric.dataPoints.reduce((sum, { value }) => sum + value.count, 0)} measured`
    : String(metric.dataPoints[0].value)
  yield* Console.log(`${name}: ${text}`)
})

const program = Effect.gen(function*() {
  yield* checkout
  yield* Deferred.await(handled)
  // The end of the client: its handlers have finished, and so have their spans and times.
  yield* NatsClient.NatsClient.use((nats) => nats.drain)
  yield* Effect.promise(() => metricReader.forceFlush())

  const spans = spanExporter.getFinishedSpans().toSorted((a, b) => a.name.localeCompare(b.name))
  yield* print(spans.toReversed(), undefined, "")
  yield* Console.log(`one trace: ${new Set(spans.map((span) => span.spanContext().traceId)).size === 1}`)
  yield* printMetric("nats_client_messages_out_total")
  yield* printMetric("nats_client_request_duration_seconds")
  yield* printMetric("nats_client_handler_duration_seconds")
})

program.pipe(
  Effect.provide(Services.pipe(Layer.provideMerge(Nats), Layer.provideMerge(Telemetry))),
  NodeRuntime.runMain
)
