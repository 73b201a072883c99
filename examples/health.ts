/**
 * Probes for an orchestrator: whether the process is worth keeping, whether it can do its work, and why not.
 *
 *   node examples/health.ts
 *
 * Prints:
 *   GET /health/live 200 {"live":true,"ready":true,"state":"Connected"}
 *   GET /health/ready 200 {"live":true,"ready":true,"state":"Connected"}
 *   The server is killed.
 *   GET /health/live 200 {"live":true,"ready":false,"state":"Reconnecting","reason":"…"}
 *   GET /health/ready 503 {"live":true,"ready":false,"state":"Reconnecting","reason":"Nothing listens at nats://127.0.0.1:…"}
 *   The server is back.
 *   GET /health/ready 200 {"live":true,"ready":true,"state":"Connected"}
 *   The client is closed.
 *   GET /health/live 503 {"live":false,"ready":false,"state":"Closed","reason":"the client was closed"}
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer, Stream } from "effect"
import { NatsClient, NatsHealth } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

const probe = (path: `/${string}`, isGood: (health: NatsHealth.Health) => boolean) =>
  HttpRouter.add(
    "GET",
    path,
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const health = yield* NatsHealth.check(nats, { timeout: "1 second" })
      return HttpServerResponse.jsonUnsafe(health, { status: isGood(health) ? 200 : 503 })
    })
  )

// The whole of it. In a service the port is fixed.
const probes = HttpRouter.serve(
  Layer.mergeAll(
    probe("/health/live", ({ live }) => live),
    probe("/health/ready", ({ ready }) => ready)
  ),
  { disableLogger: true, disableListenLog: true }
)
const http = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })

const get = (path: string) =>
  Effect.gen(function*() {
    const response = yield* HttpClient.get(path)
    yield* Console.log(`GET ${path} ${response.status} ${yield* response.text}`)
  })

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.TestNatsServer
  const nats = yield* NatsClient.NatsClient
  yield* get("/health/live")
  yield* get("/health/ready")

  const refused = yield* nats.status.pipe(
    Stream.filter((event) => event._tag === "Reconnecting" && event.reason._tag === "ConnectionRefused"),
    Stream.runHead,
    Effect.forkChild({ startImmediately: true })
  )
  yield* server.kill
  yield* Fiber.join(refused)
  yield* Console.log("The server is killed.")
  yield* get("/health/live")
  yield* get("/health/ready")

  yield* server.restart
  yield* nats.flush
  yield* Console.log("The server is back.")
  yield* get("/health/ready")

  yield* nats.drain
  yield* Console.log("The client is closed.")
  yield* get("/health/live")
})

// The probes, a client that asks them, and under both the HTTP server and the client of NATS.
const app = Layer.mergeAll(probes, Layer.provide(HttpServer.layerTestClient, FetchHttpClient.layer)).pipe(
  Layer.provideMerge(http),
  Layer.provideMerge(TestNatsServer.layerClient({}, { reconnect: { initialDelay: "200 millis" } }))
)

program.pipe(Effect.provide(app), NodeRuntime.runMain)
