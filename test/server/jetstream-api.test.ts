/** What holds of every request to the API of JetStream. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
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

// Servers that elect a leader drop what they are asked. Who answers here under another prefix drops what the test wants.
it.live.each([
  { name: "what was dropped is answered the second time", answers: 2, afterMillis: 0, asked: 2, is: "Success" },
  { name: "what is answered late is taken", answers: 1, afterMillis: 500, asked: 2, is: "Success" },
  {
    name: "what nobody answers fails when its time is over",
    answers: 0,
    afterMillis: 0,
    asked: 3,
    is: "RequestTimedOut"
  }
])("a request that only reads is asked again: $name", ({ afterMillis, answers, asked, is }) =>
  Effect.gen(function*() {
    const { nats } = yield* withJetStream()
    let count = 0
    const asking = nats.subscribe("own.INFO").pipe(
      Stream.runForEach((request) =>
        ++count === answers
          ? nats.request("$JS.API.INFO", "").pipe(
            Effect.delay(afterMillis),
            Effect.flatMap((answer) => nats.publish(request.reply!, answer.data)),
            Effect.forkScoped
          )
          : Effect.void
      )
    )
    yield* Effect.forkScoped(asking, { startImmediately: true })
    yield* nats.flush
    const made = yield* Effect.result(makeOn(nats, { apiPrefix: "own", timeout: "2250 millis" }))
    assert.strictEqual(made._tag === "Failure" ? made.failure._tag : made._tag, is)
    if (made._tag === "Failure") assert.include(made.failure.message, "2250")
    // On a busy machine the answer can come behind another question.
    assert.isAtLeast(count, asked)
  }))
