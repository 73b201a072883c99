/**
 * Counters on three runners, each a process of its own: an entity lives on one of them at a time. One runner is killed while
 * messages come; the others take over its entities, and no message is lost or counted twice.
 *
 *   node examples/cluster-counter.ts
 *
 * Prints:
 *   three runners serve 10 counters
 *   a runner is killed after 100 answers
 *   300 answers, from … runners
 *   the counters add up to 300
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Deferred, Effect, Fiber, Layer, Ref, Schema } from "effect"
import { NatsClient, NatsLayer } from "effect-nats"
import { NatsCluster } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import { NatsKeyValueStore } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { ClusterSchema, Entity } from "effect/cluster"
import { KeyValueStore } from "effect/persistence"
import { ChildProcess } from "effect/process"
import { Rpc } from "effect/rpc"
import { fileURLToPath } from "node:url"

/** Stored before it is handled, and once by its key. */
const Add = Rpc.make("Add", {
  payload: { key: Schema.String, amount: Schema.Int },
  primaryKey: ({ key }) => key,
  success: Schema.Struct({ count: Schema.Int, runner: Schema.String })
}).annotate(ClusterSchema.Persisted, true)

const Counter = Entity.make("Counter", [Add])

const Count = Schema.Struct({ count: Schema.Int, last: Schema.String })

/** What a counter has counted outlives its runner: it is in a bucket, with the key of the message that was counted last. */
const counterLayer = (runner: string) =>
  Counter.toLayer(Effect.gen(function*() {
    const { entityId } = yield* Entity.CurrentAddress
    const counts = KeyValueStore.toSchemaStore(yield* KeyValueStore.KeyValueStore, Count)
    return Counter.of({
      // An entity handles one message at a time, so one that comes again after a kill is the last one that was counted.
      Add: Effect.fnUntraced(function*({ payload: { amount, key } }) {
        const stored = yield* counts.get(entityId)
        const before = stored._tag === "Some" ? stored.value : { count: 0, last: "" }
        const count = before.last === key ? before.count : before.count + amount
        yield* counts.set(entityId, { count, last: key })
        return { count, runner }
      }, Effect.orDie)
    })
  }))

const shardingConfig = { shardsPerGroup: 30, shardLockExpiration: "3 seconds" } as const

const nats = (url: string) =>
  Layer.provideMerge(JetStream.layer(), NatsClient.layer({ servers: url, logStatus: false }))

const runner = (url: string, runnerName: string) =>
  counterLayer(runnerName).pipe(
    Layer.provide([
      NatsCluster.layer({ prefix: "example", runnerName, shardingConfig }),
      NatsKeyValueStore.layer({ bucket: "counters" })
    ]),
    Layer.provide(nats(url))
  )

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const start = (name: string) =>
    ChildProcess.make(process.execPath, [fileURLToPath(import.meta.url), server.url, name], { stderr: "inherit" })
  const names = ["runner-1", "runner-2", "runner-3"]
  const runners = yield* Effect.forEach(names, (name) => start(name))

  yield* Effect.gen(function*() {
    const counterOf = yield* Counter.client
    const answered = yield* Ref.make(0)
    const enough = yield* Deferred.make<void>()
    const add = (index: number) =>
      counterOf(`counter-${index % 10}`).Add({ key: `message-${index}`, amount: 1 }).pipe(
        Effect.tap(() =>
          Effect.flatMap(Ref.updateAndGet(answered, (count) => count + 1), (count) =>
            count === 100 ? Deferred.succeed(enough, undefined) : Effect.void)
        )
      )
    const answers = yield* Effect.forkChild(
      Effect.forEach(Array.from({ length: 300 }, (_, index) => index), add, { concurrency: 20 })
    )
    yield* Deferred.await(enough)
    yield* Console.log("three runners serve 10 counters")
    yield* Effect.forkChild(runners[0].kill({ killSignal: "SIGKILL" }))
    yield* Console.log("a runner is killed after 100 answers")
    const all = yield* Fiber.join(answers)
    yield* Console.log(`${all.length} answers, from ${new Set(all.map(({ runner }) => runner)).size} runners`)
    const sum = Array.from(
      { length: 10 },
      (_, counter) => Math.max(...all.filter((_, index) => index % 10 === counter).map(({ count }) => count))
    ).reduce((total, count) => total + count)
    yield* Console.log(`the counters add up to ${sum}`)
  }).pipe(
    Effect.provide(Layer.provide(NatsCluster.layerClientOnly({ prefix: "example", shardingConfig }), nats(server.url)))
  )
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

const [, , url, name] = process.argv
if (url === undefined) NodeRuntime.runMain(program)
else NodeRuntime.runMain(NatsLayer.launch(runner(url, name)))
