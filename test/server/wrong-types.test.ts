/** What programs without types can pass: it fails with an error that says what is wrong, and nothing of it reaches the wire. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema, Stream, Tracer } from "effect"
import { NatsClient, NatsError, NatsListener, type NatsMessage, RequestSchema, SubjectSchema } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { runInNewContext } from "node:vm"

const aSubject = "a subject must be a string"
const aQueue = "a queue group must be a string"
const aHeader = "and has to be a string or an array of strings"
const aRecord = "and have to be a record from name to text or list of texts"
const canary = "CANARY-4711"

const revoked = (): unknown => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const throwing = {
  get [Symbol.toStringTag](): string {
    throw new Error(canary)
  }
}

const transferred = (): Uint8Array => {
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

const withLength = (attributes: PropertyDescriptor): Uint8Array =>
  Object.defineProperty(new Uint8Array([65, 66]), "length", attributes)

class Longer extends Uint8Array {
  override get length(): number {
    return 9
  }
}

/** Most of them have a `length`, which is all that a payload of bytes is asked for at first. */
const noPayloads: ReadonlyArray<readonly [value: unknown, given: string]> = [
  [new String(canary), "a String object"],
  [new String("é".repeat(60_000)), "a String object"],
  [new Number(5), "a Number object"],
  [null, "null"],
  [5, "a number"],
  [5n, "a bigint"],
  [true, "a boolean"],
  [Symbol(canary), "a symbol"],
  [[65, 66], "an array"],
  [[canary], "an array"],
  [[], "an array"],
  [{ length: 1, 0: 65 }, "an object"],
  [{ [canary]: canary }, "an object"],
  [{ [Symbol.toStringTag]: canary }, "an object"],
  [() => 1, "a function"],
  [new Map([[canary, canary]]), "a Map"],
  [Promise.resolve(canary), "a Promise"],
  [new ArrayBuffer(2), "an ArrayBuffer"],
  [new SharedArrayBuffer(2), "a SharedArrayBuffer"],
  [new DataView(new ArrayBuffer(2)), "a DataView"],
  [new Uint16Array([0x4142]), "a Uint16Array"],
  [new Int8Array(2), "an Int8Array"],
  [new Uint8ClampedArray(2), "a Uint8ClampedArray"],
  // By their prototype these are Uint8Arrays, and they have no bytes.
  [Object.create(Uint8Array.prototype), "an object"],
  [new Proxy(new Uint8Array(2), {}), "an object"],
  [Object.setPrototypeOf(new Uint16Array(2), Uint8Array.prototype), "a Uint16Array"],
  [transferred(), "a Uint8Array whose buffer was transferred"],
  [withLength({ value: 1 }), "a Uint8Array with a length that is not its own"],
  [withLength({ value: -1 }), "a Uint8Array with a length that is not its own"],
  [withLength({ value: Number.NaN }), "a Uint8Array with a length that is not its own"],
  [
    withLength({
      get: () => {
        throw new Error(canary)
      }
    }),
    "a Uint8Array with a length that is not its own"
  ],
  [new Longer([65, 66]), "a Uint8Array with a length that is not its own"],
  [revoked(), "an object that throws when it is looked at"],
  [throwing, "an object that throws when it is looked at"]
]

/** An array of one subject is, to a regular expression, that subject. */
const noStrings: ReadonlyArray<unknown> = [
  new String("a.b"),
  ["a.b"],
  5,
  null,
  { length: 3, toString: () => "a.b", charCodeAt: () => 65 }
]

const getter = {
  get h(): string {
    throw new Error(canary)
  }
}

