/** What programs without types can pass: it fails and says what is wrong, and nothing is written, purged or overwritten. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option, Stream } from "effect"
import { JetStreamStream, KeyValue, ObjectStore } from "effect-nats/jetstream"
import { rawStream } from "../fixtures/jetStream.ts"
import { on, withBucket } from "../fixtures/keyValue.ts"

const any = (value: unknown): never => value as never
const numbers = [null, NaN, -1, 1.5, Infinity, 5n, "1", Symbol("s"), {}].map(any)
const strange = [null, 5, Symbol("s"), Object.create(null), "\ud800"].map(any)

/** The tag of a failure, or the sentence of a defect of ours; never one from inside. */
const ended = <A, E>(effect: () => Effect.Effect<A, E>): Effect.Effect<string> =>
  Effect.map(Effect.exit(Effect.timeoutOption(Effect.suspend(effect), "2 seconds")), (exit) => {
    if (Exit.isSuccess(exit)) return Option.isNone(exit.value as never) ? "it hangs" : "it succeeds"
    const error = Cause.squash(exit.cause) as { readonly _tag?: string; readonly message?: string }
    return error._tag ?? String(error.message)
  })

it.live("what came without types is told, and nothing is purged, overwritten or stored by it", () =>
  Effect.gen(function*() {
    const { js, kv, nats } = yield* withBucket()
    yield* rawStream(nats, "ORDERS")
    const store = yield* on(js, ObjectStore.create("files", { storage: "memory" }))
    const revision = yield* kv.put("a", "1")
    for (let i = 0; i < 3; i++) yield* js.publish("orders.a", "x")
    const told = (effect: () => Effect.Effect<unknown, unknown>, words: string) =>
      Effect.map(ended(effect), (said) => assert.include(said, words))

    for (const value of numbers) {
      const none = value === null ? [] : [value]
      yield* told(() => on(js, JetStreamStream.purge("ORDERS", { keep: value })), "`keep` is ")
      yield* told(() => on(js, JetStreamStream.purge("ORDERS", { upTo: value })), "`upTo` is ")
      yield* told(() => on(js, JetStreamStream.deleteMessage("ORDERS", value)), "`sequence` is ")
      yield* told(() => on(js, JetStreamStream.get("ORDERS", { sequence: value })), "`sequence` is ")
      yield* told(() => kv.update("a", "2", value), "`revision` is ")
      yield* told(() => kv.get("a", { revision: value }), "`revision` is ")
      yield* told(() => Stream.runDrain(kv.watch("a", { from: value })), "`from` is ")
      yield* told(() => Stream.runDrain(js.publishAll(Stream.empty, { inFlight: any(value ?? 0) })), "`inFlight` is ")
      for (const each of none) yield* told(() => kv.modify("a", () => "2", { times: each }), "`times` is ")
    }
    yield* told(() => kv.update("a", "2", any(undefined)), "`revision` is undefined")
    yield* told(() => kv.put("a", any(undefined)), "InvalidPayload")
    yield* told(() => kv.modify("a", () => any(undefined)), "InvalidPayload")
    for (const value of strange) {
      yield* told(() => on(js, JetStreamStream.info(value)), "InvalidName")
      yield* told(() => on(js, KeyValue.open(value)), "InvalidName")
      yield* told(() => on(js, ObjectStore.open(value)), "InvalidName")
      yield* told(() => kv.get(value), "InvalidKey")
      yield* told(() => Stream.runDrain(kv.keys(value)), "InvalidKey")
      yield* told(() => store.info(value), "InvalidObjectName")
      yield* told(() => on(js, JetStreamStream.provision([value])), "this is no definition")
      yield* told(() => js.batch(value), "a batch is an array of at least one message")
    }
    yield* told(() => js.batch(any([null])), "a message must be an object")
    yield* told(() => Stream.runDrain(js.publishAll(Stream.make(any(null)))), "a message must be an object")
    yield* told(() => on(js, JetStreamStream.get("ORDERS", any({}))), "a message is named by")
    yield* told(() => on(js, JetStreamStream.provision([], { apply: any("lossly") })), "`apply` is \"lossly\"")
    yield* told(() => store.put("x", any(5)), "an object is put as text")

    assert.strictEqual((yield* on(js, JetStreamStream.info("ORDERS"))).state.messages, 3)
    const entry = Option.getOrThrow(yield* kv.get("a"))
    assert.deepStrictEqual([entry.revision, Buffer.from(entry.value).toString()], [revision, "1"])
    assert.deepStrictEqual(yield* Stream.runCollect(store.list()), [])
  }))

it.live("a purge up to the first sequence, or to none, purges nothing on any server", () =>
  Effect.gen(function*() {
    const { js, kv, nats } = yield* withBucket()
    yield* rawStream(nats, "ORDERS")
    for (let i = 0; i < 3; i++) yield* js.publish("orders.a", "x")
    const purged = (options: JetStreamStream.PurgeOptions) => on(js, JetStreamStream.purge("ORDERS", options))
    assert.deepStrictEqual(
      [yield* purged({ upTo: 0 }), yield* purged({ upTo: 1, filter: "orders.a" }), yield* purged({ upTo: 2 })],
      [0, 0, 1]
    )
    assert.strictEqual((yield* Effect.flip(on(js, JetStreamStream.purge("NONE", { upTo: 0 }))))._tag, "StreamNotFound")
    // A young mark of the first revision stays, also before 2.10.
    yield* kv.delete("gone")
    assert.strictEqual(yield* kv.purgeDeletes(), 0)
    assert.strictEqual((yield* KeyValue.status("test").pipe((effect) => on(js, effect))).values, 1)
  }))
