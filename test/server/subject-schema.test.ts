import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Context,
  DateTime,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Schema,
  SchemaGetter,
  Stream
} from "effect"
import { NatsClient, Subject, SubjectSchema } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

class OrderNotFound extends Schema.TaggedError<OrderNotFound>()("OrderNotFound", {
  id: Schema.String,
  at: Schema.DateTimeUtcFromString
}) {
  override get message(): string {
    return `no order\r\n${this.id}`
  }
}

const notFound = (id: string, at: Date): OrderNotFound => new OrderNotFound({ id, at: DateTime.fromDateUnsafe(at) })

const Order = Schema.Struct({ id: Schema.String, total: Schema.Number, placed: Schema.optionalKey(Schema.Date) })

const client = Layer.effect(
  NatsClient.NatsClient,
  Effect.gen(function*() {
    const server = yield* TestNatsServer.TestNatsServer
    return yield* NatsClient.make({ servers: server.url })
  })
)

const Live = Layer.provideMerge(client, TestNatsServer.layer({}))

/** The log lines of an effect, besides its result. */
const withLogs = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ cause, logLevel, message }) => {
      lines.push(`${logLevel} ${String(message)} ${Cause.pretty(cause)}`)
    })
    return Effect.map(Effect.provide(effect, Logger.layer([logger])), (value) => ({ lines, value }))
  })

