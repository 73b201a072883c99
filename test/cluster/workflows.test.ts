/** What an operator sees of workflows, with JetStream alone. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { NatsWorkflows } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import { Activity, Workflow } from "effect/workflow"
import { until } from "../fixtures/following.ts"
import { connectJetStream } from "../fixtures/jetStream.ts"
import { approve, Order, orderOf, prefix, runnerOn, setting, Steps } from "../fixtures/workflows.ts"

const Job = Workflow.make("Job: with a long name, ".repeat(8), {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  success: Schema.String,
  error: Schema.String
})

const Careful = Workflow.make("Careful", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  error: Schema.String,
  annotations: Context.make(Workflow.SuspendOnFailure, true)
})

const jobs = Job.toLayer(Effect.fnUntraced(function*({ id }) {
  if (id === "hangs") return yield* Effect.never
  yield* Activity.make({ name: "try", error: Schema.String, execute: id === "fails" ? Effect.fail("no") : Effect.void })
  if (id === "parent") yield* Order.execute({ id: "child", sleepMillis: 10 })
  return id
}))

const careful = Careful.toLayer(() => Effect.fail("not yet"))

/** Another process, which knows no workflow. */
const operator = Effect.gen(function*() {
  const { js, server } = yield* setting
  const steps = new Steps()
  const runner = yield* runnerOn(js, Layer.mergeAll(orderOf(steps), jobs, careful))
  const other = yield* connectJetStream(server)
  const ask = <A, E>(effect: Effect.Effect<A, E, JetStream.JetStream>) =>
    Effect.provideService(effect, JetStream.JetStream, other.js)
  const list = (options: Partial<NatsWorkflows.ListOptions> = {}) =>
    ask(Stream.runCollect(NatsWorkflows.list({ prefix, ...options })))
  const history = (workflow: string, executionId: string, payload = false) =>
    ask(NatsWorkflows.history({ prefix, workflow, executionId, payload }))
  return { runner, steps, list, history, ask }
})

describe("the list of executions", () => {
  it.live(
    "tells each with its status, in the order of their starts, and what users put in only where it is asked for",
    () =>
      Effect.gen(function*() {
        const { list, runner } = yield* operator
        const before = Date.now()
        const done = yield* runner.as(Order.execute({ id: "done", sleepMillis: 10 }, { discard: true }))
        yield* runner.as(approve(done, "yes"))
        yield* runner.as(Order.execute({ id: "done", sleepMillis: 10 }))
        const waits = yield* runner.as(Order.execute({ id: "waits", sleepMillis: 3_600_000 }, { discard: true }))
        const fails = yield* runner.as(Job.execute({ id: "fails" }, { discard: true }))
        yield* runner.as(Effect.exit(Job.execute({ id: "fails" })))
        const stopped = yield* runner.as(Order.execute({ id: "stopped", sleepMillis: 3_600_000 }, { discard: true }))
        yield* runner.as(Order.interrupt(stopped))
        yield* runner.as(Effect.exit(Order.execute({ id: "stopped", sleepMillis: 3_600_000 })))
        const hangs = yield* runner.as(Job.execute({ id: "hangs" }, { discard: true }))
        const resumes = yield* runner.as(Careful.execute({ id: "resumes" }, { discard: true }))
        yield* until(Effect.map(list({ status: "suspended" }), ({ length }) => length === 2))
        const all = yield* list()
        assert.deepStrictEqual(all.map(({ executionId, status, workflow }) => [workflow, executionId, status]), [
          ["Order", done, "complete"],
          ["Order", waits, "suspended"],
          [Job._tag, fails, "failed"],
          ["Order", stopped, "interrupted"],
          [Job._tag, hangs, "running"],
          ["Careful", resumes, "suspended"]
        ])
        for (const execution of all) {
          assert.isAtLeast(execution.startedMillis, before)
          assert.strictEqual(execution.awaitsResume, execution.executionId === resumes)
          const isAtEnd = ["complete", "failed", "interrupted"].includes(execution.status)
          assert.strictEqual(execution.endedMillis !== undefined, isAtEnd)
          assert.notProperty(execution, "payload")
          assert.notProperty(execution, "exit")
        }
        const idsOf = (executions: ReadonlyArray<NatsWorkflows.Execution>) =>
          executions.map(({ executionId }) => executionId)
        assert.deepStrictEqual(idsOf(yield* list({ workflow: Job._tag })), [fails, hangs])
        assert.deepStrictEqual(idsOf(yield* list({ status: ["failed", "interrupted"] })), [fails, stopped])
        const [shown] = yield* list({ status: "complete", payload: true })
        assert.deepInclude(shown, {
          payload: { id: "done", sleepMillis: 10 },
          exit: { _tag: "Success", value: ["first", "second", "yes", "third"] }
        })
      }),
    60_000
  )

  it.live("has more than one page", () =>
    Effect.gen(function*() {
      const { list, runner } = yield* operator
      const ids = Array.from({ length: 300 }, (_, id) => String(id))
      const started = yield* runner.as(
        Effect.forEach(ids, (id) => Order.execute({ id, sleepMillis: 3_600_000 }, { discard: true }), {
          concurrency: 50
        })
      )
      assert.sameMembers((yield* list()).map(({ executionId }) => executionId), started)
    }), 60_000)

  it.live("of a cluster that is not there fails with the name of its stream", () =>
    Effect.gen(function*() {
      const { ask } = yield* operator
      const error = yield* Effect.flip(ask(Stream.runCollect(NatsWorkflows.list({ prefix: "nobody" }))))
      assert.deepInclude(error, { _tag: "StreamNotFound", stream: "CLUSTER_nobody" })
    }))
})

