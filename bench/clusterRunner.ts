/**
 * A runner of a cluster, which is there to be killed. Started by the drivers, which it tells when it serves.
 *
 *   node bench/clusterRunner.ts '<RunnerSetup as JSON>'
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { LogLevel } from "effect/LogLevel"
import * as References from "effect/References"
import { openLedger, orderLayer, workerLayer } from "./clusterWork.ts"
import { clusterLayer, type ClusterOptions } from "./storeLayers.ts"
import type { StoreServer } from "./storeServers.ts"

export interface RunnerSetup {
  readonly store: StoreServer
  readonly cluster: ClusterOptions
  readonly ledger: string
}

const setup: RunnerSetup = JSON.parse(process.argv[2])
const ledger = openLedger(setup.ledger)

const work = Layer.mergeAll(
  workerLayer(ledger),
  orderLayer(ledger).pipe(Layer.provide(ClusterWorkflowEngine.layer))
).pipe(Layer.provide(clusterLayer(setup.store, setup.cluster)))

const serving = Layer.effectDiscard(Effect.sync(() => process.send?.("serving")))

// A driver that is gone leaves no runners behind.
process.once("disconnect", () => process.exit(1))

Layer.launch(Layer.provide(serving, work)).pipe(
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  // A cluster of which one is killed has a lot to say. `BENCH_LOG=Debug` shows it.
  Effect.provideService(References.MinimumLogLevel, (process.env["BENCH_LOG"] ?? "Fatal") as LogLevel),
  NodeRuntime.runMain
)