it.layer(Live, { timeout: "30 seconds", excludeTestServices: true })("a typed subject", (it) => {
  const placed = new Date("2026-01-02T03:04:05.000Z")
  const codecs = {
    json: SubjectSchema.make("codecs.json", Order),
    binary: SubjectSchema.make("codecs.binary", Order, { codec: SubjectSchema.binary })
  }
  for (const [name, Orders] of Object.entries(codecs)) {
    it.effect(`carries values as ${name}, with the message at hand`, () =>
      Effect.gen(function*() {
        const { stream } = yield* Orders.subscription()
        const orders = [{ id: "a", total: 1 }, { id: "b", total: Number.POSITIVE_INFINITY, placed }]
        for (const order of orders) yield* Orders.publish(order, { headers: { kind: "new" } })
        const received = yield* Stream.runCollect(Stream.take(stream, 2))
        assert.deepStrictEqual(received.map(({ value }) => value), orders)
        assert.strictEqual(received[0].message.subject, `codecs.${name}`)
        assert.strictEqual(received[0].message.header("kind"), "new")
        assert.strictEqual(
          received[0].message.header("Content-Type"),
          name === "json" ? "application/json" : "application/vnd.effect.schema-binary"
        )
        assert.deepStrictEqual(yield* Orders.decode(received[1].message), orders[1])
      }))
  }

  it.effect("carries text and bytes as they are", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const Text = SubjectSchema.make("codecs.text", Schema.NumberFromString, { codec: SubjectSchema.string })
      const Bytes = SubjectSchema.make("codecs.bytes", Schema.Uint8Array, { codec: SubjectSchema.raw })
      const raw = yield* nats.subscription("codecs.*")
      const text = yield* Text.subscription()
      const bytes = yield* Bytes.subscription()
      yield* Text.publish(42)
      yield* Bytes.publish(new Uint8Array([0, 255, 13, 10]))
      assert.deepStrictEqual((yield* Stream.runCollect(Stream.take(text.stream, 1))).map(({ value }) => value), [42])
      const [first] = yield* Stream.runCollect(Stream.take(bytes.stream, 1))
      assert.deepStrictEqual([...first.value], [0, 255, 13, 10])
      const wire = yield* Stream.runCollect(Stream.take(raw.stream, 2))
      assert.deepStrictEqual(wire.map((message) => [message.text.slice(0, 2), message.header("content-type")]), [
        ["42", "text/plain; charset=utf-8"],
        [wire[1].text.slice(0, 2), "application/octet-stream"]
      ])
    }))

  it.effect("keeps the caller's Content-Type, in whatever case", () =>
    Effect.gen(function*() {
      const Vendor = SubjectSchema.make("vendor", Order)
      const { stream } = yield* Vendor.subscription()
      const headers = { "content-type": "application/vnd.order+json; v=1" }
      yield* Vendor.publish({ id: "a", total: 1 }, { headers })
      const [{ message, value }] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepStrictEqual(Object.keys(message.headers), ["content-type"])
      assert.deepStrictEqual(value, { id: "a", total: 1 })
    }))

  it.effect("a value that does not fit is a MessageEncodeError at its path, and nothing is sent", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const Positive = SubjectSchema.make(
        "positive",
        Schema.Struct({ items: Schema.Array(Schema.Struct({ price: Schema.Number.check(Schema.isGreaterThan(0)) })) })
      )
      const before = (yield* nats.stats).messagesOut
      const error = yield* Effect.flip(Positive.publish({ items: [{ price: 1 }, { price: -7531 }] }))
      assert.strictEqual(error._tag, "MessageEncodeError")
      assert.deepInclude(error, { subject: "positive", path: "items[1].price" })
      assert.notInclude(String(error), "7531")
      assert.strictEqual((yield* nats.stats).messagesOut, before)
    }))

  const Event = SubjectSchema.make(Subject.template("orders.{id}.{kind}"), Schema.Struct({ n: Schema.Int }))

  it.effect("of a template carries the values of its parameters, whatever they are", () =>
    Effect.gen(function*() {
      const { stream } = yield* Event.subscription()
      const parameters = { id: "7.8 *>\r\n%", kind: "" }
      yield* Event.publish(parameters, { n: 1 })
      yield* Event.publish({ id: "ü", kind: "x" }, { n: 2 }, { confirm: true })
      const received = yield* Stream.runCollect(Stream.take(stream, 2))
      assert.deepStrictEqual(received.map(({ parameters }) => parameters), [parameters, { id: "ü", kind: "x" }])
      assert.deepStrictEqual(received.map(({ message }) => message.subject.split(".").length), [3, 3])
    }))

  it.effect("of a template can be subscribed to for some of the values", () =>
    Effect.gen(function*() {
      const { stream } = yield* Event.subscription({ parameters: { id: "a.b" } })
      yield* Event.publish({ id: "a", kind: "k" }, { n: 1 })
      yield* Event.publish({ id: "a.b", kind: "k" }, { n: 2 })
      const [{ value }] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepStrictEqual(value, { n: 2 })
    }))

  it.effect("a parameter that no subject can carry is an InvalidSubject of the operation", () =>
    Effect.gen(function*() {
      const halved = yield* Effect.flip(Event.publish({ id: "\ud800", kind: "k" }, { n: 1 }))
      assert.deepInclude(halved, { _tag: "InvalidSubject", token: 2 })
      const long = yield* Effect.flip(Effect.scoped(Event.subscription({ parameters: { id: "x".repeat(3000) } })))
      assert.strictEqual(long._tag, "InvalidSubject")
      const inStream = yield* Effect.flip(Stream.runDrain(Event.subscribe({ parameters: { id: "\ud800" } })))
      assert.strictEqual(inStream._tag, "InvalidSubject")
    }))

  const bad: ReadonlyArray<readonly [string, string, Record<string, string>, string, string]> = [
    ["that does not fit", "{\"n\":\"canary\"}", {}, "n", "bad.k"],
    ["that is no JSON", "{canary", {}, "", "bad.k"],
    ["of another Content-Type", "{\"n\":1}", { "Content-Type": "image/canary" }, "", "bad.k"],
    ["that is too large", JSON.stringify({ n: 1, canary: "canary".repeat(50) }), {}, "", "bad.k"],
    ["whose subject is not one of the template", "{\"n\":1}", {}, "", "canary%zz.k"]
  ]
  for (const [what, payload, headers, path, rest] of bad) {
    it.effect(`a message ${what} fails the stream after what came before, or is skipped, or handled`, () =>
      Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        const Small = SubjectSchema.make(Subject.template("orders.{id}.{kind}"), Schema.Struct({ n: Schema.Int }), {
          maxBytes: 100
        })
        const handled: Array<string> = []
        const failing = yield* Small.subscription()
        const skipping = yield* Small.subscription({ onInvalid: "skip" })
        const handling = yield* Small.subscription({
          onInvalid: (error, message) => Effect.sync(() => handled.push(`${error._tag} ${message.subject}`))
        })
        yield* Small.publish({ id: "good", kind: "k" }, { n: 1 })
        yield* nats.publish(`orders.${rest}`, payload, { headers })
        yield* Small.publish({ id: "good", kind: "k" }, { n: 2 })
        yield* nats.flush

        const before: Array<number> = []
        const error = yield* failing.stream.pipe(
          Stream.runForEach(({ value }) => Effect.sync(() => before.push(value.n))),
          Effect.flip
        )
        assert.deepStrictEqual(before, [1])
        assert.deepInclude(error, { _tag: "MessageDecodeError", subject: `orders.${rest}`, path })
        if (!rest.includes("canary")) assert.notInclude(`${error} ${JSON.stringify(error)}`, "canary")

        const skipped = yield* withLogs(Stream.runCollect(Stream.take(skipping.stream, 2)))
        assert.deepStrictEqual(skipped.value.map(({ value }) => value.n), [1, 2])
        assert.strictEqual(skipped.lines.length, 1)
        assert.match(skipped.lines[0], /^Warn A message on "orders\./)

        const rest2 = yield* Stream.runCollect(Stream.take(handling.stream, 2))
        assert.deepStrictEqual(rest2.map(({ value }) => value.n), [1, 2])
        assert.deepStrictEqual(handled, [`MessageDecodeError orders.${rest}`])
      }))
  }

  it.effect("a handler of bad messages that fails ends the stream with its failure", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const { stream } = yield* Event.subscription({ onInvalid: () => Effect.fail("enough" as const) })
      yield* nats.publish("orders.a.b", "{}")
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(stream)), "enough")
    }))

  it.effect("decodes schemas that need a service, one message after the other", () =>
    Effect.gen(function*() {
      const Prefixed = SubjectSchema.make("prefixed", Schema.String.pipe(prefixed))
      const { stream } = yield* Prefixed.subscription()
      for (const text of ["a", "b", "c"]) yield* Prefixed.publish(text)
      const received = yield* Stream.runCollect(Stream.take(stream, 3))
      assert.deepStrictEqual(received.map(({ value }) => value), ["<a", "<b", "<c"])
    }).pipe(Effect.provideService(Prefix, "<")))

  it.effect("ends with success when it is unsubscribed, after what was received", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const opened = yield* Event.subscription()
      yield* Event.publish({ id: "a", kind: "b" }, { n: 1 })
      yield* nats.flush
      yield* opened.unsubscribe
      const all = yield* Stream.runCollect(opened.stream)
      assert.deepStrictEqual(all.map(({ value }) => value.n), [1])
      assert.strictEqual(yield* opened.dropped, 0)
    }))

  it.effect("and when it is drained, after what the server had sent, or has its max", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const drained = yield* Event.subscription()
      const limited = yield* Event.subscription({ max: 2 })
      for (const n of [1, 2, 3]) yield* Event.publish({ id: "a", kind: "b" }, { n })
      yield* drained.drain
      const values = (opened: typeof drained) =>
        Effect.map(Stream.runCollect(opened.stream), (all) => all.map(({ value }) => value.n))
      assert.deepStrictEqual(yield* values(drained), [1, 2, 3])
      assert.deepStrictEqual(yield* values(limited), [1, 2])
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
    }))
})

