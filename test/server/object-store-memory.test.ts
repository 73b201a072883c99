/** What an object takes of memory while it goes through: the same, however large it is. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { withJetStream } from "../fixtures/jetStream.ts"
import { living } from "../fixtures/living.ts"
import { bytesOf, makeStore } from "../fixtures/objects.ts"

const MiB = 1024 * 1024

const memory = Effect.sync(() => living().all / MiB)

it.live("an object of 40 MiB is put and read in the memory that its window takes", () =>
  Effect.gen(function*() {
    const { js } = yield* withJetStream()
    const store = yield* makeStore(js, "files", { storage: "file" })
    const before = yield* memory
    let most = 0
    let passed = 0
    const look = (bytes: Uint8Array) => {
      const at = Math.floor(passed / (10 * MiB))
      passed += bytes.length
      return Math.floor(passed / (10 * MiB)) === at
        ? Effect.void
        : Effect.map(memory, (now) => void (most = Math.max(most, now - before)))
    }
    const piece = bytesOf(MiB)
    // Each piece is one of its own, as a file gives them.
    const source = Stream.range(1, 40).pipe(Stream.rechunk(1), Stream.map(() => piece.slice()), Stream.tap(look))
    const { size } = yield* store.put("large", source)
    assert.strictEqual(size, 40 * MiB)
    assert.isBelow(most, 20)

    most = passed = 0
    yield* Stream.runDrain(Stream.tap(store.get("large"), look))
    assert.strictEqual(passed, size)
    assert.isBelow(most, 20)
  }))

it.live("a put asks for no more than is on its way, by bytes and by chunks, and goes on when the server answers", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    for (const { bound, chunkSize } of [{ bound: 64, chunkSize: 1024 }, { bound: 32, chunkSize: 128 * 1024 }]) {
      let asked = 0
      const source = Stream.range(1, 100).pipe(
        Stream.rechunk(1),
        Stream.map(() => (asked++, bytesOf(chunkSize)))
      )
      yield* server.pause
      const putting = yield* Effect.forkChild(store.put("report", source, { chunkSize }))
      yield* Effect.repeat(Effect.yieldNow, { until: () => asked >= bound })
      // That no more is asked for is what is looked at.
      yield* Effect.sleep("100 millis")
      assert.isAtMost(asked, bound + 1)
      yield* server.resume
      assert.strictEqual((yield* Fiber.join(putting)).chunks, 100)
    }
  }))
