/**
 * A durable workflow: an order is charged, waits, and is shipped. Its runner is killed in the middle of the wait, another one
 * goes on, and what was done is not done again.
 *
 *   node examples/order-workflow.ts
 *
 * Prints:
 *   runner-1: charges order 42
 *   runner-1 is killed while the order waits
 *   runner-2: ships order 42
 *   order 42: charged by runner-1, shipped by runner-2
 *   charged once, shipped once
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Option, Schedule, Schema } from "effect"
import { NatsClient, NatsLayer } from "effect-nats"
import { NatsCluster, NatsWorkflows } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import { NatsKeyValueStore } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { ClusterWorkflowEngine } from "effect/cluster"
import { KeyValueStore } from "effect/persistence"
import { ChildProcess } from "effect/process"
import { Activity, DurableClock, Workflow } from "effect/workflow"
import { fileURLToPath } from "node:url"

const Order = Workflow.make("Order", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  success: Schema.Struct({ chargedBy: Schema.String, shippedBy: Schema.String })
})

/** Each run of a step leaves a mark in a bucket, so that it can be seen how often it ran. */
const marks = Layer.fresh(NatsKeyValueStore.layer({ bucket: "marks" }))

const step = (name: string, verb: string, id: string, runner: string) =>
  Activity.make({
    name,
    success: Schema.String,
    execute: Effect.gen(function*() {
      const store = yield* KeyValueStore.KeyValueStore
      yield* store.set(`${name}/${process.pid}/${performance.now()}`, runner)
      yield* Console.log(`${runner}: ${verb} order ${id}`)
      return runner
    }).pipe(Effect.orDie)
  })

const orderLayer = (runner: string) =>
  Order.toLayer(Effect.fnUntraced(function*({ id }) {
    const chargedBy = yield* step("charge", "charges", id, runner)
    // Written down however short it is, so that no process has to live for it. By default that begins with a minute.
    yield* DurableClock.sleep({ name: "the customer can still cancel", duration: "3 seconds", inMemoryThreshold: 0 })
    const shippedBy = yield* step("ship", "ships", id, runner)
    return { chargedBy, shippedBy }
  }))

const shardingConfig = { shardsPerGroup: 30, shardLockExpiration: "2 seconds" } as const

const nats = (url: string) =>
  Layer.provideMerge(JetStream.layer(), NatsClient.layer({ servers: url, logStatus: false }))

const runner = (url: string, runnerName: string) =>
  orderLayer(runnerName).pipe(
    Layer.provide([ClusterWorkflowEngine.layer, marks]),
    Layer.provide(NatsCluster.layer({ prefix: "example", runnerName, shardingConfig })),
    Layer.provide(nats(url))
  )

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const start = (name: string) =>
    ChildProcess.make(process.execPath, [fileURLToPath(import.meta.url), server.url, name], {
      stdout: "inherit",
      stderr: "inherit"
    })
  const first = yield* start("runner-1")

  yield* Effect.gen(function*() {
    const store = yield* KeyValueStore.KeyValueStore
    const times = (name: string) =>
      Effect.map(store.keys, (keys) => keys.filter((key) => key.startsWith(`${name}/`)).length)
    const executionId = yield* Order.execute({ id: "42" }, { discard: true })
    // As an operator sees it: what an order has done is in the stream.
    yield* Effect.repeat(NatsWorkflows.history({ prefix: "example", workflow: "Order", executionId }), {
      until: Option.exists(({ status }) => status === "suspended"),
      schedule: Schedule.spaced("20 millis")
    })
    yield* first.kill({ killSignal: "SIGKILL" })
    yield* Console.log("runner-1 is killed while the order waits")
    yield* start("runner-2")
    // The same order is the same run: this waits for its result.
    const { chargedBy, shippedBy } = yield* Order.execute({ id: "42" })
    yield* Console.log(`order 42: charged by ${chargedBy}, shipped by ${shippedBy}`)
    const [charges, shipments] = [yield* times("charge"), yield* times("ship")]
    yield* Console.log(charges === 1 && shipments === 1 ? "charged once, shipped once" : `${charges}, ${shipments}`)
  }).pipe(
    Effect.provide(
      Layer.mergeAll(ClusterWorkflowEngine.layer, marks).pipe(
        Layer.provideMerge(NatsCluster.layerClientOnly({ prefix: "example", shardingConfig })),
        Layer.provideMerge(nats(server.url))
      )
    )
  )
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

const [, , url, name] = process.argv
if (url === undefined) NodeRuntime.runMain(program)
else NodeRuntime.runMain(NatsLayer.launch(runner(url, name)))
