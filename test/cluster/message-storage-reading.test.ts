/** What is read of what is not processed: limits, entities, delays, and how much of the stream a read costs. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect } from "effect"
import type { TestNatsServer } from "effect-nats/testing"
import { TestClock } from "effect/testing"
import { makeDelays } from "../../src/cluster/internal/messageDelays.ts"
import { rawApi } from "../fixtures/jetStream.ts"
import {
  addressOf,
  anotherStorage,
  Delayed,
  exitOf,
  idsIn,
  interruptOf,
  Keyed,
  Later,
  requestOf,
  shard,
  storageOn,
  streamName,
  withStorage
} from "../fixtures/messageStorage.ts"

/** A storage with a client of its own, and what it has sent and received since it was asked last. */
const counted = (server: TestNatsServer.TestNatsServer) =>
  Effect.gen(function*() {
    const { nats, storage } = yield* anotherStorage(server)
    let last = yield* nats.stats
    const since = Effect.map(nats.stats, (now) => {
      const sent = now.messagesOut - last.messagesOut
      const received = now.messagesIn - last.messagesIn
      last = now
      return { sent, received }
    })
    return { storage, since }
  })

describe("a read", () => {
  it.live("gives no more than its limit, and claims only what it gives", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      for (const id of [1, 2, 3, 4, 5]) yield* storage.saveRequest(requestOf({ payload: { id } }))
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)], { limit: 0 })), [])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)], { limit: 3 })), [1, 2, 3])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [4, 5])
    }))

  it.live("of some entities leaves the others where they are, and looks at their shards", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      for (const id of [1, 2, 3, 4]) {
        yield* storage.saveRequest(requestOf({ payload: { id }, address: addressOf(String(id)) }))
      }
      yield* storage.saveRequest(requestOf({ payload: { id: 5 }, address: addressOf("2", 2) }))
      const some = { addresses: [addressOf("2"), addressOf("4")] }
      const both = [shard(1), shard(2)]
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages(both, { ...some, limit: 1 })), [2])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages(both, some)), [4])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)], { addresses: [] })), [])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(2)])), [5])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages(both)), [1, 3])
    }))

  it.live("of a shard that was not asked for before gives what was passed by", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      for (const id of [1, 2]) yield* storage.saveRequest(requestOf({ payload: { id }, address: addressOf("1", id) }))
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [1])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1), shard(2)])), [2])
    }))

  it.live("by id gives what is not processed and due, claimed or not, and claims nothing", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const [one, two, done] = [requestOf({ payload: { id: 1 } }), requestOf({ payload: { id: 2 } }), requestOf()]
      for (const request of [one, two, done]) yield* storage.saveRequest(request)
      yield* storage.saveReply(exitOf(done))
      yield* storage.unprocessedMessages([shard(1)], { limit: 1 })
      const ids = [two, done, one].map(({ envelope }) => envelope.requestId)
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessagesById(ids)), [1, 2])
      assert.deepStrictEqual(idsIn(yield* (yield* storageOn(js)).unprocessedMessagesById(ids)), [1, 2])
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [2])
    }))

  it.live("tidies up interrupts of what is processed, and those of nobody are read once", () =>
    Effect.gen(function*() {
      const { js, nats, storage } = yield* withStorage
      const [done, unknown] = [requestOf(), requestOf()]
      yield* storage.saveRequest(done)
      yield* storage.saveReply(exitOf(done))
      yield* storage.saveEnvelope(interruptOf(done))
      yield* storage.saveEnvelope(interruptOf(unknown))
      const other = yield* storageOn(js)
      assert.deepStrictEqual(idsIn(yield* other.unprocessedMessages([shard(1)])), ["Interrupt"])
      assert.lengthOf(yield* other.unprocessedMessages([shard(1)]), 0)
      const left = Effect.map(
        rawApi(nats, `STREAM.INFO.${streamName}`, { subjects_filter: "cluster.s.i.>" }),
        ({ state }) => Object.keys(state.subjects ?? {}).length
      )
      while ((yield* left) > 1) yield* Effect.sleep("10 millis")
    }))

  it.live("of what cannot be decoded answers with a defect, and the others are read", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const [bad, good] = [requestOf(), requestOf({ payload: { id: 2 } })]
      const id = bad.envelope.requestId
      const envelope = {
        _tag: "Request",
        requestId: String(id),
        address: { shardId: { group: "default", id: 1 }, entityType: "test", entityId: "1" },
        tag: 7
      }
      yield* js.publish(`cluster.s.i.test.1.=.${id}.default=003a1.r`, JSON.stringify({ envelope, deliverAt: null }))
      yield* js.publish("cluster.s.i.test.1.=.5.default=003a1.r", "this is no JSON")
      yield* storage.saveRequest(good)
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [2])
      const replies = Effect.map(storage.repliesForUnfiltered([id]), (found) => found.length)
      while ((yield* replies) === 0) yield* Effect.sleep("10 millis")
    }))
})

