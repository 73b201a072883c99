import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Queue, Redacted, Schema, Stream, Tracer } from "effect"
import { NatsClient, NatsListener, NatsTracing, Subject, SubjectSchema } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { keepSpans } from "../fixtures/keptSpans.ts"

class Spans {
  private readonly kept = keepSpans()
  readonly all: ReadonlyArray<Tracer.NativeSpan> = this.kept.spans
  readonly tracer: Tracer.Tracer = this.kept.tracer
  named(name: string): Tracer.NativeSpan {
    const found = this.all.filter((span) => span.name === name)
    assert.lengthOf(found, 1, `${name} among ${this.all.map((span) => span.name).join(", ")}`)
    return found[0]
  }
  get names(): ReadonlyArray<string> {
    return this.all.map((span) => span.name)
  }
}

const parentOf = (span: Tracer.Span): Tracer.AnySpan | undefined => Option.getOrUndefined(span.parent)

const attributesOf = (span: Tracer.Span): Record<string, unknown> => Object.fromEntries(span.attributes)

const traced = <A, E, R>(spans: Spans, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, Tracer.Tracer, spans.tracer)

const client = (options?: Partial<NatsClient.Options>) =>
  Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url, ...options }))

/** A consumer whose subscription the server has. */
const consuming = <E, R>(
  nats: NatsClient.NatsClient,
  subject: string,
  handler: (message: Parameters<Parameters<typeof nats.consume>[1]>[0]) => Effect.Effect<unknown, E, R>,
  options?: NatsClient.ConsumeOptions
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(nats.consume(subject, handler, options), { startImmediately: true })
    yield* nats.flush
    return fiber
  })

/** What the server sends to a subscriber that decodes nothing: the headers of the next message. */
const nextOf = (nats: NatsClient.NatsClient, subject: string) =>
  Effect.map(
    nats.subscription(subject),
    ({ stream }) => Effect.map(Effect.orDie(Stream.runHead(stream)), (message) => Option.getOrThrow(message))
  )

const layer: Layer.Layer<TestNatsServer.TestNatsServer, unknown> = TestNatsServer.layer()

