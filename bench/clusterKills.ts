/**
 * Messages with primary keys to entities, while the runners that serve them are killed one after the other. Counts what a
 * cluster promises, and ends with 1 when a promise was broken.
 *
 *   node bench/clusterKills.ts                                  10,000 messages, 3 runners, 20 kills, one server
 *   node bench/clusterKills.ts --replicas 3 --server-kills      three servers, and one of them killed every ten seconds
 *   node bench/clusterKills.ts --store postgres                 the same with the official storage
 *   node bench/clusterKills.ts --messages 500 --kills 4         shorter
 *   node bench/clusterKills.ts --messages 500 --kills 0         without kills, in the time of --every: no handler is to end twice
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { NatsLayer } from "effect-nats"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { parseArgs } from "node:util"
import { now, Worker } from "./clusterWork.ts"
import { again, makeRunners, overlaps, runsOf } from "./runners.ts"
import { clusterLayer, refreshMillis } from "./storeLayers.ts"
import { killInTurns, startNats, startPostgres } from "./storeServers.ts"
import { quantile } from "./workload.ts"

const { values: given } = parseArgs({
  options: {
    store: { type: "string", default: "nats" },
    messages: { type: "string", default: "10000" },
    entities: { type: "string", default: "100" },
    runners: { type: "string", default: "3" },
    kills: { type: "string", default: "20" },
    every: { type: "string", default: "5" },
    work: { type: "string", default: "20" },
    lock: { type: "string" },
    replicas: { type: "string", default: "1" },
    "server-kills": { type: "boolean", default: false }
  }
})
const options = {
  messages: Number(given.messages),
  entities: Number(given.entities),
  runners: Number(given.runners),
  kills: Number(given.kills),
  everyMillis: Number(given.every) * 1_000,
  workMillis: Number(given.work),
  lockMillis: Number(given.lock ?? 4) * 1_000,
  replicas: Number(given.replicas) === 3 ? 3 : 1
} as const

interface Answer {
  readonly run: string
  readonly since: number
  readonly millis: number
}

/** A publish that takes so long was none of every day. */
const leastGapMillis = 100

interface Gap {
  readonly from: number
  readonly to: number
}

/** The times between two publishes that were confirmed, where these are long: the servers had no leader then. */
const plainPublisher = (servers: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    let last = now()
    const gaps: Array<Gap> = []
    yield* Effect.gen(function*() {
      const js = yield* JetStream.JetStream
      yield* JetStreamStream.create(
        JetStreamStream.make("plain", { subjects: ["plain"], replicas: options.replicas, storage: "memory" })
      )
      while (true) {
        const confirmed = yield* Effect.exit(js.publish("plain", "x"))
        if (Exit.isSuccess(confirmed)) {
          if (now() - last >= leastGapMillis) gaps.push({ from: last, to: now() })
          last = now()
        }
        yield* Effect.sleep("20 millis")
      }
    }).pipe(
      Effect.provide(JetStream.layer().pipe(Layer.provideMerge(NatsLayer.fromUnknown({ servers })))),
      Effect.forkScoped
    )
    return (): ReadonlyArray<Gap> => [...gaps, { from: last, to: now() }]
  })

