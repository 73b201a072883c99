/** The AsyncAPI document of a service, checked by the AsyncAPI project's own parser. */
import { Parser } from "@asyncapi/parser"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { AsyncApi, NatsService } from "effect-nats/service"
import * as Arbitrary from "effect/Arbitrary"
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

  /** An endpoint whose payload and failure can be told from all others', with a definition that is called `identifier`. */
  const endpoint = (tag: string, i: number, identifier: string) => {
    const Deep: Schema.Codec<unknown> = Schema.Struct({
      [`deep${i}`]: Schema.Array(Schema.suspend((): Schema.Codec<unknown> => Deep))
    }).annotate({ identifier }) as never
    return Rpc.make(tag, {
      payload: { [`in${i}`]: Deep },
      success: Schema.Struct({ [`out${i}`]: Deep }),
      error: Schema.Struct({ [`no${i}`]: Schema.Int })
    }).annotate(NatsService.Endpoint, { name: `n${i}`, subject: `s${i}` }) as unknown as Rpc.Any
  }

  type Json = { readonly [key: string]: Json }

  const resolve = (document: Json, { $ref }: Json): Json => {
    let found = document
    for (const token of String($ref).slice(2).split("/")) {
      assert.isTrue(Object.hasOwn(found, token), `${String($ref)} does not resolve`)
      found = found[token]
    }
    return found
  }

  const refsIn = (value: unknown): ReadonlyArray<Json> =>
    typeof value !== "object" || value === null
      ? []
      : "$ref" in value && typeof value.$ref === "string"
      ? [value as Json]
      : Object.values(value).flatMap(refsIn)

  /** Every endpoint is there with what is its own, and nothing else is. */
  const checkWhole = Effect.fnUntraced(function*(tags: ReadonlyArray<string>, identifiers: ReadonlyArray<string>) {
    const rpcs = tags.map((tag, i) => endpoint(tag, i, identifiers[i % identifiers.length]))
    const group = RpcGroup.make(...rpcs) as unknown as RpcGroup.RpcGroup<Rpc.Rpc<string>>
    const made = yield* AsyncApi.make(group, {
      name: "all",
      version: "1.0.0",
      servers: { ["__proto__"]: "a:1", "a b": "b:1" }
    })
    // What another program reads of it.
    const document = JSON.parse(JSON.stringify(made)) as Json
    for (const reference of refsIn(document)) resolve(document, reference)
    const operations = Object.values(document["operations"])
    assert.deepStrictEqual(
      [
        operations.length,
        Object.keys(document["channels"]).length,
        Object.keys(document["components"]["messages"]).length
      ],
      [tags.length, tags.length * 2, tags.length * 3]
    )
    const fields = (reference: Json): string => {
      const payload = resolve(document, resolve(document, resolve(document, reference))["payload"])
      return Object.entries(payload["properties"]).map(([name, property]) =>
        "$ref" in property ? `${name} ${Object.keys(resolve(document, property)["properties"]).join()}` : name
      ).join()
    }
    const seen = operations.map((operation) => {
      const [request] = operation["messages"] as unknown as ReadonlyArray<Json>
      const [response, error] = operation["reply"]["messages"] as unknown as ReadonlyArray<Json>
      const address = String(resolve(document, operation["channel"])["address"])
      assert.isNull(resolve(document, operation["reply"]["channel"])["address"])
      return [address, fields(request), fields(response), fields(error)].join(" | ")
    })
    assert.sameMembers(seen, tags.map((_, i) => `all.s${i} | in${i} deep${i} | out${i} deep${i} | no${i}`))
    return document
  })

  const nastyTags = [
    "get",
    "get.reply",
    "get.reply-2",
    "get.reply.reply",
    "get.request",
    "get.request.request",
    "a b",
    "a_b",
    "a_b-2",
    "a_b-3",
    "a/b",
    "",
    "_",
    "__proto__",
    "constructor",
    "constructor-2",
    "toString",
    "hasOwnProperty",
    "hasOwnProperty.reply",
    "ü",
    "日本",
    "$ref",
    "~1",
    "%2F"
  ]
  const nastyIdentifiers = [
    "Deep/Node",
    "request",
    "a b%",
    "__proto__",
    "constructor",
    "ü~",
    "Deep_Node",
    "response.request"
  ]

  it.live("has every endpoint, whatever the tags are", () =>
    Effect.gen(function*() {
      // A definition of the one has the name of the other's payload.
      yield* checkWhole(["get", "get.request"], ["request"])
      const document = yield* checkWhole(nastyTags, nastyIdentifiers)
      const parsed = yield* parse(document)
      assert.deepStrictEqual(errorsIn(parsed), [])
      const addresses = parsed.document!.operations().all().flatMap((it) =>
        it.channels().all().map((it) => it.address())
      )
      assert.sameMembers(addresses, nastyTags.map((_, i) => `all.s${i}`))
      assert.lengthOf(parsed.document!.servers().all(), 2)
    }))

  it.effect.prop("and whatever others there are", [
    Arbitrary.schema(Schema.Array(Schema.Union([Schema.Literals(nastyTags), Schema.String]))),
    Arbitrary.schema(Schema.Array(Schema.Union([Schema.Literals(nastyIdentifiers), Schema.String])))
  ], ([tags, identifiers]) => {
    const own = [...new Set(tags.map((tag) => tag.toWellFormed()))]
    return checkWhole(own.length === 0 ? ["one"] : own, ["Deep", ...identifiers.map((it) => it.toWellFormed())])
  })

  it.effect("an endpoint keeps its tag as its key, whatever stands beside it", () =>
    Effect.gen(function*() {
      const { channels, operations } = yield* checkWhole(["a b", "a_b", "get.reply", "get"], ["Deep"])
      assert.deepStrictEqual(Object.keys(operations).toSorted(), ["a_b", "a_b-2", "get", "get.reply"])
      const keys = ["a_b-2", "a_b", "get.reply", "get"]
      assert.deepStrictEqual(keys.map((key) => String(channels[key].address)), keys.map((_, i) => `all.s${i}`))
    }))

  it.effect("is refused for what a layer refuses", () =>
    Effect.gen(function*() {
      const name = yield* Effect.flip(AsyncApi.make(Orders, { name: "orders/eu", version: "1.0.0" }))
      assert.deepStrictEqual([name._tag, name.what], ["InvalidService", "name"])
      const version = yield* Effect.flip(AsyncApi.make(Orders, { name: "orders", version: "one" }))
      assert.deepStrictEqual([version._tag, version.what], ["InvalidService", "version"])
    }))
})
