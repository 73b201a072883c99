/** From a group to endpoints: subjects, queue groups, middleware, and what is refused before anything is served. */
import { assert, it } from "@effect/vitest"
import { Cause, Context, Effect, Layer, Logger, Option, Schema, SchemaTransformation, Tracer } from "effect"
import { NatsClient } from "effect-nats"
import { AsyncApi, NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Headers } from "effect/http"
import { Rpc, RpcClient, RpcGroup, RpcMiddleware } from "effect/rpc"
import { keepSpans } from "../fixtures/keptSpans.ts"

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

const client = Layer.effect(NatsClient.NatsClient, connect)

const void_ = () => Effect.void

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a contract", (it) => {
  it.effect("gives subjects by service and tag, by annotation of the rpc, and by that of its group", () =>
    Effect.gen(function*() {
      const Plain = RpcGroup.make(
        Rpc.make("get"),
        Rpc.make("users.list"),
        Rpc.make("odd/tag").annotate(NatsService.Endpoint, { name: "odd", subject: "things.odd", queue: "own" })
      )
      const Versioned = RpcGroup.make(Rpc.make("put"), Rpc.make("drop")).annotateRpcs(NatsService.Group, {
        prefix: "v2.shop",
        queue: "shop",
        metadata: { team: "shop" }
      })
      const Bare = RpcGroup.make(
        Rpc.make("bare").annotate(NatsService.Endpoint, { queue: false, metadata: { cost: "low" } })
      ).annotateRpcs(NatsService.Group, { prefix: "" })
      const All = Plain.merge(Versioned, Bare)
      const service = yield* NatsService.make(All, {
        name: "store",
        version: "1.2.3-rc.1+build.7",
        queue: "stores",
        schemas: false,
        metadata: { region: "eu" },
        description: "All of it"
      }).pipe(Effect.provide(All.toLayer({
        get: void_,
        "users.list": void_,
        "odd/tag": void_,
        put: void_,
        drop: void_,
        bare: void_
      })))
      const info = yield* service.info
      assert.deepStrictEqual([info.description, info.metadata], ["All of it", { region: "eu" }])
      assert.deepStrictEqual(info.endpoints, [
        { name: "get", subject: "store.get", queue_group: "stores", metadata: {} },
        { name: "users-list", subject: "store.users.list", queue_group: "stores", metadata: {} },
        { name: "odd", subject: "store.things.odd", queue_group: "own", metadata: {} },
        { name: "put", subject: "v2.shop.put", queue_group: "shop", metadata: { team: "shop" } },
        { name: "drop", subject: "v2.shop.drop", queue_group: "shop", metadata: { team: "shop" } },
        { name: "bare", subject: "bare", queue_group: "", metadata: { cost: "low" } }
      ])
      const calls = yield* NatsService.client(All, { name: "store" })
      yield* Effect.forEach(
        [calls.get(), calls["users.list"](), calls["odd/tag"](), calls.put(), calls.drop(), calls.bare()],
        (call) => call,
        { discard: true }
      )
      const stats = yield* service.stats
      assert.deepStrictEqual(stats.endpoints.map((endpoint) => endpoint.num_requests), [1, 1, 1, 1, 1, 1])
    }).pipe(Effect.provide(client)))

  it.effect("a group annotated as a whole has its prefix, and an rpc's own annotation is above it", () =>
    Effect.gen(function*() {
      const Group = RpcGroup.make(
        Rpc.make("a"),
        Rpc.make("b").annotate(NatsService.Group, { prefix: "other" })
      ).annotate(NatsService.Group, { prefix: "whole" })
      const document = yield* AsyncApi.make(Group, { name: "x", version: "1.0.0" })
      const channels = document.channels as Record<string, { readonly address: string }>
      assert.deepStrictEqual([channels.a.address, channels.b.address], ["whole.a", "other.b"])
    }))

  const refused = (
    group: RpcGroup.RpcGroup<Rpc.Rpc<string>>,
    options: NatsService.Options
  ): Effect.Effect<string, unknown, NatsClient.NatsClient> =>
    Effect.scoped(
      Effect.map(
        Effect.flip(NatsService.make(group, options) as ReturnType<typeof NatsService.make<never>>),
        (error) => error._tag === "InvalidService" ? `${error.what} ${error.given}` : error._tag
      )
    )

  it.effect("names, versions, subjects and queue groups that cannot be are refused, and nothing is subscribed", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const before = yield* nats.stats
      const one = RpcGroup.make(Rpc.make("one")) as RpcGroup.RpcGroup<Rpc.Rpc<string>>
      const tagged = (tag: string, endpoint: NatsService.EndpointOptions = {}) =>
        RpcGroup.make(Rpc.make(tag).annotate(NatsService.Endpoint, endpoint))
      for (const name of ["orders/eu", "", "orders.eu", "or ders", "orders*", "ördërs"]) {
        assert.strictEqual(yield* refused(one, { name, version: "1.0.0" }), `name ${name}`)
      }
      for (const version of ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "", "1.0.0\n"]) {
        assert.strictEqual(yield* refused(one, { name: "a", version }), `version ${version}`)
      }
      const options = { name: "a", version: "1.0.0" }
      assert.strictEqual(yield* refused(tagged("a/b"), options), "endpoint a/b")
      assert.strictEqual(yield* refused(tagged("b", { subject: "x.*" }), options), "subject a.x.*")
      assert.strictEqual(yield* refused(tagged("b", { subject: "" }), options), "subject a.")
      assert.strictEqual(yield* refused(tagged("b", { queue: "a b" }), options), "queue a b")
      assert.strictEqual(yield* refused(one, { ...options, queue: "" }), "queue ")
      assert.strictEqual(yield* refused(one, { ...options, concurrency: 0 }), "concurrency 0")
      assert.strictEqual(
        yield* refused(tagged("b").annotateRpcs(NatsService.Group, { prefix: "$SRV" }), options),
        "subject $SRV.b"
      )
      const twice = RpcGroup.make(
        Rpc.make("b").annotate(NatsService.Endpoint, { subject: "same" }),
        Rpc.make("c").annotate(NatsService.Endpoint, { subject: "same" })
      ) as RpcGroup.RpcGroup<Rpc.Rpc<string>>
      assert.strictEqual(yield* refused(twice, options), "subject a.same")
      const streaming = RpcGroup.make(Rpc.make("many", { success: Schema.Finite, stream: true }))
      assert.strictEqual(
        yield* refused(streaming as unknown as RpcGroup.RpcGroup<Rpc.Rpc<string>>, options),
        "endpoint many"
      )
      assert.deepStrictEqual((yield* nats.stats).messagesOut, before.messagesOut)
      assert.deepStrictEqual((yield* nats.stats).subscriptions, 0)
      const wrong = yield* Effect.flip(NatsService.client(one, { name: "orders/eu" }))
      assert.include(wrong.message, "orders/eu")
    }).pipe(Effect.provide(client)))

  const words: ReadonlyArray<readonly [tag: string, endpoint: NatsService.EndpointOptions, words: RegExp]> = [
    ["orders.>", {}, /its subject "a\.orders\.>" is invalid: an endpoint has no wildcards/],
    ["*", {}, /its subject "a\.\*" is invalid: an endpoint has no wildcards/],
    ["b", { subject: "x*" }, /its subject "a\.x\*" is invalid: an endpoint has no wildcards/],
    ["b c", {}, /its subject "a\.b c" is invalid: token 2 has whitespace\./],
    ["", {}, /its subject "a\." is invalid: token 2 is empty\./],
    ["b/c", {}, /its endpoint "b\/c" is invalid: its tag is no name \(.*\): give it one with NatsService\.Endpoint\./],
    ["b", { name: "b.c" }, /its endpoint "b\.c" is invalid: a name has letters/],
    ["\u202e\u0085\u001b", { name: "b" }, /its subject "a\.\\u202e\\u0085\\u001b" is invalid: token 2 has/]
  ]
  for (const [tag, endpoint, expected] of words) {
    it.effect(`the words for what cannot be are of what was given: ${JSON.stringify(tag)} ${JSON.stringify(endpoint)}`, () =>
      Effect.gen(function*() {
        const group = RpcGroup.make(Rpc.make(tag).annotate(NatsService.Endpoint, endpoint))
        const error = yield* Effect.flip(NatsService.client(group, { name: "a" }))
        assert.match(error.message, expected)
        const long = yield* Effect.flip(NatsService.client(group, { name: `\u0085${"n".repeat(100_000)}` }))
        assert.isBelow(long.message.length, 1024)
        assert.notInclude(long.message, "\u0085")
      }).pipe(Effect.provide(client)))
  }

  it.effect("an endpoint without a handler is refused, and one that gives no Effect is answered with 500", () =>
    Effect.gen(function*() {
      const Untyped = RpcGroup.make(Rpc.make("get"), Rpc.make("put"))
      const make = (handlers: unknown) =>
        NatsService.make(Untyped, { name: "untyped", version: "1.0.0" }).pipe(
          Effect.provide(Untyped.toLayer(handlers as never))
        )
      for (const handlers of [{}, { get: () => Effect.void }, { get: () => Effect.void, put: "put" }]) {
        const error = yield* Effect.flip(make(handlers))
        assert(error._tag === "InvalidService")
        assert.deepStrictEqual([error.what, error.given], ["endpoint", "get" in handlers ? "put" : "get"])
        assert.include(error.message, "it has no handler: give the group's toLayer a function for this tag")
      }
      const alone = NatsService.make(Untyped, { name: "untyped", version: "1.0.0" })
      const missing = yield* Effect.flip(
        alone as Effect.Effect<unknown, Effect.Error<typeof alone>, NatsClient.NatsClient>
      )
      assert.strictEqual(missing._tag, "InvalidService")
      const logged: Array<string> = []
      const logger = Logger.make(({ cause }) => {
        logged.push(Cause.pretty(cause))
      })
      yield* Effect.provide(
        make({ get: () => Promise.resolve("a"), put: () => Rpc.fork(Promise.resolve() as never) }),
        Logger.layer([logger])
      )
      const nats = yield* NatsClient.NatsClient
      for (const tag of ["get", "put"]) {
        const reply = yield* nats.request(`untyped.${tag}`)
        assert.strictEqual(reply.header("Nats-Service-Error-Code"), "500")
        assert.include(logged.join("\n"), `The handler of "${tag}" returned no Effect`)
      }
    }).pipe(Effect.provide(client)))

  it.effect("a user who may not subscribe to an endpoint, or to $SRV, has a PermissionsViolation that says so", () =>
    Effect.gen(function*() {
      const allow = (subjects: ReadonlyArray<string>) => ({ publish: { allow: ">" }, subscribe: { allow: subjects } })
      const server = yield* TestNatsServer.make({
        users: [
          { user: "none", password: "a", permissions: allow(["_INBOX.>", "$SRV.>"]) },
          { user: "some", password: "a", permissions: allow(["_INBOX.>", "a.>"]) }
        ]
      })
      const Group = RpcGroup.make(Rpc.make("b"))
      const make = (user: string, discovery: boolean) =>
        Effect.scoped(Effect.flatMap(
          NatsClient.make({ servers: server.url, auth: { user, password: "a" } }),
          (nats) =>
            NatsService.make(Group, { name: "a", version: "1.0.0", discovery }).pipe(
              Effect.provide(Group.toLayer({ b: void_ })),
              Effect.provideService(NatsClient.NatsClient, nats)
            )
        ))
      const endpoint = yield* Effect.flip(make("none", true))
      assert(endpoint._tag === "PermissionsViolation")
      assert.deepStrictEqual([endpoint.subject, endpoint.operation], ["a.b", "subscribe"])
      const discovery = yield* Effect.flip(make("some", true))
      assert(discovery._tag === "PermissionsViolation")
      assert.include(discovery.subject, "$SRV.")
      assert.strictEqual((yield* make("some", false)).name, "a")
    }))

  class User extends Context.Service<User, { readonly name: string }>()("test/User") {}
  class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}, { httpApiStatus: 401 }) {}
  class Authentication extends RpcMiddleware.Service<Authentication, { provides: User }>()("test/Authentication", {
    error: Unauthorized,
    requiredForClient: true
  }) {}
  class Outer extends RpcMiddleware.Service<Outer>()("test/Outer") {}

  it.effect("middleware of the server and of the client is run, in its order, with headers, services and failures", () =>
    Effect.gen(function*() {
      const Secured = RpcGroup.make(
        Rpc.make("whoami", { payload: { greeting: Schema.String }, success: Schema.String })
      ).middleware(Authentication).middleware(Outer)
      const order: Array<string> = []
      yield* NatsService.make(Secured, { name: "secured", version: "1.0.0" }).pipe(
        Effect.provide([
          Secured.toLayer({
            whoami: Effect.fnUntraced(function*({ greeting }, { headers }) {
              const user = yield* User
              order.push("handler")
              return `${greeting} ${user.name} ${headers["x-trace"]}`
            })
          }),
          Layer.succeed(Authentication, (handler, { headers, payload, rpc }) =>
            Effect.suspend(() => {
              order.push(`authentication ${rpc._tag} ${JSON.stringify(payload)}`)
              const token = headers.authorization
              return token === undefined
                ? Effect.fail(new Unauthorized({}))
                : Effect.provideService(handler, User, { name: token })
            })),
          Layer.succeed(Outer, (handler) =>
            Effect.andThen(
              Effect.sync(() => {
                order.push("outer")
              }),
              handler
            ))
        ])
      )
      const signed = (token: string | undefined) =>
        NatsService.client(Secured, { name: "secured" }).pipe(
          Effect.provide(RpcMiddleware.layerClient(Authentication, ({ next, request }) =>
            next(
              token === undefined ? request : {
                ...request,
                headers: Headers.set(request.headers, "authorization", token)
              }
            )))
        )
      const ann = yield* signed("Ann")
      assert.strictEqual(yield* ann.whoami({ greeting: "hello" }, { headers: { "X-Trace": "7" } }), "hello Ann 7")
      assert.deepStrictEqual(order, ["outer", "authentication whoami {\"greeting\":\"hello\"}", "handler"])
      const nobody = yield* signed(undefined)
      const error = yield* Effect.flip(nobody.whoami({ greeting: "hello" }))
      assert.instanceOf(error, Unauthorized)
      const nats = yield* NatsClient.NatsClient
      const raw = yield* nats.request("secured.whoami", "{\"greeting\":\"a\"}")
      assert.deepStrictEqual(
        [raw.header("Nats-Service-Error-Code"), raw.header("Nats-Service-Error"), raw.text],
        ["401", "Unauthorized", "{\"_tag\":\"Unauthorized\"}"]
      )
    }).pipe(Effect.provide(client)))

  it.effect("each request has a client of its own, the headers of its call above those around it, and all that it sets", () =>
    Effect.gen(function*() {
      const Told = RpcGroup.make(Rpc.make("tell", { success: Schema.String }))
      const ids = new Set<number>()
      yield* NatsService.make(Told, { name: "told", version: "1.0.0" }).pipe(
        Effect.provide(Told.toLayer({
          tell: (_, { client, headers }) =>
            Effect.sync(() => {
              ids.add(client.id)
              const request = Option.getOrThrow(NatsService.requestOf(client))
              request.setReplyHeader("One", "1")
              Option.getOrThrow(NatsService.requestOf(client)).setReplyHeader("Two", "2")
              return `${headers["a"]} ${headers["b"]}`
            })
        }))
      )
      const told = yield* NatsService.client(Told, { name: "told" })
      const around = Headers.fromInput({ a: "around", b: "around" })
      const set: Array<string | undefined> = []
      const text = yield* told.tell(undefined, {
        headers: { b: "own" },
        onReply: (reply) => set.push(reply.header("One"), reply.header("Two"))
      }).pipe(Effect.provideService(RpcClient.CurrentHeaders, around))
      assert.strictEqual(text, "around own")
      assert.deepStrictEqual(set, ["1", "2"])
      yield* told.tell()
      assert.strictEqual(ids.size, 2)
    }).pipe(Effect.provide(client)))

  it.effect("schemas that wait and need services have them on both sides, at each end their own", () =>
    Effect.gen(function*() {
      class Rate extends Context.Service<Rate, number>()("test/Rate") {}
      const scaled = (price: number, up: boolean) =>
        Effect.andThen(Effect.yieldNow, Effect.map(Rate, (rate) => up ? price * rate : price / rate))
      const Price = Schema.Finite.pipe(Schema.decodeTo(
        Schema.Finite,
        SchemaTransformation.transformEffect({
          decode: (price: number) => scaled(price, true),
          encode: (price: number) => scaled(price, false)
        })
      ))
      const Prices = RpcGroup.make(
        Rpc.make("add", { payload: { price: Price, more: Price }, success: Price, error: Price })
      )
      yield* NatsService.make(Prices, { name: "prices", version: "1.0.0" }).pipe(
        Effect.provide(Prices.toLayer({
          add: ({ more, price }) => more === 0 ? Effect.fail(price) : Effect.succeed(price + more)
        })),
        Effect.provideService(Rate, 10)
      )
      const prices = yield* Effect.provideService(NatsService.client(Prices, { name: "prices" }), Rate, 1)
      assert.strictEqual(yield* prices.add({ price: 1, more: 2 }), 3)
      const dear = yield* Effect.provideService(NatsService.client(Prices, { name: "prices" }), Rate, 100)
      assert.strictEqual(yield* dear.add({ price: 100, more: 200 }), 300)
      assert.strictEqual(yield* Effect.flip(dear.add({ price: 100, more: 0 })), 100)
      const nats = yield* NatsClient.NatsClient
      const raw = yield* nats.request("prices.add", "{\"price\":1,\"more\":\"x\"}")
      assert.strictEqual(raw.header("Nats-Service-Error-Code"), "400")
    }).pipe(Effect.provide(client)))

  it.effect("a call and its handler are one trace, where a tracer is installed", () => {
    const { spans, tracer } = keepSpans()
    return Effect.gen(function*() {
      const Inner = RpcGroup.make(Rpc.make("work", { payload: Schema.Boolean, error: Schema.String }))
      yield* NatsService.make(Inner, { name: "traced", version: "1.0.0" }).pipe(
        Effect.provide(Inner.toLayer({
          work: (fine) => fine ? Effect.withSpan(Effect.void, "inside") : Effect.fail("no")
        }))
      )
      const calls = yield* NatsService.client(Inner, { name: "traced" })
      yield* Effect.withSpan(calls.work(true), "outside")
      assert.strictEqual(yield* Effect.flip(calls.work(false)), "no")
      const [outside, request, process, inside, , failed] = spans
      assert.deepStrictEqual(spans.map((span) => span.name), [
        "outside",
        "request traced.work",
        "process traced.work",
        "inside",
        "request traced.work",
        "process traced.work"
      ])
      assert.deepStrictEqual(
        [request, process, inside].map((span) => [span.traceId, Option.getOrThrow(span.parent).spanId]),
        [outside, request, process].map((span) => [outside.traceId, span.spanId])
      )
      assert.deepStrictEqual([process.kind, process.status._tag, failed.status._tag], ["server", "Ended", "Ended"])
      assert.isTrue(failed.status._tag === "Ended" && failed.status.exit._tag === "Failure")
    }).pipe(Effect.provide(client, { local: true }), Effect.provideService(Tracer.Tracer, tracer))
  })
})
