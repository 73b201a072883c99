/** What a workflow has stored is kept until it ends, and for the retention after that. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Option, Schema, Stream } from "effect"
import { NatsHeaders } from "effect-nats"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import { DurableDeferred, Workflow } from "effect/workflow"
import { clusterStream } from "../../src/cluster/internal/clusterStream.ts"
import { messageStream } from "../../src/cluster/internal/messageStream.ts"
import { messageSubjects } from "../../src/cluster/internal/messageSubjects.ts"
import { intervalOf, makeRetention } from "../../src/cluster/internal/retention.ts"
import { workflowSubjects } from "../../src/cluster/internal/workflowSubjects.ts"
import { until } from "../fixtures/following.ts"
import { approve, Order, orderOf, prefix, runnerOn, setting, Steps, streamName } from "../fixtures/workflows.ts"

const keepMillis = Duration.toMillis("7 days")
const later = keepMillis + Duration.toMillis("1 day")

/** Its time is ahead, and a sleep of a minute or more is over at once. */
const ahead = (millis: number) =>
  Effect.map(Effect.service(Clock.Clock), (clock): Clock.Clock =>
    Object.assign(Object.create(clock), {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
      currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
      sleep: (duration: Duration.Duration) =>
        clock.sleep(Duration.toMillis(duration) >= 60_000 ? Duration.millis(50) : duration)
    }))

/** What one process does, so long after now. */
const roundAfter = (js: JetStream.JetStream, millis: number) => {
  const names = clusterStream({ prefix })
  const stream = messageStream({ js, name: names.name, subjects: messageSubjects(names), isReplicated: () => false })
  const { round } = makeRetention({ stream, workflows: workflowSubjects(names), keepMillis })
  return Effect.flatMap(ahead(millis), (clock) => Effect.provideService(round, Clock.Clock, clock))
}

/** What is stored of messages and replies. What stands for a second in the place of what is gone does not count. */
const stored = (js: JetStream.JetStream) =>
  Stream.runCollect(JetStreamStream.lastPerSubject(streamName, `${prefix}.s.>`)).pipe(
    Effect.map((messages) => messages.filter(({ data }) => data.length > 0)),
    Effect.provideService(JetStream.JetStream, js)
  )

const isSuspended = (executionId: string) =>
  Effect.map(Order.poll(executionId), (result) => Option.isSome(result) && result.value._tag === "Suspended")

/** Waits until nothing is left to be moved. */
const moved = (js: JetStream.JetStream) =>
  until(Effect.map(stored(js), (messages) => messages.every(({ subject }) => !subject.startsWith(`${prefix}.s.i.`))))

