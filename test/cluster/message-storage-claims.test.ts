/** What was read is given to one reader once: also where a read has several pages, of which one fails or is disturbed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch } from "effect"
import { NatsError, NatsHeaders } from "effect-nats"
import { type JetStream, JetStreamStream } from "effect-nats/jetstream"
import { clusterStream } from "../../src/cluster/internal/clusterStream.ts"
import { ShardLocks } from "../../src/cluster/internal/shardLocks.ts"
import { withJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { partsOn } from "../fixtures/messageParts.ts"
import {
  acknowledgementOf,
  addressOf,
  chunkOf,
  exitOf,
  idsIn,
  interruptOf,
  prefix,
  requestOf,
  shard,
  storageOn,
  Streaming
} from "../fixtures/messageStorage.ts"

const names = clusterStream({ prefix })
const fenceSubject = names.stored("f", "1")

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

describe("what was replied to a request", () => {
  it.live.each([
    { of: "that came while this process is sure to have the shard", isSure: true, isLater: true, asked: 0 },
    { of: "that came before it had the shard", isSure: true, isLater: false, asked: 3 },
    { of: "of a shard that another can have by now", isSure: false, isLater: true, asked: 3 }
  ])("is looked for at the first read: $of, $asked times", ({ asked, isLater, isSure }) =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      const storage = yield* storageOn(js)
      const early = isLater ? yield* fenceOn(js) : undefined
      const save = (id: number) => storage.saveRequest(requestOf({ payload: { id } }))
      for (const id of [1, 2, 3]) yield* save(id)
      const fence = early ?? (yield* fenceOn(js))
      const looked: Array<string> = []
      const { reader } = yield* partsOn(
        js,
        (stream) => ({
          freshReplies: (requests) => {
            looked.push(...requests)
            return stream.freshReplies(requests)
          }
        }),
        { fence, isSure }
      )
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0)), [1, 2, 3])
      assert.lengthOf(looked, asked)
      // What is read again may have been replied to.
      reader.resetShards(one)
      yield* save(4)
      assert.deepStrictEqual(idsOf(yield* reader.read(one, 0)), [1, 2, 3, 4])
      assert.lengthOf(looked, asked + (isSure ? 3 : 4))
    }))
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

const setting = Effect.gen(function*() {
  const { js } = yield* withJetStream()
  return { js, storage: yield* storageOn(js), request: requestOf({ rpc: Streaming, payload: { key: "a" } }) }
})

describe("an acknowledgement", () => {
  it.live("that is late takes nothing back: what came after it stays acknowledged", () =>
    Effect.gen(function*() {
      const { js, request, storage } = yield* setting
      yield* storage.saveRequest(request)
      const [first, second] = [chunkOf(request, 0), chunkOf(request, 1)]
      for (const chunk of [first, second]) {
        yield* storage.saveReply(chunk)
        yield* storage.saveEnvelope(acknowledgementOf(request, chunk))
      }
      assert.lengthOf(yield* storage.repliesFor([request]), 0)
      // Of another caller of the same key.
      yield* storage.saveEnvelope(acknowledgementOf(request, first))
      assert.lengthOf(yield* storage.repliesFor([request]), 0)
      const other = yield* storageOn(js)
      assert.lengthOf(yield* other.unprocessedMessages([shard(1)]), 2)
      yield* storage.saveReply(chunkOf(request, 2))
      yield* storage.saveEnvelope(acknowledgementOf(request, second))
      assert.lengthOf(yield* storage.repliesFor([request]), 1)
    }))

  it.live("lives as long as the chunk, whatever is kept where it was saved", () =>
    Effect.gen(function*() {
      const { js, request, storage } = yield* setting
      const client = yield* storageOn(js, { retention: "forever" })
      yield* client.saveRequest(request)
      const chunk = chunkOf(request, 0)
      yield* storage.saveReply(chunk)
      yield* client.saveEnvelope(acknowledgementOf(request, chunk))
      const headersOf = (subject: string) =>
        Effect.map(
          on(js, JetStreamStream.get(names.name, { last: subject })),
          ({ headers }) => NatsHeaders.get(headers, "Nats-TTL")
        )
      const id = String(request.envelope.requestId)
      const ttl = yield* headersOf(names.stored("a", id))
      assert.isDefined(ttl)
      assert.strictEqual(ttl, yield* headersOf(names.stored("r", id, "0")))
    }))

  it.live("lets out the interrupts that were hidden behind the chunk", () =>
    Effect.gen(function*() {
      const { request, storage } = yield* setting
      const read = Effect.map(storage.unprocessedMessages([shard(1)]), idsIn)
      yield* storage.saveRequest(request)
      assert.lengthOf(yield* read, 1)
      const chunk = chunkOf(request, 0)
      yield* storage.saveReply(chunk)
      yield* storage.saveEnvelope(interruptOf(request))
      assert.deepStrictEqual(yield* read, [])
      yield* storage.saveEnvelope(acknowledgementOf(request, chunk))
      assert.deepStrictEqual(yield* read, ["Interrupt", "AckChunk"])
      assert.deepStrictEqual(yield* read, [])
    }))

  it.live("lets out no interrupt of a run that was cleared", () =>
    Effect.gen(function*() {
      const { request, storage } = yield* setting
      const read = Effect.map(storage.unprocessedMessages([shard(1)]), idsIn)
      yield* storage.saveRequest(request)
      yield* storage.saveReply(chunkOf(request, 0))
      yield* storage.saveEnvelope(interruptOf(request))
      assert.deepStrictEqual(yield* read, [])
      yield* storage.clearReplies(request.envelope.requestId)
      assert.lengthOf(yield* read, 1)
      const chunk = chunkOf(request, 0)
      yield* storage.saveReply(chunk)
      yield* storage.saveEnvelope(acknowledgementOf(request, chunk))
      assert.deepStrictEqual(yield* read, ["AckChunk"])
    }))
})

/** The fence of a process that has the shard. */
const fenceOn = (js: JetStream.JetStream) =>
  Effect.map(js.publish(fenceSubject, "owner"), ({ sequence }) => ({ subject: fenceSubject, sequence }))

