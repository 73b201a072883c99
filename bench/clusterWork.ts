/**
 * What the runners of the drivers do: an entity with a persisted message, and a workflow. Each step is written to a ledger,
 * a file for each process, whose lines survive the process: they are what the drivers judge by.
 */
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import * as Entity from "effect/cluster/Entity"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import * as DurableClock from "effect/workflow/DurableClock"
import * as DurableDeferred from "effect/workflow/DurableDeferred"
import * as Workflow from "effect/workflow/Workflow"
import * as fs from "node:fs"

/** What happened to a message, or to a step of a workflow. */
export interface Entry {
  readonly what: "began" | "ended" | "stopped" | "passed"
  /** The key of the message, or the workflow. */
  readonly key: string
  /** The entity, or the step. */
  readonly of: string
  /** Tells two runs of one handler apart. */
  readonly run: string
  /** Milliseconds of the machine's monotonic clock, the same in all processes. */
  readonly at: number
}

export const now = (): number => Number(process.hrtime.bigint()) / 1e6

export interface Ledger {
  readonly write: (entry: Omit<Entry, "at">) => void
  readonly nextRun: () => string
}

export const openLedger = (file: string): Ledger => {
  const descriptor = fs.openSync(file, "a")
  let runs = 0
  return {
    // One write for each line, so that a kill leaves whole lines.
    write: (entry) => {
      fs.writeSync(descriptor, `${JSON.stringify({ ...entry, at: now() })}\n`)
    },
    nextRun: () => `${process.pid}.${++runs}`
  }
}

/** Begins a run and tells how it ended. `stopped` is an interruption or a failure. */
const recorded = <A, E, R>(
  ledger: Ledger,
  key: string,
  of: string,
  work: (run: string) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const run = ledger.nextRun()
    ledger.write({ what: "began", key, of, run })
    return Effect.onExit(
      work(run),
      (exit) => Effect.sync(() => ledger.write({ what: Exit.isSuccess(exit) ? "ended" : "stopped", key, of, run }))
    )
  })

const Work = Rpc.make("Work", {
  payload: { key: Schema.String, millis: Schema.Number },
  primaryKey: ({ key }) => key,
  success: Schema.String
}).annotate(ClusterSchema.Persisted, true)

/** Answers each message with the run that handled it. */
export const Worker = Entity.make("Worker", [Work])

export const workerLayer = (ledger: Ledger) =>
  Worker.toLayer(
    Effect.gen(function*() {
      const { entityId } = yield* Entity.CurrentAddress
      return Worker.of({
        Work: ({ payload }) =>
          recorded(
            ledger,
            payload.key,
            entityId,
            (run) => payload.millis === 0 ? Effect.succeed(run) : Effect.as(Effect.sleep(payload.millis), run)
          )
      })
    }),
    { maxIdleTime: "5 minutes" }
  )

export const steps = ["first", "clock", "second", "deferred", "third"] as const

/** Three activities, a clock that is stored however short it is, and something to wait for. Gives the runs of its activities. */
export const Order = Workflow.make("Order", {
  payload: { id: Schema.String, clockMillis: Schema.Number },
  idempotencyKey: ({ id }) => id,
  success: Schema.Array(Schema.String)
})

export const Approval = DurableDeferred.make("Approval", { success: Schema.String })

const activity = (ledger: Ledger, id: string, name: string) =>
  Activity.make({
    name,
    success: Schema.String,
    execute: recorded(ledger, id, name, (run) => Effect.as(Effect.sleep(50), run))
  })

export const orderLayer = (ledger: Ledger) =>
  Order.toLayer(Effect.fnUntraced(function*({ clockMillis, id }) {
    const passed = (of: string, run: string): void => ledger.write({ what: "passed", key: id, of, run })
    const first = yield* activity(ledger, id, "first")
    passed("first", first)
    yield* DurableClock.sleep({ name: "clock", duration: clockMillis, inMemoryThreshold: 0 })
    passed("clock", "")
    const second = yield* activity(ledger, id, "second")
    passed("second", second)
    const approved = yield* DurableDeferred.await(Approval)
    passed("deferred", approved)
    const third = yield* activity(ledger, id, "third")
    passed("third", third)
    return [first, second, third]
  }))
