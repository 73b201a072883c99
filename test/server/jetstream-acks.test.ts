/** Acknowledgements: each delivery is settled once, and what could not be told fails by its name. */
import { assert, it } from "@effect/vitest"
import { type Duration, Effect, Fiber, Option, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { gather } from "../fixtures/gathering.ts"
import { rawApi, rawConsumer, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const target = { stream: "S", consumer: "C" }

const nextOf = (js: JetStream.JetStream, consumer = "C", maxWait: Duration.Input = "5 seconds") =>
  JetStreamConsumer.next({ stream: "S", consumer }, { maxWait }).pipe(
    Effect.provideService(JetStream.JetStream, js),
    Effect.map(Option.getOrThrow)
  )

it.live("a message is settled once: acknowledged, given back, given back for later, or ended", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C", { ack_wait: 2e9 })
    const acks: Array<string> = []
    const { stream } = yield* nats.subscription("$JS.ACK.>")
    yield* Effect.forkScoped(Stream.runForEach(stream, ({ text }) => Effect.sync(() => acks.push(text))))
    yield* nats.request("s.a", "1")

    const first = yield* nextOf(js)
    assert.deepStrictEqual([first.sequence, first.deliveries], [1, 1])
    yield* first.nak()
    const again = yield* Effect.flip(first.ack)
    assert.deepInclude(again, { _tag: "AlreadySettled", stream: "S", sequence: 1, by: "nak" })

    const second = yield* nextOf(js)
    assert.strictEqual(second.deliveries, 2)
    const began = performance.now()
    yield* second.nak("300 millis")
    const third = yield* nextOf(js)
    assert.isAtLeast(performance.now() - began, 290)

    // Longer than `ack_wait` in all, and each time so soon that a process that pauses for a second is not too late.
    for (let i = 0; i < 5; i++) {
      yield* Effect.sleep("500 millis")
      yield* third.inProgress
    }
    const none = yield* Effect.provideService(
      JetStreamConsumer.next(target, { maxWait: "50 millis" }),
      JetStream.JetStream,
      js
    )
    assert.isTrue(Option.isNone(none))
    yield* third.term("no use")
    yield* nats.request("s.a", "2")
    const fourth = yield* nextOf(js)
    assert.deepStrictEqual([fourth.sequence, fourth.deliveries], [2, 1])
    const both = yield* Effect.all([Effect.result(fourth.ackConfirmed), Effect.result(fourth.ackConfirmed)], {
      concurrency: "unbounded"
    })
    assert.deepStrictEqual(both.map(({ _tag }) => _tag), ["Success", "Failure"])
    yield* nats.flush
    assert.deepInclude(yield* rawApi(nats, "CONSUMER.INFO.S.C"), { num_ack_pending: 0, num_pending: 0 })
    const { api_lvl: level } = yield* nats.serverInfo
    assert.deepStrictEqual(acks, [
      "-NAK",
      "-NAK {\"delay\":300000000}",
      ...Array.from({ length: 5 }, () => "+WPI"),
      level === undefined ? "+TERM" : "+TERM no use",
      "+ACK"
    ])
    assert.strictEqual((yield* Effect.flip(fourth.respond("x")))._tag, "InvalidSubject")
  }))

it.live("a consumer that takes no acknowledgements says so, and one that is gone confirms none", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S", { retention: "limits" })
    yield* rawConsumer(nats, "S", "none", { ack_policy: "none" })
    yield* rawConsumer(nats, "S", "C")
    yield* nats.request("s.a", "1")
    const unasked = yield* nextOf(js, "none")
    assert.strictEqual((yield* Effect.flip(unasked.ack))._tag, "AckNotExpected")
    assert.strictEqual((yield* Effect.flip(unasked.inProgress))._tag, "AckNotExpected")
    const orphan = yield* nextOf(js)
    yield* rawApi(nats, "CONSUMER.DELETE.S.C")
    const unconfirmed = yield* Effect.flip(orphan.ackConfirmed)
    assert.deepInclude(unconfirmed, { _tag: "AckUnconfirmed", reason: "noConsumer", sequence: 1 })
    assert.isTrue(unconfirmed.isRetryable)
    // It is not settled by that.
    assert.strictEqual((yield* Effect.flip(orphan.ackConfirmed))._tag, "AckUnconfirmed")
  }))

it.live("without a session an acknowledgement waits for the next one, and never longer than ack_wait", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const proxy = yield* TestNatsProxy.make(server)
    const nats = yield* NatsClient.make({ servers: server.url })
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C", { ack_wait: 1e9 })
    yield* rawConsumer(nats, "S", "patient")
    yield* nats.request("s.a", "1")
    const behind = yield* NatsClient.make({
      servers: proxy.url,
      reconnect: { initialDelay: "10 millis", maxDelay: "10 millis" },
      logStatus: false
    } as NatsClient.Options)
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, behind)
    const patient = yield* nextOf(js, "patient")
    const late = yield* nextOf(js)
    yield* proxy.refuse
    yield* proxy.drop()
    while ((yield* behind.state)._tag === "Connected") yield* Effect.sleep("5 millis")
    const waiting = yield* Effect.forkChild(patient.ack)
    const began = performance.now()
    const error = yield* Effect.flip(late.ack)
    assert.deepInclude(error, { _tag: "AckLate", sequence: 1 })
    // Its own second, and not the thirty of the other.
    assert.isBelow(performance.now() - began, 5_000)
    // Two at once: the one that waits is the one.
    assert.strictEqual((yield* Effect.flip(patient.nak()))._tag, "AlreadySettled")
    yield* proxy.heal
    yield* Fiber.join(waiting)
    while ((yield* rawApi(nats, "CONSUMER.INFO.S.patient"))["num_ack_pending"] > 0) yield* nats.flush

    // An interruption leaves it unsettled; a client that has ended says so.
    const left = yield* gather(js, JetStreamConsumer.messages(target))
    yield* left.count(1)
    yield* proxy.refuse
    yield* proxy.drop()
    while ((yield* behind.state)._tag === "Connected") yield* Effect.sleep("5 millis")
    const interrupted = yield* Effect.forkChild(left.messages[0].ack, { startImmediately: true })
    yield* Fiber.interrupt(interrupted)
    yield* behind.drain
    assert.strictEqual((yield* Effect.flip(left.messages[0].ack))._tag, "ConnectionClosed")
  }))
