/**
 * Configuration from a bucket, always current and in memory: a value is read without asking anybody, and each change is seen.
 *
 *   node examples/config-view.ts
 *
 * Prints:
 *   limits at the start: {"perMinute":10}
 *   Deletion of limits.trial
 *   Entry of limits.free
 *   limits now: {"perMinute":20}
 *   a value that does not fit is left out, and the one before it stays: {"perMinute":20}
 *   the bucket is gone: BucketNotFound
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Layer, Option, Schema, Stream } from "effect"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

const Limits = Schema.Struct({ perMinute: Schema.Int })

const program = Effect.gen(function*() {
  // The operator's side: whoever may change the configuration.
  const raw = yield* KeyValue.provision("config", { history: 5 })
  const operator = yield* KeyValue.schema("config", Limits)
  yield* operator.put("limits.free", { perMinute: 10 })
  yield* operator.put("limits.trial", { perMinute: 1 })

  // The service's side.
  const config = yield* KeyValue.view(yield* KeyValue.schema("config", Limits), {
    filter: "limits.>",
    onInvalid: "skip"
  })
  yield* config.ready
  const free = Effect.map(
    config.get("limits.free"),
    (entry) => JSON.stringify(Option.isSome(entry) ? entry.value.value : "default")
  )
  yield* Console.log(`limits at the start: ${yield* free}`)

  const changes = yield* Effect.forkChild(
    Stream.runForEach(Stream.take(config.changes, 2), (change) => Console.log(`${change._tag} of ${change.key}`)),
    { startImmediately: true }
  )
  yield* operator.delete("limits.trial")
  yield* operator.put("limits.free", { perMinute: 20 })
  yield* Fiber.join(changes)
  yield* Console.log(`limits now: ${yield* free}`)

  yield* raw.put("limits.free", "twenty")
  // What comes behind it has been seen, so that it has been, too.
  const more = yield* Effect.forkChild(Stream.runHead(config.changes), { startImmediately: true })
  yield* operator.put("limits.gold", { perMinute: 1000 })
  yield* Fiber.join(more)
  yield* Console.log(`a value that does not fit is left out, and the one before it stays: ${yield* free}`)

  yield* KeyValue.deleteBucket("config")
  const over = yield* Effect.flip(Stream.runDrain(config.changes))
  yield* Console.log(`the bucket is gone: ${over._tag}`)
}).pipe(Effect.scoped)

program.pipe(
  Effect.provide(Layer.provide(JetStream.layer(), TestNatsServer.layerClient({ jetstream: true }))),
  NodeRuntime.runMain
)
