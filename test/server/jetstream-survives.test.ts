/** What `messages` survives, and what ends it under which name. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { connectionOf } from "../../src/internal/operations/connectionOf.ts"
import { follow, until } from "../fixtures/following.ts"
import { acked, gather, pullsOf, readerOf, tell, upTo } from "../fixtures/gathering.ts"
import { rawApi, rawConsumer, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const { messages } = JetStreamConsumer
const target = { stream: "S", consumer: "C" }
const heartbeat = "200 millis"

const file = { storage: "file" }

/** A stall would be an answer that is waited for in vain, 10 seconds, a pull that expires or an ack wait that is over, 30. */
const stall = 4_000

const publishOne = (nats: NatsClient.NatsClient) => nats.request("s.a", "x")

const clientAt = (url: string, options: object = {}) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.make(
      { servers: url, reconnect: { initialDelay: "10 millis" }, ...options } as NatsClient.Options
    )
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    return { nats, js }
  })

it.live("a restart, a kill, a paused server and a cut connection are survived, without a stall", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S", file)
    yield* rawConsumer(nats, "S", "C")
    const gathered = yield* gather(js, messages({ ...target, heartbeat }), acked)
    const seen = () => new Set(gathered.sequences).size
    let stored = 0
    const goesOn = Effect.gen(function*() {
      yield* publishOne(nats)
      stored++
      const began = performance.now()
      yield* gathered.until(() => seen() >= stored)
      assert.isBelow(performance.now() - began, stall)
    })
    yield* goesOn
    yield* server.restart
    yield* goesOn
    yield* server.kill
    yield* server.restart
    yield* goesOn
    yield* server.pause
    yield* Effect.sleep("600 millis")
    yield* server.resume
    yield* goesOn
    yield* nats.reconnect
    yield* goesOn
    assert.deepStrictEqual([...new Set(gathered.sequences)], upTo(stored))
    assert.isUndefined(gathered.exit)
    const names = yield* rawApi(nats, "CONSUMER.NAMES.S")
    assert.deepStrictEqual(names["consumers"], ["C"])
  }))

it.live("a link that is half open is found out by heartbeats that do not come", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const proxy = yield* TestNatsProxy.make(server)
    const direct = yield* clientAt(server.url)
    yield* rawStream(direct.nats, "S")
    // What was sent into the link is delivered again.
    yield* rawConsumer(direct.nats, "S", "C", { ack_wait: 1e9 })
    const { js, nats } = yield* clientAt(proxy.url, { connectTimeout: "500 millis" })
    const followed = yield* follow(nats)
    const gathered = yield* gather(js, messages({ ...target, heartbeat }), acked)
    yield* publishOne(direct.nats)
    yield* gathered.count(1)
    yield* proxy.swallow()
    const { length } = yield* proxy.sent("toServer")
    yield* publishOne(direct.nats)
    // It is given up, and does not come back by itself.
    yield* followed.seen("Disconnected")
    // The first pull that nobody answers asks for the ping, whose time is over before a third one. Who waits for a look, too,
    // writes four and more.
    const sent = (yield* proxy.sent("toServer")).subarray(length).toString()
    assert.isAtMost(sent.split("CONSUMER.MSG.NEXT").length - 1, 3)
    yield* proxy.heal
    // The acknowledgement of the first may have gone into the link, too.
    yield* gathered.until(({ sequences }) => sequences.includes(2))
  }))

it.live("a pull that the server has lost is asked for again after two heartbeats", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    const writer = connectionOf(nats).session!.writer
    const publish = writer.publish.bind(writer)
    const pulls: Array<number> = []
    writer.publish = (subject, ...rest) => {
      const isPull = subject.startsWith("$JS.API.CONSUMER.MSG.NEXT.")
      if (!isPull || pulls.push(performance.now()) !== 2) publish(subject, ...rest)
    }
    const gathered = yield* gather(js, messages({ ...target, window: 1, heartbeat: "500 millis" }), acked)
    yield* publishOne(nats)
    yield* gathered.count(1)
    yield* publishOne(nats)
    yield* gathered.count(2)
    assert.lengthOf(pulls, 3)
    // It would expire after 30 seconds.
    assert.isBelow(pulls[2] - pulls[1], stall)
  }))

