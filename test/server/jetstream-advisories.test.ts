/** What JetStream tells of itself, and what an account has of it. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { rawConsumer, rawStream, withJetStream } from "../fixtures/jetStream.ts"

it.live("what happens to streams, consumers and messages is told as values, and what is strange ends nothing", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const awaited = new Set<string>([
      "StreamAction",
      "ConsumerAction",
      "MessageNaked",
      "MessageTerminated",
      "MaxDeliveries",
      "UnknownAdvisory"
    ])
    const telling = yield* Effect.forkChild(
      Stream.runCollect(
        js.advisories().pipe(
          Stream.filter(({ _tag }) => _tag !== "ApiAudit"),
          // Servers tell of each stream in its own order.
          Stream.takeUntil(({ _tag }) => awaited.delete(_tag) && awaited.size === 0)
        )
      ),
      { startImmediately: true }
    )
    const audited = yield* Effect.forkChild(
      Stream.runHead(
        Stream.filter(
          js.advisories({ kinds: ["ApiAudit"] }),
          (advisory) => advisory._tag === "ApiAudit" && advisory.subject === "$JS.API.STREAM.CREATE.ORDERS"
        )
      ),
      { startImmediately: true }
    )
    yield* nats.flush
    yield* rawStream(nats, "ORDERS")
    yield* rawConsumer(nats, "ORDERS", "C", { max_deliver: 1 })
    yield* nats.publish("$JS.EVENT.ADVISORY.SOMETHING", "no JSON")
    for (const _ of [1, 2, 3]) yield* js.publish("orders.a", "x")
    // Before the first delivery: what is given back was at its last one.
    const last = yield* Effect.forkChild(
      Stream.runHead(js.advisories({ kinds: ["MaxDeliveries"], stream: "ORDERS" })),
      { startImmediately: true }
    )
    yield* nats.flush
    const inbox = yield* nats.inbox
    const delivered = yield* nats.subscription(inbox)
    yield* nats.publish("$JS.API.CONSUMER.MSG.NEXT.ORDERS.C", "{\"batch\":3}", { reply: inbox })
    const [first, second] = yield* Stream.runCollect(Stream.take(delivered.stream, 3))
    yield* nats.publish(first.reply!, "-NAK")
    yield* nats.publish(second.reply!, "+TERM")
    // Up to 2.9 a message is found to be at its last delivery when somebody asks for more.
    yield* nats.publish("$JS.API.CONSUMER.MSG.NEXT.ORDERS.C", "{\"batch\":1}", { reply: inbox })
    const given = yield* Fiber.join(last)
    assert.deepInclude(Option.getOrThrow(given), { _tag: "MaxDeliveries", consumer: "C", deliveries: 1 })
    const advisories = yield* Fiber.join(telling)
    assert.deepStrictEqual([...awaited], [])
    const terminated = advisories.find(({ _tag }) => _tag === "MessageTerminated")
    assert.deepInclude(terminated, { stream: "ORDERS", consumer: "C", sequence: 2, deliveries: 1 })
    assert.strictEqual((yield* Fiber.join(audited))._tag, "Some")
  }))

it.live("a right that is missing and a name that is none fail typed, and nothing is subscribed to", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({
      jetstream: true,
      users: [{
        user: "u",
        password: "p",
        permissions: { publish: [">"], subscribe: ["_INBOX.>", "$JS.EVENT.ADVISORY.API"] }
      }]
    })
    const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "u", password: "p" } })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const denied = yield* Effect.flip(Stream.runDrain(js.advisories()))
    assert.strictEqual(denied._tag, "PermissionsViolation")
    const one = yield* Effect.forkChild(Stream.runHead(js.advisories({ kinds: ["ApiAudit"] })), {
      startImmediately: true
    })
    yield* nats.flush
    yield* rawStream(nats, "ORDERS")
    assert.strictEqual((yield* Fiber.join(one))._tag, "Some")
    assert.deepInclude({ ...(yield* Effect.flip(Stream.runDrain(js.advisories({ stream: "a.b" })))) }, {
      _tag: "InvalidName",
      what: "stream",
      name: "a.b"
    })
  }))

it.live("an account knows what it uses, what it may use, and what its server can do", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const { api_lvl: level = 0 } = yield* nats.serverInfo
    yield* rawStream(nats, "ORDERS")
    yield* rawConsumer(nats, "ORDERS", "C")
    yield* js.publish("orders.a", "x".repeat(1_000))
    const info = yield* js.account
    assert.deepInclude(info, { streams: 1, consumers: 1, storage: 0, domain: undefined, tiers: {} })
    // A stream without a limit reserves nothing, whatever 2.10 says of it.
    assert.deepInclude(info, { reservedMemory: 0, reservedStorage: 0 })
    assert.isAbove(info.memory, 1_000)
    assert.strictEqual(info.api.level, level)
    assert.isAbove(info.api.total, 1)
    assert.deepStrictEqual(info.limits, {
      memory: undefined,
      storage: undefined,
      streams: undefined,
      consumers: undefined,
      ackPending: undefined,
      memoryStreamBytes: undefined,
      storageStreamBytes: undefined,
      maxBytesRequired: false
    })
  }))
