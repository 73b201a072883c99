/**
 * An instance of `orders` as a process of its own.
 *
 *   NATS_URL=nats://127.0.0.1:4222 NATS_NAME=orders-1 node examples/shop/ordersProcess.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, References } from "effect"
import { NatsLayer } from "effect-nats"
import { instance } from "./orders.ts"

instance.pipe(
  Layer.provide(NatsLayer.fromEnv()),
  NatsLayer.launch,
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain
)