it.live("what is said of a pull before, or to an inbox before, is no news of the pull that is out", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    const pulls = pullsOf(nats)
    const gathered = yield* gather(js, messages({ ...target, window: 1 }), acked)
    yield* publishOne(nats)
    yield* until(Effect.sync(() => pulls.length === 2))
    const delivery = readerOf(nats)
    const [former, present] = pulls
    const elsewhere = present.replace("_INBOX", "_INBOY")
    for (
      const status of ["408 Request Timeout", "409 Message Size Exceeds MaxBytes", "409 Consumer Deleted", "423 No"]
    ) {
      for (const inbox of [former, elsewhere]) tell(delivery, inbox, status)
    }
    yield* publishOne(nats)
    yield* gathered.count(2)
    yield* until(Effect.sync(() => pulls.length >= 3))
    yield* nats.flush
    assert.lengthOf(pulls, 3)
    assert.isUndefined(gathered.exit)
    // Of the one that is out it is.
    tell(delivery, pulls[2], "408 Request Timeout")
    assert.lengthOf(pulls, 4)
  }))

it.live("without a leader it goes on asking, and a look that nobody answers holds nothing up", () =>
  Effect.gen(function*() {
    // Nobody takes pulls on a server without JetStream, which says so.
    const server = yield* TestNatsServer.make()
    const leader = yield* NatsClient.make({ servers: server.url })
    const next = "$JS.API.CONSUMER.MSG.NEXT.S.C"
    const asked = { info: 0, next: 0 }
    let answers = false
    const { stream } = yield* leader.subscription("$JS.API.INFO")
    yield* Effect.forkScoped(Stream.runForEach(stream, (request) => request.respond("{}")))
    const looks = yield* leader.subscription("$JS.API.CONSUMER.INFO.S.C")
    yield* Effect.forkScoped(
      Stream.runForEach(
        looks.stream,
        (request) => ++asked.info === 1 || answers ? request.respond("{\"config\":{}}") : Effect.void
      )
    )
    yield* leader.flush
    const { js, nats } = yield* clientAt(server.url)
    const writer = connectionOf(nats).session!.writer
    const publish = writer.publish.bind(writer)
    let written = (): void => {}
    writer.publish = (subject, ...rest) => {
      publish(subject, ...rest)
      if (subject !== next) return
      asked.next++
      written()
    }
    const pulled = (many: number) =>
      Effect.callback<void>((resume) => {
        written = () => asked.next >= many ? resume(Effect.void) : undefined
      })
    const gathered = yield* gather(js, messages(target))
    yield* pulled(5)
    assert.strictEqual(asked.next, 5)
    // Behind the first two, each that had waited for a look would have its own: the one at the beginning, and three.
    assert.isBelow(asked.info, 4)
    assert.isUndefined(gathered.exit)
    // The server at hand may know it, and that nobody leads it.
    answers = true
    const before = { ...asked }
    yield* pulled(11)
    // One look for each pull, but while the first one is on its way.
    assert.isAtLeast(asked.info - before.info, 3)
    // Somebody leads again.
    const pulls = yield* leader.subscription(next)
    yield* leader.flush
    yield* Stream.runHead(pulls.stream)
  }))

it.live("a consumer or a stream that is deleted ends it at once, by its name", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    const waiting = yield* gather(js, messages(target), acked)
    yield* publishOne(nats)
    yield* waiting.count(1)
    const began = performance.now()
    // Heartbeats that do not come would tell it after 10 seconds.
    yield* rawApi(nats, "CONSUMER.DELETE.S.C")
    assert.deepInclude(yield* waiting.failure, { _tag: "ConsumerDeleted", stream: "S", consumer: "C" })
    yield* rawConsumer(nats, "S", "C")
    const orphaned = yield* gather(js, messages(target), acked)
    yield* orphaned.count(1)
    yield* rawApi(nats, "STREAM.DELETE.S")
    assert.deepInclude(yield* orphaned.failure, { _tag: "StreamNotFound", stream: "S" })
    assert.isBelow(performance.now() - began, 8_000)

    // Both in memory: they are gone with the server, which does not say so.
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    const restarted = yield* gather(js, messages({ ...target, heartbeat }), acked)
    yield* publishOne(nats)
    yield* restarted.count(1)
    yield* server.restart
    assert.deepInclude(yield* restarted.failure, { _tag: "StreamNotFound", stream: "S" })
  }))

