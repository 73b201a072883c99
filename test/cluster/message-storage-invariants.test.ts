/**
 * What must hold when several things happen to one message: resets and reads, moves and resumes, replies of who has lost a
 * shard. Between two steps of the storage a test does what another process would do.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Metric } from "effect"
import { NatsClient, NatsMetrics } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { clusterStream } from "../../src/cluster/internal/clusterStream.ts"
import { ShardLocks } from "../../src/cluster/internal/shardLocks.ts"
import { until } from "../fixtures/following.ts"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"
import { partsOn } from "../fixtures/messageParts.ts"
import {
  exitOf,
  idsIn,
  Keyed,
  prefix,
  requestOf,
  shard,
  storageOn,
  streamName,
  withStorage
} from "../fixtures/messageStorage.ts"

const names = clusterStream({ prefix })

const one = [shard(1).toString()]
const idsOf = (given: ReadonlyArray<{ readonly envelope: unknown }>) => idsIn(given as never)

describe("a reset", () => {
  it.live("wins over a read under way: what was reset is given out afterwards, and what was read is not lost", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      for (const id of [1, 2, 3]) yield* storage.saveRequest(requestOf({ payload: { id } }))
      let pages = 0
      const parts = yield* partsOn(js, (stream) => ({
        page: (pattern, from, limit) =>
          Effect.tap(stream.page(pattern, from, limit), () =>
            Effect.sync(() => {
              pages++
              if (pages === 2) parts.reader.resetShards(one)
            }))
      }))
      assert.deepStrictEqual(idsOf(yield* parts.reader.read(one, 0, { limit: 1 })), [1])
      // The reset comes while the second page is read: the first request is free again, and comes first.
      assert.deepStrictEqual(idsOf(yield* parts.reader.read(one, 0, { limit: 2 })), [1, 2])
      assert.deepStrictEqual(idsOf(yield* parts.reader.read(one, 0, {})), [3])
    }))

  it.live("gives back what was claimed: of a shard, of an entity, of a request", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      const requests = [1, 2, 3].map((id) => requestOf({ payload: { id } }))
      for (const request of requests) yield* storage.saveRequest(request)
      const read = Effect.map(storage.unprocessedMessages([shard(1)]), idsIn)
      assert.deepStrictEqual(yield* read, [1, 2, 3])
      assert.deepStrictEqual(yield* read, [])
      yield* storage.resetRequests([requests[1]!.envelope.requestId])
      assert.deepStrictEqual(yield* read, [2])
      yield* storage.resetAddress(requests[0]!.envelope.address)
      assert.deepStrictEqual(yield* read, [1, 2, 3])
      yield* storage.resetShards([shard(2)])
      assert.deepStrictEqual(yield* read, [])
      yield* storage.resetShards([shard(1)])
      assert.deepStrictEqual(yield* read, [1, 2, 3])
    }))
})

describe("the move of what is processed", () => {
  it.live("deletes by the sequence before the exit: what a resume has put back meanwhile stays", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const request = requestOf({ rpc: Keyed, payload: { key: "run", value: 1 } })
      const { requestId } = request.envelope
      yield* storage.saveRequest(request)
      let resumed = false
      const parts = yield* partsOn(js, (stream) => ({
        remove: (sequence) =>
          Effect.suspend(() => {
            const resume = resumed ? Effect.void : Effect.orDie(storage.clearReplies(requestId))
            resumed = true
            return Effect.andThen(resume, stream.remove(sequence))
          })
      }))
      assert.lengthOf(yield* parts.reader.read(one, 0), 1)
      const exit = exitOf(request)
      yield* parts.writer.saveReply({
        _tag: "WithExit",
        id: String(exit.reply.id),
        requestId: String(requestId),
        exit: { _tag: "Success", value: 1 }
      })
      yield* until(Effect.sync(() => resumed && parts.reader.claims.of(String(requestId)) === undefined))
      const other = yield* storageOn(js)
      const [again] = yield* other.unprocessedMessages([shard(1)])
      assert.strictEqual(again?.envelope.requestId, requestId)
      assert.lengthOf(yield* other.repliesForUnfiltered([requestId]), 0)
      // And here, too: it is another entry than the one that was claimed.
      assert.lengthOf(yield* parts.reader.read(one, 0), 1)
    }))

  it.live("is done by the next reader where it was not done", () =>
    Effect.gen(function*() {
      const { js, nats, storage } = yield* withStorage
      const request = requestOf({ rpc: Keyed, payload: { key: "a", value: 1 } })
      yield* storage.saveRequest(request)
      const parts = yield* partsOn(js, () => ({ remove: () => Effect.never, writeBytes: () => Effect.never }))
      yield* parts.reader.read(one, 0)
      yield* parts.writer.saveReply({
        _tag: "WithExit",
        id: "7",
        requestId: String(request.envelope.requestId),
        exit: { _tag: "Success", value: 1 }
      })
      const subjectsOf = (filter: string) =>
        Effect.map(
          rawApi(nats, `STREAM.INFO.${streamName}`, { subjects_filter: filter }),
          ({ state }) => Object.keys(state.subjects ?? {})
        )
      assert.lengthOf(yield* subjectsOf("cluster.s.i.>"), 1)
      assert.lengthOf(yield* subjectsOf("cluster.s.q.>"), 0)
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 0)
      while ((yield* subjectsOf("cluster.s.i.>")).length > 0) yield* Effect.sleep("10 millis")
      assert.lengthOf(yield* subjectsOf("cluster.s.q.>"), 1)
      assert.strictEqual(
        (yield* storage.saveRequest(requestOf({ rpc: Keyed, payload: { key: "a", value: 2 } })))._tag,
        "Duplicate"
      )
    }))
})

/** JetStream whose direct gets are answered by a replica that has nothing yet: an empty stream in its place. */
const behind = (nats: NatsClient.NatsClient) =>
  Effect.gen(function*() {
    yield* rawStream(nats, "EMPTY", { subjects: ["empty"], allow_direct: true })
    const elsewhere = (subject: string) =>
      subject === `$JS.API.DIRECT.GET.${streamName}` ? "$JS.API.DIRECT.GET.EMPTY" : subject
    const copy: NatsClient.NatsClient = {
      ...nats,
      request: (subject, ...rest) => nats.request(elsewhere(subject), ...rest),
      requestMany: (subject, ...rest) => nats.requestMany(elsewhere(subject), ...rest)
    }
    return yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, copy)
  })

