/**
 * Processes of runners that are started, killed and stopped, and what their ledgers say.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { RunnerSetup } from "./clusterRunner.ts"
import { type Entry, now } from "./clusterWork.ts"
import type { ClusterOptions } from "./storeLayers.ts"
import { freePort, type StoreServer } from "./storeServers.ts"

export interface Runner {
  /** That of the process that runs now: one that ends by itself is started again, as whoever operates it does. */
  readonly pid: number
  readonly port: number
  /** Succeeds when it serves. */
  readonly serving: Effect.Effect<void>
  /** Ends it as a crash would, and waits until it is gone. */
  readonly kill: Effect.Effect<void>
  /** Ends it in order, and waits until it is gone. */
  readonly stop: Effect.Effect<void>
}

export interface Runners {
  readonly start: Effect.Effect<Runner>
  /** All lines of all ledgers, in the order of their times. */
  readonly entries: () => Array<Entry>
  /** When a process was seen to be gone, by its pid. */
  readonly gone: ReadonlyMap<number, number>
}

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** A runner that has ended by itself is started again so much later. */
const restartMillis = 500

/** Runners of one cluster. Each has an address of its own, as a new container would. They end with the scope. */
export const makeRunners = (
  store: StoreServer,
  cluster: Omit<ClusterOptions, "port">
): Effect.Effect<Runners, never, Scope.Scope> =>
  Effect.gen(function*() {
    const gone = new Map<number, number>()
    const children = new Set<ChildProcess>()
    let closing = false
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-ledgers-"))),
      (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
    )
    yield* Effect.addFinalizer(() => {
      closing = true
      return Effect.forEach(
        children,
        (child) => Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), ended(child)),
        {
          concurrency: "unbounded",
          discard: true
        }
      )
    })
    const start = Effect.gen(function*() {
      const port = yield* freePort
      const setup: RunnerSetup = {
        store,
        cluster: { ...cluster, port },
        ledger: path.join(directory, `${port}-${Math.round(now())}`)
      }
      let serves = false
      let wanted = true
      const launched = (): ChildProcess => {
        const child = fork(path.join(import.meta.dirname, "clusterRunner.ts"), [JSON.stringify(setup)])
        children.add(child)
        child.once("message", () => {
          serves = true
          for (const hear of hearing.splice(0)) hear()
        })
        child.once("exit", () => {
          gone.set(child.pid ?? -1, now())
          children.delete(child)
          if (wanted && !closing) setTimeout(() => wanted && !closing && (current = launched()), restartMillis)
        })
        return child
      }
      const hearing: Array<() => void> = []
      let current = launched()
      const signalled = (signal: NodeJS.Signals): Effect.Effect<void> =>
        Effect.suspend(() => {
          wanted = false
          current.kill(signal)
          return ended(current)
        })
      const serving = Effect.callback<void>((resume) => {
        if (serves) return resume(Effect.void)
        hearing.push(() => resume(Effect.void))
      })
      return {
        get pid() {
          return current.pid ?? -1
        },
        port,
        serving,
        kill: signalled("SIGKILL"),
        stop: signalled("SIGTERM")
      }
    })
    const entries = () =>
      fs.readdirSync(directory).flatMap((name) =>
        fs.readFileSync(path.join(directory, name), "utf8").split("\n").slice(0, -1).map((line) =>
          JSON.parse(line) as Entry
        )
      ).toSorted((a, b) => a.at - b.at)
    return { start, entries, gone }
  })

/** A run of a handler: from when to when it was at work. */
export interface Run {
  readonly key: string
  readonly of: string
  readonly run: string
  readonly from: number
  readonly to: number
  readonly ended: boolean
}

/** The runs of a ledger. One that no line ends ended with its process. */
export const runsOf = (entries: ReadonlyArray<Entry>, gone: ReadonlyMap<number, number>): Array<Run> => {
  const ends = new Map<string, Entry>()
  for (const entry of entries) {
    if (entry.what === "ended" || entry.what === "stopped") ends.set(entry.run, entry)
  }
  return entries.filter(({ what }) => what === "began").map(({ at, key, of, run }) => {
    const end = ends.get(run)
    const pid = Number(run.split(".")[0])
    return { key, of, run, from: at, to: end?.at ?? gone.get(pid) ?? Infinity, ended: end?.what === "ended" }
  })
}

/** Pairs of runs that were at work on one entity at a time. */
export const overlaps = (runs: ReadonlyArray<Run>): Array<readonly [Run, Run]> => {
  const found: Array<readonly [Run, Run]> = []
  for (const ofOne of Map.groupBy(runs, ({ of }) => of).values()) {
    const sorted = ofOne.toSorted((a, b) => a.from - b.from)
    let last = sorted[0]
    for (const run of sorted.slice(1)) {
      if (run.from < last.to) found.push([last, run])
      if (run.to > last.to) last = run
    }
  }
  return found
}

/** How many keys more than one run has, or more than one that ended. */
export const again = (runs: ReadonlyArray<Run>): { readonly began: number; readonly ended: number } => {
  const all = [...Map.groupBy(runs, ({ key }) => key).values()]
  return {
    began: all.filter((each) => each.length > 1).length,
    ended: all.filter((each) => each.filter((run) => run.ended).length > 1).length
  }
}
