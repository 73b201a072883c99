/** The message storage keeps what effect's interface promises: requests, replies, claims and primary keys. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { NatsClient } from "effect-nats"
import { until } from "../fixtures/following.ts"
import { rawApi } from "../fixtures/jetStream.ts"
import {
  acknowledgementOf,
  addressOf,
  chunkOf,
  exitOf,
  idsIn,
  interruptOf,
  Keyed,
  requestOf,
  shard,
  storageOn,
  Streaming,
  streamName,
  withStorage
} from "../fixtures/messageStorage.ts"

/** Waits until what is processed is no entry any more. */
const moved = (nats: NatsClient.NatsClient) =>
  until(
    Effect.map(
      rawApi(nats, `STREAM.INFO.${streamName}`, { subjects_filter: "cluster.s.i.>" }),
      ({ state }) => Object.keys(state.subjects ?? {}).length === 0
    )
  )

describe("requests", () => {
  it.live("a request that is saved is read once, in the order in which they were saved", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      for (const id of [1, 2, 3]) {
        assert.strictEqual((yield* storage.saveRequest(requestOf({ payload: { id } })))._tag, "Success")
      }
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [1, 2, 3])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [])
      yield* storage.saveRequest(requestOf({ payload: { id: 4 } }))
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [4])
    }))

  it.live("a request with an exit is not read any more, and its caller gets the exit", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const request = requestOf()
      yield* storage.saveRequest(request)
      assert.lengthOf(yield* storage.repliesFor([request]), 0)
      yield* storage.saveReply(exitOf(request, "done"))
      const other = yield* storageOn(js)
      const replies = yield* other.repliesFor([request])
      assert.lengthOf(replies, 1)
      assert.strictEqual(replies[0]?._tag, "WithExit")
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [])
      assert.deepStrictEqual(idsIn(yield* other.unprocessedMessages([shard(1)])), [])
    }))

  it.live("a primary key is one request, before and after it is processed", () =>
    Effect.gen(function*() {
      const { nats, storage } = yield* withStorage
      const keyed = () => requestOf({ rpc: Keyed, payload: { key: "a", value: 1 } })
      const first = keyed()
      const id = Option.some(first.envelope.requestId)
      const find = storage.requestIdForPrimaryKey({ address: addressOf(), tag: "Keyed", id: "a" })
      assert.deepStrictEqual(yield* find, Option.none())
      assert.strictEqual((yield* storage.saveRequest(first))._tag, "Success")
      assert.deepStrictEqual(yield* find, id)
      const again = yield* storage.saveRequest(keyed())
      assert.deepInclude({ ...again }, { _tag: "Duplicate", originalId: first.envelope.requestId })
      yield* storage.saveReply(exitOf(first, "done"))
      yield* moved(nats)
      const late = yield* storage.saveRequest(keyed())
      assert.isTrue(late._tag === "Duplicate" && Option.isSome(late.lastReceivedReply))
      assert.deepStrictEqual(yield* find, id)
    }))

  it.live("chunks that nobody acknowledged hide a request, and an interrupt is read with it", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const request = requestOf({ rpc: Streaming, payload: { key: "a" } })
      yield* storage.saveRequest(request)
      yield* storage.unprocessedMessages([shard(1)])
      const chunk = chunkOf(request, 0)
      yield* storage.saveReply(chunk)
      const other = yield* storageOn(js)
      assert.lengthOf(yield* other.unprocessedMessages([shard(1)]), 0)
      assert.lengthOf(yield* other.repliesFor([request]), 1)
      yield* other.saveEnvelope(acknowledgementOf(request, chunk))
      yield* other.saveEnvelope(interruptOf(request))
      assert.lengthOf(yield* other.repliesFor([request]), 0)
      assert.lengthOf(yield* other.repliesForUnfiltered([request.envelope.requestId]), 1)
      const read = yield* other.unprocessedMessages([shard(1)])
      assert.deepStrictEqual(read.map(({ envelope }) => envelope._tag), ["Request", "AckChunk", "Interrupt"])
      const [first] = read
      assert.isTrue(first?._tag === "IncomingRequest" && Option.isSome(first.lastSentReply))
    }))
})
