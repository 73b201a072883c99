/** What a side of rpc makes of messages that a program with a NATS client sends it, and a server that says no more. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Queue, Stream } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { NatsRpc } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { TestClock } from "effect/testing"
import { failureTag, serve, type ServeOptions } from "../fixtures/rpcRigs.ts"
import { UserRpcs } from "../fixtures/rpcUsers.ts"

/** What comes to a subject, one after the other. */
const inbound = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, subject: string) {
  const messages = yield* Queue.unbounded<NatsMessage.NatsMessage>()
  const { stream } = yield* nats.subscription(subject)
  yield* Effect.forkScoped(Stream.runForEach(stream, (message) => Queue.offer(messages, message)))
  return messages
})

/** A caller that writes its frames itself. */
const makeRaw = Effect.fnUntraced(function*(subject: string, options?: ServeOptions) {
  const { url } = yield* TestNatsServer.TestNatsServer
  const server = yield* serve(url, "a", { subject, ...options })
  const nats = yield* NatsClient.make({ servers: url })
  const inbox = yield* nats.inbox
  const replies = yield* inbound(nats, `${inbox}.*`)
  const send = (to: string, token: string, frame: unknown) =>
    nats.publish(to, JSON.stringify(frame), { reply: `${inbox}.${token}` })
  return {
    server,
    nats,
    take: Queue.take(replies),
    /** What is left, when everybody has said what there is to say. */
    rest: Effect.gen(function*() {
      for (let i = 0; i < 3; i++) {
        yield* nats.flush
        yield* server.nats.flush
      }
      yield* nats.flush
      return yield* Queue.clear(replies)
    }),
    call: (token: string, id: string, tag: string, payload: unknown) =>
      send(subject, token, { _tag: "Request", id, tag, payload, headers: [] }),
    ack: (to: string, token: string, requestId: string) => send(to, token, { _tag: "Ack", requestId }),
    ping: (to: string, sequence: number, calls: ReadonlyArray<readonly [number, number]>) =>
      send(`${to}.p`, "p1", [sequence, calls])
  }
})

const words = (message: NatsMessage.NatsMessage): unknown => {
  if (message.data.length === 0) return "I have it"
  const frame = JSON.parse(message.text) as { readonly values?: unknown; readonly exit?: { readonly value?: unknown } }
  return Array.isArray(frame) ? frame : frame.values ?? frame.exit?.value
}

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("an rpc server", (it) => {
  it.effect("sends one chunk for one ack, however often it hears of it", () =>
    Effect.gen(function*() {
      const raw = yield* makeRaw("acked", { drainTimeout: "10 millis" })
      yield* raw.call("1", "7", "Count", { to: 30, each: 1 })
      const first = yield* raw.take
      assert.deepStrictEqual(words(first), [1])
      const server = first.reply!
      yield* raw.ack(server, "1", "7")
      assert.deepStrictEqual(words(yield* raw.take), [2])
      // That ack has come, and these pings say no more than it.
      for (const sequence of [0, 1, 2]) yield* raw.ping(server, sequence, [[1, 1]])
      assert.deepStrictEqual((yield* raw.rest).map(words), [0, 1, 2].map((sequence) => [sequence, [[1, 2]]]))
      // This one says that another ack was lost, and the next ones the same again.
      for (const sequence of [3, 4, 5]) {
        yield* raw.ping(server, sequence, [[1, 2]])
        const chunk = sequence === 3 ? [[3]] : []
        assert.deepStrictEqual((yield* raw.rest).map(words), [
          [sequence, [[1, sequence === 3 ? 2 : 3]]],
          ...chunk
        ])
      }
      yield* raw.ack(server, "1", "7")
      assert.deepStrictEqual((yield* raw.rest).map(words), [[4]])
    }))

  it.effect("handles a call once whose id is in flight, and the id again when it is answered", () =>
    Effect.gen(function*() {
      const raw = yield* makeRaw("twice")
      const { seen } = raw.server
      yield* raw.call("1", "7", "Wait", { id: "x" })
      yield* seen.until("Wait x started", 1)
      yield* raw.call("2", "7", "Wait", { id: "x" })
      yield* raw.call("3", "7", "Which", null)
      const before = (yield* raw.rest).map((message) => [message.subject.slice(-2), words(message)])
      assert.isTrue(before.every(([token, what]) => token === ".1" && what === "I have it"), JSON.stringify(before))
      assert.strictEqual(seen.count("Wait x started"), 1)
      yield* seen.open
      const answers = (yield* raw.rest).filter(({ data }) => data.length > 0)
      assert.deepStrictEqual(answers.map((message) => [message.subject.slice(-2), words(message)]), [[".1", "a x"]])
      yield* raw.call("4", "7", "Which", null)
      const again = yield* raw.take
      assert.deepStrictEqual([again.subject.slice(-2), words(again)], [".4", "a"])
      // Nothing is counted as in flight that is not.
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(Effect.timeout(raw.server.stop, "2 seconds"))))
    }))
})

it.effect("an rpc client has the whole of its patience again when its connection is back", () =>
  Effect.gen(function*() {
    const { url } = yield* TestNatsServer.make()
    const [nats, theirs] = yield* TestClock.withLive(
      Effect.all([NatsClient.make({ servers: url }), NatsClient.make({ servers: url })])
    )
    // Says that it has the call, and then nothing more.
    const asked = yield* inbound(theirs, "silent")
    const pings = yield* inbound(theirs, "silent.a.0.p")
    yield* theirs.flush
    const protocol = yield* Layer.build(
      NatsRpc.layerClientProtocol({ subject: "silent", pingInterval: "5 seconds", maxPingOut: 2 }).pipe(
        Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, nats)])
      )
    )
    const users = yield* Effect.provide(RpcClient.make(UserRpcs), protocol)
    const call = yield* Effect.forkChild(Effect.exit(users.Wait({ id: "x" })), { startImmediately: true })
    yield* theirs.publish((yield* Queue.take(asked)).reply!, "", { reply: "silent.a.0" })
    yield* theirs.flush
    yield* nats.flush
    const pinged = TestClock.withLive(Effect.timeout(Queue.take(pings), "3 seconds"))
    const beat = TestClock.adjust("5 seconds")
    for (let i = 0; i < 2; i++) {
      yield* beat
      yield* pinged
    }
    yield* nats.reconnect
    assert.strictEqual(failureTag(yield* Fiber.join(call)), "ConnectionLost")
    // One at once, and one by the interval. The server is given up by the next, which sends none.
    yield* pinged
    yield* beat
    yield* pinged
    for (let i = 0; i < 2; i++) yield* beat
    yield* nats.flush
    yield* theirs.flush
    assert.deepStrictEqual(yield* Queue.clear(pings), [])
  }))
