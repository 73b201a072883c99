/** The message storage and its server: what is too large, too old, restarted, behind or not there yet, and what is kept. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option } from "effect"
import { NatsMessageStorage } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { MessageStorage } from "effect/cluster"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"
import {
  addressOf,
  anotherStorage,
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

const textOf = (cause: unknown): string => cause instanceof Error ? `${cause.message}` : String(cause)

describe("what does not fit into a message", () => {
  it.live("of a request, its caller is told at once with size and limit, and the shard goes on", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      const large = requestOf({ payload: { id: "x".repeat(2 * 1024 * 1024) } })
      const error = yield* Effect.flip(storage.saveRequest(large))
      assert.strictEqual(error._tag, "PersistenceError")
      assert.match(textOf(error._tag === "PersistenceError" ? error.cause : ""), /2097\d+ bytes.*limit of 1048576/)
      yield* storage.saveRequest(requestOf({ payload: { id: 2 } }))
      assert.deepStrictEqual(idsIn(yield* storage.unprocessedMessages([shard(1)])), [2])
    }))

  it.live("of a reply, its caller gets a defect that names them, in a transaction too", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      const defectOf = (request: ReturnType<typeof requestOf>) =>
        Effect.map(storage.repliesForUnfiltered([request.envelope.requestId]), ([reply]) => JSON.stringify(reply))
      const [plain, committed] = [requestOf(), requestOf()]
      yield* storage.saveRequest(plain)
      yield* storage.saveReply(exitOf(plain, "x".repeat(2 * 1024 * 1024)))
      assert.match(yield* defectOf(plain), /Die.*limit of 1048576/)
      yield* storage.saveRequest(committed)
      yield* storage.withTransaction(storage.saveReply(exitOf(committed, "x".repeat(2 * 1024 * 1024))))
      assert.match(yield* defectOf(committed), /Die.*limit of 1048576/)
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 0)
    }))

  it.live("of a chunk, the stream ends with that defect, and what its handler says afterwards is nothing", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      const request = requestOf({ rpc: Streaming, payload: { key: "a" } })
      yield* storage.saveRequest(request)
      const saved = yield* Effect.exit(storage.saveReply(chunkOf(request, 0, "x".repeat(2 * 1024 * 1024))))
      assert.isTrue(Exit.hasInterrupts(saved))
      yield* storage.saveReply(chunkOf(request, 1))
      yield* storage.saveReply(exitOf(request))
      const replies = yield* storage.repliesForUnfiltered([request.envelope.requestId])
      assert.lengthOf(replies, 1)
      assert.match(JSON.stringify(replies), /Die.*limit of 1048576/)
    }))
})

describe("names", () => {
  const nasty = [
    "",
    " ",
    ".",
    "*",
    ">",
    "a.b",
    "a b",
    "=",
    "==",
    "\u0000",
    "\ud800",
    "\udc00",
    "é€😀",
    "x".repeat(5_000)
  ]

  it.live("entities, types and keys are any texts, and none is taken for another one or for a pattern", () =>
    Effect.gen(function*() {
      const { storage } = yield* withStorage
      const texts = [...nasty, `${"x".repeat(5_000)}y`, "a/b", "a"]
      const requests = texts.flatMap((text) => [
        requestOf({ rpc: Keyed, payload: { key: text, value: 1 }, address: addressOf("one") }),
        requestOf({ rpc: Keyed, payload: { key: "k", value: 1 }, address: addressOf(`e${text}`) }),
        requestOf({ rpc: Keyed, payload: { key: "k", value: 1 }, address: addressOf("two", 1, `t${text}`) })
      ])
      for (const request of requests) {
        assert.strictEqual(
          (yield* storage.saveRequest(request))._tag,
          "Success",
          JSON.stringify(request.envelope.payload)
        )
      }
      const read = yield* storage.unprocessedMessages([shard(1)])
      assert.deepStrictEqual(
        read.map(({ envelope }) => [envelope.address.entityType, envelope.address.entityId]),
        requests.map(({ envelope }) => [envelope.address.entityType as string, envelope.address.entityId as string])
      )
      for (const [index, text] of texts.entries()) {
        const found = yield* storage.requestIdForPrimaryKey({ address: addressOf("one"), tag: "Keyed", id: text })
        assert.deepStrictEqual(found, Option.some(requests[index * 3]!.envelope.requestId))
      }
      yield* storage.clearAddress(addressOf("one"))
      yield* storage.resetShards([shard(1)])
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), texts.length * 2)
    }))
})

describe("what is kept", () => {
  it.live("a processed request and its reply go after the retention, and what is not processed stays", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const storage = yield* storageOn(js, { retention: "1 second" })
      const [done, open] = [
        requestOf({ rpc: Keyed, payload: { key: "a", value: 1 } }),
        requestOf({ payload: { id: 2 } })
      ]
      yield* storage.saveRequest(done)
      yield* storage.saveRequest(open)
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 2)
      yield* storage.saveReply(exitOf(done))
      const again = () => storage.saveRequest(requestOf({ rpc: Keyed, payload: { key: "a", value: 2 } }))
      while ((yield* again())._tag === "Duplicate") yield* Effect.sleep("50 millis")
      yield* storage.resetShards([shard(1)])
      const left = yield* storage.unprocessedMessages([shard(1)])
      assert.sameMembers([...idsIn(left)], [2, undefined])
      const { message } = yield* rawApi(nats, `STREAM.MSG.GET.${streamName}`, {
        last_by_subj: `cluster.s.r.${done.envelope.requestId}.x`
      })
      // Longer than what leads to it.
      assert.include(Buffer.from(message.hdrs, "base64").toString(), "Nats-TTL: 601s")
    }))

  it.live("for ever if it is said, and for a second at least", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const storage = yield* storageOn(js, { retention: "forever" })
      const request = requestOf()
      yield* storage.saveRequest(request)
      yield* storage.saveReply(exitOf(request))
      const { message } = yield* rawApi(nats, `STREAM.MSG.GET.${streamName}`, {
        last_by_subj: `cluster.s.r.${request.envelope.requestId}.x`
      })
      assert.notInclude(Buffer.from(message.hdrs, "base64").toString(), "Nats-TTL")
      const error = yield* Effect.flip(storageOn(js, { retention: "999 millis" }))
      assert.deepInclude({ ...error }, { _tag: "InvalidDefinition", field: "retention" })
    }))

  it.live("is on the server's disk: another process reads it after a restart", () =>
    Effect.gen(function*() {
      const { server, storage } = yield* withStorage
      const [open, done] = [
        requestOf({ payload: { id: "open" } }),
        requestOf({ rpc: Keyed, payload: { key: "a", value: 1 } })
      ]
      yield* storage.saveRequest(open)
      yield* storage.saveRequest(done)
      yield* storage.saveReply(exitOf(done, "value"))
      yield* server.restart
      const { storage: other } = yield* anotherStorage(server)
      assert.deepStrictEqual(idsIn(yield* other.unprocessedMessages([shard(1)])), ["open"])
      const again = yield* other.saveRequest(requestOf({ rpc: Keyed, payload: { key: "a", value: 1 } }))
      assert.isTrue(again._tag === "Duplicate" && Option.isSome(again.lastReceivedReply))
      yield* other.saveReply(exitOf(open))
      assert.lengthOf(yield* other.repliesFor([open, done]), 2)
    }))

  it.live("of an entity goes as a whole, replies and interrupts included, and nothing of another one", () =>
    Effect.gen(function*() {
      const { nats, storage } = yield* withStorage
      const [mine, done, other] = [
        requestOf(),
        requestOf({ rpc: Keyed, payload: { key: "a", value: 1 } }),
        requestOf({ address: addressOf("10") })
      ]
      for (const request of [mine, done, other]) yield* storage.saveRequest(request)
      yield* storage.saveReply(exitOf(done))
      yield* storage.saveReply(exitOf(other))
      yield* storage.saveEnvelope(interruptOf(mine))
      yield* storage.clearAddress(addressOf("1"))
      assert.lengthOf(yield* storage.unprocessedMessages([shard(1)]), 0)
      assert.lengthOf(yield* storage.repliesFor([mine, done]), 0)
      assert.lengthOf(yield* storage.repliesFor([other]), 1)
      const { state } = yield* rawApi(nats, `STREAM.INFO.${streamName}`, { subjects_filter: "cluster.s.*.test.1.>" })
      assert.deepStrictEqual(state.subjects ?? {}, {})
      assert.strictEqual(
        (yield* storage.saveRequest(requestOf({ rpc: Keyed, payload: { key: "a", value: 1 } })))._tag,
        "Success"
      )
    }))
})

describe("when the layer is built", () => {
  it.live("a stream of that name that is configured otherwise is left as it is", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, streamName, { subjects: ["cluster.s.>"], max_msgs_per_subject: 2 })
      assert.strictEqual((yield* Effect.flip(storageOn(js)))._tag, "StreamExists")
      const { config } = yield* rawApi(nats, `STREAM.INFO.${streamName}`)
      assert.strictEqual(config.max_msgs_per_subject, 2)
    }))

  it.live("a server that has no atomic batches is told, and what is needed", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const { api_lvl: level = 0 } = yield* nats.serverInfo
      const built = yield* Effect.exit(storageOn(js))
      if (level >= 2) return assert.isTrue(Exit.isSuccess(built))
      const error = yield* Effect.flip(storageOn(js))
      assert.deepInclude(error, { _tag: "UnsupportedByServer", needs: "2.12" })
    }))

  it.live("a client that connects in the background is not waited for: calls wait", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      yield* server.kill
      const { storage } = yield* anotherStorage(server, {
        reconnect: { onFirstConnect: "background", initialDelay: "10 millis" },
        requestTimeout: "1 minute"
      })
      const saving = yield* Effect.forkChild(storage.saveRequest(requestOf()))
      yield* server.restart
      assert.strictEqual((yield* Fiber.join(saving))._tag, "Success")
    }))

  it.live("the layer needs JetStream alone", () =>
    Effect.gen(function*() {
      const { js } = yield* withJetStream()
      const storage: Layer.Layer<MessageStorage.MessageStorage, unknown> = NatsMessageStorage.layer({
        prefix: "any text: é."
      })
        .pipe(Layer.provide(Layer.succeed(JetStream.JetStream, js)))
      const request = requestOf()
      const read = yield* Effect.gen(function*() {
        const service = yield* MessageStorage.MessageStorage
        yield* service.saveRequest(request)
        return yield* service.unprocessedMessages([shard(1)])
      }).pipe(Effect.provide(storage))
      assert.lengthOf(read, 1)
    }))
})
