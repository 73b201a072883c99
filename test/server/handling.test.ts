/** The engine of handlers, by whatever they are started: counts, concurrency, and what a stop leaves behind. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Metric, Schema, Scope, Stream } from "effect"
import { NatsClient, NatsHealth, NatsListener, NatsMetrics, NatsRecorder, Subject, SubjectSchema } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup, RpcSerialization } from "effect/rpc"
import { oneTurn, until } from "../fixtures/following.ts"

const Group = RpcGroup.make(Rpc.make("ask", { payload: Schema.String, success: Schema.String }))
const Handlers = Group.toLayer({ ask: (text) => Effect.succeed(text) })
const Asked = SubjectSchema.makeRequest("asked", { payload: Schema.String, success: Schema.String })
const Told = SubjectSchema.make(Subject.template("told.{id}"), Schema.Struct({ n: Schema.Int }))

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

const logged = () => {
  const lines: Array<string> = []
  return { lines, logger: Logger.layer([Logger.map(Logger.formatJson, (line) => lines.push(line))]) }
}

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("handlers", (it) => {
  for (const concurrency of [0, -1, 1.5, Number.NaN, Infinity]) {
    it.effect(`with a concurrency of ${concurrency} are an InvalidOption, wherever it is given`, () =>
      Effect.gen(function*() {
        const nats = yield* connect
        const starts: ReadonlyArray<Effect.Effect<unknown, unknown, NatsClient.NatsClient | Scope.Scope>> = [
          nats.consume("a", () => Effect.void, { concurrency }),
          NatsListener.make("a", () => Effect.void, { concurrency }),
          Asked.respond((text) => Effect.succeed(text), { concurrency }),
          Stream.runDrain(NatsRecorder.replay(Stream.empty, { concurrency }))
        ]
        for (const start of starts) {
          const error = yield* Effect.flip(Effect.provideService(start, NatsClient.NatsClient, nats))
          assert.deepInclude(error, { _tag: "InvalidOption", option: "concurrency", given: String(concurrency) })
          assert.include(String(error), String(concurrency))
        }
        const invalid = yield* Effect.flip(
          NatsService.make(Group, { name: "s", version: "1.0.0", concurrency }).pipe(
            Effect.provide(Handlers),
            Effect.provideService(NatsClient.NatsClient, nats)
          )
        )
        assert.deepInclude(invalid, { _tag: "InvalidService", what: "concurrency", given: String(concurrency) })
        assert.strictEqual((yield* nats.stats).subscriptions, 0)
      }))
  }

  it.effect("run at the same time without a bound where that is asked for, also in consume, and are all awaited", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const arrived = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      let open = 0
      let done = 0
      const handler = () =>
        Effect.suspend(() => ++open === 200 ? Deferred.succeed(arrived, undefined) : Effect.void).pipe(
          Effect.andThen(Deferred.await(finish)),
          Effect.andThen(Effect.sync(() => done++))
        )
      const consuming = yield* Effect.forkChild(nats.consume("a", handler, { concurrency: "unbounded" }), {
        startImmediately: true
      })
      yield* nats.flush
      yield* Effect.replicateEffect(nats.publish("a"), 200, { discard: true })
      yield* Deferred.await(arrived)
      const stopped = yield* Effect.forkChild(Fiber.interrupt(consuming), { startImmediately: true })
      // The subscription has ended, and who reads it has seen that.
      yield* until(Effect.map(nats.stats, ({ subscriptions }) => subscriptions === 0))
      yield* oneTurn
      yield* Deferred.succeed(finish, undefined)
      yield* Fiber.join(stopped)
      assert.strictEqual(done, 200)
    }))

  it.effect("of consume have the scope of who calls: what they acquire outlives the consuming", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const order: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const consuming = yield* Effect.forkChild(
          nats.consume("a", () => Effect.addFinalizer(() => Effect.sync(() => order.push("released"))), { max: 1 }),
          { startImmediately: true }
        )
        yield* nats.flush
        yield* nats.publish("a")
        yield* Fiber.join(consuming)
        order.push("consumed")
      }))
      assert.deepStrictEqual(order, ["consumed", "released"])
    }))

  it.effect("are counted and timed, all of them", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      yield* Effect.gen(function*() {
        yield* Effect.forkScoped(nats.consume("consumed", () => Effect.fail("no")), { startImmediately: true })
        yield* NatsListener.make("listened", () => Effect.die("no"))
        yield* NatsListener.make("unbounded", () => Effect.fail("no"), { concurrency: "unbounded" })
        yield* Asked.respond(() => Effect.die("no"))
        yield* nats.flush
        yield* nats.publish("consumed")
        yield* nats.publish("listened")
        yield* nats.publish("unbounded")
        yield* Effect.flip(Asked.request("x"))
        yield* nats.flush
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.scoped)
      assert.strictEqual((yield* nats.stats).handlerFailures, 4)
      assert.strictEqual((yield* Metric.value(NatsMetrics.handlerFailures)).count, 4)
      assert.strictEqual((yield* Metric.value(NatsMetrics.handlerTime)).count, 4)
    }).pipe(
      Effect.provideService(NatsMetrics.Collect, "everything"),
      (effect) => Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))
    ))

  it.effect("of events get values and parameters, leave out what does not decode, and know who asks for it", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const { lines, logger } = logged()
      const seen: Array<string> = []
      const three = yield* Deferred.make<void>()
      const note = (text: string) =>
        Effect.suspend(() => seen.push(text) === 3 ? Deferred.succeed(three, undefined) : Effect.void)
      yield* Effect.gen(function*() {
        const scope = yield* Scope.Scope
        const build = Effect.fnUntraced(function*(onInvalid: boolean) {
          const layer = Told.layer(
            ({ n }, { message, parameters }) => note(`${parameters.id} ${n} ${message.subject}`),
            onInvalid ? { onInvalid: (error) => note(`invalid ${error.path}`), parameters: { id: "b" } } : {}
          )
          yield* Scope.provide(Layer.build(layer), scope)
        })
        yield* build(false)
        yield* nats.publish("told.a", `{"n":"one"}`)
        yield* Told.publish({ id: "a" }, { n: 1 })
        yield* build(true)
        yield* nats.publish("told.b", `{"n":"one"}`)
        yield* Told.publish({ id: "a" }, { n: 2 })
        yield* Deferred.await(three)
      }).pipe(Effect.provide(logger), Effect.provideService(NatsClient.NatsClient, nats), Effect.scoped)
      assert.deepStrictEqual(seen.toSorted(), ["a 1 told.a", "a 2 told.a", "invalid n"])
      const failed = lines.filter((line) => line.includes("A message handler failed"))
      assert.strictEqual(failed.length, 2)
      assert.strictEqual((yield* nats.stats).handlerFailures, 2)
    }))

  it.effect("that do not let themselves be interrupted are left behind with a warning, and so is what they left", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const { lines, logger } = logged()
      const begun = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const listener = yield* NatsListener.make(
        "stuck",
        () => Effect.uninterruptible(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(finish))),
        { drainTimeout: "20 millis" }
      ).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(logger), Scope.provide(scope))
      yield* Effect.replicateEffect(nats.publish("stuck"), 3, { discard: true })
      yield* Deferred.await(begun)
      yield* nats.flush
      yield* Effect.all([listener.stop, Scope.close(scope, Exit.void)], { concurrency: 2 }).pipe(Effect.provide(logger))
      const told = [/what was received last is not handled.*"messages":2/, /does not let itself be interrupted/]
      assert.deepStrictEqual(lines.map((line, i) => told[i]?.test(line)), [true, true])
      yield* Deferred.succeed(finish, undefined)
      yield* listener.ended
      assert.strictEqual(lines.length, 2)
    }))

  it.effect("that were interrupted are not called stuck where their broker is away and answers wait", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url, drainTimeout: "2 seconds" })
      const asker = yield* NatsClient.make({ servers: server.url })
      const { lines, logger } = logged()
      const begun = yield* Deferred.make<void>()
      const listener = yield* NatsListener.make(
        "asked",
        NatsListener.replying(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)),
        { drainTimeout: "20 millis" }
      ).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(logger))
      yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], () => Effect.ignore(asker.request("asked")), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Deferred.await(begun)
      yield* asker.flush
      yield* nats.flush
      yield* server.kill
      yield* Stream.runHead(Stream.filter(nats.status, ({ _tag }) => _tag === "Reconnecting"))
      yield* Effect.provide(listener.stop, logger)
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "what was received last is not handled")
    }))

  it.effect("that end in time, or let themselves be interrupted, end without a word, and all who wait are told", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const { lines, logger } = logged()
      yield* Effect.gen(function*() {
        for (const work of [Effect.void, Effect.never]) {
          for (const concurrency of [1, 2, "unbounded"] as const) {
            const begun = yield* Deferred.make<void>()
            const listener = yield* NatsListener.make(
              "work",
              () => Effect.andThen(Deferred.succeed(begun, undefined), work),
              { concurrency, drainTimeout: "20 millis" }
            )
            const waiting = yield* Effect.forkChild(Effect.all([listener.ended, listener.ended], { concurrency: 2 }), {
              startImmediately: true
            })
            yield* nats.publish("work")
            yield* Deferred.await(begun)
            yield* listener.stop
            yield* Fiber.join(waiting)
          }
        }
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(logger), Effect.scoped)
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("within handlers do not wait for themselves, either", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const outer = yield* Deferred.make<NatsListener.Listener>()
      const stop = Effect.flatMap(Deferred.await(outer), (listener) => listener.stop)
      const listener = yield* NatsListener.make("outer", (message) =>
        Effect.gen(function*() {
          const inner = yield* Effect.forkChild(nats.consume("inner", () => stop, { max: 1 }), {
            startImmediately: true
          })
          yield* nats.flush
          yield* nats.publish("inner")
          yield* Fiber.join(inner)
          yield* message.respond("done")
        })).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      yield* Deferred.succeed(outer, listener)
      assert.strictEqual((yield* nats.request("outer", "", { timeout: "2 seconds" })).text, "done")
    }))

  it.effect("whose buffer overflows while they are stopped are no end to tell", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const { lines, logger } = logged()
      const begun = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const listener = yield* NatsListener.make(
        "flood",
        () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(finish)),
        { capacity: 1 }
      ).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(logger))
      yield* nats.publish("flood")
      yield* Deferred.await(begun)
      const full = yield* Effect.forkChild(
        Stream.runHead(Stream.filter(nats.status, ({ _tag }) => _tag === "Overflow")),
        { startImmediately: true }
      )
      yield* Effect.replicateEffect(nats.publish("flood"), 3, { discard: true })
      const stopping = yield* Effect.forkChild(Effect.provide(listener.stop, logger), { startImmediately: true })
      yield* Fiber.join(full)
      assert.match((yield* NatsHealth.check(nats)).reason!, /^the listener "flood" is stopping$/)
      yield* Deferred.succeed(finish, undefined)
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(lines, [])
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }))
})

it.live("whose subject is refused leave nothing behind, though the scope lives on", () =>
  Effect.gen(function*() {
    const users = (deny: ReadonlyArray<string>) => ({
      users: [{ user: "u", password: "p", permissions: { publish: [">"], subscribe: { deny } } }]
    })
    const server = yield* TestNatsServer.make(users(["no", "s.no", "$SRV.>"]))
    const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "u", password: "p" } })
    const nothing = () => Effect.void
    const One = RpcGroup.make(Rpc.make("ok"))
    const Two = RpcGroup.make(Rpc.make("ok"), Rpc.make("no"))
    const options = { name: "s", version: "1.0.0" }
    yield* Effect.gen(function*() {
      const starts: ReadonlyArray<
        Effect.Effect<unknown, { readonly _tag: string }, NatsClient.NatsClient | Scope.Scope>
      > = [
        NatsListener.make(["ok", "no"], nothing),
        NatsRecorder.make(["ok", "no"]),
        Effect.provide(NatsService.make(Two, options), Two.toLayer({ ok: nothing, no: nothing })),
        Effect.provide(NatsRpc.makeServerProtocol({ subject: "no" }), RpcSerialization.layerJson),
        // The endpoint may be subscribed to, and discovery not.
        Effect.provide(NatsService.make(One, options), One.toLayer({ ok: nothing }))
      ]
      for (const start of starts) {
        assert.strictEqual((yield* Effect.flip(start))._tag, "PermissionsViolation")
        assert.strictEqual((yield* nats.stats).subscriptions, 0)
        for (const subject of ["ok", "s.ok"]) {
          assert.strictEqual((yield* Effect.flip(nats.request(subject)))._tag, "NoResponders")
        }
        assert.isTrue((yield* NatsHealth.check(nats)).ready)
      }
    }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
  }).pipe(Effect.scoped))

it.live("of two subjects end with the first that is lost, after what they had begun", () =>
  Effect.gen(function*() {
    const users = (deny: ReadonlyArray<string>) => ({
      users: [{ user: "u", password: "p", permissions: { publish: [">"], subscribe: { deny } } }]
    })
    const server = yield* TestNatsServer.make(users([]))
    const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "u", password: "p" } })
    const begun = yield* Deferred.make<void>()
    const finish = yield* Deferred.make<void>()
    let done = false
    const listener = yield* NatsListener.make(
      ["a", "b"],
      () =>
        Deferred.succeed(begun, undefined).pipe(
          Effect.andThen(Deferred.await(finish)),
          Effect.andThen(Effect.sync(() => {
            done = true
          }))
        ),
      { concurrency: 2 }
    ).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    const ended = yield* Effect.forkChild(Effect.flip(listener.ended), { startImmediately: true })
    yield* nats.publish("a")
    yield* Deferred.await(begun)
    yield* server.reload(users(["a"]))
    // One of the two workers of `a` sees its end, the other one is busy.
    yield* until(Effect.map(nats.stats, ({ subscriptions }) => subscriptions === 1))
    yield* oneTurn
    assert.isUndefined(ended.pollUnsafe())
    yield* Deferred.succeed(finish, undefined)
    assert.strictEqual((yield* Fiber.join(ended))._tag, "PermissionsViolation")
    assert.isTrue(done)
    assert.strictEqual((yield* nats.stats).subscriptions, 0)
  }).pipe(Effect.scoped))

it.live("whose subscription the server has not taken yet are given up at once by an interruption", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    yield* server.pause
    for (const start of [NatsListener.make("a", () => Effect.void), nats.consume("a", () => Effect.void)]) {
      const starting = yield* Effect.scoped(start).pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Effect.forkChild({ startImmediately: true })
      )
      assert.strictEqual((yield* nats.stats).subscriptions, 1)
      const given = yield* Effect.timeoutOption(Fiber.interrupt(starting), "3 seconds")
      assert.strictEqual(given._tag, "Some")
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
    }
    yield* server.resume
  }).pipe(Effect.scoped))

it.live("that are interrupted while the server is away end at once: their answers wait elsewhere", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url, reconnect: { initialDelay: "10 millis" } })
    const { lines, logger } = logged()
    const begun = yield* Deferred.make<void>()
    const listener = yield* NatsListener.make(
      "ask",
      NatsListener.replying(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)),
      { drainTimeout: "20 millis" }
    ).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(logger))
    const inbox = yield* nats.inbox
    const replies = yield* nats.subscription(inbox)
    yield* nats.publish("ask", "", { reply: inbox })
    yield* Deferred.await(begun)
    yield* server.kill
    yield* until(Effect.map(nats.state, (state) => state._tag !== "Connected"))
    yield* Effect.provide(listener.stop, logger)
    assert.deepStrictEqual(lines, [])
    yield* server.restart
    const [reply] = yield* Stream.runCollect(Stream.take(replies.stream, 1))
    assert.strictEqual(reply.header("Nats-Service-Error-Code"), "503")
  }).pipe(Effect.scoped))

it.live("whose scope is closed while they are being opened have ended, and leave nothing behind", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const starts: ReadonlyArray<Effect.Effect<NatsListener.Listener, unknown, NatsClient.NatsClient | Scope.Scope>> = [
      NatsListener.make(["a", "b"], () => Effect.void),
      Effect.provide(NatsService.make(Group, { name: "s", version: "1.0.0" }), Handlers)
    ]
    for (const start of starts) {
      yield* server.pause
      const scope = yield* Scope.make()
      const starting = yield* start.pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Scope.provide(scope),
        Effect.forkChild({ startImmediately: true })
      )
      yield* until(Effect.map(nats.stats, ({ subscriptions }) => subscriptions > 0))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* server.resume
      yield* Fiber.join(closing)
      const exit = yield* Fiber.await(starting)
      if (Exit.isSuccess(exit)) yield* exit.value.ended
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }
  }).pipe(Effect.scoped))
