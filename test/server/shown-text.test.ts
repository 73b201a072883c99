/** Subjects, keys and words of strangers, as logs, spans and messages show them. A real server passes control characters on. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, Schema, Stream, Tracer } from "effect"
import {
  NatsClient,
  NatsHealth,
  NatsListener,
  type NatsMessage,
  RequestSchema,
  Subject,
  SubjectSchema
} from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { inspect } from "node:util"
import { keepSpans } from "../fixtures/keptSpans.ts"
import { rawConnect } from "../fixtures/rawClient.ts"
import { keepLines } from "../fixtures/rendered.ts"

// Nothing that a protocol line cannot carry: no blank, no line break of its own.
const nasty = "\u001b]0;PWNED\u0007\u001b[2J\u0085\u009b\u2028\u2029\u202e\u2066\u007f"
const shown = "\\u001b]0;PWNED\\u0007\\u001b[2J\\u0085\\u009b\\u2028\\u2029\\u202e\\u2066\\u007f"
const long = "t".repeat(3_000)
const key = `customer-4711 ${nasty}\nFORGED ${"k".repeat(900_000)}`

// Line feeds are those of stacks.
const unprintable = /(?!\n)[\p{Cc}\u2028\u2029\p{Bidi_Control}\p{Cs}]/u

const clean = (text: string, what: string, longest = 16 * 1024): void => {
  assert.notMatch(text, unprintable, what)
  assert.notMatch(text, /^FORGED/m, what)
  assert.notInclude(text, "4711", what)
  assert.isAtMost(text.length, longest, what)
}

/** Log lines in every format. */
const makeLog = () => {
  const lines: Array<string> = []
  const loud = Deferred.makeUnsafe<void>()
  const layer = Logger.layer(keepLines((line) => {
    lines.push(typeof line === "string" ? line : inspect(line, { depth: null, maxStringLength: null }))
    Effect.runSync(Deferred.succeed(loud, undefined))
  }))
  return { lines, layer, heard: Deferred.await(loud) }
}

