/** The AsyncAPI document of a service, checked by the AsyncAPI project's own parser. */
import { Parser } from "@asyncapi/parser"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { AsyncApi, NatsService } from "effect-nats/service"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"
import { Orders } from "./fixtures/orders.ts"

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}
class Guard extends RpcMiddleware.Service<Guard>()("test/Guard", { error: Denied }) {}

const Tree = Schema.Struct({
  name: Schema.String,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
}).annotate({ identifier: "Tree/Node" })
interface Tree {
  readonly name: string
  readonly children: ReadonlyArray<Tree>
}

const All = Orders.merge(
  RpcGroup.make(
    Rpc.make("trees.grow", { payload: Tree, success: Schema.NullOr(Tree) }),
    Rpc.make("odd/tag", { payload: Schema.Record(Schema.String, Schema.BigInt) }).annotate(NatsService.Endpoint, {
      name: "odd",
      subject: "odd",
      queue: false
    })
  ).middleware(Guard)
)

const parse = (document: unknown) => Effect.promise(() => new Parser().parse(JSON.stringify(document)))

/** What the parser finds wrong. Its hints on style are not. */
const errorsIn = (result: Effect.Success<ReturnType<typeof parse>>): ReadonlyArray<string> =>
  result.diagnostics.filter((it) => it.severity === 0).map((it) => `${it.path.join(".")}: ${it.message}`)

describe("the AsyncAPI document of a service", () => {
  it.live("is valid for the AsyncAPI parser, which finds every endpoint, message and reply", () =>
    Effect.gen(function*() {
      const document = yield* AsyncApi.make(All, {
        name: "orders",
        version: "1.2.3",
        title: "Orders",
        description: "All orders",
        servers: { local: "127.0.0.1:4222" }
      })
      const parsed = yield* parse(document)
      assert.deepStrictEqual(errorsIn(parsed), [])
      const api = parsed.document!
      assert.deepStrictEqual([api.version(), api.info().title(), api.info().version()], ["3.0.0", "Orders", "1.2.3"])
      assert.deepStrictEqual(api.servers().all().map((it) => [it.id(), it.host(), it.protocol()]), [
        ["local", "127.0.0.1:4222", "nats"]
      ])
      assert.deepStrictEqual(
        api.channels().all().flatMap((it) => it.address() ?? []).toSorted(),
        ["orders.get", "orders.odd", "orders.ping", "orders.since", "orders.total", "orders.trees.grow"]
      )
      const operations = api.operations().all()
      assert.deepStrictEqual(operations.map((it) => it.action()), operations.map(() => "receive"))
      const get = operations.find((it) => it.id() === "get")!
      assert.deepStrictEqual(get.channels().all().map((it) => it.address()), ["orders.get"])
      assert.deepStrictEqual(get.bindings().get("nats")?.value(), { queue: "q" })
      assert.deepStrictEqual(get.messages().all().map((it) => it.name()), ["get.request"])
      const replies = get.reply()!.messages().all()
      assert.deepStrictEqual(replies.map((it) => it.name()), ["get.response", "get.error"])
      assert.sameMembers(Object.keys(replies[0].payload()!.properties()!), ["id", "customer", "items"])
      assert.sameMembers(Object.keys(replies[1].headers()!.properties()!), [
        "Nats-Service-Error",
        "Nats-Service-Error-Code"
      ])
      assert.strictEqual(replies[1].payload()!.anyOf()!.length, 2)
      const ping = operations.find((it) => it.id() === "ping")!
      assert.deepStrictEqual(ping.messages().all().map((it) => it.hasPayload()), [false])
      assert.isUndefined(operations.find((it) => it.id() === "odd_tag")!.bindings().get("nats"))
    }))

  it.live("and the parser does find what is wrong in one that is not", () =>
    Effect.gen(function*() {
      const document = yield* AsyncApi.make(Orders, { name: "orders", version: "1.0.0" })
      const text = JSON.stringify(document).replace("#/channels/get/messages/request", "#/channels/get/messages/none")
      assert.isAbove(errorsIn(yield* parse(JSON.parse(text))).length, 0)
    }))

  it.effect("is refused for what a layer refuses", () =>
    Effect.gen(function*() {
      const name = yield* Effect.flip(AsyncApi.make(Orders, { name: "orders/eu", version: "1.0.0" }))
      assert.deepStrictEqual([name._tag, name.what], ["InvalidService", "name"])
      const version = yield* Effect.flip(AsyncApi.make(Orders, { name: "orders", version: "one" }))
      assert.deepStrictEqual([version._tag, version.what], ["InvalidService", "version"])
    }))
})
