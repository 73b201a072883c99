/** Several accounts in one program: what is named stays in its account, whatever runs on it. */
import { assert, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Fiber, Layer, Queue, Schema, Stream } from "effect"
import { NatsClient, NatsError, NatsLayer, NatsListener, SubjectSchema } from "effect-nats"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { service } from "../fixtures/losing.ts"

class Billing extends NatsLayer.Named<Billing>()("Billing") {}

const accounts = {
  SHOP: { users: [{ user: "shop", password: "p1" }], jetstream: true },
  BANK: { users: [{ user: "bank", password: "p2" }], jetstream: true }
}

const shop = { user: "shop", password: "p1" }
const bank = { user: "bank", password: "p2" }

/** A server with two accounts, and a client of each. */
const Two = Layer.unwrap(Effect.map(TestNatsServer.TestNatsServer, ({ url }) =>
  Layer.mergeAll(
    NatsClient.layer({ servers: url, auth: shop }),
    Billing.layerFrom(NatsClient.layer({ servers: url, auth: bank }))
  ))).pipe(Layer.provideMerge(TestNatsServer.layer({ accounts, jetstream: true })))

const Paid = SubjectSchema.make("paid", Schema.Number)

it.live("what runs on the named client is in its account, and what does not is in the other", () =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.NatsClient
    const billing = yield* Billing
    const heard = yield* Queue.unbounded<string>()
    // The same layer on both.
    const Listener = Layer.effectDiscard(
      Effect.flatMap(
        NatsClient.NatsClient,
        (own) =>
          NatsListener.make(
            "told",
            (message) => Queue.offer(heard, `${own === nats ? "shop" : "bank"} ${message.text}`)
          )
      )
    )
    yield* Layer.build(Layer.mergeAll(Listener, Billing.on(Listener)))
    yield* nats.publish("told", "1")
    assert.strictEqual(yield* Queue.take(heard), "shop 1")
    yield* billing.publish("told", "2")
    assert.strictEqual(yield* Queue.take(heard), "bank 2")

    // A service, in one account alone.
    yield* Layer.build(Billing.on(service))
    assert.include((yield* billing.request("$SRV.PING.s")).text, `"name":"s"`)
    assert.strictEqual((yield* Effect.flip(nats.request("$SRV.PING.s")))._tag, "NoResponders")

    // Effects and streams.
    const values = yield* Effect.forkChild(Stream.runHead(Billing.on(Paid.subscribe())), { startImmediately: true })
    const others = yield* Effect.forkChild(Stream.runHead(Paid.subscribe()), { startImmediately: true })
    yield* billing.flush
    yield* nats.flush
    yield* Billing.on(Paid.publish(42))
    assert.strictEqual((yield* Fiber.join(values)).valueOrUndefined?.value, 42)
    yield* Paid.publish(7)
    assert.strictEqual((yield* Fiber.join(others)).valueOrUndefined?.value, 7)

    // What others stand on.
    const created = JetStreamStream.create(JetStreamStream.make("ORDERS", { subjects: ["orders"] }))
    const js = JetStream.layer()
    yield* Billing.on(Effect.provide(created, js))
    const names = Effect.provide(Stream.runCollect(JetStreamStream.names()), js)
    assert.deepStrictEqual(yield* Billing.on(names), ["ORDERS"])
    assert.deepStrictEqual(yield* names, [])
  }).pipe(Effect.provide(Two), Effect.scoped))

it.live("the named client has variables of its own, and its end is told by its name", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ accounts })
    const variables = {
      SHOP_NATS_URL: server.url,
      SHOP_NATS_USER: "shop",
      SHOP_NATS_PASSWORD: "p1",
      BANK_NATS_URL: server.url,
      BANK_NATS_USER: "bank",
      BANK_NATS_PASSWORD: "p2"
    }
    const isUp = yield* Deferred.make<void>()
    const App = Layer.effectDiscard(Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const billing = yield* Billing
      yield* nats.flush
      yield* billing.flush
      yield* Deferred.succeed(isUp, undefined)
    })).pipe(
      Layer.provide(NatsLayer.fromEnv({ prefix: "SHOP_NATS" })),
      Layer.provide(Billing.layerFrom(NatsLayer.fromEnv({ prefix: "BANK_NATS" }))),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({
        ...variables,
        BANK_NATS_RECONNECT_REFUSAL_TIMEOUT: "1 millis"
      })))
    )
    const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
    yield* Effect.raceFirst(Deferred.await(isUp), Fiber.join(launched))
    const users = (yield* server.connz).map(({ authorized_user }) => authorized_user)
    assert.deepStrictEqual(users.toSorted(), ["bank", "shop"])
    yield* server.reload({ accounts: { ...accounts, BANK: { users: [{ user: "bank", password: "p3" }] } } })
    const error = yield* Effect.flip(Fiber.join(launched))
    assert.instanceOf(error, NatsError.BackgroundEnded)
    assert.deepStrictEqual(error.part, { kind: "client", name: "Billing" })
  }).pipe(Effect.scoped))

it.effect("a named client that cannot connect fails as its layer does", () =>
  Effect.gen(function*() {
    const failed = yield* Effect.flip(
      Effect.provide(Billing, Billing.layerFrom(NatsLayer.fromUnknown({ servers: 1 })))
    )
    assert.strictEqual(failed._tag, "NatsConfigError")
  }))
