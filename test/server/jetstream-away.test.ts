/** What fails while a stream's leader is away: in a moment, as what it is. An API of our own is the one that falls silent. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamStream, KeyValue, ObjectStore } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

it.live("nobody leads a stream: what is written to it and read from it does not wait for a look at it", () =>
  Effect.gen(function*() {
    const { url } = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: url })
    let isAway = false
    for (const subject of ["FAKE.INFO", "FAKE.STREAM.INFO.*", "FAKE.STREAM.PURGE.*"]) {
      const { stream } = yield* nats.subscription(subject)
      yield* Effect.forkScoped(Stream.runForEach(stream, (message) => {
        const name = message.subject.split(".").at(-1)
        const answer = { config: { name, subjects: ["s.>"], allow_direct: true }, state: {} }
        return isAway ? Effect.void : message.respond(JSON.stringify(answer))
      }))
    }
    const js = yield* Effect.provideService(
      JetStream.make({ apiPrefix: "FAKE", timeout: "25 seconds" }),
      NatsClient.NatsClient,
      nats
    )
    const tags = yield* Effect.gen(function*() {
      const kv = yield* KeyValue.open("bucket")
      const objects = yield* ObjectStore.open("store")
      yield* JetStreamStream.info("S")
      isAway = true
      return yield* Effect.all([
        Effect.flip(kv.put("key", "value")),
        Effect.flip(kv.get("key")),
        Effect.flip(JetStreamStream.get("S", { sequence: 1 })),
        Effect.flip(objects.put("name", "text"))
      ], { concurrency: "unbounded" }).pipe(Effect.timeout("10 seconds"))
    }).pipe(Effect.provideService(JetStream.JetStream, js))
    assert.deepStrictEqual(
      tags.map((error) => [error._tag, "isRetryable" in error && error.isRetryable]),
      [
        ["NoStreamForSubject", true],
        ["JetStreamUnavailable", true],
        ["JetStreamUnavailable", true],
        ["ObjectNotStored", true]
      ]
    )
  }))