describe("the retention of workflows", () => {
  it.live(
    "keeps a run that sleeps for longer than it, which goes on with all that it had stored",
    () =>
      Effect.gen(function*() {
        const { js } = yield* setting
        const steps = new Steps()
        const runner = yield* runnerOn(js, orderOf(steps))
        const payload = { id: "a", sleepMillis: 50 }
        const id = yield* runner.as(Order.execute(payload, { discard: true }))
        yield* until(Effect.sync(() => steps.count("second") === 1))
        yield* until(runner.as(isSuspended(id)))
        yield* moved(js)
        const before = yield* stored(js)
        for (const { headers, subject } of before) {
          assert.isUndefined(NatsHeaders.get(headers, "Nats-TTL"), subject)
        }
        yield* roundAfter(js, later)
        assert.deepStrictEqual(
          (yield* stored(js)).map(({ sequence }) => sequence),
          before.map(({ sequence }) => sequence)
        )
        yield* runner.as(approve(id, "late"))
        assert.deepStrictEqual(yield* runner.as(Order.execute(payload)), ["first", "second", "late", "third"])
        assert.deepStrictEqual(steps.ran, ["first", "second", "third"])
      }),
    60_000
  )

  it.live("removes all of a run after its end, and not before its time", () =>
    Effect.gen(function*() {
      const { js } = yield* setting
      const steps = new Steps()
      const runner = yield* runnerOn(js, orderOf(steps))
      const payloads = [1, 2, 3].map((id) => ({ id: String(id), sleepMillis: 20 }))
      for (const payload of payloads) {
        const run = yield* Effect.forkScoped(runner.as(Order.execute(payload)))
        yield* runner.as(Effect.flatMap(Order.executionId(payload), (id) => approve(id, "yes")))
        yield* Fiber.join(run)
      }
      yield* moved(js)
      const before = yield* stored(js)
      yield* roundAfter(js, keepMillis - 60_000)
      assert.lengthOf(yield* stored(js), before.length)
      // Two processes at once.
      yield* Effect.all([roundAfter(js, later), roundAfter(js, later)], { concurrency: 2 })
      assert.deepStrictEqual((yield* stored(js)).map(({ subject }) => subject), [])
      // It is not known any more, and runs again.
      yield* runner.as(Order.execute(payloads[0]!, { discard: true }))
      yield* until(Effect.sync(() => steps.count("first") === 4))
    }), 60_000)

  it.live("keeps a child that has ended for as long as its parent may ask for it", () =>
    Effect.gen(function*() {
      const { js } = yield* setting
      const ran: Array<string> = []
      const Child = Workflow.make("Child", {
        payload: { of: Schema.String },
        idempotencyKey: (payload) => payload.of,
        success: Schema.String
      })
      const Go = DurableDeferred.make("Go")
      const Parent = Workflow.make("Parent", {
        payload: { id: Schema.String },
        idempotencyKey: ({ id }) => id,
        success: Schema.String
      })
      const children = Child.toLayer(({ of }) =>
        Effect.sync(() => {
          ran.push(of)
          return of
        })
      )
      const parents = Parent.toLayer(Effect.fnUntraced(function*({ id }) {
        const result = yield* Child.execute({ of: id })
        yield* Child.execute({ of: `${id}, detached` }, { discard: true, detached: true })
        yield* DurableDeferred.await(Go)
        return result
      }))
      const runner = yield* runnerOn(js, Layer.mergeAll(children, parents))
      const id = yield* runner.as(Parent.execute({ id: "p" }, { discard: true }))
      yield* until(Effect.sync(() => ran.length === 2))
      yield* until(runner.as(Effect.map(Parent.poll(id), Option.isSome)))
      yield* moved(js)
      const before = (yield* stored(js)).length
      yield* roundAfter(js, later)
      assert.lengthOf(yield* stored(js), before)
      const token = DurableDeferred.tokenFromExecutionId(Go, { workflow: Parent, executionId: id })
      yield* runner.as(DurableDeferred.succeed(Go, { token, value: undefined }))
      assert.strictEqual(yield* runner.as(Parent.execute({ id: "p" })), "p")
      assert.deepStrictEqual(ran, ["p", "p, detached"])
      yield* moved(js)
      // Children that come before their parent in a round go in the next one.
      yield* roundAfter(js, later)
      yield* roundAfter(js, later)
      assert.deepStrictEqual((yield* stored(js)).map(({ subject }) => subject), [])
    }), 60_000)

  it.live("removes a signal that no run ever came for", () =>
    Effect.gen(function*() {
      const { js } = yield* setting
      const runner = yield* runnerOn(js, orderOf(new Steps()))
      yield* runner.as(approve("nobody", "yes"))
      yield* until(Effect.map(stored(js), (all) => all.some(({ subject }) => subject.startsWith(`${prefix}.s.q.`))))
      yield* moved(js)
      yield* roundAfter(js, keepMillis - 60_000)
      assert.lengthOf(yield* stored(js), 2)
      yield* roundAfter(js, later)
      assert.deepStrictEqual((yield* stored(js)).map(({ subject }) => subject), [])
    }), 60_000)

  it.live("is kept by a runner in the background", () =>
    Effect.gen(function*() {
      const { js } = yield* setting
      const steps = new Steps()
      const clock = yield* ahead(later)
      const one = yield* runnerOn(js, orderOf(steps))
      const payload = { id: "a", sleepMillis: 20 }
      const id = yield* one.as(Order.execute(payload, { discard: true }))
      yield* one.as(approve(id, "yes"))
      yield* one.as(Order.execute(payload))
      yield* moved(js)
      yield* one.stop
      yield* Effect.provideService(runnerOn(js, orderOf(steps)), Clock.Clock, clock)
      yield* until(Effect.map(stored(js), (all) => all.length === 0))
    }), 60_000)

  it("looks again after a part of it, from a minute to an hour", () => {
    assert.strictEqual(intervalOf(1_000), 60_000)
    assert.strictEqual(intervalOf(Duration.toMillis("6 hours")), Duration.toMillis("15 minutes"))
    assert.strictEqual(intervalOf(keepMillis), Duration.toMillis("1 hour"))
  })
})
