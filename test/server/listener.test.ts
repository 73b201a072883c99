/** What a listener handles, answers, leaves behind, and how its end is told. */
import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Scope, Stream } from "effect"
import { NatsClient, NatsError, NatsLayer, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { TestClock } from "effect/testing"

const client = (options?: Partial<NatsClient.Options>) =>
  Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url, ...options }))

/** Waits until so many things are there. */
const collecting = Effect.fnUntraced(function*(count: number) {
  const all: Array<string> = []
  const done = yield* Deferred.make<ReadonlyArray<string>>()
  return {
    all,
    add: (text: string) =>
      Effect.suspend(() => {
        all.push(text)
        return all.length === count ? Deferred.succeed(done, all) : Effect.void
      }),
    done: Deferred.await(done)
  }
})

const cutOff = "the request was interrupted before it was answered"

const recordingLogs = () => {
  const messages: Array<string> = []
  const logger = Logger.layer([Logger.map(Logger.formatJson, (line) => messages.push(line))])
  return { messages, logger }
}

const codes = (reply: { readonly header: (name: string) => string | undefined }) => [
  reply.header("Nats-Service-Error-Code"),
  reply.header("Nats-Service-Error")
]

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a listener", (it) => {
  it.effect("handles what is published when its layer is built, of one subject and of several", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const heard = yield* collecting(3)
      const App = Layer.mergeAll(
        NatsListener.layer("one", (message) => heard.add(`one:${message.text}`)),
        NatsListener.layer(["several.a", "several.*.b", "several.a"], (message) => heard.add(message.subject))
      ).pipe(Layer.provide(Layer.succeed(NatsClient.NatsClient, nats)))
      yield* Layer.build(App)
      // From another connection: the server itself has the subscriptions.
      const other = yield* client()
      yield* other.publish("one", "1")
      yield* other.publish("several.a")
      yield* other.publish("several.x.b")
      yield* heard.done
      yield* nats.flush
      assert.deepStrictEqual(heard.all.toSorted(), ["one:1", "several.a", "several.x.b"])
    }))

  it.effect("answers every request once: with a value, with nothing, or with why not", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })
      const { logger, messages } = recordingLogs()
      yield* NatsListener.make(
        "answers.*",
        NatsListener.replying((message) => {
          switch (message.subject.slice("answers.".length)) {
            case "value":
              return Effect.succeed(`got ${message.text}`)
            case "bytes":
              return Effect.succeed(new Uint8Array([1, 2]))
            case "nothing":
              return Effect.void
            case "decode":
              return Effect.map(message.decode(Order), (order) => order.id)
            case "missing":
              return Effect.fail(
                new NatsError.ServiceError({ subject: message.subject, code: 404, description: "no such order" })
              )
            case "fail":
              return Effect.fail("a secret")
            case "die":
              return Effect.die("a secret")
            case "interrupt":
              return Effect.interrupt
            case "large":
              return Effect.succeed(new Uint8Array(2_000_000))
            default:
              throw new Error("a secret")
          }
        })
      ).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(logger))
      const one = (name: string, payload = "") => nats.request(`answers.${name}`, payload)
      assert.strictEqual((yield* one("value", "7")).text, "got 7")
      assert.deepStrictEqual([...(yield* one("bytes")).data], [1, 2])
      const nothing = yield* one("nothing")
      assert.deepStrictEqual([nothing.text, ...codes(nothing)], ["", undefined, undefined])
      assert.strictEqual((yield* one("decode", `{"id":"a","total":1}`)).text, "a")
      const bad = codes(yield* one("decode", `{"id":"a","total":"a secret"}`))
      assert.strictEqual(bad[0], "400")
      assert.match(bad[1]!, /^the payload does not fit at total: /)
      assert.notInclude(bad[1], "a secret")
      assert.deepStrictEqual(codes(yield* one("missing")), ["404", "no such order"])
      for (const name of ["fail", "die", "throw"]) {
        assert.deepStrictEqual(codes(yield* one(name)), ["500", "internal error"], name)
      }
      assert.deepStrictEqual(codes(yield* one("large")), [
        "500",
        "the answer of 2000000 bytes is over the server's limit of 1048576"
      ])
      assert.deepStrictEqual(codes(yield* one("interrupt")), ["503", cutOff])
      // It lives on, and what failed is told here: what was answered with 400, 404 and 500.
      assert.strictEqual((yield* one("value", "8")).text, "got 8")
      const reports = messages.filter((line) => line.includes("A message handler failed"))
      assert.strictEqual(reports.length, 6)
      assert.isTrue(reports.every((line) => /"subject":"answers\.\w+"/.test(line)))
      // No request is answered twice.
      const { stream, unsubscribe } = yield* nats.subscription("replies")
      const names = ["value", "nothing", "decode", "missing", "fail", "die", "throw", "large", "interrupt"]
      for (const name of names) yield* nats.publish(`answers.${name}`, "", { reply: "replies" })
      yield* one("value")
      yield* nats.flush
      yield* unsubscribe
      assert.strictEqual((yield* Stream.runCollect(stream)).length, names.length)
    }))

  it.effect("with one worker it keeps the order; with more they work at the same time", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const Nats = Layer.succeed(NatsClient.NatsClient, nats)
      const inOrder = yield* collecting(50)
      yield* NatsListener.make("ordered", (message) => Effect.andThen(Effect.yieldNow, inOrder.add(message.text)))
        .pipe(Effect.provide(Nats))
      let running = 0
      const together = yield* Deferred.make<void>()
      yield* NatsListener.make("together", () =>
        Effect.suspend(() => ++running === 8 ? Deferred.succeed(together, undefined) : Deferred.await(together)), {
        concurrency: 8
      }).pipe(Effect.provide(Nats))
      for (let i = 0; i < 50; i++) {
        yield* nats.publish("ordered", String(i))
      }
      for (let i = 0; i < 8; i++) {
        yield* nats.publish("together")
      }
      yield* Deferred.await(together)
      assert.deepStrictEqual(
        yield* inOrder.done,
        Array.from({ length: 50 }, (_, i) =>
          String(i))
      )
    }))

  it.effect("shares messages in a queue group, and a member that stops loses none", () =>
    Effect.gen(function*() {
      const count = 2_000
      const heard = yield* collecting(count)
      const member = Effect.gen(function*() {
        const nats = yield* client()
        return yield* NatsListener.make("shared", (message) => heard.add(message.text), { queue: "members" }).pipe(
          Effect.provideService(NatsClient.NatsClient, nats)
        )
      })
      yield* member
      const leaving = yield* member
      const publisher = yield* client()
      for (let i = 0; i < count; i++) {
        yield* publisher.publish("shared", String(i))
        if (i === count / 2) yield* Effect.forkChild(leaving.stop, { startImmediately: true })
        if (i % 100 === 0) yield* publisher.flush
      }
      yield* heard.done
      yield* leaving.ended
      assert.strictEqual(new Set(heard.all).size, count)
    }))

  it.effect("a stop handles what was received, and a second one does nothing", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const handled: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const first = yield* Deferred.make<void>()
      const listener = yield* NatsListener.make("stopping", (message) =>
        Effect.gen(function*() {
          yield* Deferred.succeed(first, undefined)
          yield* Deferred.await(gate)
          handled.push(message.text)
        })).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      for (const text of ["a", "b", "c"]) yield* nats.publish("stopping", text)
      yield* Deferred.await(first)
      const stopping = yield* Effect.forkChild(listener.stop, { startImmediately: true })
      yield* nats.flush
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(handled, ["a", "b", "c"])
      yield* listener.ended
      yield* listener.stop
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
    }))

  it.effect("a handler that does not end is interrupted at the deadline of the stop, and its caller is told", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const began = yield* Deferred.make<void>()
      const asking = yield* Effect.gen(function*() {
        // The time of a stop is by the clock of the client, and at most that of the client.
        const nats = yield* client({ drainTimeout: "2 minutes", pingInterval: "1 hour" })
        yield* NatsListener.make(
          "endless",
          NatsListener.replying(() => Effect.andThen(Deferred.succeed(began, undefined), Effect.never)),
          { drainTimeout: "1 minute" }
        ).pipe(Effect.provideService(NatsClient.NatsClient, nats), Scope.provide(scope))
        const asking = yield* Effect.forkScoped(nats.request("endless", "", { timeout: "1 hour" }))
        yield* Deferred.await(began)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* nats.flush
        yield* TestClock.adjust("59 seconds")
        yield* nats.flush
        assert.isUndefined(asking.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(closing)
        return asking
      }).pipe(Effect.provide(TestClock.layer()))
      assert.deepStrictEqual(codes(yield* Fiber.join(asking)), ["503", cutOff])
    }))

  it.effect("whoever sees the started event is answered", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const events = yield* nats.subscription("app.started")
      const watching = yield* events.stream.pipe(
        Stream.take(1),
        Stream.mapEffect((event) => nats.request("app.ask", event.text)),
        Stream.runCollect,
        Effect.forkChild
      )
      const app = yield* client()
      const ready = yield* Deferred.make<void>()
      const Slow = Layer.unwrap(Effect.as(
        Deferred.await(ready),
        NatsListener.layer("app.ask", NatsListener.replying((message) => Effect.succeed(message.text)))
      ))
      const App = Slow.pipe(
        NatsListener.withStartedEvent("app.started", "1.2.3"),
        Layer.provide(Layer.succeed(NatsClient.NatsClient, app))
      )
      const building = yield* Effect.forkScoped(Layer.build(App), { startImmediately: true })
      // Were it not for the listener, the event would be out now, and its receiver's request refused.
      yield* app.flush
      yield* nats.flush
      yield* nats.flush
      yield* Deferred.succeed(ready, undefined)
      yield* Fiber.join(building)
      const [answer] = yield* Fiber.join(watching)
      assert.strictEqual(answer.text, "1.2.3")
    }))
})