describe("the history of an execution", () => {
  it.live("tells activities, clocks and signals in the order in which they began", () =>
    Effect.gen(function*() {
      const { history, runner } = yield* operator
      const payload = { id: "a", sleepMillis: 200 }
      const id = yield* runner.as(Order.execute(payload, { discard: true }))
      const sleeping = yield* history("Order", id).pipe(
        Effect.repeat({ until: (found) => Option.isSome(found) && found.value.steps.length === 2 })
      )
      const [, clock] = Option.getOrThrow(sleeping).steps
      assert.deepInclude(clock, { kind: "clock", name: "pause", status: "pending" })
      assert.isAtLeast(clock!.wakeUpMillis! - clock!.startedMillis, 190)
      yield* until(Effect.map(history("Order", id), (found) => Option.getOrThrow(found).steps.length === 3))
      yield* runner.as(approve(id, "yes"))
      yield* runner.as(Order.execute(payload))
      // A signal is answered when it has woken its run, which can have ended by then.
      yield* until(
        Effect.map(history("Order", id), (found) =>
          Option.getOrThrow(found).steps.every((step) => step.status !== "pending"))
      )
      const { steps, ...execution } = Option.getOrThrow(yield* history("Order", id))
      assert.deepInclude(execution, { workflow: "Order", executionId: id, status: "complete", parent: undefined })
      assert.deepStrictEqual(steps.map(({ attempt, kind, name, status }) => [kind, name, attempt, status]), [
        ["activity", "first", 1, "complete"],
        ["clock", "pause", undefined, "complete"],
        ["activity", "second", 1, "complete"],
        ["signal", "Approval", undefined, "complete"],
        ["activity", "third", 1, "complete"]
      ])
      for (const step of steps) {
        assert.isDefined(step.endedMillis)
        assert.notProperty(step, "exit")
      }
      const shown = Option.getOrThrow(yield* history("Order", id, true))
      assert.deepStrictEqual(shown.payload, payload)
      assert.deepStrictEqual(shown.steps[0]?.exit, { _tag: "Success", value: "first" })
      assert.deepStrictEqual(shown.steps[3]?.exit, { _tag: "Success", value: "yes" })
      assert.isTrue(Option.isNone(yield* history("Order", "nobody")))
    }), 60_000)

  it.live("tells a failure, an interrupt, a child that woke it, and whose child it is", () =>
    Effect.gen(function*() {
      const { history, runner } = yield* operator
      const fails = yield* runner.as(Job.execute({ id: "fails" }, { discard: true }))
      yield* runner.as(Effect.exit(Job.execute({ id: "fails" })))
      const failed = Option.getOrThrow(yield* history(Job._tag, fails))
      assert.strictEqual(failed.status, "failed")
      assert.deepInclude(failed.steps[0], { kind: "activity", name: "try", status: "failed" })
      const parent = yield* runner.as(Job.execute({ id: "parent" }, { discard: true }))
      const child = yield* Order.executionId({ id: "child", sleepMillis: 10 })
      yield* runner.as(approve(child, "yes"))
      yield* runner.as(Job.execute({ id: "parent" }))
      const ofParent = Option.getOrThrow(yield* history(Job._tag, parent))
      assert.deepStrictEqual(ofParent.steps.map(({ kind, name }) => [kind, name]), [
        ["activity", "try"],
        ["child", child]
      ])
      const ofChild = Option.getOrThrow(yield* history("Order", child))
      assert.deepStrictEqual(ofChild.parent, { workflow: Job._tag, executionId: parent, detached: false })
      const payload = { id: "stopped", sleepMillis: 3_600_000 }
      const stopped = yield* runner.as(Order.execute(payload, { discard: true }))
      yield* runner.as(Order.interrupt(stopped))
      yield* runner.as(Effect.exit(Order.execute(payload)))
      const ofStopped = Option.getOrThrow(yield* history("Order", stopped))
      assert.strictEqual(ofStopped.status, "interrupted")
      assert.include(ofStopped.steps.map(({ kind }) => kind), "interrupt")
    }), 60_000)

  it.live("tells a sleep as one that was over before an interrupt removed it", () =>
    Effect.gen(function*() {
      const { history, runner } = yield* operator
      const payload = { id: "slept", sleepMillis: 10 }
      const slept = yield* runner.as(Order.execute(payload, { discard: true }))
      yield* until(Effect.map(history("Order", slept), (found) => {
        const { steps } = Option.getOrThrow(found)
        return steps.length === 3 && steps.every(({ status }) => status === "complete")
      }))
      yield* runner.as(Order.interrupt(slept))
      yield* runner.as(Effect.exit(Order.execute(payload)))
      const { steps } = Option.getOrThrow(yield* history("Order", slept))
      assert.deepStrictEqual(steps.map(({ kind, name, status }) => [kind, name, status]), [
        ["activity", "first", "complete"],
        ["clock", "pause", "complete"],
        ["activity", "second", "complete"],
        ["interrupt", "Workflow/InterruptSignal", "complete"]
      ])
    }), 60_000)
})