it.layer(TestNatsServer.layer(), { timeout: "60 seconds", excludeTestServices: true })("a stranger's text", (it) => {
  const connected = Effect.gen(function*() {
    const { url } = yield* TestNatsServer.TestNatsServer
    return yield* NatsClient.make({ servers: url })
  })

  /** Publishes lines that no client of this package would send. */
  const publish = (...messages: ReadonlyArray<readonly [subject: string, payload: string, headers?: string]>) =>
    Effect.flatMap(TestNatsServer.TestNatsServer, ({ port }) =>
      rawConnect({
        port,
        lines: messages.map(([subject, payload, headers]) => {
          const size = Buffer.byteLength(payload)
          if (headers === undefined) return `PUB ${subject} ${size}\r\n${payload}\r\n`
          const length = Buffer.byteLength(headers)
          return `HPUB ${subject} ${length} ${length + size}\r\n${headers}${payload}\r\n`
        }).join("")
      }))

  const Amount = Schema.Struct({ x: Schema.Number })
  const ByName = SubjectSchema.make(Subject.template("named.{id}"), Amount)
  const Prices = SubjectSchema.make("prices", Schema.Record(Schema.String, Schema.Number))
  const Ask = RequestSchema.make("ask", { payload: Prices.schema, success: Schema.Void })

  type Listening = Effect.Effect<unknown, unknown, NatsClient.NatsClient>

  const rows: ReadonlyArray<
    readonly [name: string, listening: Listening, subject: string, payload: string, has: string]
  > = [
    [
      "the handler of consume",
      NatsClient.NatsClient.use((nats) => nats.consume("plain.*", (message) => message.decode(Amount))),
      `plain.${nasty}`,
      "{}",
      `plain.${shown}`
    ],
    [
      "the handler of a listener, of a long subject",
      Layer.launch(NatsListener.layer("long.*", () => Effect.fail("no"))),
      `long.${long}`,
      "{}",
      `long.${"t".repeat(251)}…`
    ],
    [
      "a typed stream that skips",
      Stream.runDrain(ByName.subscribe({ onInvalid: "skip" })),
      `named.${nasty}`,
      "{}",
      shown
    ],
    [
      "a record in a typed stream that skips",
      Stream.runDrain(Prices.subscribe({ onInvalid: "skip" })),
      "prices",
      JSON.stringify({ [key]: "x" }),
      "at <key>: Expected"
    ],
    ["a typed handler", Layer.launch(ByName.layer(() => Effect.void)), `named.${nasty}`, "{}", shown],
    [
      "a responder that nobody asked for an answer",
      Layer.launch(Ask.layer(() => Effect.void)),
      "ask",
      JSON.stringify({ [key]: "x" }),
      "at <key>: Expected"
    ]
  ]
  for (const [name, listening, subject, payload, has] of rows) {
    it.effect(`is printable and bounded in every log of ${name}, and no key of a payload is in it`, () =>
      Effect.gen(function*() {
        const nats = yield* connected
        const log = makeLog()
        yield* listening.pipe(
          Effect.provideService(NatsClient.NatsClient, nats),
          Effect.provide(log.layer),
          Effect.forkScoped({ startImmediately: true })
        )
        yield* nats.flush
        yield* publish([subject, payload])
        yield* log.heard
        for (const line of log.lines) clean(line, name)
        assert.include(log.lines[0], has)
      }))
  }

  it.effect("is not in the failure of a typed stream, whatever its length", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const { stream } = yield* Prices.subscription().pipe(Effect.provideService(NatsClient.NatsClient, nats))
      yield* publish(["prices", JSON.stringify({ [key]: "x" })])
      const error = yield* Effect.flip(Stream.runDrain(stream))
      clean(error.message, "message", 512)
      assert.deepInclude(error, { _tag: "MessageDecodeError", path: "<key>" })
    }))

  it.effect("is printable and bounded in the names and attributes of spans", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const { spans, tracer } = keepSpans()
      const done = yield* Deferred.make<void>()
      let left = 2
      const fiber = yield* nats.consume(
        "spans.>",
        () => --left === 0 ? Deferred.succeed(done, undefined) : Effect.void,
        { queue: "q\u202e" }
      ).pipe(Effect.provideService(Tracer.Tracer, tracer), Effect.forkScoped({ startImmediately: true }))
      yield* nats.flush
      const traceparent = `NATS/1.0\r\ntraceparent: ${nasty}\r\ntracestate: ${nasty}\r\n\r\n`
      yield* publish([`spans.${nasty}`, ""], [`spans.${long}`, "", traceparent])
      yield* Deferred.await(done)
      yield* Fiber.interrupt(fiber)
      yield* Effect.exit(Effect.provideService(nats.publish("s\u202e", ""), Tracer.Tracer, tracer))
      assert.lengthOf(spans, 3)
      for (const { attributes, links, name } of spans) {
        const told = [...attributes].map(([key, value]) => `${key}=${String(value)}`).join("\n")
        clean(`${name}\n${told}`, name, 1024)
        assert.lengthOf(links, 0)
      }
      assert.strictEqual(spans[0].attributes.get("messaging.destination.name"), `spans.${shown}`)
      assert.strictEqual(spans[0].attributes.get("messaging.consumer.group.name"), "q\\u202e")
      assert.strictEqual(spans[2].name, "publish s\\u202e")
    }))

  it.effect("is printable and bounded where a message is printed, and as it is in its fields", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const { stream } = yield* nats.subscription("printed.>")
      const names = Array.from({ length: 500 }, (_, at) => `h${at}${nasty}${"n".repeat(100)}: x\r\n`).join("")
      yield* publish([`printed.${nasty}${long}`, "", `NATS/1.0\r\n${names}\r\n`])
      const [message] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.strictEqual(message.subject, `printed.${nasty}${long}`)
      assert.lengthOf(Object.keys(message.headers), 500)
      clean(JSON.stringify(message), "JSON", 4096)
      clean(inspect(message), "inspect", 4096)
    }))

  it.effect("is one line in the error of a service, and printable in its message", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const { stream } = yield* nats.subscription("ask")
      const answer = (message: NatsMessage.NatsMessage) => {
        const code = `CODE${nasty}${long}`
        const description = `words${nasty}"${long}`
        const headers = `NATS/1.0\r\nNats-Service-Error: ${description}\r\nNats-Service-Error-Code: ${code}\r\n\r\n`
        return publish([message.reply!, "", headers])
      }
      yield* Effect.forkScoped(Stream.runForEach(stream, answer))
      const asked = Ask.request({}).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      const error = yield* Effect.flip(asked)
      assert(error._tag === "ServiceError")
      clean(error.message, "message", 1600)
      clean(error.description, "description", 1024)
      assert.include(error.headers["Nats-Service-Error"][0], nasty)
    }))

  it.effect("is printable in the log and the health of a part that has ended, and of one that is stopped late", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      const provide = Effect.provideService(NatsClient.NatsClient, nats)
      const ended = makeLog()
      const go = yield* Deferred.make<void>()
      const full = NatsListener.layer("full.\u202e", () => Deferred.await(go), { capacity: 1 })
      yield* Layer.build(full).pipe(provide, Effect.provide(ended.layer))
      for (let i = 0; i < 5; i++) yield* nats.publish("full.\u202e", "")
      yield* nats.flush
      yield* Deferred.succeed(go, undefined)
      yield* ended.heard
      for (const line of ended.lines) clean(line, "ended")
      assert.include(ended.lines[0], "full.\\u202e")
      const { reason } = yield* NatsHealth.check(nats)
      assert.match(reason!, /^the listener "full\.\\u202e" has ended: /)
      clean(reason!, "health", 1024)

      const late = makeLog()
      const { stop } = yield* NatsListener.make("late.\u202e", () => Effect.never, { drainTimeout: 1 }).pipe(
        provide,
        Effect.provide(late.layer)
      )
      for (let i = 0; i < 5; i++) yield* nats.publish("late.\u202e", "")
      yield* nats.flush
      yield* stop
      yield* late.heard
      for (const line of late.lines) clean(line, "late")
      assert.include(late.lines[0], "late.\\u202e")
    }))

  it.effect("is printable and bounded in what a listener answers", () =>
    Effect.gen(function*() {
      const nats = yield* connected
      yield* NatsListener.make(
        "prices",
        NatsListener.replying((message) => Effect.asVoid(message.decode(Prices.schema)))
      ).pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Effect.provide(Logger.layer([]))
      )
      const reply = yield* nats.request("prices", JSON.stringify({ [key]: "x" }))
      clean(reply.header("Nats-Service-Error")!, "answer", 256)
      assert.strictEqual(reply.header("Nats-Service-Error-Code"), "400")
    }))
})
