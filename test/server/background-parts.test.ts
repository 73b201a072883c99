/** Parts of a client that connects in the background: they are there before their server, and so is what ends them. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { NatsClient, NatsError, NatsHealth, NatsLayer, NatsListener, NatsRecorder } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "effect/rpc"
import * as path from "node:path"
import { directory } from "../fixtures/directory.ts"
import { follow, until } from "../fixtures/following.ts"
import { auth, buildPart, Group, Handlers, parts, user } from "../fixtures/losing.ts"

const reconnect = { initialDelay: "20 millis", maxDelay: "50 millis", onFirstConnect: "background" } as const

/** Of each kind one, with the recorder, which needs a file. */
const all = Effect.map(directory, (directory) => {
  const file = path.join(directory, "recording.jsonl")
  const Recorder = Layer.provide(NatsRecorder.layerFile(file, "recorded"), NodeFileSystem.layer)
  return [...parts, ["recorder", file, "recorded", Recorder] as const]
})

it.live("are built at once, are not ready, and serve when the server is there", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    yield* server.kill
    for (const whileDisconnected of ["wait", "fail"] as const) {
      const nats = yield* NatsClient.make({ servers: server.url, auth, reconnect, whileDisconnected })
      const status = yield* follow(nats)
      const built = yield* all
      for (const [, , , layer] of built) {
        yield* Layer.build(Layer.fresh(layer)).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      }
      const protocol = yield* NatsRpc.layerClientProtocol({ subject: "calls" }).pipe(
        Layer.provide(RpcSerialization.layerJson),
        Layer.build,
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      const caller = yield* Effect.provide(RpcClient.make(Group), protocol)
      assert.isFalse((yield* NatsHealth.check(nats)).ready)
      yield* server.restart
      yield* status.connected(1)
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
      const witness = yield* NatsClient.make({ servers: server.url, auth })
      yield* nats.flush
      for (const [kind, , subject] of built) {
        const answer = yield* Effect.result(witness.request(subject, "1", { timeout: "100 millis" }))
        assert.notStrictEqual(answer._tag === "Failure" ? answer.failure._tag : "", "NoResponders", kind)
      }
      assert.strictEqual(yield* caller.hi(), "hi")
      const found = yield* witness.request("$SRV.INFO.s")
      assert.include(found.text, "s.hi")
      yield* server.kill
    }
  }).pipe(Effect.scoped))

it.live("are refused by the server that comes: that ends a launched program, and is one log elsewhere", () =>
  Effect.gen(function*() {
    for (const [kind, name, denied, layer] of yield* all) {
      const server = yield* TestNatsServer.make(user([denied]))
      yield* server.kill
      const App = Layer.provide(layer, NatsClient.layer({ servers: server.url, auth, reconnect }))
      const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
      const nats = yield* NatsClient.make({ servers: server.url, auth, reconnect })
      const { lines, scope } = yield* buildPart(layer, nats)
      yield* server.restart
      const error = yield* Effect.flip(Fiber.join(launched))
      assert.instanceOf(error, NatsError.BackgroundEnded)
      assert.deepStrictEqual(error.part, { kind, name })
      assert.deepInclude(error.reason, { _tag: "PermissionsViolation", operation: "subscribe", subject: denied })
      yield* until(Effect.sync(() => lines.length > 0))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], `"${kind}":${JSON.stringify(name)}`)
      assert.isFalse((yield* NatsHealth.check(nats)).ready)
      yield* Scope.close(scope, Exit.void)
    }
  }).pipe(Effect.scoped))

it.live("are stopped at once where no server has come", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    yield* server.kill
    const began = performance.now()
    yield* Effect.gen(function*() {
      const nats = yield* NatsClient.make({ servers: server.url, auth, reconnect })
      const listener = yield* NatsListener.make("plain", () => Effect.void)
      const service = yield* NatsService.make(Group, { name: "s", version: "1.0.0" })
      yield* listener.stop
      yield* service.stop
      for (const [, , , layer] of yield* all) {
        yield* Layer.build(Layer.fresh(layer)).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      }
    }).pipe(
      Effect.provide([Handlers, NatsClient.layer({ servers: server.url, auth, reconnect })]),
      Effect.scoped
    )
    // What is stopped with a server there has `drainTimeout`, ten seconds.
    assert.isBelow(performance.now() - began, 5000)
  }).pipe(Effect.scoped))

it.live("do not wait, and an operation does: a subscription is there when the server has it", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user(["plain"]))
    yield* server.kill
    const nats = yield* NatsClient.make({ servers: server.url, auth, reconnect })
    const status = yield* follow(nats)
    const subscribing = yield* Effect.forkScoped(nats.subscription("kept"), { startImmediately: true })
    const refused = yield* Effect.forkScoped(Effect.flip(nats.subscription("plain")), { startImmediately: true })
    yield* status.seen("Reconnecting", 3)
    assert.isUndefined(subscribing.pollUnsafe())
    yield* server.restart
    yield* Fiber.join(subscribing)
    assert.strictEqual((yield* Fiber.join(refused))._tag, "PermissionsViolation")
    // With a session they wait, too: the listener is refused where it is made.
    const error = yield* Effect.flip(
      Effect.provideService(NatsListener.make("plain", () => Effect.void), NatsClient.NatsClient, nats)
    )
    assert.strictEqual(error._tag, "PermissionsViolation")
  }).pipe(Effect.scoped))

it.live("of a service: what does not fit into the server's answers is left out when the server is known", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ maxPayload: 2048 })
    yield* server.kill
    const nats = yield* NatsClient.make({ servers: server.url, reconnect })
    const fields = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`field${i}`, Schema.String]))
    const Wide = RpcGroup.make(Rpc.make("wide", { payload: Schema.Struct(fields), success: Schema.String }))
    const service = yield* NatsService.make(Wide, { name: "s", version: "1.0.0" }).pipe(
      Effect.provide(Wide.toLayer({ wide: () => Effect.succeed("") })),
      Effect.provideService(NatsClient.NatsClient, nats)
    )
    assert.isAbove(JSON.stringify(yield* service.info).length, 2048)
    yield* server.restart
    const witness = yield* NatsClient.make({ servers: server.url })
    yield* nats.flush
    const { text } = yield* witness.request("$SRV.INFO.s")
    assert.isBelow(text.length, 2048)
    assert.include(text, "s.wide")
  }).pipe(Effect.scoped))
