/** A server with `no_header_support`: what is sent there goes without, or is refused here; nobody waits for nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schema, Stream, Tracer } from "effect"
import { NatsClient, NatsError, NatsListener, SubjectSchema } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { follow } from "../fixtures/following.ts"

const without = { config: "no_header_support: true" } satisfies TestNatsServer.Options
const patient = { reconnect: { initialDelay: "10 millis", maxDelay: "20 millis" } } as const
const headers = { a: "b" }

class SoldOut
  extends Schema.TaggedError<SoldOut>()("SoldOut", { left: Schema.Finite }, { natsServiceErrorCode: 409 })
{}
class Large extends Schema.TaggedError<Large>()("Large", { text: Schema.String }, { natsServiceErrorCode: 507 }) {}
const Shop = RpcGroup.make(
  Rpc.make("buy", { payload: { n: Schema.Finite }, success: Schema.Finite, error: SoldOut }),
  Rpc.make("forget", { error: SoldOut })
)
const handlers = Shop.toLayer({
  buy: ({ n }) => n > 1 ? Effect.fail(new SoldOut({ left: 1 })) : n < 0 ? Effect.die("bug") : Effect.succeed(n),
  forget: () => Effect.fail(new SoldOut({ left: 0 }))
})
const Ask = SubjectSchema.makeRequest("asked", { payload: Schema.Finite, success: Schema.Finite, error: SoldOut })

const connect = Effect.gen(function*() {
  const server = yield* TestNatsServer.make(without)
  const nats = yield* NatsClient.make({ servers: server.url, requestTimeout: "2 seconds", ...patient })
  return { nats, server, given: Effect.provideService(NatsClient.NatsClient, nats) }
})

describe("a server that takes no headers", () => {
  it.live("is connected to, carries what has none, and cannot say that nobody is there", () =>
    Effect.gen(function*() {
      const { nats } = yield* connect
      assert.isFalse((yield* nats.serverInfo).headers ?? false)
      yield* Effect.forkScoped(nats.consume("echo", (message) => message.respond(message.data)))
      yield* nats.flush
      assert.strictEqual((yield* nats.request("echo", "x", { headers: {} })).text, "x")
      assert.strictEqual(
        (yield* Effect.flip(nats.request("nobody", "", { timeout: "20 millis" })))._tag,
        "RequestTimedOut"
      )
    }))

  it.live("gets nothing that has some: every way to send it fails with HeadersNotSupported, and the session stays", () =>
    Effect.gen(function*() {
      const { given, nats, server } = yield* connect
      const status = yield* follow(nats)
      yield* Effect.forkScoped(
        nats.consume(
          "echo",
          (message) => Effect.catch(message.respond("x", { headers }), (error) => message.respond(error._tag))
        )
      )
      yield* nats.flush
      const ways: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        nats.publish("out", "x", { headers }),
        nats.publish("out", "x", { headers, confirm: true }),
        nats.request("echo", "x", { headers }),
        Stream.runDrain(nats.requestMany("echo", "x", { headers })),
        given(Ask.request(1, { headers })),
        nats.publish("out", "x", { headers: { "Content-Type": "application/json" } })
      ]
      for (const way of ways) {
        const error = yield* Effect.flip(way)
        assert(error instanceof NatsError.HeadersNotSupported)
        assert.strictEqual(error.server, server.url)
      }
      assert.strictEqual((yield* nats.request("echo")).text, "HeadersNotSupported")
      assert.deepStrictEqual(status.tags, ["Connected"])
    }))

  it.live("gets no trace, and spans are made all the same", () =>
    Effect.gen(function*() {
      const { nats } = yield* connect
      const names: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          names.push(options.name)
          return new Tracer.NativeSpan(options)
        }
      })
      const { stream } = yield* nats.subscription("out")
      const heads = yield* Effect.forkScoped(Stream.runCollect(Stream.take(stream, 2)))
      yield* Effect.forkScoped(nats.consume("echo", (message) => message.respond(message.text)))
      yield* nats.flush
      yield* Effect.gen(function*() {
        yield* nats.publish("out", "1")
        yield* nats.publish("out", "2", { confirm: true })
        assert.strictEqual((yield* nats.request("echo", "x")).text, "x")
        // As large as the server takes it without the trace.
        const whole = "x".repeat((yield* nats.serverInfo).max_payload)
        assert.strictEqual((yield* nats.request("echo", whole)).text, whole)
        assert.strictEqual((yield* Stream.runHead(nats.requestMany("echo", "y", { count: 1 })))._tag, "Some")
      }).pipe(Effect.withTracer(tracer))
      for (const message of yield* Fiber.join(heads)) assert.deepStrictEqual({ ...message.headers }, {})
      assert.isTrue(names.length >= 4)
    }))

  it.live("has services whose failures are payloads, which typed clients read as what they are", () =>
    Effect.gen(function*() {
      const { given, nats } = yield* connect
      yield* given(NatsService.make(Shop, { name: "shop", version: "1.0.0" })).pipe(Effect.provide(handlers))
      yield* given(Ask.respond((n) => n > 1 ? Effect.fail(new SoldOut({ left: 2 })) : Effect.succeed(n)))
      yield* given(NatsListener.make(
        "plain",
        NatsListener.replying(() =>
          Effect.fail(new NatsError.ServiceError({ subject: "", code: 418, description: "tea" }))
        )
      ))
      yield* given(NatsListener.make("good", NatsListener.replying(() => Effect.succeed({ payload: "x", headers }))))
      const shop = yield* given(NatsService.client(Shop, { name: "shop" }))
      assert.strictEqual(yield* shop.buy({ n: 1 }), 1)
      assert.deepInclude(yield* Effect.flip(shop.buy({ n: 2 })), { _tag: "SoldOut", left: 1 })
      assert.deepInclude(yield* Effect.flip(shop.buy({ n: -1 })), { _tag: "ServiceError", code: 500 })
      // A result of nothing reads any payload.
      assert.deepInclude(yield* Effect.flip(shop.forget()), { _tag: "SoldOut", left: 0 })
      assert.strictEqual(yield* given(Ask.request(1)), 1)
      assert.deepInclude(yield* Effect.flip(given(Ask.request(2))), { _tag: "SoldOut", left: 2 })
      assert.deepStrictEqual(JSON.parse((yield* nats.request("plain")).text), {
        "Nats-Service-Error": "tea",
        "Nats-Service-Error-Code": "418"
      })
      assert.deepStrictEqual(JSON.parse((yield* nats.request("shop.buy", "?")).text), {
        "Nats-Service-Error": "the payload does not fit: it is not JSON",
        "Nats-Service-Error-Code": "400"
      })
      assert.strictEqual((yield* nats.request("good")).text, "x")
      // A failure that does not fit is told without itself.
      yield* given(NatsListener.make(
        "big",
        NatsListener.replying(() => Effect.fail(new Large({ text: "x".repeat(1_100_000) })))
      ))
      assert.deepStrictEqual(JSON.parse((yield* nats.request("big")).text), {
        "Nats-Service-Error": "Large",
        "Nats-Service-Error-Code": "507"
      })
    }))

  it.live("has results that only begin like a failure, which stay results", () =>
    Effect.gen(function*() {
      const { given, nats } = yield* connect
      const results = [
        `{"Nats-Service-Error":"x","more":5}`,
        `{"Nats-Service-Error":"x"`,
        `{"Nats-Service-Error-Code":"1"}`
      ]
      const left = [...results]
      yield* Effect.forkScoped(nats.consume("asked", (message) => message.respond(left.shift() ?? "")))
      yield* nats.flush
      const Asked = SubjectSchema.makeRequest("asked", { payload: Schema.String, success: Schema.Unknown })
      for (const result of results) {
        const answer = yield* Effect.result(given(Asked.request("")))
        assert.strictEqual(
          answer._tag === "Success" ? JSON.stringify(answer.success) : answer.failure._tag,
          result.endsWith("}") ? result : "MessageDecodeError"
        )
      }
    }))
})

describe("headers that wait for a connection", () => {
  for (const whileDisconnected of ["wait", { buffer: 10 }] as const) {
    it.live(`are refused by the server that takes none, and only they (${JSON.stringify(whileDisconnected)})`, () =>
      Effect.gen(function*() {
        const first = yield* TestNatsServer.make({})
        const nats = yield* NatsClient.make({ servers: first.url, whileDisconnected, ...patient })
        const status = yield* follow(nats)
        const inbox = yield* nats.subscription("in")
        const got = yield* Effect.forkScoped(Stream.runCollect(Stream.take(inbox.stream, 2)))
        yield* first.kill
        yield* status.seen("Disconnected")
        const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })
        const sent = yield* Effect.forEach(
          [
            nats.publish("in", "1"),
            nats.publish("in", "2", { headers }),
            nats.request("in", "", { headers, timeout: "5 seconds" }),
            Effect.withTracer(nats.publish("in", "3"), tracer)
          ],
          (sending) => Effect.forkScoped(Effect.exit(sending), { startImmediately: true })
        )
        yield* TestNatsServer.make({ ...without, port: first.port })
        yield* status.connected(2)
        assert.deepStrictEqual((yield* Fiber.join(got)).map(({ text }) => text), ["1", "3"])
        const [one, two, asked, three] = yield* Effect.forEach(sent, Fiber.join)
        const tag = (exit: Exit.Exit<unknown, { readonly _tag: string }>) =>
          Exit.isSuccess(exit) ? "sent" : (Cause.squash(exit.cause) as { readonly _tag: string })._tag
        const held = whileDisconnected !== "wait"
        assert.deepStrictEqual([one, two, asked, three].map(tag), [
          "sent",
          held ? "sent" : "HeadersNotSupported",
          "HeadersNotSupported",
          "sent"
        ])
        assert.deepStrictEqual(status.all("Undelivered"), held ? [{ _tag: "Undelivered", messages: 1 }] : [])
        assert.deepStrictEqual(status.losses, ["ConnectionReset"])
      }))
  }
})