it.layer(layer, { timeout: "30 seconds", excludeTestServices: true })("tracing", (it) => {
  it.effect("the spans of a definition have its name, at both ends", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      const nats = yield* traced(spans, client())
      const Told = SubjectSchema.make(Subject.template("told.{id}"), Schema.String)
      const Asked = SubjectSchema.makeRequest(Subject.template("asked.{id}"), {
        payload: Schema.String,
        success: Schema.String
      })
      const told = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        yield* Asked.respond((text) => Effect.succeed(text))
        yield* Layer.build(Told.layer(() => Deferred.succeed(told, undefined)))
        yield* NatsListener.make("plain.*", (message) => message.respond(), { subjectTemplate: "plain.{id}" })
        yield* nats.request("plain.7", "", { subjectTemplate: "plain.{id}" })
        yield* Asked.request({ id: "7" }, "x")
        yield* Told.publish({ id: "7" }, "x")
        yield* Deferred.await(told)
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats), (effect) => traced(spans, effect), Effect.scoped)
      assert.deepStrictEqual(spans.names.toSorted(), [
        "process asked.{id}",
        "process plain.{id}",
        "process told.{id}",
        "publish told.{id}",
        "request asked.{id}",
        "request plain.{id}"
      ])
    }))

  it.effect("a publish is a producer and its handler a consumer, parent and child in one trace across two clients", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const [sending, receiving] = [new Spans(), new Spans()]
      const sender = yield* traced(sending, client())
      const receiver = yield* traced(receiving, client())
      const handled = yield* Deferred.make<Tracer.Span>()
      yield* traced(
        receiving,
        consuming(
          receiver,
          "orders.*.created",
          () => Effect.currentSpan.pipe(Effect.orDie, Effect.flatMap((span) => Deferred.succeed(handled, span))),
          {
            queue: "workers",
            subjectTemplate: "orders.{id}.created"
          }
        )
      )
      yield* sender.publish("orders.7.created", "hällo", { subjectTemplate: "orders.{id}.created" }).pipe(
        Effect.withSpan("checkout"),
        (effect) => traced(sending, effect)
      )
      const seen = yield* Deferred.await(handled)

      const produced = sending.named("publish orders.{id}.created")
      assert.strictEqual(produced.kind, "producer")
      assert.strictEqual(parentOf(produced)?.spanId, sending.named("checkout").spanId)
      const place = { "server.address": "127.0.0.1", "server.port": Number(new URL(server.url).port) }
      assert.deepStrictEqual(attributesOf(produced), {
        "messaging.system": "nats",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders.7.created",
        "messaging.destination.template": "orders.{id}.created",
        "messaging.message.body.size": 6,
        ...place
      })
      const consumed = receiving.named("process orders.{id}.created")
      assert.strictEqual(seen.spanId, consumed.spanId)
      assert.strictEqual(consumed.kind, "consumer")
      assert.strictEqual(consumed.traceId, produced.traceId)
      assert.strictEqual(parentOf(consumed)?.spanId, produced.spanId)
      assert.deepStrictEqual(attributesOf(consumed), {
        "messaging.system": "nats",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "orders.7.created",
        "messaging.destination.template": "orders.{id}.created",
        "messaging.message.body.size": 6,
        "messaging.consumer.group.name": "workers",
        ...place
      })
    }))

  it.effect("a request is a client, its handler a server, and the answer no span of its own", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      yield* traced(
        spans,
        Effect.gen(function*() {
          const nats = yield* client()
          yield* consuming(nats, "greet", (message) => message.respond(`Hello, ${message.text}`))
          const reply = yield* nats.request("greet", "Ada")
          assert.strictEqual(reply.text, "Hello, Ada")
          assert.isUndefined(reply.header("traceparent"))
          yield* nats.drain
        })
      )
      assert.deepStrictEqual(spans.names.toSorted(), ["process greet", "request greet"])
      const request = spans.named("request greet")
      const handling = spans.named("process greet")
      assert.strictEqual(request.kind, "client")
      assert.strictEqual(handling.kind, "server")
      assert.strictEqual(parentOf(handling)?.spanId, request.spanId)
      assert.strictEqual(request.status._tag, "Ended")
      assert.strictEqual(handling.status._tag, "Ended")
    }))

  it.effect("requestMany is one client span that ends with its stream", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      const nats = yield* client()
      for (const name of ["a", "b"]) yield* consuming(nats, "all", (message) => message.respond(name))
      const open = yield* Deferred.make<boolean>()
      yield* traced(
        spans,
        nats.requestMany("all", "", { count: 2 }).pipe(
          Stream.tap(() => Deferred.succeed(open, spans.named("request all").status._tag === "Started")),
          Stream.runDrain
        )
      )
      assert.isTrue(yield* Deferred.await(open))
      assert.strictEqual(spans.named("request all").kind, "client")
      assert.strictEqual(spans.named("request all").status._tag, "Ended")
    }))

  it.effect("with link the handler begins a trace of its own that links to the sender", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      yield* traced(
        spans,
        Effect.gen(function*() {
          const nats = yield* client()
          yield* consuming(nats, "linked", () => Effect.void).pipe(
            Effect.provideService(NatsTracing.ConsumerRelation, "link"),
            Effect.withSpan("service")
          )
          yield* nats.publish("linked")
          yield* nats.drain
        })
      )
      const [produced, consumed] = [spans.named("publish linked"), spans.named("process linked")]
      assert.isUndefined(parentOf(consumed))
      assert.notStrictEqual(consumed.traceId, produced.traceId)
      assert.deepStrictEqual(consumed.links.map(({ span }) => span.spanId), [produced.spanId])
    }))

  it.effect("elements of a stream run in the span of their message, as parent or as link", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      yield* traced(
        spans,
        Effect.gen(function*() {
          const nats = yield* client()
          const next = yield* nextOf(nats, "things.*")
          yield* nats.publish("things.9", "1")
          const message = yield* next
          assert.strictEqual(
            Option.getOrThrow(NatsTracing.remoteSpan(message)).spanId,
            spans.named("publish things.9").spanId
          )
          const inner = yield* Effect.currentSpan.pipe(
            NatsTracing.withMessageSpan(message, { subjectTemplate: "things.*", queue: "q" })
          )
          yield* NatsTracing.withMessageSpan(Effect.void, message, { relation: "link", subjectTemplate: "linked" })
          const failed = yield* Effect.exit(NatsTracing.withMessageSpan(Effect.fail("no"), message))
          assert.isTrue(Exit.isFailure(failed))
          assert.strictEqual(spans.named("process things.*").spanId, inner.spanId)
        })
      )
      const produced = spans.named("publish things.9")
      const consumed = spans.named("process things.*")
      assert.strictEqual(parentOf(consumed)?.spanId, produced.spanId)
      assert.strictEqual(consumed.attributes.get("messaging.consumer.group.name"), "q")
      assert.strictEqual(spans.named("process linked").links[0].span.spanId, produced.spanId)
      const ended = spans.named("process things.9").status
      assert.isTrue(ended._tag === "Ended" && Exit.isFailure(ended.exit))
    }))

  it.effect("the caller's headers go out as they are, and a traceparent of the caller wins", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      const nats = yield* client()
      const own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      const headers = Object.freeze({ "X-One": "1", Two: Object.freeze(["a", "b"]) })
      const withOwn = Object.freeze({ TraceParent: own })
      const next = yield* nextOf(nats, "headers")
      yield* traced(spans, nats.publish("headers", "", { headers }))
      const first = yield* next
      yield* traced(spans, nats.publish("headers", "", { headers: withOwn }))
      const second = yield* next
      const { traceparent, ...rest } = first.headers
      assert.deepStrictEqual({ ...rest }, { "X-One": ["1"], Two: ["a", "b"] })
      const [sent] = spans.all
      assert.deepStrictEqual(traceparent, [`00-${sent.traceId}-${sent.spanId}-01`])
      assert.deepStrictEqual({ ...second.headers }, { TraceParent: [own] })
      assert.strictEqual(Option.getOrThrow(NatsTracing.remoteSpan(second)).traceId, own.slice(3, 35))
      assert.deepStrictEqual(headers, { "X-One": "1", Two: ["a", "b"] })
    }))

  it.effect("a tracestate that came with a message goes on with what its handler sends", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      const plain = yield* client()
      const next = yield* nextOf(plain, "onward")
      yield* traced(
        spans,
        Effect.gen(function*() {
          const nats = yield* client()
          yield* consuming(nats, "inward", () => Effect.withSpan(nats.publish("onward", "x"), "inside"))
          yield* plain.publish("inward", "", {
            headers: {
              traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
              tracestate: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
            }
          })
          const message = yield* next
          assert.strictEqual(message.header("tracestate"), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
          // Not sampled by the sender, so by nobody after it.
          assert.match(message.header("traceparent")!, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/)
        }).pipe(Effect.provideService(Tracer.Tracer, spans.tracer))
      )
    }))

  it.effect("a traceparent that is not right is no trace", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const trace = "0af7651916cd43dd8448eb211c80319c"
      const span = "b7ad6b7169203331"
      const next = yield* nextOf(nats, "read")
      const read = (traceparent: string, name = "traceparent") =>
        Effect.gen(function*() {
          yield* nats.publish("read", "", { headers: { before: "traceparent: no", [name]: traceparent, after: "x" } })
          return Option.map(NatsTracing.remoteSpan(yield* next), ({ sampled, spanId, traceId }) => ({
            sampled,
            spanId,
            traceId
          }))
        })
      const right = Option.some({ sampled: true, spanId: span, traceId: trace })
      assert.deepStrictEqual(yield* read(`00-${trace}-${span}-01`), right)
      assert.deepStrictEqual(yield* read(`00-${trace}-${span}-01`, "TraceParent"), right)
      assert.deepStrictEqual(yield* read(`cc-${trace}-${span}-01-what-comes-later`), right)
      assert.deepStrictEqual(
        yield* read(`00-${trace}-${span}-00`),
        Option.some({ sampled: false, spanId: span, traceId: trace })
      )
      for (
        const wrong of [
          "",
          "00",
          `00-${trace}-${span}`,
          `00-${trace}-${span}-01-more`,
          `00-${trace}-${span}-011`,
          `ff-${trace}-${span}-01`,
          `00-${"0".repeat(32)}-${span}-01`,
          `00-${trace}-${"0".repeat(16)}-01`,
          `00-${trace.toUpperCase()}-${span}-01`,
          `00_${trace}_${span}_01`,
          `0x-${trace}-${span}-01`,
          `00-${trace.slice(1)}g-${span}-01`
        ]
      ) assert.deepStrictEqual(yield* read(wrong), Option.none(), wrong)
    }))

  it.effect("errors end spans as failures with their tag, and interruption ends them too", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      const nats = yield* client()
      yield* traced(
        spans,
        Effect.gen(function*() {
          yield* Effect.flip(nats.request("nobody.there"))
          yield* Effect.flip(nats.publish("not a subject"))
          yield* nats.subscription("silent")
          const waiting = yield* Effect.forkChild(nats.request("silent"), { startImmediately: true })
          yield* Fiber.interrupt(waiting)
        })
      )
      assert.strictEqual(spans.named("request nobody.there").attributes.get("error.type"), "NoResponders")
      assert.strictEqual(spans.named("publish not a subject").attributes.get("error.type"), "InvalidSubject")
      assert.isFalse(spans.named("request silent").attributes.has("error.type"))
      for (const { status } of spans.all) assert.isTrue(status._tag === "Ended" && Exit.isFailure(status.exit))
    }))

  it.effect("span names are bounded, and no inbox is told", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      yield* traced(
        spans,
        Effect.gen(function*() {
          const nats = yield* client({ inboxPrefix: "mine" })
          for (let i = 0; i < 500; i++) yield* nats.publish(`user.${i}`)
          yield* nats.publish("_INBOX.abc.1")
          yield* nats.publish("mine.abc.1")
          yield* nats.publish("known.1", "", { subjectTemplate: "known.{id}" })
          yield* consuming(nats, "ask", (message) => nats.publish(message.reply!, "answer"))
          yield* nats.request("ask")
        })
      )
      const names = new Set(spans.names)
      assert.isAtMost(names.size, 110)
      for (const name of ["publish", "publish user.0", "publish (temporary)", "publish known.{id}", "process ask"]) {
        assert.isTrue(names.has(name), name)
      }
      for (const span of spans.all) {
        assert.notInclude(JSON.stringify([span.name, attributesOf(span)]), "_INBOX.")
        assert.notInclude(JSON.stringify([span.name, attributesOf(span)]), "mine.")
      }
    }))

  it.effect("without a tracer, switched off, or with propagation disabled there is no span, and the wire is the same", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const wire = (
        wrap: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
        within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = (effect) => effect
      ) =>
        Effect.gen(function*() {
          const proxy = yield* TestNatsProxy.make({ port: server.port })
          yield* wrap(
            Effect.gen(function*() {
              const nats = yield* NatsClient.make({ servers: proxy.url, name: "same" })
              yield* within(Effect.gen(function*() {
                const seen = yield* Queue.unbounded<string>()
                yield* consuming(nats, "off", (message) =>
                  Effect.andThen(
                    Queue.offer(seen, message.text),
                    message.reply === undefined ? Effect.void : message.respond("yes")
                  ))
                yield* nats.publish("off", "one")
                yield* nats.publish("off", "two", { headers: { a: "b" } })
                yield* Effect.replicateEffect(Queue.take(seen), 2)
                yield* nats.request("off", "three")
                const next = yield* nextOf(nats, "streamed")
                yield* nats.publish("streamed", "four")
                yield* NatsTracing.withMessageSpan(Effect.void, yield* next)
                yield* nats.requestMany("off", "five", { count: 1 }).pipe(Stream.runDrain)
              }))
              yield* nats.drain
            }).pipe(Effect.scoped)
          )
          const sent = (yield* proxy.sent("toServer")).toString("latin1")
          // A server that finds the time pings, too, and is answered.
          return sent.slice(sent.indexOf("\r\n")).replaceAll("PONG\r\n", "").replaceAll(
            /_INBOX\.[0-9a-f]{24}/g,
            "_INBOX.x"
          )
        }).pipe(Effect.scoped)

      const plain = yield* wire((effect) => effect)
      assert.include(plain, "five")
      assert.notInclude(plain, "traceparent")
      const spans = new Spans()
      assert.strictEqual(
        yield* wire((effect) => traced(spans, Effect.provideService(effect, NatsTracing.Enabled, false))),
        plain
      )
      assert.strictEqual(
        yield* wire(
          (effect) => traced(spans, effect),
          (effect) => Effect.provideService(effect, NatsTracing.Enabled, false)
        ),
        plain
      )
      assert.strictEqual(
        yield* wire((effect) => traced(spans, Effect.provideService(effect, Tracer.DisablePropagation, true))),
        plain
      )
      assert.strictEqual(yield* wire((effect) => traced(spans, Effect.withTracerEnabled(effect, false))), plain)
      assert.deepStrictEqual(spans.names, [])
      assert.strictEqual(
        yield* wire((effect) => traced(spans, Effect.provideService(effect, NatsTracing.PropagationEnabled, false))),
        plain
      )
      assert.include(spans.names, "publish off")
      assert.include(yield* wire((effect) => traced(spans, effect)), "traceparent")
    }))
})

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "tracing of JetStream",
  (it) => {
    it.effect("a message that asks for an acknowledgement is consumed, not answered", () =>
      Effect.gen(function*() {
        const spans = new Spans()
        const nats = yield* client()
        const handled = yield* Deferred.make<void>()
        yield* traced(spans, consuming(nats, "delivered", () => Deferred.succeed(handled, undefined)))
        yield* nats.request("$JS.API.STREAM.CREATE.S", JSON.stringify({ name: "S", subjects: ["kept"] }))
        const config = { durable_name: "D", deliver_subject: "delivered", ack_policy: "explicit" }
        yield* nats.request("$JS.API.CONSUMER.DURABLE.CREATE.S.D", JSON.stringify({ stream_name: "S", config }))
        yield* traced(spans, nats.publish("kept"))
        yield* Deferred.await(handled)
        assert.strictEqual(spans.named("process delivered").kind, "consumer")
        assert.strictEqual(parentOf(spans.named("process delivered"))?.spanId, spans.named("publish kept").spanId)
      }))
  }
)

