/** What rooms that stand on the client need of it: statuses of messages, the connection, a hook behind a replayed SUB. */
import { assert, it } from "@effect/vitest"
import { Effect, Option, Schema, Stream } from "effect"
import { NatsClient, NatsHealth } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { connectionOf } from "../../src/internal/operations/connectionOf.ts"
import { settingsOf, subscribe } from "../../src/internal/operations/subscribe.ts"

it.live("a message of the server has its status and its words, one of a program has none", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const nats = yield* NatsClient.make({ servers: server.url })
    const inbox = yield* nats.inbox
    const replies = yield* nats.subscription(`${inbox}.*`)
    const next = Effect.map(Stream.runHead(replies.stream), Option.getOrThrow)
    yield* nats.publish("nobody", "", { reply: `${inbox}.1` })
    const nobody = yield* next
    assert.deepStrictEqual([nobody.status, nobody.description], [503, undefined])

    yield* nats.request("$JS.API.STREAM.CREATE.EMPTY", JSON.stringify({ name: "EMPTY", subjects: ["empty"] }))
    const created = yield* nats.request(
      "$JS.API.CONSUMER.CREATE.EMPTY.one",
      JSON.stringify({ stream_name: "EMPTY", config: { durable_name: "one", ack_policy: "explicit" } })
    )
    assert.isUndefined((yield* created.decode(Schema.Struct({ error: Schema.optionalKey(Schema.Unknown) }))).error)
    assert.deepStrictEqual([created.status, created.description], [undefined, undefined])
    yield* nats.publish(
      "$JS.API.CONSUMER.MSG.NEXT.EMPTY.one",
      JSON.stringify({ batch: 1, no_wait: true }),
      { reply: `${inbox}.2` }
    )
    const empty = yield* next
    assert.deepStrictEqual([empty.status, empty.description], [404, "No Messages"])

    yield* nats.publish(`${inbox}.3`, "x", { headers: { a: "b" } })
    const own = yield* next
    assert.deepStrictEqual([own.status, own.description, own.header("a")], [undefined, undefined, "b"])
  }))

it.live("what a replayed subscription writes is right behind its SUB", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ trace: true })
    const nats = yield* NatsClient.make({ servers: server.url, reconnect: { initialDelay: "10 millis" } })
    const connection = connectionOf(nats)
    yield* subscribe(connection, settingsOf("before", undefined))
    let replays = 0
    yield* subscribe(connection, {
      ...settingsOf("pulled", undefined),
      onReplay: (writer) => {
        replays++
        writer.publish("pull", "pulled", undefined, "next")
      }
    })
    yield* subscribe(connection, settingsOf("behind", undefined))
    assert.strictEqual(replays, 0)
    const behind = /<<- \[SUB behind/
    yield* server.awaitLog(behind)
    const from = (yield* server.logs).length
    yield* server.restart
    yield* nats.flush
    assert.strictEqual(replays, 1)
    // What a server says comes by itself, also later than what it answers.
    yield* server.awaitLog(behind, { from })
    const lines = (yield* server.logs).flatMap((line) => /<<- \[((?:SUB|PUB) [^ \]]+)/.exec(line)?.[1] ?? [])
    const last = lines.slice(-4)
    assert.deepStrictEqual(last, ["SUB before", "SUB pulled", "PUB pull", "SUB behind"])
  }))

it.live("a copy of a client that replaces an operation keeps its connection, and another object has none", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const copy: NatsClient.NatsClient = { ...nats, flush: Effect.void }
    assert.strictEqual(connectionOf(copy), connectionOf(nats))
    const { publish } = nats
    const { flush, state } = nats
    const other = { flush, state } as unknown as NatsClient.NatsClient
    assert.isTrue((yield* NatsHealth.check(other)).ready)
    assert.throws(() => connectionOf({ publish } as unknown as NatsClient.NatsClient), /NatsClient\.make/)
  }))