it.live("onMissing waits for the consumer, or makes it again as it was", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    const waiting = yield* gather(js, messages({ ...target, onMissing: "wait" }), acked)
    yield* publishOne(nats)
    yield* waiting.count(1)
    yield* rawApi(nats, "CONSUMER.DELETE.S.C")
    yield* publishOne(nats)
    yield* Effect.sleep("200 millis")
    assert.isUndefined(waiting.exit)
    yield* rawConsumer(nats, "S", "C", { deliver_policy: "by_start_sequence", opt_start_seq: 2 })
    yield* waiting.count(2)
    yield* rawApi(nats, "STREAM.DELETE.S")
    yield* Effect.sleep("100 millis")
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    yield* publishOne(nats)
    yield* waiting.count(3)
    assert.deepStrictEqual(waiting.sequences, [1, 2, 1])
    yield* waiting.stop
    yield* rawApi(nats, "CONSUMER.DELETE.S.C")

    // One that is not there at first is waited for, too.
    const early = yield* gather(js, messages({ ...target, onMissing: "wait" }), acked)
    yield* Effect.sleep("100 millis")
    assert.isUndefined(early.exit)
    yield* rawConsumer(nats, "S", "C")
    yield* early.count(1)
    yield* early.stop

    yield* rawConsumer(nats, "S", "D", { description: "as it was", filter_subject: "s.a" })
    const made = yield* gather(js, messages({ stream: "S", consumer: "D", onMissing: "recreate" }), acked)
    yield* made.count(1)
    yield* rawApi(nats, "CONSUMER.DELETE.S.D")
    yield* made.count(2)
    yield* publishOne(nats)
    yield* made.count(3)
    assert.deepStrictEqual(made.sequences, [1, 1, 2])
    const { config } = yield* rawApi(nats, "CONSUMER.INFO.S.D")
    assert.deepInclude(config, { durable_name: "D", description: "as it was", filter_subject: "s.a" })
    yield* rawApi(nats, "STREAM.DELETE.S")
    assert.strictEqual((yield* made.failure)._tag, "StreamNotFound")
  }))

it.live("what cannot be opened says why, and nothing is written for a name that is none", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "P", { deliver_subject: "pushed" })
    const failed = (given: { stream: string; consumer: string }) =>
      Stream.runDrain(messages(given)).pipe(Effect.provideService(JetStream.JetStream, js), Effect.flip)
    assert.strictEqual((yield* failed({ stream: "S", consumer: "none" }))._tag, "ConsumerNotFound")
    assert.strictEqual((yield* failed({ stream: "none", consumer: "C" }))._tag, "StreamNotFound")
    const push = yield* failed({ stream: "S", consumer: "P" })
    assert.strictEqual(push._tag, "ConsumerIsPush")
    assert.include(push.message, "effect-nats/compat")
    const { messagesOut } = yield* nats.stats
    const dotted = yield* failed({ stream: "S", consumer: "a.b" })
    assert.strictEqual(dotted._tag, "InvalidName")
    assert.include(dotted.message, "\".\"")
    assert.strictEqual((yield* nats.stats).messagesOut, messagesOut)
  }))

it.live("a denied pull, inbox or acknowledgement ends it, and what is not needed may be denied", () =>
  Effect.gen(function*() {
    const user = (name: string, deny: ReadonlyArray<string>, subscribe: ReadonlyArray<string> = []) => ({
      user: name,
      password: "p",
      permissions: { publish: { deny }, ...(subscribe.length > 0 ? { subscribe: { deny: subscribe } } : {}) }
    })
    const server = yield* TestNatsServer.make({
      jetstream: true,
      users: [
        user("all", ["nothing"]),
        user("pull", ["$JS.API.CONSUMER.MSG.NEXT.>"]),
        user("ack", ["$JS.ACK.>"]),
        user("info", ["$JS.API.CONSUMER.INFO.>"]),
        user("inbox", ["nothing"], ["_INBOX.*.>", "closed.>"])
      ]
    })
    const as = (name: string, options: object = {}) =>
      clientAt(server.url, { auth: { user: name, password: "p" }, ...options })
    const { nats } = yield* as("all")
    yield* rawStream(nats, "S")
    for (const name of ["C", "D"]) yield* rawConsumer(nats, "S", name)
    yield* publishOne(nats)
    const pull = yield* gather((yield* as("pull")).js, messages(target), acked)
    const error = yield* pull.failure
    assert.deepInclude(error, { _tag: "PermissionsViolation", operation: "publish" })
    assert.include(error.message, "CONSUMER.MSG.NEXT.S.C")
    const ack = yield* gather((yield* as("ack")).js, messages(target), acked)
    assert.include((yield* ack.failure).message, "$JS.ACK.S.C")
    const info = yield* gather((yield* as("info")).js, messages({ stream: "S", consumer: "D" }), acked)
    yield* info.count(1)
    assert.isUndefined(info.exit)
    yield* rawApi(nats, "CONSUMER.DELETE.S.D")
    assert.strictEqual((yield* info.failure)._tag, "ConsumerDeleted")
  }))