const cases = [{ locks: "with locks" }, { locks: "without locks" }]

describe("a reply", () => {
  it.live.each(cases)(
    "of a run that was cleared before its end is not taken for that of the run, $locks",
    ({ locks }) =>
      Effect.gen(function*() {
        const { js, request, storage: client } = yield* setting
        const fence = locks === "with locks" ? yield* fenceOn(js) : undefined
        const storage = yield* Effect.provideService(storageOn(js), ShardLocks, {
          fenceOf: () => fence,
          isSureOf: () => true
        })
        yield* client.saveRequest(request)
        const run = Effect.gen(function*() {
          assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 1)
          const chunk = chunkOf(request, 0)
          yield* storage.saveReply(chunk)
          return String(chunk.reply.id)
        })
        yield* run
        yield* storage.clearReplies(request.envelope.requestId)
        const id = yield* run
        assert.deepStrictEqual((yield* client.repliesFor([request])).map((reply) => String(reply.id)), [id])
      })
  )

  it.live.each(cases)(
    "whose answer was lost is tried under another id, and is the one that is stored, $locks",
    ({ locks }) =>
      Effect.gen(function*() {
        const { js, request, storage: client } = yield* setting
        const fence = locks === "with locks" ? yield* fenceOn(js) : undefined
        yield* client.saveRequest(request)
        let isLost = false
        const { reader, writer } = yield* partsOn(js, (stream) => ({
          write: (subject, value, options) =>
            Effect.flatMap(stream.write(subject, value, options), (ack) =>
              isLost
                ? Effect.fail(new NatsError.RequestTimedOut({ subject, timeoutMillis: 1 })) as never
                : Effect.succeed(ack))
        }), { fence })
        assert.lengthOf(yield* reader.read(one, 0), 1)
        const requestId = String(request.envelope.requestId)
        for (const id of ["1", "2"]) {
          isLost = id === "1"
          const saved = yield* Effect.exit(
            writer.saveReply({ _tag: "Chunk", id, requestId, sequence: 0, values: ["a"] })
          )
          assert.strictEqual(saved._tag, id === "1" ? "Failure" : "Success")
        }
        for (const id of ["3", "4"]) {
          isLost = id === "3"
          const exit = { _tag: "Success", value: undefined } as const
          const saved = yield* Effect.exit(writer.saveReply({ _tag: "WithExit", id, requestId, exit }))
          assert.strictEqual(saved._tag, id === "3" ? "Failure" : "Success")
        }
        const stored = yield* client.repliesForUnfiltered([request.envelope.requestId])
        assert.deepStrictEqual(stored.map(({ id }) => id), ["1", "3"])
        // It is processed for the reader, too.
        reader.resetShards(one)
        assert.lengthOf(yield* reader.read(one, 0), 0)
      })
  )

  it.live("that comes while a run that has none is cleared stays", () =>
    Effect.gen(function*() {
      const { js, request, storage } = yield* setting
      const { requestId } = request.envelope
      yield* storage.saveRequest(request)
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 1)
      const late = yield* partsOn(js, (stream) => ({
        write: (subject, value, options) =>
          Effect.andThen(Effect.orDie(storage.saveReply(exitOf(request))), stream.write(subject, value, options))
      }))
      yield* late.writer.clearReplies(String(requestId), undefined)
      assert.lengthOf(yield* storage.repliesForUnfiltered([requestId]), 1)
      assert.lengthOf(yield* (yield* storageOn(js)).unprocessedMessages([shard(1)]), 0)
    }))

  it.live("of the run after the one that was cleared stays, where the clearing is done again as its answer was lost", () =>
    Effect.gen(function*() {
      const { js, request, storage } = yield* setting
      const { requestId } = request.envelope
      yield* storage.saveRequest(request)
      yield* storage.saveReply(exitOf(request, 1))
      const next = exitOf(request, 2)
      const { writer } = yield* partsOn(js, (stream) => ({
        writeAll: (messages) =>
          Effect.andThen(
            stream.writeAll(messages),
            Effect.andThen(
              Effect.orDie(storage.saveReply(next)),
              Effect.fail(new NatsError.RequestTimedOut({ subject: "", timeoutMillis: 1 }))
            )
          ) as never
      }))
      const clearing = writer.clearReplies(String(requestId), undefined)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(clearing)))
      yield* clearing
      const stored = yield* storage.repliesForUnfiltered([requestId])
      assert.deepStrictEqual(stored.map(({ id }) => id), [String(next.reply.id)])
    }))

  it.live("that is cleared takes its interrupts with it, also where the clearing is done again", () =>
    Effect.gen(function*() {
      const { js, request, storage } = yield* setting
      const { requestId } = request.envelope
      yield* storage.saveRequest(request)
      yield* storage.saveReply(exitOf(request))
      yield* storage.saveEnvelope(interruptOf(request))
      let isLost = true
      const { writer } = yield* partsOn(js, (stream) => ({
        writeAll: (messages) =>
          Effect.tap(stream.writeAll(messages), () =>
            isLost
              ? Effect.fail(new NatsError.RequestTimedOut({ subject: "", timeoutMillis: 1 })) as never
              : Effect.void)
      }))
      const clearing = writer.clearReplies(String(requestId), undefined)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(clearing)))
      isLost = false
      yield* clearing
      const read = yield* (yield* storageOn(js)).unprocessedMessages([shard(1)])
      assert.deepStrictEqual(read.map(({ _tag }) => _tag), ["IncomingRequest"])
    }))
})