const program = Effect.gen(function*() {
  const nats = given.store === "nats" ? yield* startNats({ replicas: options.replicas }) : undefined
  const store = nats?.store ?? (yield* startPostgres)
  if (store === undefined) return yield* Effect.die("no PostgreSQL on this machine")
  const cluster = { prefix: "kills", lockMillis: options.lockMillis }
  const runners = yield* makeRunners(store, cluster)
  const gapsOf = nats === undefined
    ? undefined
    : yield* plainPublisher(nats.store.kind === "nats" ? nats.store.servers : [])

  const serving = yield* Effect.forEach(
    Array.from({ length: options.runners }),
    () => runners.start,
    { concurrency: "unbounded" }
  )
  yield* Effect.forEach(serving, (each) => each.serving, { concurrency: "unbounded" })

  const answers = new Map<string, Answer>()
  const changed = new Set<string>()
  let failures = 0
  let lastFailure = ""

  // Asked again under the same key until it is answered: what is stored is not stored twice.
  const ask = (client: Effect.Success<typeof Worker.client>, index: number) => {
    const key = `m${index}`
    const since = now()
    return client(`e${index % options.entities}`).Work({ key, millis: options.workMillis }).pipe(
      Effect.tapCause((cause) =>
        Effect.sync(() => {
          failures++
          lastFailure = Cause.pretty(cause).split("\n")[0]
        })
      ),
      Effect.catchCause(() => Effect.andThen(Effect.sleep("200 millis"), Effect.fail("again" as const))),
      Effect.eventually,
      Effect.map((run): Answer => ({ run, since, millis: now() - since })),
      Effect.tap((answer) =>
        Effect.sync(() => {
          const before = answers.get(key)
          if (before === undefined) answers.set(key, answer)
          else if (before.run !== answer.run) changed.add(key)
        })
      )
    )
  }

  const killed: Array<number> = []
  const killing = Effect.gen(function*() {
    for (let index = 0; index < options.kills; index++) {
      yield* Effect.sleep(options.everyMillis)
      const at = index % serving.length
      yield* serving[at].kill
      killed.push(now())
      serving[at] = yield* runners.start
    }
  })

  yield* Effect.gen(function*() {
    const client = yield* Worker.client
    const since = now()
    const kills = yield* Effect.forkChild(killing)
    const servers = nats === undefined || !given["server-kills"]
      ? undefined
      : yield* Effect.forkChild(killInTurns(nats.servers, "10 seconds"))
    // Spread over the time of the kills, so that each kill meets messages that wait; without kills over the time of one.
    const total = Math.max(1, options.kills) * options.everyMillis
    const pace = total / options.messages
    const asking = yield* Effect.forkChild(
      Effect.forEach(
        Array.from({ length: options.messages }, (_, index) => index),
        (index) => Effect.andThen(Effect.sleep(index * pace), Effect.suspend(() => ask(client, index))),
        { concurrency: "unbounded", discard: true }
      )
    )
    yield* Fiber.join(kills)
    const limit = 120_000
    const waited = yield* Effect.timeoutOption(Fiber.join(asking), limit)
    const took = now() - since
    if (servers !== undefined) yield* Fiber.interrupt(servers)
    const complete = waited._tag === "Some"
    if (!complete) yield* Fiber.interrupt(asking)
    const firstAnswers = new Map(answers)
    // Who asks again is given what is stored: another answer means that a reply was stored twice.
    if (complete) {
      yield* Effect.forEach(
        Array.from({ length: options.messages }, (_, index) => index),
        (index) => ask(client, index),
        { concurrency: 64, discard: true }
      ).pipe(Effect.timeoutOption("60 seconds"))
    }

    const runs = runsOf(runners.entries(), runners.gone)
    const met = overlaps(runs)
    const processOf = ({ run }: { readonly run: string }): string => run.split(".")[0]
    const apart = met.filter(([a, b]) => processOf(a) !== processOf(b)).length
    const twice = again(runs)
    const millis = [...firstAnswers.values()].map((answer) => answer.millis)
    const [p50, p99, slowest] = [quantile(millis, 0.5), quantile(millis, 0.99), Math.max(...millis)]
    const lost = options.messages - firstAnswers.size
    const gaps = gapsOf?.() ?? []
    const gap = Math.max(0, ...gaps.map(({ from, to }) => to - from))
    // Where a server is killed every few seconds, one message can meet several of them.
    const withoutGaps = [...firstAnswers.values()].map(({ millis, since }) =>
      gaps.reduce(
        (left, { from, to }) => left - Math.max(0, Math.min(to, since + millis) - Math.max(from, since)),
        millis
      )
    )
    const bound = options.lockMillis + 3_000 + (options.replicas === 3 ? gap : 0)
    const seconds = (value: number): string => `${(value / 1_000).toFixed(2)} s`
    console.log([
      `${given.store}${
        options.replicas === 3 ? " R3" : ""
      }: ${options.messages} messages to ${options.entities} entities,`
      + ` ${killed.length} kills of ${options.runners} runners, ${seconds(took)}`,
      `  lost                        ${lost}`,
      `  answered differently later  ${changed.size}`,
      `  at once on an entity        ${met.length} (in two processes ${apart})`,
      `  handlers that began again   ${twice.began}`,
      `  handlers that ended twice   ${twice.ended}`,
      `  calls that failed           ${failures}${failures === 0 ? "" : ` (${lastFailure})`}`,
      `  p50, p99, slowest answer    ${seconds(p50)}, ${seconds(p99)}, ${seconds(slowest)} (p99 is to be under ${
        seconds(bound)
      })`,
      ...(gapsOf === undefined ? [] : [
        `  longest gap of a publisher  ${seconds(gap)}, all together ${
          seconds(gaps.reduce((sum, { from, to }) => sum + to - from, 0))
        }`,
        `  p99 without the gaps that each met  ${seconds(quantile(withoutGaps, 0.99))}`
      ]),
      ...met.slice(0, 5).map(([a, b]) =>
        `    ${a.of}: ${a.key} by ${a.run} until ${a.to.toFixed(0)}${
          a.ended ? "" : " (killed)"
        }, ${b.key} by ${b.run} from ${b.from.toFixed(0)}`
      )
    ].join("\n"))
    // Effect gives up the shards of a runner whose locks were not confirmed in their refresh interval, and what it had begun is
    // done again. Where nobody is killed only a machine that has no time for a publish of anybody does that.
    const excused = options.kills > 0 || given["server-kills"] || gap > refreshMillis(options.lockMillis)
    if (twice.ended > 0 && options.kills === 0) {
      console.log(
        `  locks are confirmed each ${seconds(refreshMillis(options.lockMillis))}, and a publisher waited ${
          seconds(gap)
        }`
      )
    }
    if (lost > 0 || changed.size > 0 || met.length > 0 || p99 > bound || (twice.ended > 0 && !excused)) {
      process.exitCode = 1
    }
  }).pipe(Effect.provide(clusterLayer(store, cluster)))
}).pipe(
  Effect.scoped,
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  Effect.provideService(References.MinimumLogLevel, "Error")
)

// A signal ends the servers and runners, too.
NodeRuntime.runMain(program, { teardown: (exit) => process.exit(Exit.isFailure(exit) ? 1 : process.exitCode) })
