import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { NatsClient, NatsLayer, NatsListener, NatsRecorder, SubjectSchema } from "effect-nats"
import { NatsRpc, NatsService, ServiceDiscovery } from "effect-nats/service"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "effect/rpc"
import { follow } from "../fixtures/following.ts"
import { failureTag, serve } from "../fixtures/rpcRigs.ts"
import { UserRpcs, Users } from "../fixtures/rpcUsers.ts"

const patient = { reconnect: { initialDelay: "10 millis", maxDelay: "20 millis" } } as const

const Hello = RpcGroup.make(Rpc.make("hello", { success: Schema.String }), Rpc.make("bye", { success: Schema.String }))
const handlers = Hello.toLayer({ hello: () => Effect.succeed("hi"), bye: () => Effect.succeed("bye") })
const Ask = SubjectSchema.makeRequest("ask.me", { payload: Schema.String, success: Schema.String })

const serving = (nats: NatsClient.NatsClient, discovery: boolean) =>
  NatsService.make(Hello, { name: "hello", version: "1.0.0", discovery }).pipe(
    Effect.provide(handlers),
    Effect.provideService(NatsClient.NatsClient, nats)
  )

const using = (nats: NatsClient.NatsClient) => Effect.provideService(NatsClient.NatsClient, nats)

const rpcClient = (nats: NatsClient.NatsClient) =>
  Effect.map(
    Layer.build(
      Layer.effect(Users, RpcClient.make(UserRpcs)).pipe(
        Layer.provide(NatsRpc.layerClientProtocol({ subject: "users" })),
        Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, nats)])
      )
    ),
    (context) => Context.get(context, Users)
  )

/** What the server says that it has of a client. */
const counted = (server: TestNatsServer.TestNatsServer, name: string) =>
  Effect.map(server.connz, (all) => all.find((each) => each.name === name)?.subscriptions)