describe("a replica that is behind", () => {
  it.live("hides neither what is new nor what is processed: the leader is asked", () =>
    Effect.gen(function*() {
      const { nats, storage } = yield* withStorage
      const [done, open] = [requestOf(), requestOf({ payload: { id: 2 } })]
      const entry = yield* partsOn(yield* behind(nats), () => ({}), { isReplicated: true })
      yield* storage.saveRequest(done)
      yield* storage.saveRequest(open)
      const ids = [done, open].map(({ envelope }) => String(envelope.requestId))
      assert.lengthOf(yield* entry.reader.byId(ids, 0), 2)
      yield* storage.saveReply(exitOf(done))
      assert.deepStrictEqual(idsOf(yield* entry.reader.byId(ids, 0)), [2])
      assert.deepStrictEqual(idsOf(yield* entry.reader.read(one, 0)), [2])
      assert.deepStrictEqual(idsOf(yield* entry.reader.read(one, 0)), [])
      assert.strictEqual((yield* entry.stream.freshReplies(ids)).size, 1)
      const stale = yield* partsOn(yield* behind(nats))
      assert.deepStrictEqual(idsOf(yield* stale.reader.read(one, 0)), [])
    }))
})

describe("an exit", () => {
  it.live("that is older than the entry does not count for it, wherever it is read", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const request = requestOf()
      yield* storage.saveRequest(request)
      yield* storage.saveReply(exitOf(request))
      const id = String(request.envelope.requestId)
      const stale = yield* partsOn(js, () => ({})).pipe(
        Effect.flatMap(({ stream }) => stream.freshReplies([id]))
      )
      yield* storage.clearReplies(request.envelope.requestId)
      // A replica that is behind tells of the exit that was cleared.
      const parts = yield* partsOn(js, () => ({ freshReplies: () => Effect.succeed(stale) }))
      assert.lengthOf(yield* parts.reader.read(one, 0), 1)
    }))

  it.live("is the first that was stored, and who clears it must know the last one", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const other = yield* storageOn(js)
      const request = requestOf()
      const { requestId } = request.envelope
      yield* storage.saveRequest(request)
      yield* storage.unprocessedMessages([shard(1)])
      yield* other.unprocessedMessages([shard(1)])
      const [first, second] = [exitOf(request, 1), exitOf(request, 2)]
      yield* storage.saveReply(first)
      // Who did not hear that it was stored says it again.
      yield* storage.saveReply(first)
      const refused = yield* Effect.flip(other.saveReply(second))
      assert.strictEqual(refused._tag, "PersistenceError")
      assert.include(String(refused._tag === "PersistenceError" ? refused.cause : ""), "there is another one already")
      assert.strictEqual((yield* Effect.flip(storage.saveReply(second)))._tag, "PersistenceError")
      yield* other.clearReplies(requestId, { expectedReplyId: second.reply.id })
      assert.lengthOf(yield* other.repliesFor([request]), 1)
      yield* other.clearReplies(requestId, { expectedReplyId: first.reply.id })
      assert.lengthOf(yield* other.repliesFor([request]), 0)
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 1)
      yield* storage.saveReply(second)
      const [reply] = yield* other.repliesForUnfiltered([requestId])
      assert.strictEqual(reply?.id, String(second.reply.id))
    }))

  it.live("is cleared once by many that know the same last reply", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const request = requestOf()
      const { requestId } = request.envelope
      yield* storage.saveRequest(request)
      const exit = exitOf(request)
      yield* storage.saveReply(exit)
      const others = yield* Effect.all(Array.from({ length: 5 }, () => storageOn(js)))
      yield* Effect.forEach(
        others,
        (each) => each.clearReplies(requestId, { expectedReplyId: exit.reply.id }),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 1)
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 0)
    }))

  it.live("that came after the one that was to be cleared stays, however late who clears it is", () =>
    Effect.gen(function*() {
      const { js, storage } = yield* withStorage
      const request = requestOf()
      const { requestId } = request.envelope
      yield* storage.saveRequest(request)
      const [first, second] = [exitOf(request, 1), exitOf(request, 2)]
      yield* storage.saveReply(first)
      // Another one resumes, and the run has its next exit, before this one writes what it has decided.
      const meanwhile = Effect.orDie(Effect.gen(function*() {
        yield* storage.clearReplies(requestId, { expectedReplyId: first.reply.id })
        assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 1)
        yield* storage.saveReply(second)
      }))
      const late = yield* partsOn(js, (stream) => ({
        writeAll: (messages) => Effect.andThen(meanwhile, stream.writeAll(messages))
      }))
      yield* late.writer.clearReplies(String(requestId), String(first.reply.id))
      const [reply] = yield* storage.repliesForUnfiltered([requestId])
      assert.strictEqual(reply?.id, String(second.reply.id))
    }))

  it.live("of who has lost the shard is refused, also when the new owner has not replied yet", () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      const fences = new Map<number, { readonly subject: string; readonly sequence: number }>()
      const subject = names.stored("f", "1")
      // A process that has the shard: each acquisition writes the fence anew.
      const runner = (id: number) =>
        Effect.provideService(storageOn(js), ShardLocks, { fenceOf: () => fences.get(id), isSureOf: () => true })
      const take = (id: number) =>
        Effect.map(js.publish(subject, String(id)), ({ sequence }) => fences.set(id, { subject, sequence }))
      const [a, b] = [yield* runner(1), yield* runner(2)]
      const request = requestOf()
      yield* a.saveRequest(request)
      yield* take(1)
      assert.lengthOf(yield* a.unprocessedMessages([shard(1)]), 1)
      yield* take(2)
      assert.lengthOf(yield* b.unprocessedMessages([shard(1)]), 1)
      const zombie = yield* Effect.flip(a.saveReply(exitOf(request, "late")))
      assert.include(
        String(zombie._tag === "PersistenceError" ? zombie.cause : ""),
        "another runner has taken the shard"
      )
      // It has the shard once more, and what it had read before still does not count.
      yield* take(1)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(a.saveReply(exitOf(request, "later")))))
      // Nor what it has given back.
      yield* take(2)
      yield* a.resetShards([shard(1)])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(a.saveReply(exitOf(request, "latest")))))
      yield* take(2)
      yield* b.resetShards([shard(1)])
      assert.lengthOf(yield* b.unprocessedMessages([shard(1)]), 1)
      yield* b.saveReply(exitOf(request, "right"))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(a.saveReply(exitOf(request, "again")))))
      const [reply] = yield* a.repliesFor([request])
      assert.deepStrictEqual(reply?._tag === "WithExit" ? { ...reply.exit } : {}, { ...Exit.succeed("right") })
      // Once each, however often it is tried.
      const again = exitOf(request, "once more")
      for (let i = 0; i < 3; i++) yield* Effect.ignore(a.saveReply(again))
      const { count } = yield* Metric.value(Metric.withAttributes(NatsMetrics.lateResults, { store: "cluster" }))
      assert.strictEqual(count, 5)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("a transaction", () => {
  it.live("publishes exits when it succeeds, at the end of the outermost one, and discards them when it fails", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      const [lost, inner, kept] = [requestOf(), requestOf(), requestOf()]
      for (const request of [lost, inner, kept]) yield* storage.saveRequest(request)
      const failing = storage.withTransaction(Effect.andThen(storage.saveReply(exitOf(lost)), Effect.fail("no")))
      assert.strictEqual(yield* Effect.flip(failing), "no")
      assert.lengthOf(yield* storage.repliesFor([lost]), 0)
      yield* storage.withTransaction(Effect.gen(function*() {
        yield* storage.saveReply(exitOf(kept))
        yield* storage.withTransaction(storage.saveReply(exitOf(inner)))
        yield* Effect.ignore(
          storage.withTransaction(Effect.andThen(storage.saveReply(exitOf(lost)), Effect.fail("no")))
        )
        assert.lengthOf(yield* storage.repliesFor([kept, inner]), 0)
      }))
      assert.lengthOf(yield* storage.repliesFor([kept, inner]), 2)
      assert.lengthOf(yield* storage.repliesFor([lost]), 0)
    }))
})