/** Whole headers: what they are, the name that is told, and the problem. */
const noHeaders: ReadonlyArray<readonly [headers: unknown, header: string, problem: string]> = [
  [canary, "", `they are a string, ${aRecord}`],
  [new String(canary), "", `they are a String object, ${aRecord}`],
  [null, "", `they are null, ${aRecord}`],
  [5, "", `they are a number, ${aRecord}`],
  [() => canary, "", `they are a function, ${aRecord}`],
  [["h", canary], "", `they are an array, ${aRecord}`],
  [[["h", canary]], "", `they are an array, ${aRecord}`],
  [Object.setPrototypeOf([canary], null), "", `they are an array, ${aRecord}`],
  [new Map([["h", canary]]), "", `they are a Map, ${aRecord}`],
  [new Headers({ h: canary }), "", `they are a Headers object, ${aRecord}`],
  [new Uint8Array(2), "", `they are a Uint8Array, ${aRecord}`],
  [revoked(), "", "they throw when they are read"],
  [new Proxy({}, { ownKeys: () => assert.fail(canary) }), "", "they throw when they are read"],
  [getter, "h", "its value throws when it is read"],
  [{ h: new Proxy([""], { get: () => assert.fail(canary) }) }, "h", "its value throws when it is read"],
  [{ h: revoked() }, "h", "its value throws when it is read"],
  [{ h: null }, "h", `its value is null, ${aHeader}`],
  [{ h: undefined }, "h", `its value is undefined, ${aHeader}`],
  [{ h: 5 }, "h", `its value is a number, ${aHeader}`],
  [{ h: new String(canary) }, "h", `its value is a String object, ${aHeader}`],
  [{ h: Buffer.from(canary) }, "h", `its value is a Uint8Array, ${aHeader}`],
  [{ h: { 0: canary, length: 1 } }, "h", `its value is an object, ${aHeader}`],
  [{ h: [canary, null] }, "h", `value 2 of it is null, ${aHeader}`],
  [{ h: [5] }, "h", `value 1 of it is a number, ${aHeader}`],
  [{ h: [[canary]] }, "h", `value 1 of it is an array, ${aHeader}`],
  // oxlint-disable-next-line no-sparse-arrays
  [{ h: [canary, , canary] }, "h", `value 2 of it is undefined, ${aHeader}`],
  [{ h: Object.assign([], { length: 3 }) }, "h", `value 1 of it is undefined, ${aHeader}`]
]

type Send = (nats: NatsClient.NatsClient, value: never) => Effect.Effect<unknown, unknown, NatsClient.NatsClient>

const first = <A, E>(stream: Stream.Stream<A, E>) => Stream.runHead(stream)
const ignored = { timeout: "1 second" } as const

