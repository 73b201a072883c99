/**
 * An Express application with NATS in it: one `ManagedRuntime` for all of its routes, a status for each failure, and an end
 * in order: at SIGTERM what is under way is answered, the listeners and the connection go, and the process ends by itself.
 *
 *   node examples/express.ts
 *
 * Prints:
 *   GET /prices/pen: 200 {"cents":1250}
 *   GET /prices/unicorn: 404 {"error":"UnknownItem"}
 *   GET /prices/rock: 504 {"error":"RequestTimedOut"}
 *   GET /stock/pen: 503 {"error":"NoResponders"}
 *   an order is worked on when SIGTERM comes
 *   no new connection is taken
 *   POST /orders: 201 {"number":7}
 *   the runtime is disposed: the client is Closed
 */
import { Deferred, Effect, Layer, ManagedRuntime, Schema } from "effect"
import { NatsClient, type NatsError, SubjectSchema } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import express, { type Response } from "express"
import { once } from "node:events"
import type { AddressInfo } from "node:net"

class UnknownItem extends Schema.TaggedError<UnknownItem>()("UnknownItem", { item: Schema.String }) {}

const GetPrice = SubjectSchema.makeRequest("prices.get", {
  payload: Schema.String,
  success: Schema.Struct({ cents: Schema.Int }),
  error: UnknownItem
})
const GetStock = SubjectSchema.makeRequest("stock.get", { payload: Schema.String, success: Schema.Int })
const Order = SubjectSchema.makeRequest("orders.place", { success: Schema.Struct({ number: Schema.Int }) })

// The services that are asked, most often other programs. Nobody serves "stock.get".
const worked = Deferred.makeUnsafe<void>()
const finish = Deferred.makeUnsafe<void>()
const price = (item: string) => {
  if (item === "rock") return Effect.never
  return item === "pen" ? Effect.succeed({ cents: 1250 }) : Effect.fail(new UnknownItem({ item }))
}
const Services = Layer.mergeAll(
  GetPrice.layer(price, { concurrency: 8, drainTimeout: 0 }),
  Order.layer(() =>
    Deferred.succeed(worked, undefined).pipe(
      Effect.andThen(Deferred.await(finish)),
      Effect.as({ number: 7 })
    )
  )
)

// The application's part of NATS. In a program: NatsLayer.fromEnv().
const runtime = ManagedRuntime.make(Services.pipe(Layer.provideMerge(TestNatsServer.layerClient())))

type Failure =
  | UnknownItem
  | NatsError.RequestError
  | NatsError.ServiceError
  | NatsError.MessageEncodeError
  | NatsError.MessageDecodeError

/** A cause that the compiler does not find here does not compile. */
const statusOf = (failure: Failure): number => {
  switch (failure._tag) {
    case "UnknownItem":
      return 404
    case "InvalidSubject":
    case "MessageEncodeError":
      return 400
    case "RequestTimedOut":
      return 504
    case "NoResponders":
    case "ConnectionLost":
    case "ConnectionClosed":
      return 503
    default:
      return 502
  }
}

/** The last answer on a connection ends it, so that the end need not wait for a visitor who keeps it. */
const json = (response: Response, status: number, body: unknown) => {
  if (!server.listening) response.set("Connection", "close")
  response.status(status).json(body)
}

/** Runs an Effect for a response: interrupted when the visitor leaves, and answered whatever happens. */
const answer = <A>(response: Response, status: number, effect: Effect.Effect<A, Failure, NatsClient.NatsClient>) => {
  const left = new AbortController()
  response.once("close", () => left.abort())
  const send = effect.pipe(
    Effect.match({
      onSuccess: (body) => json(response, status, body),
      onFailure: (failure) => json(response, statusOf(failure), { error: failure._tag })
    }),
    Effect.catchDefect((defect) => Effect.andThen(Effect.logError(defect), Effect.sync(() => response.sendStatus(500))))
  )
  runtime.runFork(send, { signal: left.signal })
}

const app = express()
app.get(
  "/prices/:item",
  (request, response) => answer(response, 200, GetPrice.request(request.params.item, { timeout: "1 second" }))
)
app.get("/stock/:item", (request, response) => answer(response, 200, GetStock.request(request.params.item)))
app.post("/orders", (_, response) => answer(response, 201, Order.request()))

// Without NATS there is nothing to serve: a connection that fails is the end of the start, under its own name.
const nats = await runtime.runPromise(NatsClient.NatsClient)
const server = app.listen(0, "127.0.0.1")
await once(server, "listening")

process.once("SIGTERM", async () => {
  // First the visitors: no new one, and an answer to those that are here. Then what answers them.
  server.close()
  console.log("no new connection is taken")
  await Effect.runPromise(Deferred.succeed(finish, undefined))
  await once(server, "close")
  await runtime.dispose()
  console.log(`the runtime is disposed: the client is ${(await Effect.runPromise(nats.state))._tag}`)
})

// A visitor.
const { port } = server.address() as AddressInfo
const visit = async (method: string, path: string) => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
  console.log(`${method} ${path}: ${response.status} ${await response.text()}`)
}
await visit("GET", "/prices/pen")
await visit("GET", "/prices/unicorn")
await visit("GET", "/prices/rock")
await visit("GET", "/stock/pen")
const order = visit("POST", "/orders")
await Effect.runPromise(Deferred.await(worked))
console.log("an order is worked on when SIGTERM comes")
process.kill(process.pid, "SIGTERM")
await order
