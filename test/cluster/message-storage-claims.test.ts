/** What was read is given to one reader once: also where a read has several pages, of which one fails or is disturbed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch } from "effect"
import { NatsError } from "effect-nats"
import { withJetStream } from "../fixtures/jetStream.ts"
import { partsOn } from "../fixtures/messageParts.ts"
import { addressOf, idsIn, requestOf, shard, storageOn } from "../fixtures/messageStorage.ts"

const one = [shard(1).toString()]
const idsOf = (given: ReadonlyArray<{ readonly envelope: unknown }>) => idsIn(given as never)

/** Three requests of the first shard, and a reader with one message on each page. `onPage` comes before a page is given. */
const reading = (onPage: (page: number) => Effect.Effect<void, NatsError.RequestTimedOut>) =>
  Effect.gen(function*() {
    const { js } = yield* withJetStream()
    const storage = yield* storageOn(js)
    for (const id of [1, 2, 3]) yield* storage.saveRequest(requestOf({ payload: { id } }))
    let pages = 0
    const parts = yield* partsOn(js, (stream) => ({
      page: (pattern, from) => Effect.flatMap(stream.page(pattern, from, 1), (page) => Effect.as(onPage(++pages), page))
    }))
    return { ...parts, storage }
  })

describe("a read of several pages", () => {
  it.live("loses nothing when another shard is reset in the middle of it", () =>
    Effect.gen(function*() {
      const { reader } = yield* reading((page) =>
        Effect.sync(() => {
          if (page === 3) reader.resetShards([shard(2).toString()])
        })
      )
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0)), [1, 2, 3])
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0)), [])
    }))

  it.live("gives what was given back in the middle of it once, and keeps to its limit", () =>
    Effect.gen(function*() {
      const { reader, storage } = yield* reading((page) =>
        Effect.sync(() => {
          if (page === 2) reader.resetAddresses([addressOf("other")])
          if (page === 4) reader.resetShards(one)
        })
      )
      yield* storage.saveRequest(requestOf({ payload: { id: 4 }, address: addressOf("other") }))
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0, { limit: 3 })), [1, 2, 3])
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0)), [4])
    }))

  it.live("that fails gives back what it has claimed", () =>
    Effect.gen(function*() {
      const away = new NatsError.RequestTimedOut({ subject: "$JS.API", timeoutMillis: 1 })
      const { reader } = yield* reading((page) => page === 3 ? Effect.fail(away) : Effect.void)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(reader.read(one, 0))))
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0)), [1, 2, 3])
    }))

  it.live("that is interrupted gives back what it has claimed", () =>
    Effect.gen(function*() {
      const reached = yield* Latch.make()
      const { reader } = yield* reading((page) => page === 3 ? Effect.andThen(reached.open, Effect.never) : Effect.void)
      const fiber = yield* Effect.forkChild(reader.read(one, 0))
      yield* reached.await
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0)), [1, 2, 3])
    }))
})
