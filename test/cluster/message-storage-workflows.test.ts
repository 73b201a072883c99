/** Effect's workflow engine, as it is, on the message storage: activities, clocks and deferreds, before and after a restart. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { NatsMessageStorage } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import {
  ClusterSchema,
  ClusterWorkflowEngine,
  Entity,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"
import { Rpc, RpcSchema } from "effect/rpc"
import { Activity, DurableClock, DurableDeferred, Workflow } from "effect/workflow"
import { until } from "../fixtures/following.ts"
import { withJetStream } from "../fixtures/jetStream.ts"
import { prefix } from "../fixtures/messageStorage.ts"

/** A runner that is alone, as a process would have it. */
const runner = (js: JetStream.JetStream) =>
  Sharding.layer.pipe(
    Layer.provideMerge(Runners.layerNoop),
    Layer.provideMerge(NatsMessageStorage.layer({ prefix })),
    Layer.provide([RunnerStorage.layerMemory, RunnerHealth.layerNoop]),
    Layer.provide(ShardingConfig.layer({
      shardsPerGroup: 16,
      entityTerminationTimeout: 0,
      entityMessagePollInterval: 200,
      sendRetryInterval: 50,
      refreshAssignmentsInterval: 0
    })),
    Layer.provide(Layer.succeed(JetStream.JetStream, js))
  )

const Approved = DurableDeferred.make("approved", { success: Schema.String })

const Order = Workflow.make("Order", {
  payload: { id: Schema.String },
  success: Schema.Array(Schema.String),
  idempotencyKey: ({ id }) => id
})

/** A process with the workflow, that counts what its activities do. */
const processWith = (js: JetStream.JetStream, ran: Array<string>) =>
  Order.toLayer(Effect.fnUntraced(function*({ id }) {
    const step = (name: string) =>
      Activity.make({
        name,
        success: Schema.String,
        execute: Effect.sync(() => {
          ran.push(`${name} ${id}`)
          return name
        })
      })
    const first = yield* step("reserve")
    yield* DurableClock.sleep({ name: "wait", duration: "300 millis", inMemoryThreshold: 0 })
    const second = yield* step("pay")
    const approval = yield* DurableDeferred.await(Approved)
    const third = yield* step("ship")
    return [first, second, approval, third]
  })).pipe(
    Layer.provideMerge(ClusterWorkflowEngine.layer),
    Layer.provideMerge(runner(js))
  )

const result = ["reserve", "pay", "yes", "ship"]

describe("a workflow", () => {
  it.live("runs its activities once, over a durable clock and a deferred", () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      const ran: Array<string> = []
      yield* Effect.gen(function*() {
        const running = yield* Effect.forkChild(Order.execute({ id: "1" }), { startImmediately: true })
        yield* until(Effect.sync(() => ran.includes("pay 1")))
        const token = yield* DurableDeferred.tokenFromPayload(Approved, { workflow: Order, payload: { id: "1" } })
        yield* DurableDeferred.succeed(Approved, { token, value: "yes" })
        assert.deepStrictEqual(yield* Fiber.join(running), result)
        assert.deepStrictEqual(yield* Order.execute({ id: "1" }), result)
      }).pipe(Effect.provide(processWith(js, ran)))
      assert.deepStrictEqual(ran, ["reserve 1", "pay 1", "ship 1"])
    }))

  it.live("goes on in another process where the first one ended, and no stored activity runs again", () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      const [before, after]: [Array<string>, Array<string>] = [[], []]
      const ids = ["1", "2", "3"]
      yield* Effect.gen(function*() {
        yield* Effect.forEach(ids, (id) => Order.execute({ id }, { discard: true }))
        // Its clock runs out while no process is there.
        yield* until(Effect.sync(() => before.length === ids.length))
      }).pipe(Effect.provide(processWith(js, before)))
      yield* Effect.gen(function*() {
        for (const id of ids) {
          const token = yield* DurableDeferred.tokenFromPayload(Approved, { workflow: Order, payload: { id } })
          yield* DurableDeferred.succeed(Approved, { token, value: "yes" })
        }
        const results = yield* Effect.forEach(ids, (id) => Order.execute({ id }), { concurrency: "unbounded" })
        assert.deepStrictEqual(results, ids.map(() => result))
      }).pipe(Effect.provide(processWith(js, after)))
      assert.sameMembers(before, ids.map((id) => `reserve ${id}`))
      assert.sameMembers(after, ids.flatMap((id) => [`pay ${id}`, `ship ${id}`]))
    }))
})

const Talker = Entity.make("Talker", [
  Rpc.make("Say", { payload: { id: Schema.Finite, size: Schema.Finite }, success: Schema.String }),
  Rpc.make("Stream", {
    payload: { sizes: Schema.Array(Schema.Finite) },
    success: RpcSchema.Stream(Schema.String, Schema.Never)
  })
]).annotateRpcs(ClusterSchema.Persisted, true)

const talking = Talker.toLayer({
  Say: ({ payload }) => Effect.succeed("x".repeat(payload.size)),
  Stream: ({ payload }) =>
    Stream.fromIterable(payload.sizes).pipe(Stream.map((size) => "y".repeat(size)), Stream.rechunk(1))
})

const failureOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "a success"

describe("an entity", () => {
  it.live("whose reply is too large is not asked again: its caller gets one defect, and others their replies", () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      yield* Effect.gen(function*() {
        const client = yield* Talker.client
        const large = yield* Effect.exit(client("1").Say({ id: 1, size: 2 * 1024 * 1024 }))
        assert.match(failureOf(large), /limit of 1048576/)
        assert.strictEqual(yield* client("1").Say({ id: 2, size: 1 }), "x")
        assert.strictEqual(yield* client("2").Say({ id: 3, size: 1 }), "x")
      }).pipe(Effect.provide(Layer.provideMerge(talking, runner(js))))
    }))

  it.live("streams chunk by chunk, and a chunk that is too large ends the stream with one defect", () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      yield* Effect.gen(function*() {
        const client = yield* Talker.client
        const chunks = yield* Stream.runCollect(client("1").Stream({ sizes: [1, 2, 3] }))
        assert.deepStrictEqual([...chunks], ["y", "yy", "yyy"])
        const broken = yield* Effect.exit(Stream.runCollect(client("1").Stream({ sizes: [1, 2 * 1024 * 1024, 3] })))
        assert.match(failureOf(broken), /limit of 1048576/)
        assert.strictEqual(yield* client("1").Say({ id: 2, size: 1 }), "x")
      }).pipe(Effect.provide(Layer.provideMerge(talking, runner(js))))
    }))
})
