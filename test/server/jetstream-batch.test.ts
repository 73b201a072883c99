/** Messages that are stored together or not at all. Servers before 2.12 have no such thing, and nothing is sent to them. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsProxy } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"

type Batch = Parameters<JetStream.JetStream["batch"]>[0]

const three: Batch = [{ subject: "orders.a", payload: "1" }, { subject: "orders.b", payload: "2" }, {
  subject: "orders.a",
  payload: "3",
  headers: { name: "value" }
}]

const messagesOf = (nats: NatsClient.NatsClient, stream: string) =>
  Effect.map(rawApi(nats, `STREAM.INFO.${stream}`), ({ state }) => state.messages as number)

const setting = Effect.gen(function*() {
  const made = yield* withJetStream()
  const { api_lvl: level = 0 } = yield* made.nats.serverInfo
  yield* rawStream(made.nats, "ORDERS", level < 2 ? {} : { allow_atomic: true })
  return { ...made, isThere: level >= 2 }
})

it.live("a batch is stored as a whole, in its order, and acknowledged once", () =>
  Effect.gen(function*() {
    const { isThere, js, nats } = yield* setting
    if (!isThere) {
      // Message by message is what an old server would make of it.
      const error = yield* Effect.flip(js.batch(three))
      assert.deepInclude({ ...error }, { _tag: "UnsupportedByServer", feature: "batch", needs: "2.12" })
      return assert.strictEqual(yield* messagesOf(nats, "ORDERS"), 0)
    }
    assert.deepStrictEqual(yield* js.batch(three), { stream: "ORDERS", sequence: 3, domain: undefined, count: 3 })
    assert.deepStrictEqual(yield* js.batch([three[0]]), { stream: "ORDERS", sequence: 4, domain: undefined, count: 1 })
    const { message } = yield* rawApi(nats, "STREAM.MSG.GET.ORDERS", { seq: 3 })
    assert.strictEqual(Buffer.from(message.data, "base64").toString(), "3")
    assert.include(Buffer.from(message.hdrs, "base64").toString(), "name: value")
    const many = Array.from({ length: 1_000 }, (_, i) => ({ subject: "orders.c", payload: String(i) }))
    assert.deepInclude(yield* js.batch(many as unknown as Batch), { sequence: 1_004, count: 1_000 })
  }))

it.live("what the stream refuses is told with its message, and nothing of the batch is stored", () =>
  Effect.gen(function*() {
    const { isThere, js, nats } = yield* setting
    if (!isThere) return assert.strictEqual((yield* Effect.flip(js.batch(three)))._tag, "UnsupportedByServer")
    yield* rawStream(nats, "PLAIN")
    const plain = { subject: "plain.a" }
    assert.deepInclude({ ...(yield* Effect.flip(js.batch([plain, plain]))) }, {
      _tag: "BatchNotAllowed",
      stream: "PLAIN"
    })
    assert.strictEqual((yield* Effect.flip(js.batch([{ subject: "nobody.there" }, plain])))._tag, "NoStreamForSubject")
    assert.strictEqual((yield* Effect.flip(js.batch([three[0], { subject: "a b" }])))._tag, "InvalidSubject")
    const other = yield* Effect.flip(js.batch([three[0], plain, three[1]]))
    assert.strictEqual(other._tag, "BatchNotAllowed")
    yield* js.batch([{ ...three[0], msgId: "1" }])
    const twice = yield* Effect.flip(js.batch([three[0], { ...three[1], msgId: "1" }, three[2]]))
    assert.deepInclude({ ...twice }, { _tag: "BatchRefused", stream: "ORDERS", errCode: 10201 })
    const byId = yield* Effect.flip(js.batch([three[0], { ...three[1], expect: { lastMsgId: "1" } }, three[2]]))
    assert.deepInclude({ ...byId }, { _tag: "BatchRefused", errCode: 10177, index: 2 })
    const wrong = yield* Effect.flip(js.batch([{ ...three[0], expect: { lastSequence: 7 } }, three[1]]))
    assert.deepInclude({ ...wrong }, { _tag: "WrongLastSequence", actual: 1 })
    const many = Array.from({ length: 1_001 }, () => ({ subject: "orders.c" }))
    const large = yield* Effect.flip(js.batch(many as unknown as Batch))
    assert.deepInclude({ ...large }, { _tag: "BatchRefused", errCode: 10199 })
    assert.strictEqual(yield* messagesOf(nats, "ORDERS"), 1)
    assert.strictEqual(yield* messagesOf(nats, "PLAIN"), 0)
    const expected = yield* js.batch([
      { ...three[1], expect: { lastSubjectSequence: 0 } },
      { ...three[0], expect: { lastSubjectSequence: 1 } }
    ])
    assert.strictEqual(expected.sequence, 3)
  }))

it.live("a batch whose connection dies before its last message is written was never published", () =>
  Effect.gen(function*() {
    const { isThere, js: near, nats, server } = yield* setting
    if (!isThere) return assert.strictEqual((yield* Effect.flip(near.batch(three)))._tag, "UnsupportedByServer")
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    const far = yield* NatsClient.make({ servers: proxy.url, reconnect: { initialDelay: "10 millis" } })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, far)
    yield* proxy.swallow("toClient")
    const held = yield* Effect.forkChild(Effect.flip(js.batch(three)), { startImmediately: true })
    yield* Stream.runHead(
      Stream.filter(Stream.fromEffectRepeat(proxy.sent("toServer")), (sent) => sent.includes("Nats-Batch-Sequence: 1"))
    )
    yield* proxy.drop()
    yield* proxy.heal
    const error = yield* Fiber.join(held)
    assert.deepInclude({ ...error }, { _tag: "NotPublished" })
    assert.strictEqual(yield* messagesOf(nats, "ORDERS"), 0)
    // Of one that was written whole it is not known.
    yield* far.flush
    yield* proxy.swallow("toClient")
    const whole = yield* Effect.forkChild(Effect.flip(js.batch([three[0]])), { startImmediately: true })
    yield* until(Effect.map(messagesOf(nats, "ORDERS"), (messages) => messages === 1))
    yield* proxy.drop()
    yield* proxy.heal
    assert.strictEqual((yield* Fiber.join(whole))._tag, "PublishOutcomeUnknown")
  }))

it.live("a batch with a message that no server would take is not written at all", () =>
  Effect.gen(function*() {
    const { isThere, js, nats } = yield* setting
    if (!isThere) return assert.strictEqual((yield* Effect.flip(js.batch(three)))._tag, "UnsupportedByServer")
    const before = (yield* nats.stats).messagesOut
    const unfit = [
      [{ subject: "orders. b" }, "InvalidSubject"],
      [{ subject: "orders.b", payload: new Uint8Array(2 ** 20 + 1) }, "MaxPayloadExceeded"]
    ] as const
    for (const [message, tag] of unfit) {
      assert.strictEqual((yield* Effect.flip(js.batch([three[0], message, three[1]])))._tag, tag)
    }
    assert.strictEqual((yield* nats.stats).messagesOut, before)
  }))