const later = (id: number, at: number) =>
  requestOf({ rpc: Delayed, payload: new Later({ id, at: DateTime.makeUnsafe(at) }) })

describe("a request that is to be delivered later", () => {
  it.effect("is read when it is due by Effect's clock, in the order in which it was saved", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const read = Effect.map(storage.unprocessedMessages([shard(1)]), idsIn)
      for (const [id, at] of [[1, 2_000], [2, 1_000], [3, 3_000]] as const) yield* storage.saveRequest(later(id, at))
      yield* storage.saveRequest(requestOf({ payload: { id: 4 } }))
      assert.deepStrictEqual(yield* read, [4])
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(yield* read, [])
      yield* TestClock.adjust(1_001)
      assert.deepStrictEqual(yield* read, [1, 2])
      assert.deepStrictEqual(yield* read, [])
      const other = yield* storageOn(js)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* read, [3])
      assert.deepStrictEqual(idsIn(yield* other.unprocessedMessages([shard(1)])), [1, 2, 3, 4])
    }))

  it.effect("is given back by a reset, and not before it is due", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      const read = Effect.map(storage.unprocessedMessages([shard(1)]), idsIn)
      yield* storage.saveRequest(later(1, 1_000))
      assert.deepStrictEqual(yield* read, [])
      yield* storage.resetShards([shard(1)])
      assert.deepStrictEqual(yield* read, [])
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* read, [1])
      yield* storage.resetAddress(addressOf())
      assert.deepStrictEqual(yield* read, [1])
    }))

  it("of more than are remembered those that are due last are forgotten, and read again when one of them is due", () => {
    const delays = makeDelays(2)
    const at = (sequence: number, time: number) => ({
      sequence,
      at: time,
      subject: "",
      entity: "",
      request: "",
      shard: "",
      kind: "r"
    })
    for (const [sequence, time] of [[1, 10], [2, 40], [3, 30], [4, 20]] as const) delays.add(at(sequence, time))
    assert.deepStrictEqual(delays.due(10).map(({ sequence }) => sequence), [1])
    assert.isUndefined(delays.forgotten(29))
    assert.deepStrictEqual(delays.due(20).map(({ sequence }) => sequence), [1, 4])
    delays.remove(1)
    assert.deepStrictEqual(delays.due(20).map(({ sequence }) => sequence), [4])
    assert.strictEqual(delays.forgotten(30), 2)
    assert.isUndefined(delays.forgotten(1_000))
    delays.remove(4)
    delays.add(at(5, 50))
    assert.deepStrictEqual(delays.due(49), [])
    assert.deepStrictEqual(delays.due(50).map(({ sequence }) => sequence), [5])
  })
})

