/** Nothing that runs in the background ends without a word: who is told, and what health says of it. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, FileSystem, Layer, Scope, Stream } from "effect"
import { NatsClient, NatsError, NatsHealth, NatsLayer, NatsListener, NatsRecorder } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import * as path from "node:path"
import { directory } from "../fixtures/directory.ts"
import { oneTurn, until } from "../fixtures/following.ts"
import { Asked, auth, buildPart, errors, Group, Handlers, parts, user } from "../fixtures/losing.ts"

const scopedFile = Effect.map(directory, (made) => path.join(made, "recording.jsonl"))

for (const [kind, name, denied, layer] of parts) {
  it.live(`a ${kind} (${name}) that loses its right ends a launched program, and is one log elsewhere`, () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(user([]))
      const Nats = NatsClient.layer({ servers: server.url, auth })
      const built = yield* Deferred.make<void>()
      const App = Layer.effectDiscard(Deferred.succeed(built, undefined)).pipe(
        Layer.provide(layer),
        Layer.provide(Nats)
      )
      const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
      yield* Deferred.await(built)
      const nats = yield* NatsClient.make({ servers: server.url, auth })
      const { lines, scope } = yield* buildPart(layer, nats)
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
      yield* server.reload(user([denied]))
      const error = yield* Effect.flip(Fiber.join(launched))
      assert.instanceOf(error, NatsError.BackgroundEnded)
      assert.deepStrictEqual(error.part, { kind, name })
      assert.instanceOf(error.reason, NatsError.PermissionsViolation)
      assert.strictEqual(error.reason.subject, denied)
      yield* until(Effect.sync(() => lines.length > 0))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], `"${kind}":"${name}"`)
      const { ready, reason } = yield* NatsHealth.check(nats)
      assert.isFalse(ready)
      assert.include(reason, `the ${kind === "rpcServer" ? "rpc server" : kind} "${name}" has ended: `)
      assert.include(reason, denied)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }).pipe(Effect.scoped))
}

it.live("a recorder that cannot write ends a launched program", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const file = yield* scopedFile
    const built = yield* Deferred.make<void>()
    const App = Layer.effectDiscard(Deferred.succeed(built, undefined)).pipe(
      Layer.provide(NatsRecorder.layerFile(file, "a")),
      Layer.provide([NatsClient.layer({ servers: server.url, auth }), NodeFileSystem.layer])
    )
    const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
    yield* Deferred.await(built)
    yield* server.reload(user(["a"]))
    const error = yield* Effect.flip(Fiber.join(launched))
    assert.instanceOf(error, NatsError.BackgroundEnded)
    assert.deepStrictEqual(error.part, { kind: "recorder", name: file })
  }).pipe(Effect.scoped))

it.live("a recorder that dies ends a launched program with that defect, and is not ready until it goes", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const scope = yield* Scope.make()
    const bug = new Error("bug")
    const file = { writeAll: () => Effect.die(bug) } as unknown as FileSystem.File
    const Recorder = NatsRecorder.layerFile("file", "recorded").pipe(
      Layer.provide(FileSystem.layerNoop({ open: () => Effect.succeed(file) })),
      Layer.provide(Layer.succeed(NatsClient.NatsClient, nats))
    )
    yield* Layer.build(Layer.fresh(Recorder)).pipe(Scope.provide(scope))
    const App = Layer.effectDiscard(nats.publish("recorded")).pipe(Layer.provide(Recorder))
    const exit = yield* Effect.exit(NatsLayer.launch(App))
    assert(Exit.isFailure(exit))
    assert.strictEqual(Cause.squash(exit.cause), bug)
    assert.deepInclude(yield* NatsHealth.check(nats), { ready: false, reason: `the recorder "file" has ended: bug` })
    yield* Scope.close(scope, Exit.void)
    assert.isTrue((yield* NatsHealth.check(nats)).ready)
  }).pipe(Effect.scoped))

it.live("a recorder that is closed is stopping until everything that it received is written", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const scope = yield* Scope.make()
    const writing = yield* Deferred.make<void>()
    const disk = yield* Deferred.make<void>()
    const written: Array<string> = []
    const file = {
      writeAll: (bytes: Uint8Array) =>
        Deferred.succeed(writing, undefined).pipe(
          Effect.andThen(Deferred.await(disk)),
          Effect.andThen(Effect.sync(() => written.push(new TextDecoder().decode(bytes))))
        )
    } as unknown as FileSystem.File
    yield* Layer.build(NatsRecorder.layerFile("file", "recorded")).pipe(
      Effect.provide(FileSystem.layerNoop({ open: () => Effect.succeed(file) })),
      Effect.provideService(NatsClient.NatsClient, nats),
      Scope.provide(scope)
    )
    yield* nats.publish("recorded", "one")
    yield* Deferred.await(writing)
    yield* nats.publish("recorded", "two")
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    assert.strictEqual((yield* NatsHealth.check(nats)).reason, `the recorder "file" is stopping`)
    yield* until(Effect.map(nats.stats, ({ subscriptions }) => subscriptions === 0))
    yield* oneTurn
    yield* Deferred.succeed(disk, undefined)
    yield* Fiber.join(closing)
    const lines = written.join("").trim().split("\n")
    assert.deepStrictEqual(lines.map((line) => (JSON.parse(line) as { payload: string }).payload), ["one", "two"])
    assert.isTrue((yield* NatsHealth.check(nats)).ready)
  }).pipe(Effect.scoped))

it.live("a full buffer ends a launched program: a typed responder is never deaf and silent", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const built = yield* Deferred.make<NatsClient.NatsClient>()
    const finish = yield* Deferred.make<void>()
    const App = Layer.effectDiscard(
      Effect.flatMap(NatsClient.NatsClient, (nats) => Deferred.succeed(built, nats))
    ).pipe(
      Layer.provideMerge(Asked.layer((text) => Effect.as(Deferred.await(finish), text), { capacity: 2 })),
      Layer.provide(NatsClient.layer({ servers: server.url }))
    )
    const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
    const nats = yield* Deferred.await(built)
    const full = yield* Effect.forkChild(
      Stream.runHead(Stream.filter(nats.status, ({ _tag }) => _tag === "Overflow")),
      { startImmediately: true }
    )
    yield* Effect.replicateEffect(nats.publish("asked", `"x"`), 20, { discard: true })
    yield* Fiber.join(full)
    // What was received before is handled first.
    yield* Deferred.succeed(finish, undefined)
    const error = yield* Effect.flip(Fiber.join(launched))
    assert.instanceOf(error, NatsError.BackgroundEnded)
    assert.instanceOf(error.reason, NatsError.SlowConsumer)
    assert.isTrue(error.isRetryable)
  }).pipe(Effect.scoped))

it.live("the client itself is a part: its end for good, and one on purpose while the program is to run", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const options = { servers: server.url, name: "mine", reconnect: false } as const
    for (const Nats of [NatsClient.layer(options), NatsLayer.fromUnknown(options)]) {
      const built = yield* Deferred.make<NatsClient.NatsClient>()
      const App = Layer.effectDiscard(
        Effect.flatMap(NatsClient.NatsClient, (nats) => Deferred.succeed(built, nats))
      ).pipe(Layer.provide(Nats))
      const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
      yield* (yield* Deferred.await(built)).drain
      const closed = yield* Effect.flip(Fiber.join(launched))
      assert.instanceOf(closed, NatsError.BackgroundEnded)
      assert.deepStrictEqual(closed.part, { kind: "client", name: "mine" })
      assert.instanceOf(closed.reason, NatsError.ConnectionClosed)
      assert.isUndefined(closed.reason.reason)
    }

    const { lines, logger } = errors()
    const nats = yield* Effect.map(
      Layer.build(Layer.fresh(NatsClient.layer({ servers: server.url, reconnect: false }))).pipe(
        Effect.provide(logger)
      ),
      (context) => context.mapUnsafe.get(NatsClient.NatsClient.key) as NatsClient.NatsClient
    )
    yield* server.kill
    yield* Effect.flip(nats.closed)
    yield* until(Effect.sync(() => lines.length > 0))
    assert.include(lines[0], "A client has ended")
    assert.include(lines[0], server.url)
  }).pipe(Effect.scoped))

it.live("a layer that fails to build fails a launched program with its own error, and max messages end none", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user(["no"]))
    const Nats = NatsClient.layer({ servers: server.url, auth })
    const refused = yield* Effect.flip(
      NatsLayer.launch(Layer.provide(NatsListener.layer("no", () => Effect.void), Nats))
    )
    assert.strictEqual(refused._tag, "PermissionsViolation")
    const handled = yield* Deferred.make<void>()
    const App = Layer.effectDiscard(
      Effect.flatMap(NatsClient.NatsClient, (nats) => nats.publish("once", "x"))
    ).pipe(
      Layer.provide(NatsListener.layer("once", () => Deferred.succeed(handled, undefined), { max: 1 })),
      Layer.provide(Nats)
    )
    const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
    yield* Deferred.await(handled)
    assert.strictEqual((yield* Effect.timeoutOption(Fiber.await(launched), "100 millis"))._tag, "None")
    yield* Fiber.interrupt(launched)
  }).pipe(Effect.scoped))

it.live("a part that ends while the rest of a launched layer is still built ends the program", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const Nats = NatsClient.layer({ servers: server.url, auth })
    const waits = yield* Deferred.make<void>()
    const App = Layer.effectDiscard(Effect.andThen(Deferred.succeed(waits, undefined), Effect.never)).pipe(
      Layer.provide(NatsListener.layer("plain", () => Effect.void)),
      Layer.provide(Nats)
    )
    const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
    yield* Deferred.await(waits)
    yield* server.reload(user(["plain"]))
    const error = yield* Effect.flip(Fiber.join(launched))
    assert.instanceOf(error, NatsError.BackgroundEnded)
    assert.deepStrictEqual(error.part, { kind: "listener", name: "plain" })
  }).pipe(Effect.scoped))

it.live("what `make` and `respond` start tells its end with `ended`, and logs it where nobody waits", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const nats = yield* NatsClient.make({ servers: server.url, auth })
    const { lines, logger } = errors()
    yield* Effect.gen(function*() {
      const waited = yield* NatsListener.make("waited", () => Effect.void)
      const ended = yield* Effect.forkChild(Effect.flip(waited.ended), { startImmediately: true })
      yield* Asked.respond((text) => Effect.succeed(text))
      const served = yield* NatsService.make(Group, { name: "s", version: "1.0.0" })
      const servedEnded = yield* Effect.forkChild(Effect.flip(served.ended), { startImmediately: true })
      yield* server.reload(user(["waited", "asked", "s.hi"]))
      assert.strictEqual((yield* Fiber.join(ended))._tag, "PermissionsViolation")
      assert.strictEqual((yield* Fiber.join(servedEnded))._tag, "PermissionsViolation")
      yield* until(Effect.sync(() => lines.length > 0))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], `"responder":"asked"`)
    }).pipe(Effect.provide([Handlers, logger]), Effect.provideService(NatsClient.NatsClient, nats), Effect.scoped)
  }).pipe(Effect.scoped))

it.live("ready is false from the first moment of a stop", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const begun = yield* Deferred.make<void>()
    const finish = yield* Deferred.make<void>()
    const work = Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(finish))
    const started: ReadonlyArray<
      readonly [
        ask: string,
        reason: string,
        start: Effect.Effect<NatsListener.Listener, unknown, NatsClient.NatsClient | Scope.Scope>
      ]
    > = [
      ["plain", `the listener "plain" is stopping`, NatsListener.make("plain", () => work)],
      ["asked", `the responder "asked" is stopping`, Asked.respond(() => Effect.as(work, "x"))],
      [
        "s.hi",
        `the service "s" is stopping`,
        NatsService.make(Group, { name: "s", version: "1.0.0" }).pipe(
          Effect.provide(Group.toLayer({ hi: () => Effect.as(work, "hi"), other: () => Effect.succeed("other") }))
        )
      ]
    ]
    // One that is well before them hides nothing.
    yield* Effect.provideService(NatsListener.make("well", () => Effect.void), NatsClient.NatsClient, nats)
    for (const [subject, reason, start] of started) {
      yield* Effect.scoped(Effect.gen(function*() {
        const part = yield* Effect.provideService(start, NatsClient.NatsClient, nats)
        yield* nats.publish(subject, `"x"`)
        yield* Deferred.await(begun)
        assert.isTrue((yield* NatsHealth.check(nats)).ready)
        const stopping = yield* Effect.forkChild(part.stop, { startImmediately: true })
        assert.deepInclude(yield* NatsHealth.check(nats), { live: true, ready: false, reason })
        yield* Deferred.succeed(finish, undefined)
        yield* Fiber.join(stopping)
        assert.isTrue((yield* NatsHealth.check(nats)).ready)
      }))
    }
  }).pipe(Effect.scoped))

it.live("a handler that stops its own part does not wait for itself", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    yield* Effect.gen(function*() {
      const own = yield* Deferred.make<NatsListener.Listener>()
      const stop = Effect.flatMap(Deferred.await(own), ({ stop }) => stop)
      const listener = yield* NatsListener.make("plain", NatsListener.replying(() => Effect.as(stop, "stopped")))
      yield* Deferred.succeed(own, listener)
      assert.strictEqual((yield* nats.request("plain", "", { timeout: "2 seconds" })).text, "stopped")
      yield* listener.ended
      const served = yield* Deferred.make<NatsListener.Listener>()
      const service = yield* NatsService.make(Group, { name: "s", version: "1.0.0" }).pipe(
        Effect.provide(Group.toLayer({
          hi: () => Effect.as(Effect.flatMap(Deferred.await(served), ({ stop }) => stop), "stopped"),
          other: () => Effect.succeed("other")
        }))
      )
      yield* Deferred.succeed(served, service)
      assert.strictEqual((yield* nats.request("s.hi", "", { timeout: "2 seconds" })).text, `"stopped"`)
      yield* service.ended
      assert.strictEqual((yield* Effect.flip(nats.request("s.hi")))._tag, "NoResponders")
    }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.scoped)
  }).pipe(Effect.scoped))
