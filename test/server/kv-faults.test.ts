/** What a bucket's watches and writers see while the server goes away and comes back. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, Ref, Stream } from "effect"
import { KeyValue } from "effect-nats/jetstream"
import { on, rawBucket, withBucket } from "../fixtures/keyValue.ts"

it.live(
  "a watch through a restart and a kill gives every revision once and in order, and a view is the current one again",
  () =>
    Effect.gen(function*() {
      const { js, nats, server } = yield* withBucket()
      yield* rawBucket(nats, "kept", { storage: "file", max_msgs_per_subject: 64 })
      const kv = yield* on(js, KeyValue.open("kept"))
      const seen: Array<number> = []
      let markers = 0
      const done = yield* Deferred.make<void>()
      yield* kv.put("k.0", "first")
      const watch = yield* Effect.forkChild(
        kv.watch("k.>", { history: true }).pipe(
          Stream.takeUntil((event) => event._tag === "Entry" && event.key === "k.end"),
          Stream.runForEach((event) =>
            Effect.sync(() => {
              if (event._tag === "InitialDone") markers++
              else seen.push(event.revision)
            })
          )
        )
      )
      const view = yield* KeyValue.view(kv)
      yield* view.ready
      const writing = yield* Ref.make(true)
      const written: Array<number> = []
      const writer = yield* Effect.forkChild(Effect.gen(function*() {
        for (let n = 0; yield* Ref.get(writing); n++) {
          const revision = yield* Effect.result(kv.put(`k.${n % 16}`, String(n)))
          if (revision._tag === "Success") written.push(revision.success)
          yield* Effect.sleep("1 millis")
        }
      }))
      const more = (count: number) =>
        Effect.gen(function*() {
          const wanted = written.length + count
          while (written.length < wanted) yield* Effect.sleep("5 millis")
        })
      yield* more(50)
      yield* server.restart
      yield* more(50)
      yield* server.kill
      yield* server.restart
      yield* more(50)
      yield* Ref.set(writing, false)
      yield* Fiber.join(writer)
      const last = yield* kv.put("k.end", "end")
      yield* Effect.timeout(Fiber.join(watch), "12 seconds")
      yield* Deferred.succeed(done, undefined)

      assert.strictEqual(markers, 1)
      assert.deepStrictEqual(seen, seen.toSorted((a, b) => a - b))
      assert.strictEqual(new Set(seen).size, seen.length)
      // What was stored and not answered is seen, too.
      const all = new Set(seen)
      assert.deepStrictEqual(written.filter((revision) => !all.has(revision)), [])
      assert.strictEqual(seen.at(-1), last)
      while (Option.isNone(yield* view.get("k.end"))) yield* Effect.sleep("10 millis")
      for (const [key, { revision }] of yield* view.entries) {
        assert.strictEqual(revision, Option.getOrThrow(yield* kv.get(key)).revision)
      }
    }),
  30_000
)

it.live(
  "five writers that compare and swap through a restart lose no update, and revisions never go back",
  () =>
    Effect.gen(function*() {
      const { js, nats, server } = yield* withBucket()
      yield* rawBucket(nats, "kept", { storage: "file" })
      const kv = yield* on(js, KeyValue.open("kept"))
      const counted = new Map<string, { sure: number; unclear: number; last: number }>()
      const add = (key: string) =>
        Effect.gen(function*() {
          const count = counted.get(key)!
          const result = yield* Effect.result(
            kv.modify(
              key,
              (current) => String(Option.isSome(current) ? Number(Buffer.from(current.value.value).toString()) + 1 : 1)
            )
          )
          if (result._tag === "Success") {
            assert.isAbove(result.success, 0)
            count.sure++
            count.last = Math.max(count.last, result.success)
          } else if (result.failure._tag === "PublishOutcomeUnknown") {
            count.unclear++
          } else {assert.include(
              ["NotPublished", "NoStreamForSubject", "ConnectionLost", "JetStreamUnavailable"],
              result.failure._tag
            )}
        })
      const names = Array.from({ length: 5 }, (_, n) => `counter.${n}`)
      for (const name of names) counted.set(name, { sure: 0, unclear: 0, last: 0 })
      const writers = yield* Effect.forkChild(
        Effect.forEach(
          names,
          () => Effect.forEach(Array.from({ length: 60 }, (_, n) => n), (n) => add(names[n % names.length])),
          {
            concurrency: "unbounded"
          }
        )
      )
      yield* Effect.sleep("30 millis")
      yield* server.restart
      yield* Fiber.join(writers)
      for (const [key, { last, sure, unclear }] of counted) {
        const entry = Option.getOrThrow(yield* kv.get(key, { consistent: true }))
        const value = Number(Buffer.from(entry.value).toString())
        assert.isAtLeast(value, sure)
        assert.isAtMost(value, sure + unclear)
        assert.isAtLeast(entry.revision, last)
      }
    }),
  20_000
)
