/**
 * Starts instances of the services, and ends them.
 */
import { Effect, Exit, Layer, Metric, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

/** A connection with its name in the metrics. */
export const connection = (name: string) =>
  Layer.unwrap(Effect.map(TestNatsServer.TestNatsServer, ({ url }) => NatsClient.layer({ servers: url, name }))).pipe(
    Layer.provide(Layer.succeed(Metric.CurrentMetricAttributes, { client: name }))
  )

/** `stop` is what `SIGTERM` does under `NodeRuntime.runMain`. */
export const start = Effect.fnUntraced(function*<E, R>(name: string, instance: Layer.Layer<never, E, R>) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  // Fresh: two instances of a layer share nothing.
  yield* Layer.buildWithScope(Layer.fresh(Layer.provide(instance, connection(name))), scope)
  return { stop: Scope.close(scope, Exit.void) }
})

/** An instance of `orders` as a process of its own. `kill` is what the loss of power does to a machine. */
export const startProcess = Effect.fnUntraced(function*(name: string) {
  const { url } = yield* TestNatsServer.TestNatsServer
  const { kill } = yield* ChildProcess.make(
    process.execPath,
    [fileURLToPath(new URL("ordersProcess.ts", import.meta.url))],
    { env: { NATS_URL: url, NATS_NAME: name }, extendEnv: true, stdout: "inherit", stderr: "inherit" }
  )
  return { kill: Effect.orDie(kill({ killSignal: "SIGKILL" })) }
})