it.layer(
  TestNatsServer.layer({ args: ["--user", "svc", "--pass", "canary-4d1f09"] }),
  { timeout: "30 seconds", excludeTestServices: true }
)("tracing with credentials", (it) => {
  it.effect("no credential is in a span, whatever fails", () =>
    Effect.gen(function*() {
      const spans = new Spans()
      const server = yield* TestNatsServer.TestNatsServer
      yield* traced(
        spans,
        Effect.gen(function*() {
          const nats = yield* NatsClient.make({
            servers: `nats://svc:canary-4d1f09@127.0.0.1:${server.port}`
          })
          yield* consuming(nats, "work", (message) =>
            message.text === "bad" ? Effect.die(new Error("broken")) : message.respond())
          yield* nats.request("work")
          yield* nats.publish("work", "bad")
          yield* Effect.flip(nats.request("nobody"))
          yield* Effect.flip(
            NatsClient.make({
              servers: server.url,
              auth: { user: "svc", password: Redacted.make("canary-4d1f09-wrong") }
            })
          )
          yield* nats.drain
          yield* Effect.flip(nats.publish("work"))
        })
      )
      const told = spans.all.map((span) => [
        span.name,
        [...span.attributes],
        span.events,
        span.status._tag === "Ended" ? [String(span.status.exit), JSON.stringify(span.status.exit)] : []
      ])
      assert.isAbove(told.length, 4)
      assert.notInclude(JSON.stringify(told), "canary")
    }))
})
