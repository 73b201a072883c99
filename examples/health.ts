/**
 * Probes for an orchestrator: whether the process is worth keeping, whether it can do its work, and why not.
 *
 *   node examples/health.ts
 *
 * Prints:
 *   There is no server yet.
 *   GET /livez 200 {"live":true,"state":"…","reason":"…"}
 *   GET /readyz 503 {"live":true,"ready":false,"state":"…","reason":"…"}
 *   The server is there.
 *   GET /livez 200 {"live":true,"state":"Connected"}
 *   GET /readyz 200 {"live":true,"ready":true,"state":"Connected"}
 *   The server is killed.
 *   GET /livez 200 {"live":true,"state":"Reconnecting","reason":"…"}
 *   GET /readyz 503 {"live":true,"ready":false,"state":"Reconnecting","reason":"Nothing listens at nats://127.0.0.1:…"}
 *   The server is back.
 *   GET /readyz 200 {"live":true,"ready":true,"state":"Connected"}
 *   The program is told to end, while an order is handled.
 *   GET /readyz 503 {"live":true,"ready":false,"state":"Connected","reason":"the listener "orders" is stopping"}
 *   The order is handled.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import * as NatsHealthHttp from "effect-nats/NatsHealthHttp"
import { TestNatsServer } from "effect-nats/testing"
import { FetchHttpClient, HttpClient, HttpServer } from "effect/http"
import { createServer } from "node:http"

const get = (path: string) =>
  Effect.gen(function*() {
    const response = yield* HttpClient.get(path)
    const text = yield* response.text
    yield* Console.log(`GET ${path} ${response.status} ${text.replaceAll("\\\"", "\"")}`)
  })

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make()
  yield* server.kill
  yield* Console.log("There is no server yet.")

  const begun = yield* Deferred.make<void>()
  const finish = yield* Deferred.make<void>()
  const Orders = NatsListener.layer("orders", () =>
    Effect.gen(function*() {
      yield* Deferred.succeed(begun, undefined)
      yield* Deferred.await(finish)
      yield* Console.log("The order is handled.")
    }))

  // Each stands on what follows it: the probes are there before the client, and outlive it. In a service the last line is
  // NodeHttpServer.layer(createServer, { port: 8080 }), and the whole is run by NatsLayer.launch.
  const App = Orders.pipe(
    Layer.provideMerge(NatsClient.layer({
      servers: server.url,
      reconnect: { initialDelay: "100 millis", maxDelay: "200 millis", onFirstConnect: "background" }
    })),
    Layer.provide(NatsHealthHttp.layerServer())
  )
  const scope = yield* Scope.make()
  const nats = yield* Layer.build(App).pipe(
    Scope.provide(scope),
    Effect.flatMap((context) => Effect.provide(NatsClient.NatsClient, context))
  )
  yield* get("/livez")
  yield* get("/readyz")

  yield* server.restart
  yield* nats.flush
  yield* Console.log("The server is there.")
  yield* get("/livez")
  yield* get("/readyz")

  const refused = yield* nats.status.pipe(
    Stream.filter((event) => event._tag === "Reconnecting" && event.reason._tag === "ConnectionRefused"),
    Stream.runHead,
    Effect.forkChild({ startImmediately: true })
  )
  yield* server.kill
  yield* Fiber.join(refused)
  yield* Console.log("The server is killed.")
  yield* get("/livez")
  yield* get("/readyz")

  yield* server.restart
  yield* nats.flush
  yield* Console.log("The server is back.")
  yield* get("/readyz")

  yield* nats.publish("orders")
  yield* Deferred.await(begun)
  const ending = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  yield* Console.log("The program is told to end, while an order is handled.")
  yield* get("/readyz")
  yield* Deferred.succeed(finish, undefined)
  yield* Fiber.join(ending)
})

// What asks the probes, and the HTTP server.
const http = HttpServer.layerTestClient.pipe(
  Layer.provide(FetchHttpClient.layer),
  Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
)

program.pipe(Effect.scoped, Effect.provide(http), NodeRuntime.runMain)
