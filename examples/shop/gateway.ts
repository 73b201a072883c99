/**
 * HTTP at the front, NATS behind: takes orders, and shows how the fleet is.
 *
 *   GET  /                    a page for people, live: services, connections, streams, consumers, workflows
 *   GET  /stock/:item         what is left, from `stock`
 *   POST /orders              places an order: starts its workflow, which `orders` runs, and waits for it
 *   GET  /report?trace=<id>   the instances, the metrics of all clients, and the spans of one request, as text
 *   GET  /metrics             the metrics, for Prometheus
 */
import { Effect, Layer, Option, Stream } from "effect"
import { NatsCluster, NatsWorkflows } from "effect-nats/cluster"
import { NatsDashboard } from "effect-nats/dashboard"
import { JetStream } from "effect-nats/jetstream"
import { NatsService, ServiceDiscovery } from "effect-nats/service"
import { ClusterWorkflowEngine } from "effect/cluster"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { cluster, PlaceOrder, Stock } from "./contracts.ts"
import { linesOf } from "./traces.ts"

const told = (status: number) => (error: { readonly _tag: string; readonly message: string }) =>
  Effect.succeed(HttpServerResponse.jsonUnsafe({ error: error._tag, message: error.message }, { status }))

// An order goes on whether somebody waits for it or not. Sent again it is the same order, and gets the same answer.
const patience = "2 seconds"

/** Failures with a name have a status of their own; a defect is a 500 without a word of what it was. */
const placeOrder = HttpRouter.add(
  "POST",
  "/orders",
  Effect.gen(function*() {
    const order = yield* HttpServerRequest.schemaBodyJson(PlaceOrder.payloadSchema)
    const placed = yield* Effect.timeoutOption(PlaceOrder.execute(order), patience)
    const headers = { "x-trace-id": (yield* Effect.currentSpan).traceId }
    return Option.match(placed, {
      onNone: () => HttpServerResponse.jsonUnsafe({ id: order.id, state: "accepted" }, { status: 202, headers }),
      onSome: (placed) => HttpServerResponse.jsonUnsafe(placed, { status: 201, headers })
    })
  }).pipe(Effect.catchTags({ SchemaError: told(400), Declined: told(402), OutOfStock: told(409) }))
)

const stockLeft = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const stock = yield* NatsService.client(Stock, { name: "stock" })
  yield* router.add(
    "GET",
    "/stock/:item",
    Effect.gen(function*() {
      const { item = "" } = yield* HttpRouter.params
      return HttpServerResponse.jsonUnsafe({ item, left: yield* stock.left({ item }) })
    }).pipe(Effect.catchTag("NoResponders", told(503)))
  )
}))

/** What has become of orders, from what their cluster has stored: who runs them is not asked. */
const workflows = NatsWorkflows.list({ prefix: cluster.prefix }).pipe(
  Stream.runFold(
    () => new Map<string, Record<NatsWorkflows.Status, number>>(),
    (counts, { status, workflow }) => {
      const row = counts.get(workflow) ?? { running: 0, suspended: 0, complete: 0, failed: 0, interrupted: 0 }
      row[status]++
      return counts.set(workflow, row)
    }
  ),
  Effect.map((counts) => [{
    title: "Workflows",
    columns: ["Workflow", "Running", "Suspended", "Complete", "Failed", "Interrupted"],
    rows: [...counts].map(([workflow, { complete, failed, interrupted, running, suspended }]) => [
      workflow,
      running,
      suspended,
      complete,
      failed,
      interrupted
    ])
  }])
)

// Everything on it but the workflows is found by the page itself.
const page = Layer.unwrap(
  // Each execution is looked at, so once in a while.
  Effect.map(
    Effect.cachedWithTTL(workflows, "2 seconds"),
    (sections) => NatsDashboard.layerHttp({ path: "/", title: "The shop", sections })
  )
)

const escaped = (text: string) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

const section = (title: string, lines: ReadonlyArray<string>) =>
  `<h2>${title}</h2>\n<pre>\n${lines.map(escaped).join("\n")}\n</pre>\n`

// Micro services are found, whatever they are written in. What they have done is counted by themselves.
const instances = ServiceDiscovery.stats({ stall: "100 millis" }).pipe(
  Stream.catchTag("NoResponders", () => Stream.empty),
  Stream.runCollect,
  Effect.map((found) =>
    found.flatMap(({ endpoints, id, name, version }) =>
      endpoints.map((endpoint) =>
        `${name} ${version} ${id} ${endpoint.name}: ${endpoint.num_requests} requests, ${endpoint.num_errors} errors, ` +
        `${endpoint.average_processing_time} ns each`
      )
    ).toSorted()
  )
)

const metrics = Effect.map(
  PrometheusMetrics.format(),
  (text) => text.split("\n").filter((line) => line.startsWith("nats_client_") && !line.endsWith(" 0"))
)

const report = HttpRouter.add(
  "GET",
  "/report",
  Effect.gen(function*() {
    const { trace } = yield* HttpServerRequest.ParsedSearchParams
    const sections = [
      section("Instances", yield* instances),
      section("Metrics", yield* metrics),
      section("Trace", typeof trace === "string" ? linesOf(trace) : [])
    ]
    return HttpServerResponse.text(`<!doctype html>\n<title>Report</title>\n${sections.join("")}`, {
      contentType: "text/html"
    })
  })
)

/** It needs a connection of its own, and an HTTP server. */
export const gateway = HttpRouter.serve(
  Layer.mergeAll(page, placeOrder, stockLeft, report, PrometheusMetrics.layerHttp()),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provide(ClusterWorkflowEngine.layer),
  Layer.provide(NatsCluster.layerClientOnly(cluster)),
  Layer.provide(JetStream.layer())
)
