/** A test server that is a leaf node of another one. */
import { assert, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

const clientOf = (server: TestNatsServer.TestNatsServer, auth?: NatsClient.Options["auth"]) =>
  NatsClient.make({ servers: server.url, ...(auth === undefined ? {} : { auth }) } as NatsClient.Options)

it.live("a server is ready when it is connected as a leaf node: JetStream of a domain on the other side answers", () =>
  Effect.gen(function*() {
    const hub = yield* TestNatsServer.make({ name: "hub", leafnodes: true, jetstream: { domain: "hub" } })
    const leaf = yield* TestNatsServer.make({
      name: "leaf",
      leafnodeOf: [{ port: hub.leafnodePort! }],
      jetstream: { domain: "leaf" }
    })
    assert.strictEqual(leaf.leafnodePort, undefined)
    const nats = yield* clientOf(leaf)
    for (const domain of ["hub", "leaf"]) {
      yield* Effect.provideService(JetStream.make({ domain }), NatsClient.NatsClient, nats)
    }
    yield* leaf.restart
    yield* nats.reconnect
    yield* Effect.provideService(JetStream.make({ domain: "hub" }), NatsClient.NatsClient, nats)
    const none = yield* Effect.flip(
      Effect.provideService(JetStream.make({ domain: "other" }), NatsClient.NatsClient, nats)
    )
    assert.strictEqual(none._tag, "JetStreamNotEnabled")
  }))

it.live("a leaf node has a user and an account where they are asked for, and none comes in with a wrong password", () =>
  Effect.gen(function*() {
    const hub = yield* TestNatsServer.make({ leafnodes: true, users: [{ user: "edge", password: "p@ss%w0rd" }] })
    const leaf = yield* TestNatsServer.make({
      leafnodeOf: [{ port: hub.leafnodePort!, user: { user: "edge", password: "p@ss%w0rd" }, account: "A" }],
      accounts: { A: { users: [{ user: "a", password: "a" }] } }
    })
    const near = yield* clientOf(leaf, { user: "a", password: "a" })
    const far = yield* clientOf(hub, { user: "edge", password: "p@ss%w0rd" })
    yield* Effect.forkChild(far.consume("echo", (message) => message.respond(message.text)), { startImmediately: true })
    yield* far.flush
    // What is subscribed to on one side is told to the other one a moment later.
    const answer = yield* near.request("echo", "over there").pipe(
      Effect.retry({ while: ({ _tag }) => _tag === "NoResponders", schedule: Schedule.spaced("10 millis") })
    )
    assert.strictEqual(answer.text, "over there")

    const refused = yield* Effect.flip(TestNatsServer.make({
      leafnodeOf: [{ port: hub.leafnodePort!, user: { user: "edge", password: "wrong" } }],
      startTimeout: "1 second"
    }))
    assert.strictEqual(refused._tag, "NatsServerTimedOut")
    assert.notInclude(JSON.stringify(refused), "wrong")
  }))
