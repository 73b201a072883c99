/**
 * A client's metrics for Prometheus, served by Effect's own exporter. `docs/grafana-dashboard.json` shows them.
 *
 *   node examples/metrics.ts
 *
 * Prints:
 *   GET /metrics
 *   nats_client_dials_total 1
 *   nats_client_messages_in_total 6
 *   nats_client_messages_out_total 6
 *   nats_client_handler_failures_total 1
 *   nats_client_connection_state{state="connected"} 1
 *   nats_client_request_duration_seconds_count{outcome="success"} 1
 *   nats_client_handler_duration_seconds_count 5
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, References } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { createServer } from "node:http"

const traffic = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  yield* Effect.forkChild(
    nats.consume("work.*", (message): Effect.Effect<void, unknown> => {
      switch (message.text) {
        case "bad":
          return Effect.fail("cannot do this")
        case "ask":
          return message.respond("done")
        default:
          return Effect.void
      }
    }),
    { startImmediately: true }
  )
  yield* nats.flush
  for (const text of ["a", "b", "c", "bad"]) yield* nats.publish(`work.${text}`, text)
  yield* nats.request("work.ask", "ask")
})

const told = [
  "nats_client_dials_total",
  "nats_client_messages_in_total",
  "nats_client_messages_out_total",
  "nats_client_handler_failures_total",
  "nats_client_connection_state{state=\"connected\"}",
  "nats_client_request_duration_seconds_count{outcome=\"success\"}",
  "nats_client_handler_duration_seconds_count"
]

const program = Effect.gen(function*() {
  yield* traffic
  yield* Console.log("GET /metrics")
  const response = yield* HttpClient.get("/metrics")
  const lines = (yield* response.text).split("\n")
  for (const name of told) yield* Console.log(lines.find((line) => line.startsWith(`${name} `)))
})

// The whole of serving metrics. In a service the port is fixed.
const metrics = HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableLogger: true, disableListenLog: true })
const http = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })

// Times are measured only where they are asked for; without this the histograms are not there.
const nats = TestNatsServer.layerClient({}, { metrics: true })

// The metrics, a client that asks for them, and under both the HTTP server and the client of NATS.
const app = Layer.mergeAll(metrics, Layer.provide(HttpServer.layerTestClient, FetchHttpClient.layer)).pipe(
  Layer.provideMerge(http),
  Layer.provideMerge(nats)
)

program.pipe(
  Effect.provide(app),
  // The failing handler is reported, too; here that is told by its metric.
  Effect.provideService(References.MinimumLogLevel, "Fatal"),
  NodeRuntime.runMain
)
