/**
 * Workflows of three activities, a stored clock and a deferred, while the runners that have them are killed one after the
 * other; then clocks that end while no runner is there. Ends with 1 when a promise was broken.
 *
 *   node bench/workflowKills.ts                       200 workflows, 3 runners, 10 kills
 *   node bench/workflowKills.ts --store postgres      the same with the official storage
 *   node bench/workflowKills.ts --replicas 3          three servers
 *   node bench/workflowKills.ts --workflows 20 --kills 2
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as DurableDeferred from "effect/workflow/DurableDeferred"
import type * as WorkflowEngine from "effect/workflow/WorkflowEngine"
import { parseArgs } from "node:util"
import { Approval, type Entry, now, Order, steps } from "./clusterWork.ts"
import { makeRunners } from "./runners.ts"
import { clusterLayer } from "./storeLayers.ts"
import { startNats, startPostgres } from "./storeServers.ts"
import { quantile } from "./workload.ts"

const { values: given } = parseArgs({
  options: {
    store: { type: "string", default: "nats" },
    workflows: { type: "string", default: "200" },
    runners: { type: "string", default: "3" },
    kills: { type: "string", default: "10" },
    every: { type: "string", default: "5" },
    clock: { type: "string", default: "5" },
    lock: { type: "string", default: "4" },
    sleeping: { type: "string", default: "20" },
    replicas: { type: "string", default: "1" }
  }
})
const options = {
  workflows: Number(given.workflows),
  runners: Number(given.runners),
  kills: Number(given.kills),
  everyMillis: Number(given.every) * 1_000,
  clockMillis: Number(given.clock) * 1_000,
  lockMillis: Number(given.lock) * 1_000,
  sleeping: Number(given.sleeping),
  replicas: Number(given.replicas) === 3 ? 3 : 1
} as const

/** What the driver itself did and saw of a workflow. */
interface Seen {
  readonly started: number
  approved: number
  completed: number
  result: ReadonlyArray<string>
}

type Engine = WorkflowEngine.WorkflowEngine

/** Again, until it is done: the caller's own way through a kill. */
const insisting = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  Effect.eventually(Effect.catchCause(effect, () => Effect.andThen(Effect.sleep("200 millis"), Effect.fail("again"))))

const execute = (id: string, clockMillis: number) => insisting(Order.execute({ id, clockMillis }))

const approve = (id: string, clockMillis: number): Effect.Effect<void, never, Engine> =>
  Effect.gen(function*() {
    const token = yield* DurableDeferred.tokenFromPayload(Approval, { workflow: Order, payload: { id, clockMillis } })
    yield* insisting(Effect.suspend(() => DurableDeferred.succeed(Approval, { token, value: `approved ${id}` })))
  })

/** A workflow and its approval, which comes at any time: before it is waited for, or long after. */
const through = (id: string, seen: Map<string, Seen>): Effect.Effect<void, never, Engine> =>
  Effect.gen(function*() {
    const own: Seen = { started: now(), approved: Infinity, completed: Infinity, result: [] }
    seen.set(id, own)
    const approving = Effect.andThen(
      Effect.sleep(Math.random() * options.clockMillis * 2),
      Effect.tap(approve(id, options.clockMillis), () => Effect.sync(() => own.approved = now()))
    )
    const [result] = yield* Effect.all([execute(id, options.clockMillis), approving], { concurrency: 2 })
    own.completed = now()
    own.result = result
  })

interface Judged {
  /** Began again after what came behind it had begun. */
  readonly storedAgain: number
  readonly begunAgain: number
  /** A step was passed with a result that was another one before. */
  readonly changed: number
  readonly unfit: number
  /** Milliseconds, the longest for each workflow. */
  readonly stalls: ReadonlyArray<readonly [stall: number, id: string, before: string]>
}

const activities = ["first", "second", "third"] as const

const judge = (entries: ReadonlyArray<Entry>, seen: ReadonlyMap<string, Seen>): Judged => {
  let [storedAgain, begunAgain, changed, unfit] = [0, 0, 0, 0]
  const stalls: Array<readonly [number, string, string]> = []
  const byKey = Map.groupBy(entries, ({ key }) => key)
  for (const [id, { approved, completed, result, started }] of seen) {
    const own = byKey.get(id) ?? []
    const passes = new Map(steps.map((step) => [step, own.filter(({ of, what }) => what === "passed" && of === step)]))
    for (const name of activities) {
      const begins = own.filter(({ of, what }) => what === "began" && of === name)
      if (begins.length > 1) begunAgain++
      // Who is past it has its result from the storage, or stored it.
      const past = passes.get(name)![0]?.at ?? Infinity
      if (begins.some(({ at }) => at > past)) storedAgain++
      const runs = new Set(passes.get(name)!.map(({ run }) => run))
      if (runs.size > 1) changed++
      if (completed < Infinity && !runs.has(result[activities.indexOf(name)])) unfit++
    }
    const first = (step: (typeof steps)[number]): number => passes.get(step)![0]?.at ?? Infinity
    const stations: ReadonlyArray<readonly [what: string, at: number, after: number]> = [
      ["first", first("first"), started],
      ["clock", first("clock"), first("first") + options.clockMillis],
      ["second", first("second"), first("clock")],
      ["deferred", first("deferred"), Math.max(approved, first("second"))],
      ["third", first("third"), first("deferred")],
      ["completed", completed, first("third")]
    ]
    const [longest] = stations.map(([what, at, after]) => [at === Infinity ? Infinity : at - after, id, what] as const)
      .toSorted(([a], [b]) => b - a)
    stalls.push(longest)
  }
  return { storedAgain, begunAgain, changed, unfit, stalls: stalls.toSorted(([a], [b]) => b - a) }
}