describe("a subscription that is one too many", () => {
  it.live("is SubscriptionLimitExceeded of whatever opens it, names it, and stays with nobody", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxSubscriptions: 2 })
      const nats = yield* NatsClient.make({ servers: server.url, name: "full", ...patient })
      yield* nats.subscription("one")
      const two = yield* nats.subscription("two")
      const openings: Record<string, Effect.Effect<unknown, { readonly _tag: string }>> = {
        subscription: Effect.scoped(nats.subscription("three", { queue: "q" })),
        subscribe: Stream.runDrain(nats.subscribe("three")),
        consume: nats.consume("three", () => Effect.void),
        listener: Effect.scoped(using(nats)(NatsListener.make("three", () => Effect.void))),
        responder: Effect.scoped(using(nats)(Ask.respond(() => Effect.succeed("")))),
        endpoint: Effect.scoped(serving(nats, false)),
        recorder: Effect.scoped(using(nats)(NatsRecorder.make("three"))),
        request: nats.request("three"),
        requestMany: Stream.runDrain(nats.requestMany("three")),
        "typed request": using(nats)(Ask.request("")),
        discovery: Stream.runDrain(ServiceDiscovery.ping()).pipe(using(nats)),
        "service's client": using(nats)(
          Effect.flatMap(NatsService.client(Hello, { name: "hello" }), (calls) => calls.hello())
        ),
        "rpc client": Effect.scoped(rpcClient(nats))
      }
      for (const [name, opening] of Object.entries(openings)) {
        const exit = yield* Effect.exit(opening)
        assert(Exit.isFailure(exit), name)
        assert.deepInclude(Cause.squash(exit.cause), { _tag: "SubscriptionLimitExceeded", isRetryable: false }, name)
      }
      const refused = yield* Effect.flip(Effect.scoped(nats.subscription("three", { queue: "q" })))
      assert.deepInclude(refused, { subject: "three", queue: "q" })
      const inbox = yield* Effect.flip(nats.request("three"))
      assert(inbox._tag === "SubscriptionLimitExceeded")
      assert.match(inbox.subject, /^_INBOX\.\w+\.\*$/)
      assert.strictEqual((yield* nats.stats).subscriptions, 2)
      assert.strictEqual(yield* counted(server, "full"), 2)
      // The next request tries the inbox again, and what was refused can be opened when there is room.
      yield* two.unsubscribe
      assert.strictEqual((yield* Effect.flip(nats.request("nobody")))._tag, "NoResponders")
      assert.strictEqual((yield* nats.state)._tag, "Connected")
    }))

  it.live("closes what a service or an rpc server had opened before it", () =>
    Effect.gen(function*() {
      // Two endpoints, or the two subscriptions of an rpc server, and nothing beside them.
      const server = yield* TestNatsServer.make({ maxSubscriptions: 2 })
      const nats = yield* NatsClient.make({ servers: server.url })
      assert.strictEqual((yield* Effect.flip(Effect.scoped(serving(nats, true))))._tag, "SubscriptionLimitExceeded")
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
      const full = yield* TestNatsServer.make({ maxSubscriptions: 1 })
      const served = yield* Effect.flip(serve(full.url, "a"))
      assert.strictEqual(served._tag, "SubscriptionLimitExceeded")
    }))

  it.live("is told apart from those that were opened with it, by the hundred", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxSubscriptions: 1500 })
      const nats = yield* NatsClient.make({ servers: server.url, name: "many" })
      const exits = yield* Effect.forEach(
        Array.from({ length: 3000 }, (_, i) => `s.${i}`),
        (subject) => Effect.exit(nats.subscription(subject)),
        { concurrency: "unbounded" }
      )
      assert.isTrue(exits.slice(0, 1500).every(Exit.isSuccess))
      assert.isTrue(exits.slice(1500).every(Exit.isFailure))
      assert.strictEqual((yield* nats.stats).subscriptions, 1500)
      assert.strictEqual(yield* counted(server, "many"), 1500)
    }))

  it.live("of a user's JWT and of an account's is the same", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const wide = yield* operator.account("wide")
      const narrow = yield* operator.account("narrow", { maxSubscriptions: 1 })
      const server = yield* TestNatsServer.make({ operator: operator.setup(wide, narrow) })
      for (const user of [yield* wide.user("u", { maxSubscriptions: 1 }), yield* narrow.user("u")]) {
        const nats = yield* NatsClient.make({ servers: server.url, auth: { _tag: "Creds", creds: user.creds } })
        yield* nats.subscription("one")
        assert.strictEqual((yield* Effect.flip(nats.subscription("two")))._tag, "SubscriptionLimitExceeded")
      }
    }))
})

