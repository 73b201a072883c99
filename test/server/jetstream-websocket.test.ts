/** JetStream over WebSocket: the same, message by message. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamStream, KeyValue } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { bytesOf, makeStore } from "../fixtures/objects.ts"

it.live("streams, publishes, consumers, keys and objects go over WebSocket", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true, websocket: true })
    const nats = yield* NatsClient.make({ servers: server.websocketUrl! })
    assert.match((yield* nats.serverInfo).version, /^2\./)
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    yield* Effect.gen(function*() {
      const orders = JetStreamStream.make("ORDERS", { subjects: ["orders.>"], storage: "memory" })
      yield* JetStreamStream.provision([orders, JetStreamConsumer.make(orders, "worker")])
      const texts = Array.from({ length: 200 }, (_, i) => `order ${i}`)
      yield* Stream.runDrain(js.publishAll(
        Stream.fromIterable(texts).pipe(Stream.map((payload) => ({ subject: "orders.new", payload })))
      ))
      const got = yield* Stream.runCollect(
        JetStreamConsumer.messages({ stream: "ORDERS", consumer: "worker" }).pipe(
          Stream.take(200),
          Stream.tap((message) => message.ackConfirmed)
        )
      )
      assert.deepStrictEqual(got.map(({ text }) => text), texts)

      const bucket = yield* KeyValue.create("config", { storage: "memory" })
      const revision = yield* bucket.put("a", "1")
      assert.strictEqual((yield* Effect.flip(bucket.update("a", "2", revision + 1)))._tag, "WrongLastSequence")
      const events = yield* Stream.runCollect(Stream.take(bucket.watch(), 2))
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Entry", "InitialDone"])

      const store = yield* makeStore(js, "files")
      const bytes = bytesOf(2 * 1024 * 1024)
      yield* store.put("large", bytes)
      assert.isTrue(Buffer.from(bytes).equals(yield* store.getBytes("large")))
    }).pipe(Effect.provideService(JetStream.JetStream, js))
  }))
