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

  it.effect("says of an ack for what it does not have that it is not there", () =>
    Effect.gen(function*() {
      const raw = yield* makeRaw("unknown")
      yield* raw.call("1", "7", "Which", null)
      const server = (yield* raw.take).reply!
      yield* raw.ack(server, "2", "8")
      const word = yield* raw.take
      assert.deepStrictEqual([word.subject.slice(-2), word.data.length, word.reply], [".2", 0, undefined])
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

/** A client whose clock stands still, and a server that a test plays. */
const makeCaller = Effect.fnUntraced(function*(subject: string) {
  const { url } = yield* TestNatsServer.make()
  const [nats, theirs] = yield* TestClock.withLive(
    Effect.all([NatsClient.make({ servers: url }), NatsClient.make({ servers: url })])
  )
  const asked = yield* inbound(theirs, subject)
  const told = yield* inbound(theirs, `${subject}.a.0`)
  const pings = yield* inbound(theirs, `${subject}.a.0.p`)
  yield* theirs.flush
  const protocol = yield* Layer.build(
    NatsRpc.layerClientProtocol({ subject, pingInterval: "5 seconds", maxPingOut: 2 }).pipe(
      Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, nats)])
    )
  )
  const users = yield* Effect.provide(RpcClient.make(UserRpcs), protocol)
  const take = (queue: Queue.Queue<NatsMessage.NatsMessage>) =>
    TestClock.withLive(Effect.timeout(Queue.take(queue), "3 seconds"))
  return {
    nats,
    theirs,
    users,
    request: take(asked),
    told: take(told),
    ping: take(pings),
    pings,
    beat: TestClock.adjust("5 seconds"),
    /** As the server that has the call. */
    say: (to: string, payload: string) =>
      Effect.andThen(theirs.publish(to, payload, { reply: `${subject}.a.0` }), Effect.andThen(theirs.flush, nats.flush))
  }
})

it.effect("an rpc client tells a server that sends what nobody waits for, or nobody can read, to stop", () =>
  Effect.gen(function*() {
    const caller = yield* makeCaller("stray")
    const call = yield* Effect.forkChild(Effect.exit(caller.users.Wait({ id: "x" })), { startImmediately: true })
    const { reply, text } = yield* caller.request
    const inbox = reply!.slice(0, reply!.lastIndexOf("."))
    yield* caller.say(`${inbox}.999`, JSON.stringify({ _tag: "Chunk", requestId: "77", values: [1] }))
    assert.deepInclude(JSON.parse((yield* caller.told).text), { _tag: "Interrupt", requestId: "77" })
    yield* caller.say(reply!, "{")
    assert.include(failureTag(yield* Fiber.join(call)), "cannot be decoded")
    const { id } = JSON.parse(text) as { readonly id: unknown }
    assert.deepInclude(JSON.parse((yield* caller.told).text), { _tag: "Interrupt", requestId: id })
  }))

it.effect("an rpc client takes no pong for an answer that answers none of its pings", () =>
  Effect.gen(function*() {
    const caller = yield* makeCaller("odd")
    const call = yield* Effect.forkChild(Effect.exit(caller.users.Wait({ id: "x" })), { startImmediately: true })
    yield* caller.say((yield* caller.request).reply!, "")
    for (let i = 0; i < 2; i++) {
      yield* caller.beat
      yield* caller.theirs.publish((yield* caller.ping).reply!, JSON.stringify([999, []]))
      yield* caller.theirs.flush
      yield* caller.nats.flush
    }
    yield* caller.beat
    assert.strictEqual(
      failureTag(yield* TestClock.withLive(Effect.timeout(Fiber.join(call), "3 seconds"))),
      "RpcServerLost"
    )
  }))

it.effect("an rpc client asks for all of its calls, however many they are", () =>
  Effect.gen(function*() {
    const caller = yield* makeCaller("many")
    const count = 1_001
    yield* Effect.forkChild(
      Effect.forEach(Array.from({ length: count }), () => caller.users.Wait({ id: "x" }), { concurrency: "unbounded" }),
      { startImmediately: true }
    )
    for (let i = 0; i < count; i++) {
      yield* caller.theirs.publish((yield* caller.request).reply!, "", { reply: "many.a.0" })
    }
    yield* caller.theirs.flush
    yield* caller.nats.flush
    yield* caller.beat
    const sizes = [yield* caller.ping, yield* caller.ping].map(({ text }) =>
      (JSON.parse(text) as readonly [number, ReadonlyArray<unknown>])[1].length
    )
    assert.deepStrictEqual(sizes, [1_000, 1])
  }))

it.effect("an rpc client has the whole of its patience again when its connection is back", () =>
  Effect.gen(function*() {
    const { beat, nats, ping, pings, request, say, theirs, users } = yield* makeCaller("silent")
    const call = yield* Effect.forkChild(Effect.exit(users.Wait({ id: "x" })), { startImmediately: true })
    // It has the call, and then it says nothing more.
    yield* say((yield* request).reply!, "")
    for (let i = 0; i < 2; i++) {
      yield* beat
      yield* ping
    }
    yield* nats.reconnect
    assert.strictEqual(failureTag(yield* Fiber.join(call)), "ConnectionLost")
    // One at once, and one by the interval. The server is given up by the next, which sends none.
    yield* ping
    yield* beat
    yield* ping
    for (let i = 0; i < 2; i++) yield* beat
    yield* nats.flush
    yield* theirs.flush
    assert.deepStrictEqual(yield* Queue.clear(pings), [])
  }))