describe("what a read costs", () => {
  it.live("is one request where nothing is new, however much is processed", () =>
    Effect.gen(function*() {
      const { server, storage } = yield* withStorage
      const requests = Array.from({ length: 2_000 }, (_, i) =>
        requestOf({ rpc: Keyed, payload: { key: String(i), value: i }, address: addressOf(String(i % 100)) }))
      yield* Effect.forEach(requests, storage.saveRequest, { concurrency: 256, discard: true })
      const { storage: runner } = yield* counted(server)
      const read = yield* runner.unprocessedMessages([shard(1)])
      assert.lengthOf(read, requests.length)
      yield* Effect.forEach(requests, (request) =>
        runner.saveReply(exitOf(request)), { concurrency: 256, discard: true })
      const other = yield* counted(server)
      // Entries of which the move is still to come are read, and moved.
      while ((yield* other.storage.unprocessedMessages([shard(1)])).length > 0) yield* Effect.sleep("10 millis")
      const settled = Effect.gen(function*() {
        yield* other.since
        yield* other.storage.resetShards([shard(1)])
        yield* other.storage.unprocessedMessages([shard(1)])
        return yield* other.since
      })
      while ((yield* settled).received > 1) yield* Effect.sleep("100 millis")
      for (let i = 0; i < 3; i++) {
        yield* other.storage.unprocessedMessages([shard(1)])
        assert.deepStrictEqual(yield* other.since, { sent: 1, received: 1 })
      }
    }), 180_000)

  it.live(
    "is no more than the limit of a backlog of 50,000, and the entities that live already are not starved",
    () =>
      Effect.gen(function*() {
        const { server, storage } = yield* withStorage
        const count = 50_000
        yield* Effect.forEach(
          Array.from({ length: count }, (_, id) => requestOf({ payload: { id }, address: addressOf(String(id)) })),
          storage.saveRequest,
          { concurrency: 512, discard: true }
        )
        const { since, storage: runner } = yield* counted(server)
        const limit = 500
        for (const round of [0, 1, 2]) {
          const read = yield* runner.unprocessedMessages([shard(1)], { limit })
          assert.deepStrictEqual(idsIn(read), Array.from({ length: limit }, (_, i) => round * limit + i))
          const { received, sent } = yield* since
          // The messages, the ends of their batches, and the answers to what asks for their replies.
          assert.isAtMost(received, limit + 20)
          assert.isAtMost(sent, 20)
        }
        // What is behind the cursor and at its end is read for who lives already.
        yield* runner.resetAddress(addressOf("3"))
        const living = [addressOf("3"), addressOf(String(count - 1))]
        yield* since
        const read = yield* runner.unprocessedMessages([shard(1)], { limit, addresses: living })
        assert.deepStrictEqual(idsIn(read), [3, count - 1])
        assert.isAtMost((yield* since).received, 10)
        // A thousand of them are asked for at once.
        const thousand = Array.from({ length: 1_000 }, (_, i) => addressOf(String(2_000 + i)))
        const many = yield* runner.unprocessedMessages([shard(1)], { limit, addresses: thousand })
        assert.lengthOf(many, limit)
        assert.lengthOf(yield* runner.unprocessedMessages([shard(1)], { addresses: thousand }), limit)
      }),
    120_000
  )

  it.live("of an entity that lives is a part of what it has, and the others that live have their turn", () =>
    Effect.gen(function*() {
      const { server, storage } = yield* withStorage
      const numbers = Array.from({ length: 5_000 }, (_, id) => id)
      yield* Effect.forEach(
        numbers,
        (id) => storage.saveRequest(requestOf({ payload: { id }, address: addressOf() })),
        {
          concurrency: 512,
          discard: true
        }
      )
      const { since, storage: runner } = yield* counted(server)
      const [limit, other] = [100, addressOf("2")]
      const addresses = [addressOf(), other]
      const read = Effect.map(runner.unprocessedMessages([shard(1)], { limit, addresses }), idsIn)
      yield* storage.saveRequest(requestOf({ payload: { id: -1 }, address: other }))
      yield* since
      const first = yield* read
      assert.lengthOf(first, limit)
      // A part, the replies to what is in it, and what ends them.
      assert.isAtMost((yield* since).received, 1_024 + limit)
      assert.include([...first, ...(yield* read)], -1)
    }))
})