describe("a limit that is lower when the client comes back", () => {
  const lowered = Effect.fnUntraced(function*(from: number, to: number) {
    const first = yield* TestNatsServer.make({ maxSubscriptions: from })
    return {
      server: first,
      lower: Effect.andThen(first.kill, TestNatsServer.make({ port: first.port, maxSubscriptions: to }))
    }
  })

  it.live("ends the streams that the server refuses, and no other", () =>
    Effect.gen(function*() {
      const { lower, server } = yield* lowered(10, 2)
      const nats = yield* NatsClient.make({ servers: server.url, name: "back", ...patient })
      const status = yield* follow(nats)
      const streams = yield* Effect.forEach(["s.1", "s.2", "s.3"], (subject) => nats.subscription(subject))
      const ends = yield* Effect.forEach(
        streams,
        ({ stream }) => Effect.forkScoped(Effect.flip(Stream.runDrain(stream)), { startImmediately: true })
      )
      const again = yield* lower
      yield* status.connected(2)
      const end = yield* Fiber.join(ends[2])
      assert.deepInclude(end, { _tag: "SubscriptionLimitExceeded", subject: "s.3" })
      yield* nats.flush
      assert.isUndefined(ends[0].pollUnsafe())
      assert.isUndefined(ends[1].pollUnsafe())
      assert.strictEqual((yield* nats.stats).subscriptions, 2)
      assert.strictEqual(yield* counted(again, "back"), 2)
    }))

  it.live("ends a launched program with the part that it hit", () =>
    Effect.gen(function*() {
      const { lower, server } = yield* lowered(10, 1)
      const built = yield* Deferred.make<void>()
      const app = Layer.effectDiscard(Deferred.succeed(built, undefined)).pipe(
        Layer.provide(NatsListener.layer("b", () => Effect.void)),
        Layer.provide(NatsListener.layer("a", () => Effect.void)),
        Layer.provide(NatsClient.layer({ servers: server.url, ...patient }))
      )
      const launched = yield* Effect.forkScoped(Effect.flip(NatsLayer.launch(app)))
      yield* Deferred.await(built)
      yield* lower
      const end = yield* Fiber.join(launched)
      assert(end._tag === "BackgroundEnded")
      assert.strictEqual(end.reason._tag, "SubscriptionLimitExceeded")
      assert.strictEqual(end.isRetryable, false)
    }))

  it.live("fails the calls of an rpc client whose inbox it hit, and a later call opens that again", () =>
    Effect.gen(function*() {
      // So many does a server of the calls have.
      const { lower, server } = yield* lowered(10, 2)
      const nats = yield* NatsClient.make({ servers: server.url, ...patient })
      const status = yield* follow(nats)
      const first = yield* nats.subscription("first")
      yield* nats.subscription("second")
      const users = yield* rpcClient(nats)
      const again = yield* lower
      yield* status.connected(2)
      yield* nats.flush
      yield* serve(again.url, "a")
      assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "SubscriptionLimitExceeded")
      yield* first.unsubscribe
      // Several that open it again at once open one.
      const answers = yield* Effect.all([users.Which(), users.Which(), users.Which()], { concurrency: "unbounded" })
      assert.deepStrictEqual(answers, ["a", "a", "a"])
      assert.strictEqual((yield* nats.stats).subscriptions, 2)
    }))

  it.live("fails a call that has waited for the session on which its inbox is refused", () =>
    Effect.gen(function*() {
      const { lower, server } = yield* lowered(10, 2)
      const nats = yield* NatsClient.make({ servers: server.url, ...patient })
      const status = yield* follow(nats)
      yield* nats.subscription("first")
      yield* nats.subscription("second")
      const users = yield* rpcClient(nats)
      const waiting = yield* Effect.forkChild(
        Effect.andThen(status.seen("Disconnected"), Effect.exit(users.Which())),
        { startImmediately: true }
      )
      yield* lower
      assert.strictEqual(failureTag(yield* Fiber.join(waiting)), "SubscriptionLimitExceeded")
    }))
})

describe("a limit that is lowered while the client is connected", () => {
  it.live("ends the session with the server's words, which are no subscription's", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("app")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const { creds } = yield* account.user("u")
      const nats = yield* NatsClient.make({ servers: server.url, auth: { _tag: "Creds", creds }, ...patient })
      const status = yield* follow(nats)
      const [, second] = yield* Effect.forEach(["one", "two"], (subject) => nats.subscription(subject))
      const end = yield* Effect.forkScoped(Effect.flip(Stream.runDrain(second.stream)), { startImmediately: true })
      // A client that has its pings answered is told the same.
      yield* Effect.forkScoped(Effect.forever(Effect.ignore(nats.flush)))
      yield* server.reload({ operator: operator.setup(yield* account.change({ maxSubscriptions: 1 })) })
      yield* status.connected(2)
      const [{ reason }] = status.all("Disconnected")
      assert.deepInclude(reason, { _tag: "ServerRejected", text: "maximum subscriptions exceeded", isRetryable: true })
      assert.match(reason.message, /limit was lowered/)
      assert.deepInclude(yield* Fiber.join(end), { _tag: "SubscriptionLimitExceeded", subject: "two" })
      assert.strictEqual((yield* nats.stats).subscriptions, 1)
    }))
})
