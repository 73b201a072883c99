/**
 * A service as it is deployed. Variables and secret files describe its connection, probes watch it, and SIGTERM ends it
 * without a lost request. The manifests beside it run it; docs/deployment.md says why they are as they are.
 *
 *   NATS_URL=nats://127.0.0.1:4222 node examples/deployment/service.ts
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Config, Effect, Exit, Layer, Runtime, Schema } from "effect"
import { NatsClient, NatsLayer } from "effect-nats"
import * as NatsHealthHttp from "effect-nats/NatsHealthHttp"
import { NatsService } from "effect-nats/service"
import { Rpc, RpcGroup } from "effect/rpc"
import { createServer } from "node:http"

// What it does: quotes a price, for which it asks another service.
class NoPrice extends Schema.TaggedError<NoPrice>()(
  "NoPrice",
  { item: Schema.String },
  { natsServiceErrorCode: 503 }
) {
  override get message(): string {
    return `The price of ${this.item} cannot be had now.`
  }
}

const Quotes = RpcGroup.make(
  Rpc.make("quote", {
    payload: { item: Schema.String, quantity: Schema.Finite },
    success: Schema.Finite,
    error: NoPrice
  })
)

const handlers = Quotes.toLayer(Effect.map(NatsClient.NatsClient, (nats) => ({
  quote: Effect.fnUntraced(function*({ item, quantity }) {
    const price = yield* nats.request("prices", item)
    return quantity * Number(price.text)
  }, (quote, { item }) => Effect.mapError(quote, () => new NoPrice({ item })))
})))

const Service = NatsService.layer(Quotes, { name: "quotes", version: "1.0.0" }).pipe(Layer.provide(handlers))

// What watches it: /livez until only a new process helps, /readyz while it can do its work.
const Http = Layer.unwrap(
  Effect.map(
    Config.Port("HEALTH_PORT").pipe(Config.withDefault(8080)),
    (port) => NodeHttpServer.layer(createServer, { port, gracefulShutdownTimeout: "1 second" })
  )
)

// Each stands on what follows it: the probes begin before all else, and end after it.
const App = Service.pipe(
  Layer.provide(NatsLayer.fromEnv()),
  Layer.provide(NatsHealthHttp.layerServer()),
  Layer.provide(Http)
)

// Who sends SIGTERM has asked for the end, which is no failure: 0, and not the 130 of `runMain`.
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)

NatsLayer.launch(App).pipe(NodeRuntime.runMain({ teardown }))