class Prefix extends Context.Service<Prefix, string>()("test/Prefix") {}
const prefixed = <S extends Schema.Codec<string, string>>(schema: S) =>
  schema.pipe(Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.transformEffect((text) => Effect.map(Prefix, (prefix) => prefix + text)),
    encode: SchemaGetter.transformEffect((text) => Effect.succeed(text))
  }))

it.layer(Live, { timeout: "30 seconds", excludeTestServices: true })("a typed request", (it) => {
  const GetOrder = SubjectSchema.makeRequest("orders.get", {
    payload: Schema.Struct({ id: Schema.String }),
    success: Order,
    error: OrderNotFound
  })
  const at = new Date("2026-01-02T03:04:05.000Z")

  it.effect("is answered with the success, or fails with the error of the contract", () =>
    Effect.gen(function*() {
      yield* GetOrder.respond(({ id }) => id === "7" ? Effect.succeed({ id, total: 1 }) : Effect.fail(notFound(id, at)))
      assert.deepStrictEqual(yield* GetOrder.request({ id: "7" }), { id: "7", total: 1 })
      const error = yield* Effect.flip(GetOrder.request({ id: "8" }))
      assert.instanceOf(error, OrderNotFound)
      assert.deepStrictEqual(error, notFound("8", at))
    }))

  it.effect("an error on the wire has the headers of NATS services, on one line each, and its JSON", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      yield* GetOrder.respond(({ id }) => Effect.fail(notFound(id, at)))
      const reply = yield* nats.request("orders.get", "{\"id\":\"9\"}")
      assert.strictEqual(reply.header("Nats-Service-Error"), "no order 9")
      assert.strictEqual(reply.header("Nats-Service-Error-Code"), "422")
      assert.deepStrictEqual(JSON.parse(reply.text), { _tag: "OrderNotFound", id: "9", at: at.toISOString() })
    }))

  const rejected: ReadonlyArray<readonly [string, string, number, RegExp]> = [
    ["a payload that does not fit is a ServiceError 400 that names the path", "{\"id\":7531}", 400, /at id: /],
    ["a payload that is no JSON is a ServiceError 400", "7531{", 400, /it is not JSON/],
    ["a defect is a ServiceError 500 that tells nothing", "{\"id\":\"defect\"}", 500, /^internal error$/],
    ["a thrown defect is, too", "{\"id\":\"throw\"}", 500, /^internal error$/],
    ["a result that does not fit its schema is, too", "{\"id\":\"unfit\"}", 500, /^internal error$/],
    [
      "a result that is too large is, too",
      "{\"id\":\"large\"}",
      500,
      /^the answer of \d+ bytes is over the server's limit of 1048576$/
    ]
  ]
  for (const [title, payload, code, description] of rejected) {
    it.effect(title, () =>
      Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        const { lines } = yield* withLogs(Effect.gen(function*() {
          yield* GetOrder.respond(({ id }) => {
            if (id === "throw") throw new Error("secret 7531")
            if (id === "defect") return Effect.die(new Error("secret 7531"))
            if (id === "large") return Effect.succeed({ id: "x".repeat(2_000_000), total: 1 })
            return Effect.succeed({ id, total: "seven" as unknown as number })
          })
          const reply = yield* nats.request("orders.get", payload)
          assert.strictEqual(reply.header("Nats-Service-Error-Code"), String(code))
          assert.match(reply.header("Nats-Service-Error")!, description)
          assert.notInclude(reply.header("Nats-Service-Error")!, "7531")
          assert.strictEqual(reply.text, "")
        }))
        assert.strictEqual(lines.filter((line) => line.startsWith("Error ")).length, code === 500 ? 1 : 0)
        assert.strictEqual(lines.some((line) => line.includes("secret 7531")), title.includes("defect"))
      }))
  }

  it.effect("an error of the service that is not in the contract is a ServiceError", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const foreign = yield* nats.subscription("orders.get")
      const answers = [
        { "Nats-Service-Error": "busy", "Nats-Service-Error-Code": "503" },
        { "Nats-Service-Error": "" },
        { "Nats-Service-Error-Code": "nonsense", "Nats-Service-Error": "x" }
      ]
      let next = 0
      yield* Effect.forkScoped(
        Stream.runForEach(foreign.stream, (message) => message.respond("{\"x\":1}", { headers: answers[next++] }))
      )
      const busy = yield* Effect.flip(GetOrder.request({ id: "1" }))
      assert.deepInclude(busy, { _tag: "ServiceError", code: 503, description: "busy", isRetryable: true })
      const silent = yield* Effect.flip(GetOrder.request({ id: "1" }))
      assert.deepInclude(silent, { _tag: "ServiceError", code: 0, description: "", isRetryable: false })
      const odd = yield* Effect.flip(GetOrder.request({ id: "1" }))
      assert.deepInclude(odd, { _tag: "ServiceError", code: 0, description: "x" })
    }))

  it.effect("a reply that does not fit is a MessageDecodeError of the request's subject", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const foreign = yield* nats.subscription("orders.get")
      yield* Effect.forkScoped(Stream.runForEach(foreign.stream, (message) => message.respond("{\"id\":\"1\"}")))
      const error = yield* Effect.flip(GetOrder.request({ id: "1" }))
      assert.deepInclude(error, { _tag: "MessageDecodeError", subject: "orders.get", path: "total" })
    }))

  it.effect("nobody who answers is NoResponders", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(GetOrder.request({ id: "1" }))
      assert.strictEqual(error._tag, "NoResponders")
    }))

  it.effect("needs no payload and no success, and a foreign client may send anything then", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const Ping = SubjectSchema.makeRequest("ping", {})
      let pings = 0
      yield* Ping.respond(() => Effect.sync(() => void pings++))
      yield* Ping.request()
      assert.strictEqual((yield* nats.request("ping", "hello")).text, "")
      assert.strictEqual(pings, 2)
    }))

  it.effect("of a template knows its parameters, and a bad one is a 400", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const Item = SubjectSchema.makeRequest(Subject.template("items.{id}.get"), { success: Schema.String })
      yield* Item.respond((_, { parameters }) => Effect.succeed(parameters.id))
      assert.strictEqual(yield* Item.request({ id: "a.b*" }), "a.b*")
      const reply = yield* nats.request("items.%zz.get")
      assert.strictEqual(reply.header("Nats-Service-Error-Code"), "400")
    }))

  it.effect("handles a message without reply, too, and many at once if told so", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const arrived = yield* Deferred.make<void>()
      let open = 0
      yield* GetOrder.respond(({ id }) =>
        Effect.gen(function*() {
          open++
          if (open === 3) yield* Deferred.succeed(arrived, undefined)
          yield* Deferred.await(arrived)
          return { id, total: open }
        }), { concurrency: 3 })
      yield* nats.publish("orders.get", "{\"id\":\"1\"}")
      const both = yield* Effect.all([GetOrder.request({ id: "2" }), GetOrder.request({ id: "3" })], {
        concurrency: 2
      })
      assert.deepStrictEqual(both.map(({ id }) => id), ["2", "3"])
    }))

  it.effect("is still answered when the responder's scope closes meanwhile, and the next finds nobody", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const done = yield* Deferred.make<void>()
      const responder = yield* GetOrder.respond(({ id }) =>
        Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Deferred.await(finish)),
          Effect.as({ id, total: 1 })
        )
      ).pipe(
        Effect.andThen(Deferred.await(done)),
        Effect.scoped,
        Effect.forkChild
      )
      const asked = yield* Effect.forkChild(
        Effect.retry(GetOrder.request({ id: "1" }), { while: (error) => error._tag === "NoResponders" })
      )
      yield* Deferred.await(started)
      yield* Deferred.succeed(done, undefined)
      const next = yield* GetOrder.request({ id: "2" }).pipe(
        Effect.timeoutOption("20 millis"),
        Effect.flip,
        Effect.eventually
      )
      assert.strictEqual(next._tag, "NoResponders")
      yield* Deferred.succeed(finish, undefined)
      assert.deepStrictEqual(yield* Fiber.join(asked), { id: "1", total: 1 })
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(responder)))
    }))

  it.effect("what serves ends with the cause when the client ends for good", () =>
    Effect.gen(function*() {
      const own = yield* TestNatsServer.make({})
      const nats = yield* NatsClient.make({ servers: own.url, reconnect: false })
      const responder = yield* GetOrder.respond(({ id }) => Effect.succeed({ id, total: 1 })).pipe(
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      yield* own.kill
      const error = yield* Effect.flip(responder.ended)
      assert.strictEqual(error._tag, "ConnectionClosed")
    }))
})

describe("a definition with a wrong subject", () => {
  it.effect("fails in its operations, and the constructor does not throw", () =>
    Effect.gen(function*() {
      const dynamic: string = "a..b"
      const nats = yield* NatsClient.NatsClient
      const error = yield* Effect.flip(SubjectSchema.make(dynamic, Schema.String).publish("x"))
      assert.deepInclude(error, { _tag: "InvalidSubject", token: 2 })
      assert.strictEqual((yield* nats.stats).messagesOut, 0)
    }).pipe(Effect.provide(Live)))
})
