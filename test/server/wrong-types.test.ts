/** What programs without types can pass: it is a defect that says what is wrong, and nothing of it reaches the wire. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Stream, Tracer } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { runInNewContext } from "node:vm"

const aPayload = "a payload must be a string or a Uint8Array"
const aSubject = "a subject must be a string"
const aQueue = "a queue group must be a string"
const aHeader = "the value of a header must be a string or an array of strings"

/** Most of them have a `length`, which is all that a payload of bytes is asked for at first. */
const noPayloads: ReadonlyArray<unknown> = [
  new String("a"),
  new String("é".repeat(60_000)),
  null,
  5,
  [65, 66],
  [],
  { length: 1, 0: 65 },
  () => 1,
  new ArrayBuffer(2),
  new DataView(new ArrayBuffer(2)),
  new Uint16Array([0x4142])
]
/** An array of one subject is, to a regular expression, that subject. */
const noStrings: ReadonlyArray<unknown> = [
  new String("a.b"),
  ["a.b"],
  5,
  null,
  { length: 3, toString: () => "a.b", charCodeAt: () => 65 }
]

type Send = (nats: NatsClient.NatsClient, value: never) => Effect.Effect<unknown, unknown>

const first = <A, E>(stream: Stream.Stream<A, E>) => Stream.runHead(stream)
const ignored = { timeout: "1 second" } as const

const withPayload: Readonly<Record<string, Send>> = {
  publish: (nats, it) => nats.publish("a", it),
  "a confirmed publish": (nats, it) => nats.publish("a", it, { confirm: true }),
  request: (nats, it) => nats.request("a", it, ignored),
  requestMany: (nats, it) => first(nats.requestMany("a", it, ignored))
}
const withSubject: Readonly<Record<string, Send>> = {
  publish: (nats, it) => nats.publish(it, "x"),
  request: (nats, it) => nats.request(it, "x", ignored),
  requestMany: (nats, it) => first(nats.requestMany(it, "x", ignored)),
  "a reply": (nats, it) => nats.publish("a", "x", { reply: it }),
  subscription: (nats, it) => Effect.scoped(nats.subscription(it)),
  subscribe: (nats, it) => first(nats.subscribe(it))
}
const withQueue: Send = (nats, it) => Effect.scoped(nats.subscription("a", { queue: it }))
const withHeader: Readonly<Record<string, Send>> = {
  "a header": (nats, it) => nats.publish("a", "x", { headers: { h: it } }),
  "a header of a request": (nats, it) => nats.request("a", "x", { ...ignored, headers: { h: it } })
}

const rows: ReadonlyArray<readonly [name: string, send: Send, values: ReadonlyArray<unknown>, message: string]> = [
  ...Object.entries(withPayload).map(([name, send]) => [`${name} of`, send, noPayloads, aPayload] as const),
  ...Object.entries(withSubject).map(([name, send]) => [`${name} to`, send, noStrings, aSubject] as const),
  ["the queue group", withQueue, noStrings, aQueue],
  // An array of strings is what a header may be.
  ...Object.entries(withHeader).map(([name, send]) => [name, send, [...noStrings.slice(2), [5]], aHeader] as const)
]

const dies = (exit: Exit.Exit<unknown, unknown>, message: string, name: string): void => {
  assert(Exit.isFailure(exit), `${name} succeeded`)
  const defect = exit.cause.reasons.find(Cause.isDieReason)?.defect
  assert(defect instanceof TypeError, `${name}: ${Cause.pretty(exit.cause)}`)
  assert.strictEqual(defect.message, message, name)
}

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a wrong type", (it) => {
  const connected = Effect.gen(function*() {
    const { url } = yield* TestNatsServer.TestNatsServer
    return yield* NatsClient.make({ servers: url })
  })

  it.effect("is a TypeError with the same words in every operation, traced or not, and nothing is sent", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const subscription = yield* nats.subscription(">")
      const { messagesOut } = yield* nats.stats
      for (const [name, send, values, message] of rows) {
        for (const value of values) {
          const what = `${name} ${typeof value} ${Object.prototype.toString.call(value)}`
          const sending = send(nats, value as never)
          dies(yield* Effect.exit(sending), message, what)
          dies(yield* Effect.exit(Effect.provideService(sending, Tracer.Tracer, tracer)), message, `${what}, traced`)
        }
      }
      assert.strictEqual((yield* nats.stats).messagesOut, messagesOut)
      // A half-written line would be told here: the server closes such a connection.
      yield* nats.publish("good", "as ever", { confirm: true })
      const [message] = yield* Stream.runCollect(Stream.take(subscription.stream, 1))
      assert.deepStrictEqual([message.subject, message.text], ["good", "as ever"])
      assert.strictEqual((yield* nats.stats).reconnects, 0)
    }))

  it.effect("is one in an answer, too", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const { stream } = yield* nats.subscription("question")
      const received: Array<NatsMessage.NatsMessage> = []
      yield* Effect.forkScoped(Stream.runForEach(stream, (message) => {
        received.push(message)
        return message.respond("answered")
      }))
      yield* nats.request("question")
      for (const value of noPayloads) dies(yield* Effect.exit(received[0].respond(value as never)), aPayload, "respond")
    }))

  it.effect("is not a Uint8Array of another realm", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const bytes: Uint8Array = runInNewContext("new Uint8Array([104, 105])")
      assert.notInstanceOf(bytes, Uint8Array)
      const { stream } = yield* nats.subscription("bytes")
      yield* nats.publish("bytes", bytes)
      const [message] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.strictEqual(message.text, "hi")
    }))
})
