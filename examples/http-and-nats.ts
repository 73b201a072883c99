/**
 * HTTP, WebSocket and NATS side by side in one program, on one connection.
 *
 *   node examples/http-and-nats.ts
 *
 * Prints:
 *   POST /ask/greet is answered over NATS: 200 Hello, Ada!
 *   POST /ask/nowhere: 503 Nobody answers requests on "nowhere": …
 *   GET /health: 200 {"live":true,"ready":true,"state":"Connected"}
 *   the WebSocket listens
 *   POST /orders is an event: 202
 *   the WebSocket has it: orders.created 7
 *   what the WebSocket says is heard in NATS: hello from a browser
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Console, Deferred, Effect, Layer, Stream } from "effect"
import { NatsClient, NatsHealth, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { Socket } from "effect/socket"
import { createServer } from "node:http"

// NATS.
const Greeter = NatsListener.layer(
  "greet",
  NatsListener.replying((message) => Effect.succeed(`Hello, ${message.text}!`))
)

// HTTP in front: a request is a request, and each cause has its status.
const failed = (status: number) => (error: { readonly message: string }) =>
  Effect.succeed(HttpServerResponse.text(error.message, { status }))

const Http = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const nats = yield* NatsClient.NatsClient

  yield* router.add("POST", "/ask/:subject", (request) =>
    Effect.gen(function*() {
      const { subject = "" } = yield* HttpRouter.params
      const reply = yield* nats.request(subject, yield* request.text, { timeout: "2 seconds" })
      return HttpServerResponse.text(reply.text)
    }).pipe(
      Effect.catchTags({ InvalidSubject: failed(400), NoResponders: failed(503), RequestTimedOut: failed(504) })
    ))

  yield* router.add("POST", "/orders", (request) =>
    Effect.gen(function*() {
      yield* nats.publish("orders.created", yield* request.text)
      return HttpServerResponse.empty({ status: 202 })
    }))

  yield* router.add(
    "GET",
    "/health",
    Effect.map(
      NatsHealth.check(nats),
      (health) => HttpServerResponse.jsonUnsafe(health, { status: health.ready ? 200 : 503 })
    )
  )
}))

// WebSocket: NATS out to the browser, and the browser's words into NATS, until one of them ends.
const WebSockets = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const nats = yield* NatsClient.NatsClient

  yield* router.add("GET", "/events", (request) =>
    Effect.gen(function*() {
      const socket = yield* request.upgrade
      const { write } = yield* socket.writer
      const { pull } = yield* socket.reader
      const { stream } = yield* nats.subscription("orders.*")
      yield* write("the WebSocket listens")
      const out = Stream.runForEach(stream, ({ subject, text }) => write(`the WebSocket has it: ${subject} ${text}`))
      const into = Effect.forever(Effect.flatMap(pull, (frames) =>
        Effect.forEach(frames, (frame) =>
          nats.publish("browser.said", frame), { discard: true })))
      yield* Effect.raceFirst(out, into)
      return HttpServerResponse.empty()
    }).pipe(
      // The browser has left.
      Effect.catchTag("SocketError", () =>
        Effect.succeed(HttpServerResponse.empty())),
      Effect.scoped
    ))
}))

const Web = HttpRouter.serve(Layer.mergeAll(Http, WebSockets), { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
)

// One program. When it is told to stop, HTTP goes first, then the listeners, then the connection.
const App = Web.pipe(
  Layer.provideMerge(Greeter),
  Layer.provideMerge(TestNatsServer.layerClient())
)

// A visitor.
const program = Effect.gen(function*() {
  const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const visit = (method: string, path: string, body?: string) =>
    Effect.promise(async () => {
      const response = await fetch(`${url}${path}`, { method, ...(body === undefined ? {} : { body }) })
      return `${response.status} ${await response.text()}`.trim()
    })
  yield* Console.log(`POST /ask/greet is answered over NATS: ${yield* visit("POST", "/ask/greet", "Ada")}`)
  yield* Console.log(`POST /ask/nowhere: ${yield* visit("POST", "/ask/nowhere", "Ada")}`)
  yield* Console.log(`GET /health: ${yield* visit("GET", "/health")}`)

  const heard = yield* Deferred.make<string>()
  yield* NatsListener.make("browser.said", (message) => Deferred.succeed(heard, message.text))

  const socket = yield* Socket.makeWebSocket(`${url.replace("http", "ws")}/events`)
  const { write } = yield* socket.writer
  const { pull } = yield* socket.reader
  yield* Console.log(String(yield* pull))
  yield* Console.log(`POST /orders is an event: ${yield* visit("POST", "/orders", "7")}`)
  yield* Console.log(String(yield* pull))
  yield* write("hello from a browser")
  yield* Console.log(`what the WebSocket says is heard in NATS: ${yield* Deferred.await(heard)}`)
}).pipe(Effect.scoped)

program.pipe(Effect.provide([App, NodeSocket.layerWebSocketConstructor]), NodeRuntime.runMain)