const withPayload: Readonly<Record<string, Send>> = {
  publish: (nats, it) => nats.publish("a", it),
  "a publish with a reply": (nats, it) => nats.publish("a", it, { reply: "b" }),
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

const Event = SubjectSchema.make("a", Schema.String)
const Question = RequestSchema.make("a", { payload: Schema.String, success: Schema.String })

const withHeaders: Readonly<Record<string, Send>> = {
  publish: (nats, headers) => nats.publish("a", "x", { headers }),
  "a confirmed publish": (nats, headers) => nats.publish("a", "x", { headers, confirm: true }),
  request: (nats, headers) => nats.request("a", "x", { ...ignored, headers }),
  requestMany: (nats, headers) => first(nats.requestMany("a", "x", { ...ignored, headers })),
  "a typed publish": (_, headers) => Event.publish("x", { headers }),
  "a typed request": (_, headers) => Question.request("x", { ...ignored, headers })
}

const dies = (exit: Exit.Exit<unknown, unknown>, message: string, name: string): void => {
  assert(Exit.isFailure(exit), `${name} succeeded`)
  const defect = exit.cause.reasons.find(Cause.isDieReason)?.defect
  assert(defect instanceof TypeError, `${name}: ${Cause.pretty(exit.cause)}`)
  assert.strictEqual(defect.message, message, name)
}

const failsWith = (exit: Exit.Exit<unknown, unknown>, expected: NatsError.PublishError, name: string): void => {
  assert(Exit.isFailure(exit), `${name} succeeded`)
  assert.deepStrictEqual(exit.cause.reasons.map(({ _tag }) => _tag), ["Fail"], `${name}: ${Cause.pretty(exit.cause)}`)
  const error = Cause.squash(exit.cause)
  assert(error instanceof Error)
  assert.deepStrictEqual<object>({ ...error }, { ...expected }, name)
  assert.notInclude(`${Cause.pretty(exit.cause)} ${JSON.stringify(error)}`, canary, name)
}

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

it.layer(TestNatsServer.layer(), { timeout: "60 seconds", excludeTestServices: true })("a wrong type", (it) => {
  const connected = Effect.gen(function*() {
    const { url } = yield* TestNatsServer.TestNatsServer
    return yield* NatsClient.make({ servers: url })
  })

  /** Runs what must send nothing, traced and not, and looks that the connection is as it was. */
  const sendingNothing = (
    check: (
      run: (
        name: string,
        send: Send,
        value: unknown,
        see: (exit: Exit.Exit<unknown, unknown>, name: string) => void
      ) => Effect.Effect<void>
    ) => Effect.Effect<void>
  ) =>
    Effect.gen(function*() {
      const nats = yield* connected
      const { stream } = yield* nats.subscription(">")
      const { messagesOut } = yield* nats.stats
      yield* check((name, send, value, see) =>
        Effect.gen(function*() {
          const sending = Effect.provideService(send(nats, value as never), NatsClient.NatsClient, nats)
          see(yield* Effect.exit(sending), name)
          see(yield* Effect.exit(Effect.provideService(sending, Tracer.Tracer, tracer)), `${name}, traced`)
        })
      )
      assert.strictEqual((yield* nats.stats).messagesOut, messagesOut)
      // A half-written line would be told here: the server closes such a connection.
      yield* nats.publish("good", "as ever", { confirm: true })
      const [message] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepStrictEqual([message.subject, message.text], ["good", "as ever"])
      assert.strictEqual((yield* nats.stats).reconnects, 0)
    })

  it.effect("as a payload is an InvalidPayload in every operation, with nothing of the value, and nothing is sent", () =>
    sendingNothing(Effect.fnUntraced(function*(run) {
      for (const [name, send] of Object.entries(withPayload)) {
        for (const [value, given] of noPayloads) {
          const error = new NatsError.InvalidPayload({ subject: "a", given })
          yield* run(`${name} of ${given}`, send, value, (exit, name) => failsWith(exit, error, name))
        }
      }
    })))

  it.effect("as headers or in them is an InvalidHeader in every operation, with no value, and nothing is sent", () =>
    sendingNothing(Effect.fnUntraced(function*(run) {
      for (const [name, send] of Object.entries(withHeaders)) {
        for (const [headers, header, problem] of noHeaders) {
          const error = new NatsError.InvalidHeader({ header, problem })
          yield* run(`${name} with ${header}: ${problem}`, send, headers, (exit, name) => failsWith(exit, error, name))
        }
      }
    })))

  it.effect("as a subject or a queue group is a TypeError with the same words, and nothing is sent", () =>
    sendingNothing(Effect.fnUntraced(function*(run) {
      for (const value of noStrings) {
        for (const [name, send] of Object.entries(withSubject)) {
          yield* run(name, send, value, (exit, name) => dies(exit, aSubject, name))
        }
        yield* run("the queue group", withQueue, value, (exit, name) => dies(exit, aQueue, name))
      }
    })))

  it.effect("in an answer is a failure of the answer, and of headers too", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const { stream } = yield* nats.subscription("question")
      const received: Array<NatsMessage.NatsMessage> = []
      yield* Effect.forkScoped(Stream.runForEach(stream, (message) => {
        received.push(message)
        return message.respond("answered")
      }))
      yield* nats.request("question")
      const [message] = received
      for (const [value, given] of noPayloads) {
        const error = new NatsError.InvalidPayload({ subject: message.reply!, given })
        failsWith(yield* Effect.exit(message.respond(value as never)), error, given)
      }
      for (const [headers, header, problem] of noHeaders) {
        const error = new NatsError.InvalidHeader({ header, problem })
        failsWith(yield* Effect.exit(message.respond("x", { headers: headers as never })), error, problem)
      }
    }))

  it.effect("that a listener or a responder answers with is a 500 for who asks, and never an empty answer", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      let answer: unknown
      yield* NatsListener.make("listener", NatsListener.replying(() => Effect.sync(() => answer as never)))
      const codec = { ...SubjectSchema.json, encoder: () => () => Effect.sync(() => answer as string) }
      const Typed = RequestSchema.make("typed", { payload: Schema.Void, success: Schema.String }, { codec })
      yield* Typed.respond(() => Effect.succeed(""))
      const Named = RequestSchema.make("named", { payload: Schema.Void, success: Schema.String })
      yield* Named.respond((_, request) => {
        request.setReplyHeader("h", answer as never)
        return Effect.succeed("")
      })
      const ask = (subject: string, what: string) =>
        Effect.map(nats.request(subject), (reply) => {
          const found = [reply.header("Nats-Service-Error-Code"), reply.header("Nats-Service-Error"), reply.text]
          assert.deepStrictEqual(found, ["500", "internal error", ""], `${subject}: ${what}`)
        })
      for (const [value, given] of noPayloads) {
        answer = value
        yield* ask("listener", given)
        yield* ask("typed", given)
        answer = { payload: value, headers: {} }
        yield* ask("listener", `{ payload: ${given} }`)
      }
      for (const [headers, , problem] of noHeaders) {
        answer = { payload: "x", headers }
        yield* ask("listener", problem)
      }
      for (const value of [null, 5, new String("a"), [null], revoked(), getter, () => "a"]) {
        answer = value
        yield* ask("named", "a header")
      }
      assert.strictEqual((yield* nats.stats).reconnects, 0)
    }).pipe(Effect.provideServiceEffect(NatsClient.NatsClient, connected)))

  it.effect("is not a Buffer, a subclass, or a Uint8Array of another realm", () =>
    Effect.gen(function*() {
      class Bytes extends Uint8Array {}
      const nats = yield* connected
      const foreign: Uint8Array = runInNewContext("new Uint8Array([104, 105])")
      assert.notInstanceOf(foreign, Uint8Array)
      const { stream } = yield* nats.subscription("bytes")
      const all = [foreign, Buffer.from("hi"), Bytes.from([104, 105]), new Uint8Array(Buffer.from("hi"))]
      for (const bytes of all) yield* nats.publish("bytes", bytes)
      const received = yield* Stream.runCollect(Stream.take(stream, all.length))
      assert.deepStrictEqual(received.map(({ text }) => text), ["hi", "hi", "hi", "hi"])
      yield* NatsListener.make("echo", NatsListener.replying(() => Effect.succeed(foreign)))
      assert.strictEqual((yield* nats.request("echo")).text, "hi")
    }).pipe(Effect.provideServiceEffect(NatsClient.NatsClient, connected)))

  it.effect("is not a record of another realm, of no prototype or of a class, nor a Proxy that can be read", () =>
    Effect.gen(function*() {
      class Named {
        readonly h = "x"
      }
      const nats = yield* connected
      const { stream } = yield* nats.subscription("headers")
      const records: ReadonlyArray<unknown> = [
        runInNewContext("({ h: 'x' })"),
        runInNewContext("({ h: ['x'] })"),
        Object.assign(Object.create(null), { h: "x" }),
        new Named(),
        new Proxy({ h: "x" }, {}),
        { h: new Proxy(["x"], {}) }
      ]
      for (const headers of records) yield* nats.publish("headers", "", { headers: headers as never })
      const received = yield* Stream.runCollect(Stream.take(stream, records.length))
      for (const message of received) assert.deepStrictEqual({ ...message.headers }, { h: ["x"] })
    }))
})