it.live("a layer whose subject may not be subscribed, or whose started event may not be published, is not built", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({
      users: [{ user: "u", password: "p", permissions: { subscribe: ["ok", "_INBOX.>"], publish: ["ok", "_INBOX.>"] } }]
    })
    const Nats = NatsClient.layer({ servers: server.url, auth: { user: "u", password: "p" } })
    const refused = yield* Effect.flip(
      Layer.build(Layer.provide(NatsListener.layer(["ok", "no"], () => Effect.void), Nats))
    )
    assert.deepInclude(refused, { _tag: "PermissionsViolation", operation: "subscribe", subject: "no" })
    const silent = yield* Effect.flip(
      Layer.build(
        Layer.provide(NatsListener.layer("ok", () => Effect.void).pipe(NatsListener.withStartedEvent("started")), Nats)
      )
    )
    assert.deepInclude(silent, { _tag: "PermissionsViolation", operation: "publish", subject: "started" })
  }))

it.live("what ends one listener ends a launched program with its cause, and is logged elsewhere", () =>
  Effect.gen(function*() {
    const users = (subscribe: ReadonlyArray<string>) => ({
      users: [{ user: "u", password: "p", permissions: { subscribe: [...subscribe, "_INBOX.>"] } }]
    })
    const server = yield* TestNatsServer.make(users(["a", "b"]))
    const built = yield* Deferred.make<void>()
    const logged = yield* Deferred.make<string>()
    const logger = Logger.layer([Logger.map(Logger.formatJson, (line) => {
      if (line.includes("A listener has ended")) Deferred.doneUnsafe(logged, Exit.succeed(line))
    })])
    const Nats = NatsClient.layer({ servers: server.url, auth: { user: "u", password: "p" } })
    const listeners = Layer.mergeAll(
      NatsListener.layer("a", () => Effect.void),
      NatsListener.layer("b", () => Effect.void)
    )
    const App = Layer.effectDiscard(Deferred.succeed(built, undefined)).pipe(
      Layer.provide(listeners),
      Layer.provide(Nats)
    )
    const launched = yield* Effect.forkChild(NatsLayer.launch(App))
    const ended = yield* Effect.scoped(Effect.gen(function*() {
      yield* Deferred.await(built)
      yield* Layer.build(Layer.fresh(Layer.provide(listeners, Layer.fresh(Nats))))
      // The server takes the right away from "b" only.
      yield* server.reload(users(["a"]))
      assert.include(yield* Deferred.await(logged), "\"b\"")
      return yield* Fiber.await(launched)
    })).pipe(Effect.provide(logger))
    assert.isTrue(Exit.isFailure(ended))
    if (Exit.isFailure(ended)) {
      const error = Cause.squash(ended.cause)
      assert.instanceOf(error, NatsError.BackgroundEnded)
      assert.deepStrictEqual(error.part, { kind: "listener", name: "b" })
      assert.deepInclude(error.reason, { _tag: "PermissionsViolation", subject: "b" })
      assert.strictEqual(error.message, `The listener "b" has ended: ${error.reason.message}`)
      assert.strictEqual(error.cause, error.reason)
    }
  }))

it.live("a reconnect keeps a listener", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    yield* NatsListener.make("a", NatsListener.replying((message) => Effect.succeed(message.text))).pipe(
      Effect.provideService(NatsClient.NatsClient, nats)
    )
    yield* server.restart
    assert.strictEqual((yield* nats.request("a", "again")).text, "again")
    assert.strictEqual((yield* nats.stats).reconnects, 1)
  }))

it.live("the end of the client is the end of a launched program", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const built = yield* Deferred.make<void>()
    const App = Layer.effectDiscard(Deferred.succeed(built, undefined)).pipe(
      Layer.provide(NatsListener.layer("a", () => Effect.void)),
      Layer.provide(NatsClient.layer({ servers: server.url, reconnect: false }))
    )
    const launched = yield* Effect.forkChild(NatsLayer.launch(App))
    yield* Deferred.await(built)
    yield* server.kill
    const error = yield* Effect.flip(Fiber.join(launched))
    assert.instanceOf(error, NatsError.BackgroundEnded)
    assert.instanceOf(error.reason, NatsError.ConnectionClosed)
    assert.strictEqual(error.reason.reason?._tag, "ConnectionReset")
  }))
