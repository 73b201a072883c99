/** What holds of every request to the API of JetStream. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { withJetStream } from "../fixtures/jetStream.ts"

const makeOn = (nats: NatsClient.NatsClient, options?: JetStream.Options) =>
  Effect.provideService(JetStream.make(options), NatsClient.NatsClient, nats)

it.live("JetStream is asked for when it is made: a server without it is told, and so is a domain that is not there", () =>
  Effect.gen(function*() {
    const { nats } = yield* withJetStream()
    const domain = yield* Effect.flip(makeOn(nats, { domain: "hub" }))
    assert.strictEqual(domain._tag, "JetStreamNotEnabled")
    assert.include(domain.message, "\"hub\"")
    const invalid = yield* Effect.flip(makeOn(nats, { domain: "a.b" }))
    assert.strictEqual(invalid._tag, "InvalidName")
    assert.include(invalid.message, "it has \".\" in it")

    const without = yield* TestNatsServer.make()
    const plain = yield* NatsClient.make({ servers: without.url })
    assert.strictEqual((yield* Effect.flip(makeOn(plain)))._tag, "JetStreamNotEnabled")
  }))
