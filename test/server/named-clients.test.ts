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
    const Listener = Layer.effectDiscard(Effect.flatMap(NatsClient.NatsClient, (own) =>
      NatsListener.make("told", (message) =>
        Queue.offer(heard, `${own === nats ? "shop" : "bank"} ${message.text}`))))
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
    assert.deepStrictEqual(yield* Stream.runCollect(JetStreamStream.names()).pipe(Stream.runCollect, Effect.provide(js)), [])
  }).pipe(Effect.provide(Two), Effect.scoped))
