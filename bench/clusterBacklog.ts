/**
 * Messages for more entities than a runner may have, which wait when the only runner starts. Counts what is promised, and ends
 * with 1 when a promise was broken: never more entities at a time than it may have, all answered, those that live answered
 * meanwhile, and no more memory than is given.
 *
 *   node bench/clusterBacklog.ts                                     50,000 entities, 1,000 at a time: some minutes
 *   node bench/clusterBacklog.ts --entities 2000 --resident 200      shorter
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { NatsLayer } from "effect-nats"
import { NatsCluster } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import * as Entity from "effect/cluster/Entity"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import { fork } from "node:child_process"
import { parseArgs } from "node:util"
import { now } from "./clusterWork.ts"
import { startNats } from "./storeServers.ts"
import { quantile } from "./workload.ts"

const { values: given } = parseArgs({
  options: {
    entities: { type: "string", default: "50000" },
    resident: { type: "string", default: "1000" },
    /** In MiB, of the whole process of the runner. */
    memory: { type: "string", default: "600" },
    /** The server that a runner is started for. */
    runner: { type: "string" }
  }
})
const entities = Number(given.entities)
const resident = Number(given.resident)
const prefix = "backlog"

const shown = (millis: number): string => `${millis.toFixed(0)} ms`

const Asked = Entity.make("Asked", [
  Rpc.make("Ask", {
    payload: { number: Schema.Int },
    success: Schema.Int,
    primaryKey: ({ number }) => String(number)
  }).annotate(ClusterSchema.Persisted, true)
])

/** What a runner tells of itself. */
interface Told {
  readonly handled: number
  readonly peak: number
  readonly rss: number
  /** One that lives. */
  readonly living: string | undefined
}

const shardingConfig = { maxResidentEntities: resident, refreshAssignmentsInterval: 1_000 } as const
const jetStream = (servers: string) => JetStream.layer().pipe(Layer.provideMerge(NatsLayer.fromUnknown({ servers })))

// Effect looks for idle entities every five seconds.
const runner = (url: string) => {
  const living = new Set<string>()
  let [handled, peak, rss] = [0, 0, 0]
  setInterval(() => {
    rss = Math.max(rss, process.memoryUsage.rss())
    const told: Told = { handled, peak, rss, living: [...living].at(-1) }
    process.send?.(told)
  }, 200).unref()
  // A driver that is gone leaves no runner behind.
  process.once("disconnect", () => process.exit(1))
  const layer = Asked.toLayer(
    Effect.gen(function*() {
      const { entityId } = yield* Entity.CurrentAddress
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          living.add(entityId)
          peak = Math.max(peak, living.size)
        }),
        () => Effect.sync(() => living.delete(entityId))
      )
      return Asked.of({
        Ask: ({ payload }) =>
          Effect.sync(() => {
            handled++
            return payload.number
          })
      })
    }),
    { maxIdleTime: 1_000 }
  )
  return Layer.launch(
    layer.pipe(
      Layer.provide(NatsCluster.layer({ prefix, runnerName: "only", shardingConfig })),
      Layer.provide(jetStream(url))
    )
  )
}

const driver = Effect.gen(function*() {
  const { store } = yield* startNats({ replicas: 1 })
  const url = store.kind === "nats" ? store.servers[0]! : ""
  yield* Effect.gen(function*() {
    const client = yield* Asked.client
    const ask = (number: number) => client(`e${number}`).Ask({ number })
    const numbers = Array.from({ length: entities }, (_, number) => number)
    yield* Effect.forEach(numbers, (number) => client(`e${number}`).Ask({ number }, { discard: true }), {
      concurrency: 256,
      discard: true
    })
    let told: Told = { handled: 0, peak: 0, rss: 0, living: undefined }
    const since = now()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => fork(import.meta.filename, [...process.argv.slice(2), "--runner", url])),
      (running) => Effect.sync(() => running.kill("SIGKILL"))
    )
    child.on("message", (message) => {
      told = message as Told
    })
    // Those that live already are asked something else meanwhile.
    const meanwhile: Array<number> = []
    let extra = 0
    const asking = yield* Effect.gen(function*() {
      yield* Effect.sleep("1 second")
      if (told.living === undefined || told.handled > entities - 2 * resident) return
      const at = now()
      yield* client(told.living).Ask({ number: entities + extra++ })
      meanwhile.push(now() - at)
    }).pipe(Effect.forever, Effect.forkScoped)
    let printed = 0
    while (told.handled < entities) {
      yield* Effect.sleep("100 millis")
      if (child.exitCode !== null) return yield* Effect.die(new Error("the runner has ended"))
      if (told.handled - printed >= 5_000) {
        console.error(`${printed = told.handled} after ${Math.round(now() - since)} ms`)
      }
    }
    asking.interruptUnsafe()
    const took = now() - since
    const answers = yield* Effect.forEach(numbers, ask, { concurrency: 256 })
    const wrong = answers.filter((answer, number) => answer !== number).length
    // What it tells is a moment old.
    yield* Effect.sleep("500 millis")
    const again = told.handled - entities - meanwhile.length
    const rss = told.rss / 2 ** 20
    console.log([
      `${entities} entities, ${resident} at a time, ${(took / 1_000).toFixed(1)} s`,
      `  most at a time              ${told.peak}`,
      `  answered otherwise          ${wrong}`,
      `  handled again               ${again}`,
      `  memory of the runner        ${rss.toFixed(0)} MiB (is to be under ${given.memory} MiB)`,
      `  asked meanwhile             ${meanwhile.length}${
        meanwhile.length === 0
          ? ""
          : `: p50 ${shown(quantile(meanwhile, 0.5))}, slowest ${shown(Math.max(...meanwhile))}`
      }`
    ].join("\n"))
    if (told.peak > resident || wrong > 0 || rss > Number(given.memory)) process.exitCode = 1
  }).pipe(
    Effect.provide(
      NatsCluster.layerClientOnly({ prefix, shardingConfig: { refreshAssignmentsInterval: 1_000 } }).pipe(
        Layer.provide(jetStream(url))
      )
    )
  )
})

const program = given.runner === undefined ? Effect.scoped(driver) : runner(given.runner)

NodeRuntime.runMain(
  program.pipe(
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
)
