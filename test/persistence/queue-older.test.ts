/** A server that is too old for queues: this runs on older ones, too. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { NatsPersistedQueue } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { isAtLeast } from "../fixtures/serverVersion.ts"

it.live("a store of queues is not built on a server before 2.11, and says what it needs", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const store = NatsPersistedQueue.layerStore().pipe(
      Layer.provide(JetStream.layer()),
      Layer.provide(NatsClient.layer({ servers: server.url })),
      Layer.build,
      Effect.result
    )
    const built = yield* store
    const isOld = !isAtLeast(server.version, 2, 11)
    assert.strictEqual(built._tag, isOld ? "Failure" : "Success")
    if (built._tag === "Failure") {
      assert.strictEqual(built.failure._tag, "UnsupportedByServer")
      assert.include(String(built.failure), "2.11")
    }
  }))
