/** What a service loses while it runs: an endpoint, its discovery, its client. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { NatsClient, NatsHealth } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { oneTurn, until } from "../fixtures/following.ts"
import { auth, errors, Group, Handlers, service, user } from "../fixtures/losing.ts"

it.live("a service that lost one endpoint says so, takes it out of INFO and of health, and goes on", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const nats = yield* NatsClient.make({ servers: server.url, auth })
    const caller = yield* NatsClient.make({ servers: server.url, auth })
    const { lines, logger } = errors()
    const scope = yield* Scope.make()
    yield* Layer.build(service).pipe(
      Effect.provide(logger),
      Effect.provideService(NatsClient.NatsClient, nats),
      Scope.provide(scope)
    )
    assert.isTrue((yield* NatsHealth.check(nats)).ready)
    yield* server.reload(user(["s.hi"]))
    yield* until(Effect.sync(() => lines.length > 0))
    assert.strictEqual(lines.length, 1)
    assert.include(lines[0], `"endpoint":"hi"`)
    const info = JSON.parse((yield* caller.request("$SRV.INFO.s")).text) as { endpoints: Array<{ name: string }> }
    assert.deepStrictEqual(info.endpoints.map(({ name }) => name), ["other"])
    assert.strictEqual((yield* caller.request("s.other")).text, `"other"`)
    const health = yield* NatsHealth.check(nats)
    assert.deepInclude(health, { live: true, ready: false, state: "Connected" })
    assert.match(health.reason!, /^the endpoint "hi" of the service "s" has ended: .*s\.hi/)
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    assert.strictEqual((yield* NatsHealth.check(nats)).reason, health.reason)
    yield* Fiber.join(closing)
    assert.isTrue((yield* NatsHealth.check(nats)).ready)
  }).pipe(Effect.scoped))

it.live("a service that lost one endpoint tells its schemas only if it did before", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const nats = yield* NatsClient.make({ servers: server.url, auth })
    const Wordy = RpcGroup.make(
      Rpc.make("hi", { success: Schema.String }),
      Rpc.make("other", { success: Schema.String.annotate({ description: "x".repeat(2_000_000) }) })
    )
    yield* Effect.gen(function*() {
      const without = yield* NatsService.make(Group, { name: "without", version: "1.0.0", schemas: false })
      // They are over the server's limit.
      const wordy = yield* NatsService.make(Wordy, { name: "wordy", version: "1.0.0" })
      const with_ = yield* NatsService.make(Group, { name: "with", version: "1.0.0" })
      yield* server.reload(user(["without.hi", "wordy.hi", "with.hi"]))
      for (const service of [without, wordy, with_]) {
        yield* Effect.flip(service.ended)
        const [other, ...rest] = (yield* service.info).endpoints
        assert.deepStrictEqual(rest, [])
        assert.strictEqual("response_schema" in (other.metadata ?? {}), service === with_, service.name)
      }
    }).pipe(Effect.provide(Handlers), Effect.provideService(NatsClient.NatsClient, nats))
  }).pipe(Effect.scoped))

it.live("a service that is not found any more says so, and goes on", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const nats = yield* NatsClient.make({ servers: server.url, auth })
    const { lines, logger } = errors()
    yield* Layer.build(service).pipe(Effect.provide(logger), Effect.provideService(NatsClient.NatsClient, nats))
    yield* server.reload(user(["$SRV.PING"]))
    yield* until(Effect.sync(() => lines.length > 0))
    assert.include(lines[0], "The discovery of a service has ended")
    assert.include(lines[0], `"subject":"$SRV.PING"`)
    assert.strictEqual((yield* nats.request("s.hi")).text, `"hi"`)
    assert.isTrue((yield* NatsHealth.check(nats)).ready)
  }).pipe(Effect.scoped))

it.live("a service of several endpoints whose client has ended tells it once", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url, reconnect: false })
    const { lines, logger } = errors()
    yield* Layer.build(service).pipe(Effect.provide(logger), Effect.provideService(NatsClient.NatsClient, nats))
    yield* server.kill
    yield* Effect.flip(nats.closed)
    yield* until(Effect.sync(() => lines.length > 0))
    yield* oneTurn
    assert.strictEqual(lines.length, 1)
    assert.include(lines[0], "A service has ended")
  }).pipe(Effect.scoped))

it.live("`run` ends when a service lost one endpoint", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const nats = yield* NatsClient.make({ servers: server.url, auth })
    const running = yield* Effect.forkChild(
      NatsService.run(Group, { name: "s", version: "1.0.0" }).pipe(
        Effect.provide(Handlers),
        Effect.provideService(NatsClient.NatsClient, nats)
      ),
      { startImmediately: true }
    )
    yield* until(Effect.map(Effect.result(nats.request("s.hi")), (it) => it._tag === "Success"))
    yield* server.reload(user(["s.hi"]))
    assert.strictEqual((yield* Effect.flip(Fiber.join(running)))._tag, "PermissionsViolation")
  }).pipe(Effect.scoped))

it.live("an rpc server is stopping from the first moment, and ready to be run again when it has stopped", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const begun = yield* Deferred.make<void>()
    const finish = yield* Deferred.make<void>()
    const Busy = Group.toLayer({
      hi: () => Deferred.succeed(begun, undefined).pipe(Effect.andThen(Deferred.await(finish)), Effect.as("hi")),
      other: () => Effect.succeed("other")
    })
    yield* Effect.gen(function*() {
      const protocol = yield* NatsRpc.makeServerProtocol({ subject: "calls" })
      const run = Effect.forkChild(
        RpcServer.make(Group).pipe(Effect.provideService(RpcServer.Protocol, protocol), Effect.provide(Busy)),
        { startImmediately: true }
      )
      const running = yield* run
      const client = yield* RpcClient.make(Group).pipe(
        Effect.provideServiceEffect(RpcClient.Protocol, NatsRpc.makeClientProtocol({ subject: "calls" }))
      )
      const call = yield* Effect.forkChild(client.hi(), { startImmediately: true })
      yield* Deferred.await(begun)
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
      const stopping = yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
      assert.strictEqual((yield* NatsHealth.check(nats)).reason, `the rpc server "calls" is stopping`)
      yield* Deferred.succeed(finish, undefined)
      yield* Fiber.join(stopping)
      assert.strictEqual(yield* Fiber.join(call), "hi")
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
      const again = yield* run
      assert.strictEqual(yield* client.other(), "other")
      yield* Fiber.interrupt(again)
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(RpcSerialization.layerJson))
  }).pipe(Effect.scoped))
