/** Effect's own workflow engine on the message storage: signals, queues, children, and code that changes while a run sleeps. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { NatsWorkflows } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import { NatsPersistedQueue } from "effect-nats/persistence"
import { PersistedQueue } from "effect/persistence"
import { Activity, DurableDeferred, DurableQueue, Workflow } from "effect/workflow"
import { until } from "../fixtures/following.ts"
import { Approval, approve, Order, orderOf, prefix, runnerOn, setting, sleep, Steps } from "../fixtures/workflows.ts"

const isSuspended = (executionId: string) =>
  Effect.map(Order.poll(executionId), (result) => Option.isSome(result) && result.value._tag === "Suspended")

const Step = Workflow.make("Step", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  success: Schema.String
})

describe("a signal", () => {
  it.live(
    "that comes right after the start is kept until the run waits for it, and the first one counts",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        const steps = new Steps()
        const runner = yield* runnerOn(js, orderOf(steps))
        const ids = Array.from({ length: 100 }, (_, id) => String(id))
        const results = yield* runner.as(Effect.forEach(ids, (id) =>
          Effect.gen(function*() {
            const payload = { id, sleepMillis: 20 }
            const executionId = yield* Order.execute(payload, { discard: true })
            yield* approve(executionId, `yes, ${id}`)
            yield* approve(executionId, "too late")
            return yield* Order.execute(payload)
          }), { concurrency: 20 }))
        assert.deepStrictEqual(results, ids.map((id) => ["first", "second", `yes, ${id}`, "third"]))
        for (const step of ["first", "second", "third"]) assert.strictEqual(steps.count(step), ids.length)
      }),
    120_000
  )

  it.live(
    "that is kept before a run waits for it is had at once: the run is not suspended for it",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        const bodies: Array<string> = []
        const gates = new Map<string, Deferred.Deferred<void>>()
        const early = Step.toLayer(Effect.fnUntraced(function*({ id }) {
          bodies.push(id)
          yield* Activity.make({ name: "work", execute: Deferred.await(gates.get(id)!) })
          return yield* DurableDeferred.await(Approval)
        }))
        const runner = yield* runnerOn(js, early)
        const ids = Array.from({ length: 100 }, (_, id) => String(id))
        const results = yield* runner.as(Effect.forEach(ids, (id) =>
          Effect.gen(function*() {
            const gate = yield* Deferred.make<void>()
            gates.set(id, gate)
            const executionId = yield* Step.execute({ id }, { discard: true })
            const token = DurableDeferred.tokenFromExecutionId(Approval, { workflow: Step, executionId })
            yield* DurableDeferred.succeed(Approval, { token, value: `yes, ${id}` })
            yield* DurableDeferred.succeed(Approval, { token, value: "another" })
            const history = Effect.provideService(
              NatsWorkflows.history({ prefix, workflow: Step._tag, executionId }),
              JetStream.JetStream,
              js
            )
            const isKept = Effect.map(history, (found) =>
              Option.isSome(found) &&
              found.value.steps.some(({ kind, status }) => kind === "signal" && status === "complete"))
            yield* until(isKept)
            yield* Deferred.succeed(gate, undefined)
            return yield* Step.execute({ id })
          }), { concurrency: 20 }))
        assert.deepStrictEqual(
          results,
          ids.map((id) => `yes, ${id}`)
        )
        // A run that was suspended goes through its body again.
        assert.sameMembers(bodies, ids)
      }),
    120_000
  )

  it.live(
    "that comes before the start is there, too, and one that comes after the end changes nothing",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        const runner = yield* runnerOn(js, orderOf(new Steps()))
        const payload = { id: "a", sleepMillis: 20 }
        const executionId = yield* Order.executionId(payload)
        yield* runner.as(approve(executionId, "early"))
        const result = ["first", "second", "early", "third"]
        assert.deepStrictEqual(yield* runner.as(Order.execute(payload)), result)
        yield* runner.as(approve(executionId, "late"))
        assert.deepStrictEqual(yield* runner.as(Order.execute(payload)), result)
      }),
    60_000
  )
})

describe("a durable queue", () => {
  it.live("answers runs that put one element after the other", () =>
    Effect.gen(function*() {
      const { js } = yield* setting
      const Jobs = DurableQueue.make({
        name: "jobs",
        payload: { id: Schema.String, number: Schema.Int },
        idempotencyKey: ({ id, number }) => `${id} ${number}`,
        success: Schema.Int
      })
      const Sum = Workflow.make("Sum", {
        payload: { id: Schema.String },
        idempotencyKey: ({ id }) => id,
        success: Schema.Int
      })
      const sum = Sum.toLayer(Effect.fnUntraced(function*({ id }) {
        let result = 0
        for (const number of [1, 2, 3, 4]) result += yield* DurableQueue.process(Jobs, { id, number })
        return result
      }))
      let worked = 0
      const worker = DurableQueue.worker(
        Jobs,
        ({ number }) =>
          Effect.sync(() => {
            worked++
            return number
          }),
        { concurrency: 8 }
      )
      const queues = PersistedQueue.layer.pipe(
        Layer.provide(NatsPersistedQueue.layerStore({ prefix: "jobs" })),
        Layer.provide(Layer.succeed(JetStream.JetStream, js))
      )
      const runner = yield* runnerOn(js, Layer.mergeAll(sum, worker).pipe(Layer.provide(queues)))
      const ids = Array.from({ length: 40 }, (_, id) => String(id))
      const sums = yield* runner.as(Effect.forEach(ids, (id) => Sum.execute({ id }), { concurrency: 20 }))
      assert.deepStrictEqual(sums, ids.map(() => 10))
      assert.strictEqual(worked, 160)
    }), 120_000)
})

describe("an interrupted workflow", () => {
  it.live(
    "ends with its children, of which one that was complete keeps its result and a detached one goes on",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        const steps = new Steps()
        const undone: Array<string> = []
        const Child = Workflow.make("Child", {
          payload: { id: Schema.String },
          idempotencyKey: ({ id }) => id,
          success: Schema.String
        })
        const Parent = Workflow.make("Parent", {
          payload: { id: Schema.String },
          idempotencyKey: ({ id }) => id,
          success: Schema.Array(Schema.String)
        })
        const children = Child.toLayer(Effect.fnUntraced(function*({ id }) {
          yield* steps.activity(`began ${id}`).pipe(
            Child.withCompensation(() =>
              Effect.sync(() => {
                undone.push(id)
              })
            )
          )
          if (id === "quick") return id
          if (id === "starting") yield* Child.execute({ id: "grandchild" })
          yield* sleep("long", id === "detached" ? 2_000 : 3_600_000)
          return yield* steps.activity(`went on ${id}`)
        }))
        const parents = Parent.toLayer(Effect.fnUntraced(function*() {
          yield* steps.activity("began parent").pipe(
            Parent.withCompensation(() =>
              Effect.sync(() => {
                undone.push("parent")
              })
            )
          )
          yield* Child.execute({ id: "detached" }, { discard: true, detached: true })
          return yield* Effect.forEach(["quick", "waiting", "starting"], (id) => Child.execute({ id }), {
            concurrency: 3
          })
        }))
        const runner = yield* runnerOn(js, Layer.mergeAll(children, parents))
        const id = yield* runner.as(Parent.execute({ id: "p" }, { discard: true }))
        const began = ["parent", "detached", "quick", "waiting", "starting", "grandchild"]
        yield* until(Effect.sync(() => began.every((of) => steps.count(`began ${of}`) === 1)))
        yield* runner.as(Parent.interrupt(id))
        const ended = yield* runner.as(Effect.exit(Parent.execute({ id: "p" })))
        assert.isTrue(Exit.isFailure(ended) && Cause.hasInterrupts(ended.cause))
        for (const  of of["waiting", "starting", "grandchild"]) {
          const exit = yield* runner.as(Effect.exit(Child.execute({ id: of })))
          assert.isTrue(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause), of)
        }
        assert.strictEqual(yield* runner.as(Child.execute({ id: "quick" })), "quick")
        assert.strictEqual(yield* runner.as(Child.execute({ id: "detached" })), "went on detached")
        assert.sameMembers(undone, ["parent", "waiting", "starting", "grandchild"])
        assert.deepStrictEqual(steps.ran.filter((step) => step.startsWith("went")), ["went on detached"])
        for (const of of began) assert.strictEqual(steps.count(`began ${of}`), 1)
      }),
    60_000
  )
})

describe("code that changes while a run sleeps", () => {
  it.live(
    "finds results by the names of activities alone: one with a new name runs, and none gets another's",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        const steps = new Steps()
        const one = yield* runnerOn(js, orderOf(steps))
        const payload = { id: "a", sleepMillis: 100 }
        const id = yield* one.as(Order.execute(payload, { discard: true }))
        yield* until(one.as(isSuspended(id)))
        yield* until(Effect.sync(() => steps.count("second") === 1))
        yield* until(one.as(isSuspended(id)))
        yield* one.stop
        const changed = Order.toLayer(Effect.fnUntraced(function*() {
          const first = yield* steps.activity("first, renamed")
          yield* sleep("pause", 100)
          const second = yield* steps.activity("second")
          const approved = yield* DurableDeferred.await(Approval)
          const third = yield* steps.activity("third, renamed")
          return [first, second, approved, third]
        }))
        const two = yield* runnerOn(js, changed)
        yield* two.as(approve(id, "yes"))
        const result = yield* two.as(Order.execute(payload))
        assert.deepStrictEqual(result, ["first, renamed", "second", "yes", "third, renamed"])
        assert.deepStrictEqual(steps.ran, ["first", "second", "first, renamed", "third, renamed"])
      }),
    60_000
  )
})

describe("an activity whose result is too large for the server", () => {
  it.live(
    "ends its run soon with an error that names size and limit, and other runs go on",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        let ran = 0
        const layer = Step.toLayer(({ id }) =>
          Activity.make({
            name: "result",
            success: Schema.String,
            execute: Effect.sync(() => {
              if (id === "large") ran++
              return id === "large" ? "x".repeat(2 * 1024 * 1024) : id
            })
          }).pipe(Effect.map((text) => text.slice(0, 10)))
        )
        const runner = yield* runnerOn(js, layer)
        const large = yield* Effect.forkScoped(runner.as(Effect.exit(Step.execute({ id: "large" }))))
        const others = Array.from({ length: 20 }, (_, id) => String(id))
        assert.deepStrictEqual(
          yield* runner.as(Effect.forEach(others, (id) => Step.execute({ id }), { concurrency: 20 })),
          others
        )
        const exit = yield* Fiber.join(large)
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) {
          const text = Cause.pretty(exit.cause)
          assert.match(text, /2097\d{3}/)
          assert.match(text, /1048576/)
        }
        assert.strictEqual(ran, 1)
        assert.deepStrictEqual(yield* runner.as(Step.execute({ id: "after" })), "after")
      }),
    60_000
  )
})
