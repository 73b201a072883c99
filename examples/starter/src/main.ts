/**
 * The program: the service on the connection that the `NATS_*` variables describe, watched at the port `PORT`.
 *
 *   node src/main.ts
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Config, Effect, Exit, Layer, Runtime } from "effect"
import { NatsLayer } from "effect-nats"
import { createServer } from "node:http"
import { Http } from "./http.ts"
import { Service } from "./service.ts"

const HttpServer = Layer.unwrap(
  Effect.map(
    Config.Port("PORT").pipe(Config.withDefault(8080)),
    (port) => NodeHttpServer.layer(createServer, { port, gracefulShutdownTimeout: "1 second" })
  )
)

// Each stands on what follows it.
const App = Service.pipe(
  Layer.provide(NatsLayer.fromEnv()),
  Layer.provide(Http),
  Layer.provide(HttpServer)
)

// Who sends SIGTERM has asked for the end, which is no failure: 0, and not the 130 of `runMain`.
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)

NatsLayer.launch(App).pipe(NodeRuntime.runMain({ teardown }))
