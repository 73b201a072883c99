/** The message storage on three servers, one of which may be behind: what was stored is read, whoever answers. */
import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { Replicas } from "../../src/cluster/internal/replicas.ts"
import { until } from "../fixtures/following.ts"
import { connectJetStream, insistRaw, rawApi } from "../fixtures/jetStream.ts"
import {
  acknowledgementOf,
  addressOf,
  chunkOf,
  exitOf,
  idsIn,
  Keyed,
  requestOf,
  shard,
  storageOn,
  Streaming,
  streamName
} from "../fixtures/messageStorage.ts"

it.live(
  "with three replicas everything that was stored is read at once, also with one server gone",
  () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
      const first = yield* connectJetStream(servers[0])
      yield* insistRaw(
        rawApi(first.nats, "STREAM.CREATE.FIRST", { name: "FIRST", subjects: ["first"], num_replicas: 3 })
      )
      const saver = yield* storageOn(first.js, { replicas: 3 })
      const second = yield* connectJetStream(servers[1])
      const runner = yield* storageOn(second.js)
      const third = yield* storageOn((yield* connectJetStream(servers[2])).js)
      const { config } = yield* rawApi(second.nats, `STREAM.INFO.${streamName}`)
      assert.strictEqual(config.num_replicas, 3)
      const read = Effect.map(runner.unprocessedMessages([shard(1)], { limit: 8 }), idsIn)

      for (let id = 0; id < 30; id++) {
        const request = requestOf({ payload: { id } })
        yield* saver.saveRequest(request)
        assert.deepStrictEqual(yield* read, [id])
        assert.lengthOf(yield* runner.unprocessedMessagesById([request.envelope.requestId]), 1)
        const exit = exitOf(request)
        yield* runner.saveReply(exit)
        assert.lengthOf(yield* third.repliesForUnfiltered([request.envelope.requestId]), 1)
        assert.lengthOf(yield* third.unprocessedMessages([shard(1)]), 0)
        if (id % 3 > 0) continue
        // A resume of another one.
        yield* third.clearReplies(request.envelope.requestId, { expectedReplyId: exit.reply.id })
        assert.lengthOf(yield* saver.repliesForUnfiltered([request.envelope.requestId]), 0)
        assert.deepStrictEqual(yield* read, [id])
        yield* runner.saveReply(exitOf(request))
        // Who takes the shard now finds nothing to do.
        yield* third.resetShards([shard(1)])
        assert.lengthOf(yield* third.unprocessedMessages([shard(1)]), 0)
      }

      const streaming = requestOf({ rpc: Streaming, payload: { key: "s" } })
      yield* saver.saveRequest(streaming)
      yield* runner.unprocessedMessages([shard(1)])
      for (let sequence = 0; sequence < 5; sequence++) {
        const chunk = chunkOf(streaming, sequence)
        yield* runner.saveReply(chunk)
        yield* until(Effect.map(saver.repliesFor([streaming]), (replies) => replies.length === 1))
        yield* saver.saveEnvelope(acknowledgementOf(streaming, chunk))
        assert.lengthOf(yield* third.repliesFor([streaming]), 0)
        assert.deepStrictEqual(yield* read, ["AckChunk"])
      }

      const keyed = () => requestOf({ rpc: Keyed, payload: { key: "k", value: 1 }, address: addressOf("2") })
      const together = yield* Effect.forEach([saver, runner, third, saver, runner, third], (each) =>
        each.saveRequest(keyed()), { concurrency: "unbounded" })
      assert.lengthOf(
        together.filter(({ _tag }) =>
          _tag === "Success"
        ),
        1
      )

      yield* servers[2].kill
      const late = yield* insistOn(saver.saveRequest(keyed()))
      assert.strictEqual(late._tag, "Duplicate")
      const [found] = yield* insistOn(runner.unprocessedMessages([shard(1)]))
      assert.isTrue(late._tag === "Duplicate" && Option.isNone(late.lastReceivedReply))
      assert.strictEqual(found?.envelope.requestId, late._tag === "Duplicate" ? late.originalId : undefined)
    }),
  90_000
)

it.live(
  "a stream that is given replicas while it is used is asked of its leader from then on",
  () =>
    Effect.gen(function*() {
      const [server] = yield* TestNatsServer.cluster(3, { jetstream: true })
      const { js, nats } = yield* connectJetStream(server!)
      const request = { name: "GROWING", subjects: ["growing"] }
      yield* insistRaw(rawApi(nats, "STREAM.CREATE.GROWING", { ...request, num_replicas: 1 }))
      const replicas = new Replicas(js, "GROWING")
      yield* Effect.forkChild(replicas.keeping(20))
      assert.isFalse(replicas.isReplicated)
      yield* insistRaw(rawApi(nats, "STREAM.UPDATE.GROWING", { ...request, num_replicas: 3 }))
      yield* until(Effect.sync(() => replicas.isReplicated))
    }),
  90_000
)

/** While a leader is elected nothing is stored or read. */
const insistOn = <A, E>(asked: Effect.Effect<A, E>): Effect.Effect<A> => Effect.eventually(asked)
