/** What a part has answered is at the server when it has stopped: its program may end without another word. */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { NatsClient, NatsListener, SubjectSchema } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { until } from "../fixtures/following.ts"

const contract = { payload: Schema.String, success: Schema.String }
const Group = RpcGroup.make(Rpc.make("ask", contract))
const Asked = SubjectSchema.makeRequest("typed", contract)

/** What the handlers of every part do. */
class Handle extends Context.Service<Handle, (text: string) => Effect.Effect<string>>()("test/Handle") {}

const handlers = Group.toLayer(Effect.map(Handle, (ask) => ({ ask })))
const json = RpcSerialization.layerJson

/** Asks with a request of its own. */
const request = (subject: string) => (nats: NatsClient.NatsClient) =>
  Effect.map(nats.request(subject, JSON.stringify("x"), { timeout: "3 seconds" }), (reply) => reply.text)

const parts: ReadonlyArray<
  readonly [
    kind: string,
    layer: Layer.Layer<never, unknown, NatsClient.NatsClient | Handle>,
    ask: (nats: NatsClient.NatsClient) => Effect.Effect<string, unknown>
  ]
> = [
  [
    "a listener",
    Layer.unwrap(
      Effect.map(Handle, (handle) =>
        NatsListener.layer(
          "plain",
          NatsListener.replying((message) => handle(message.text)),
          { concurrency: 2 }
        ))
    ),
    request("plain")
  ],
  ["a typed responder", Layer.unwrap(Effect.map(Handle, (handle) => Asked.layer(handle))), request("typed")],
  ["a service", Layer.provide(NatsService.layer(Group, { name: "s", version: "1.0.0" }), handlers), request("s.ask")],
  [
    "an rpc server",
    RpcServer.layer(Group).pipe(
      Layer.provide([handlers, NatsRpc.layerServerProtocol({ subject: "calls" })]),
      Layer.provide(json)
    ),
    (nats) =>
      Effect.flatMap(RpcClient.make(Group), (client) => client.ask("x")).pipe(
        Effect.timeout("3 seconds"),
        Effect.provide(NatsRpc.layerClientProtocol({ subject: "calls", pingInterval: "1 minute" })),
        Effect.provide([json, Layer.succeed(NatsClient.NatsClient, nats)]),
        Effect.scoped
      )
  ]
]

it.layer(TestNatsServer.layer(), { timeout: "60 seconds", excludeTestServices: true })("when it has stopped,", (it) => {
  for (const [kind, layer, ask] of parts) {
    it.effect(`the answers of ${kind} are at the server`, () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.TestNatsServer
        const caller = yield* NatsClient.make({ servers: server.url })
        const proxy = yield* TestNatsProxy.make({ port: server.port })
        const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: false })
        const gate = yield* Deferred.make<void>()
        const scope = yield* Scope.make()
        let running = 0
        const handle = (text: string): Effect.Effect<string> =>
          Effect.suspend(() => {
            running++
            return Effect.as(Deferred.await(gate), text)
          })
        yield* Layer.buildWithScope(Layer.fresh(layer), scope).pipe(
          Effect.provideService(Handle, handle),
          Effect.provideService(NatsClient.NatsClient, nats)
        )
        const asked = yield* Effect.forkChild(ask(caller), { startImmediately: true })
        yield* until(Effect.sync(() => running === 1))
        const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        // What it waits for now is its handler.
        yield* nats.flush
        yield* nats.flush
        yield* nats.flush
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(stopping)
        yield* proxy.drop()
        assert.match(yield* Fiber.join(asked), /^"?x"?$/)
      }))
  }
})