const seconds = (millis: number): string => `${(millis / 1_000).toFixed(2)} s`

const program = Effect.gen(function*() {
  const nats = given.store === "nats" ? yield* startNats({ replicas: options.replicas }) : undefined
  const store = nats?.store ?? (yield* startPostgres)
  if (store === undefined) return yield* Effect.die("no PostgreSQL on this machine")
  const cluster = { prefix: "workflows", lockMillis: options.lockMillis }
  const runners = yield* makeRunners(store, cluster)
  const startAll = Effect.gen(function*() {
    const started = yield* Effect.forEach(Array.from({ length: options.runners }), () => runners.start)
    yield* Effect.forEach(started, (each) => each.serving, { concurrency: "unbounded" })
    return started
  })
  const serving = yield* startAll

  /** How long after the restart each clock fired. */
  const sleepThroughDowntime = Effect.gen(function*() {
    const ids = Array.from({ length: options.sleeping }, (_, index) => `s${index}`)
    const waiting = yield* Effect.forkChild(Effect.forEach(
      ids,
      (id) => execute(id, options.clockMillis),
      { concurrency: "unbounded", discard: true }
    ))
    const passed = (step: string) => {
      const of = runners.entries().filter((entry) =>
        entry.what === "passed" && entry.of === step && ids.includes(entry.key)
      )
      return new Map(of.toReversed().map(({ at, key }) => [key, at]))
    }
    yield* Effect.sleep("100 millis").pipe(Effect.repeat({ until: () => passed("first").size === ids.length }))
    // What comes after the first activity is that the clock is stored: a moment for that.
    yield* Effect.sleep("500 millis")
    yield* Effect.forEach(serving, (each) => each.kill, { concurrency: "unbounded" })
    if (passed("clock").size > 0) console.log("  (some clocks had ended before all runners were gone)")
    yield* Effect.sleep(options.clockMillis)
    serving.splice(0, serving.length, ...yield* startAll)
    const since = now()
    yield* Effect.sleep("100 millis").pipe(
      Effect.repeat({ until: () => passed("clock").size === ids.length }),
      Effect.timeoutOption("30 seconds")
    )
    const at = passed("clock")
    yield* Fiber.interrupt(waiting)
    return ids.map((id) => Math.max(0, (at.get(id) ?? Infinity) - since))
  })

  yield* Effect.gen(function*() {
    const killing = yield* Effect.forkChild(Effect.gen(function*() {
      for (let index = 0; index < options.kills; index++) {
        yield* Effect.sleep(options.everyMillis)
        const at = index % serving.length
        yield* serving[at].kill
        serving[at] = yield* runners.start
      }
    }))
    const seen = new Map<string, Seen>()
    const since = now()
    const span = options.kills * options.everyMillis
    const all = yield* Effect.forkChild(Effect.forEach(
      Array.from({ length: options.workflows }, (_, index) => index),
      (index) => Effect.andThen(Effect.sleep(index / options.workflows * span), through(`w${index}`, seen)),
      { concurrency: "unbounded", discard: true }
    ))
    yield* Fiber.join(killing)
    const finished = yield* Effect.timeoutOption(Fiber.join(all), "2 minutes")
    if (finished._tag === "None") yield* Fiber.interrupt(all)
    const took = now() - since
    const judged = judge(runners.entries(), seen)
    const complete = [...seen.values()].filter(({ completed }) => completed < Infinity).length
    const [stall, id, before] = judged.stalls[0]
    console.log([
      `${given.store}${options.replicas === 3 ? " R3" : ""}: ${options.workflows} workflows,` +
      ` ${options.kills} kills of ${options.runners} runners, ${seconds(took)}`,
      `  complete                           ${complete}`,
      `  stored activities that ran again   ${judged.storedAgain}`,
      `  activities that began again        ${judged.begunAgain}`,
      `  results that changed               ${judged.changed}`,
      `  results unlike those of the steps  ${judged.unfit}`,
      `  longest stall, p50 and worst       ${seconds(quantile(judged.stalls.map(([each]) => each), 0.5))}, ${
        seconds(stall)
      } (${id}, before ${before})`
    ].join("\n"))
    const { changed, storedAgain, unfit } = judged
    if (complete < options.workflows || storedAgain > 0 || changed > 0 || unfit > 0 || stall > 15_000) {
      process.exitCode = 1
    }

    const fired = yield* sleepThroughDowntime
    const latest = Math.max(...fired)
    console.log(
      `  ${options.sleeping} clocks that end while no runner is there fire ${seconds(quantile(fired, 0.5))} (p50), ` +
        `${seconds(latest)} (latest) after the runners serve again`
    )
    if (latest > 5_000) process.exitCode = 1
  }).pipe(Effect.provide(ClusterWorkflowEngine.layer.pipe(Layer.provideMerge(clusterLayer(store, cluster)))))
}).pipe(
  Effect.scoped,
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  Effect.provideService(References.MinimumLogLevel, "Error")
)

// A signal ends the servers and runners, too.
NodeRuntime.runMain(program, { teardown: (exit) => process.exit(Exit.isFailure(exit) ? 1 : process.exitCode) })
