/** Messages of a consumer: what they are, how many are here, and what is given back. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, type JetStreamMessage } from "effect-nats/jetstream"
import { until } from "../fixtures/following.ts"
import { acked, gather, upTo } from "../fixtures/gathering.ts"
import { rawApi, rawConsumer, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const { messages } = JetStreamConsumer
const target = { stream: "S", consumer: "C" }

const infoOf = (nats: NatsClient.NatsClient, consumer = "C") => rawApi(nats, `CONSUMER.INFO.S.${consumer}`)

/** What the server knows follows what it has received. */
const settled = (nats: NatsClient.NatsClient, consumer: string, holds: (info: Record<string, number>) => boolean) =>
  Effect.gen(function*() {
    while (!holds(yield* infoOf(nats, consumer))) yield* nats.flush
  })

const publish = (nats: NatsClient.NatsClient, count: number, payload: string | Uint8Array = "x") =>
  Effect.andThen(
    Effect.forEach(upTo(count), () => nats.publish("s.a", payload), { discard: true }),
    nats.request("s.last", payload)
  )

/** Another program on the same server. */
const another = (url: string) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.make({ servers: url })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    return { nats, js }
  })

/** The pulls that any client writes. */
const watchPulls = (nats: NatsClient.NatsClient) =>
  Effect.gen(function*() {
    const pulls: Array<Record<string, unknown>> = []
    const { stream } = yield* nats.subscription("$JS.API.CONSUMER.MSG.NEXT.>")
    yield* Effect.forkScoped(Stream.runForEach(stream, ({ text }) => Effect.sync(() => pulls.push(JSON.parse(text)))))
    return pulls
  })

it.live("messages are those of the stream in its order, and know where they come from", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    for (let i = 1; i <= 1200; i++) yield* nats.publish(`s.${i % 3}`, String(i))
    const before = Date.now()
    const got = yield* messages({ ...target, window: 100 }).pipe(
      Stream.tap((message) => message.ack),
      Stream.take(1200),
      Stream.runCollect,
      Effect.provideService(JetStream.JetStream, js)
    )
    assert.deepStrictEqual(
      got.map(({ sequence, text }) => [sequence, text]),
      upTo(1200).map((i) => [i, String(i)])
    )
    const last = got[1199]
    assert.deepStrictEqual(
      [last.subject, last.stream, last.consumer, last.deliveries, last.consumerSequence, last.pending, last.domain],
      ["s.0", "S", "C", 1, 1200, 0, undefined]
    )
    assert.isAtMost(Math.abs(last.timestampMillis - before), 60_000)
    assert.strictEqual(last.timestampNanos / 1_000_000n, BigInt(last.timestampMillis))
    const shown = JSON.stringify(last)
    assert.include(shown, "\"_id\":\"JetStreamMessage\"")
    assert.include(shown, "\"sequence\":1200")
    yield* settled(nats, "C", (info) => info["num_ack_pending"] === 0)
    assert.deepInclude(yield* infoOf(nats), { num_ack_pending: 0, num_pending: 0, num_redelivered: 0 })
  }))

it.live("the window holds: so many messages are here and not handled, also after reconnects", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    const monitor = yield* another(server.url)
    const pulls = yield* watchPulls(monitor.nats)
    const go = yield* Deferred.make<void>()
    const gathered = yield* gather(
      js,
      messages({ ...target, window: 100 }),
      (message) => Effect.andThen(Deferred.await(go), message.ack)
    )
    while (pulls.length < 1) yield* monitor.nats.flush
    for (let i = 0; i < 5; i++) yield* nats.reconnect
    // What a connection before had asked for can still be answered, until the server knows that it is gone.
    yield* until(Effect.map(server.connz, ({ length }) => length === 2))
    yield* settled(monitor.nats, "C", (info) => info["num_waiting"] === 1)
    yield* publish(monitor.nats, 1000)
    yield* gathered.count(1)
    yield* settled(
      monitor.nats,
      "C",
      (info) => info["num_ack_pending"] >= 100 && info["num_pending"] + info["num_ack_pending"] === 1001
    )
    // A pull too many has been written by now.
    yield* nats.flush
    const waiting = yield* infoOf(monitor.nats)
    assert.deepInclude(waiting, { num_ack_pending: 100, num_pending: 901, num_redelivered: 0 })
    yield* Deferred.succeed(go, undefined)
    yield* gathered.count(1001)
    yield* settled(monitor.nats, "C", (info) => info["num_ack_pending"] === 0)
    assert.deepStrictEqual(gathered.sequences, upTo(1001))
    assert.isTrue(pulls.every(({ batch }) => Number(batch) <= 100))
  }))

it.live("a handler that takes longer than heartbeats with a full window is no lost pull, and the next message is there at once", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C")
    const monitor = yield* another(server.url)
    const pulls = yield* watchPulls(monitor.nats)
    let handledAt = 0
    const gathered = yield* gather(
      js,
      messages({ ...target, window: 1, heartbeat: "1 second" }),
      (message) =>
        Effect.sleep("2300 millis").pipe(
          Effect.andThen(Effect.sync(() => handledAt = performance.now())),
          Effect.andThen(message.ack)
        )
    )
    yield* publish(nats, 1)
    yield* gathered.count(2)
    // Two heartbeats later is when a pull that was lost is made again.
    assert.isBelow(gathered.times[1] - handledAt, 1_900)
    yield* monitor.nats.flush
    // One for each message: while one was handled none was out, and none was missed.
    assert.strictEqual(pulls.length, 2)
  }))

it.live("what waits in the window of a slow reader is not delivered again", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    // More than a second of it is left to a process that is slow to say that it goes on.
    yield* rawConsumer(nats, "S", "C", { ack_wait: 2e9 })
    yield* publish(nats, 5)
    const gathered = yield* gather(js, messages(target), (message) => Effect.delay(message.ack, "640 millis"))
    yield* gathered.count(6)
    yield* Effect.sleep("640 millis")
    yield* nats.flush
    assert.deepStrictEqual(gathered.sequences, upTo(6))
    assert.deepStrictEqual(gathered.messages.map(({ deliveries }) => deliveries), upTo(6).map(() => 1))
  }))

it.live("what was never pulled out of the stream goes to others at once: by an interruption, by take, by a drain", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S")
    for (const name of ["interrupted", "taken", "drained"]) yield* rawConsumer(nats, "S", name)
    yield* publish(nats, 99)
    const other = yield* another(server.url)
    /** What another reader beside the one that ends has of it, at once. */
    const others = <E>(consumer: string, end: Effect.Effect<unknown, E>, count: number) =>
      Effect.gen(function*() {
        const beside = yield* gather(other.js, Stream.tap(messages({ stream: "S", consumer }), acked))
        while ((yield* infoOf(other.nats, consumer))["num_waiting"] < 2) yield* other.nats.flush
        const began = performance.now()
        yield* end
        yield* beside.count(count)
        // And not after the thirty seconds that the server waits for acknowledgements.
        assert.isBelow(performance.now() - began, 10_000)
        yield* beside.stop
        return beside.sequences.toSorted((a, b) => a - b)
      })

    // It has the first in its hands.
    const interrupted = yield* gather(js, messages({ stream: "S", consumer: "interrupted" }), () => Effect.never)
    yield* interrupted.count(1)
    yield* nats.flush
    assert.deepStrictEqual(yield* others("interrupted", interrupted.stop, 99), upTo(100, 2))

    const enough = yield* Deferred.make<void>()
    const taken: Array<number> = []
    const taking = yield* Effect.forkChild(
      messages({ stream: "S", consumer: "taken" }).pipe(
        Stream.mapEffect((message) => {
          taken.push(message.sequence)
          return Effect.as(taken.length < 11 ? Effect.void : Deferred.await(enough), message)
        }),
        Stream.take(11),
        Stream.runCollect,
        Effect.provideService(JetStream.JetStream, js)
      )
    )
    while (taken.length < 11) yield* nats.flush
    const rest = yield* others("taken", Deferred.succeed(enough, undefined), 89)
    const kept = yield* Fiber.join(taking)
    for (const message of kept) yield* message.ack
    assert.deepStrictEqual(kept.map(({ sequence }) => sequence), upTo(11))
    assert.deepStrictEqual(rest, upTo(100, 12))

    const handled = yield* Deferred.make<void>()
    const drained = yield* gather(
      js,
      messages({ stream: "S", consumer: "drained" }),
      (message) => Effect.andThen(Deferred.await(handled), message.ack)
    )
    yield* drained.count(1)
    yield* nats.flush
    const draining = yield* Deferred.make<void>()
    const left = yield* others(
      "drained",
      Effect.forkDetach(Effect.andThen(nats.drain, Deferred.succeed(draining, undefined))),
      99
    )
    yield* Deferred.succeed(handled, undefined)
    yield* drained.until(({ exit }) => exit !== undefined)
    assert.strictEqual(drained.exit?._tag, "Success")
    assert.deepStrictEqual(left, upTo(100, 2))
    assert.deepStrictEqual(drained.sequences, [1])
    // What was handled meanwhile was acknowledged.
    yield* Deferred.await(draining)
    yield* settled(other.nats, "drained", (info) => info["num_ack_pending"] === 0)
  }))

it.live("what a reader gives back does not come to it once more: neither of messages nor of fetch", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* publish(nats, 9)
    // Of a third array, that of the fourth message to the seventh, the first two are taken.
    const read = <E, R>(stream: Stream.Stream<JetStreamMessage.JetStreamMessage, E, R>) =>
      stream.pipe(
        Stream.mapEffect((message) => Effect.as(message.ack, message.sequence)),
        Stream.take(5),
        Stream.runCollect,
        Effect.provideService(JetStream.JetStream, js)
      )
    for (let i = 0; i < 20; i++) {
      const [one, other] = [`messages-${i}`, `fetch-${i}`]
      for (const name of [one, other]) yield* rawConsumer(nats, "S", name)
      assert.deepStrictEqual(yield* read(messages({ stream: "S", consumer: one })), upTo(5))
      const fetched = JetStreamConsumer.fetch({ stream: "S", consumer: other }, 20)
      assert.deepStrictEqual(yield* read(fetched), upTo(5))
      for (const name of [one, other]) {
        const settledOf = (info: Record<string, number>): number =>
          (info["delivered"] as unknown as { readonly consumer_seq: number }).consumer_seq - info["num_ack_pending"]
        // A server takes acknowledgements and questions one beside the other.
        yield* settled(nats, name, (info) => settledOf(info) >= 5)
        // A delivery each: five are acknowledged, and the others wait, however many were on their way when the reader ended.
        assert.strictEqual(settledOf(yield* infoOf(nats, name)), 5)
      }
    }
  }))

it.live("limits of the consumer are kept, and a message larger than the window comes alone or is refused by name", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C", { max_batch: 10, max_expires: 2e9, max_bytes: 100_000, max_waiting: 1 })
    const monitor = yield* another(server.url)
    const pulls = yield* watchPulls(monitor.nats)
    yield* publish(nats, 49)
    const gathered = yield* gather(js, messages(target), acked)
    yield* gathered.count(50)
    assert.deepStrictEqual(gathered.sequences, upTo(50))
    for (const pull of pulls) {
      assert.isAtMost(Number(pull["batch"]), 10)
      assert.isAtMost(Number(pull["expires"]), 2e9)
      assert.isAtMost(Number(pull["idle_heartbeat"]), 1e9)
      assert.isAtMost(Number(pull["max_bytes"]), 100_000)
    }
    yield* gathered.stop

    pulls.length = 0
    yield* rawConsumer(nats, "S", "D", { deliver_policy: "new" })
    const large = new Uint8Array(200_000)
    for (const payload of ["a", large, "b", large, large, "c"]) yield* nats.publish("s.a", payload)
    yield* nats.flush
    const small = yield* gather(js, messages({ stream: "S", consumer: "D", windowBytes: 1_000 }), acked)
    yield* small.count(6)
    assert.deepStrictEqual(small.sequences, upTo(56, 51))
    yield* small.stop
    // Two for each of the large ones: that there is one, and that one.
    assert.isAtMost(pulls.length, 12)

    yield* rawConsumer(nats, "S", "E", { deliver_policy: "by_start_sequence", opt_start_seq: 52, max_bytes: 10_000 })
    pulls.length = 0
    const refused = yield* gather(js, messages({ stream: "S", consumer: "E" }), acked)
    const error = yield* refused.failure
    assert.strictEqual(error._tag, "PullRefused")
    assert.include(error.message, "max_bytes of the consumer is 10000")
    assert.isBelow(pulls.length, 5)
  }))

it.live("a pull that has given all its bytes, one message at a time, says nothing of the size of one", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    yield* rawConsumer(nats, "S", "C", { max_bytes: 1_000 })
    for (const limit of [{}, { windowBytes: 500 }]) {
      const gathered = yield* gather(js, messages({ ...target, ...limit }), acked)
      for (const one of upTo(20)) {
        yield* nats.request("s.a", new Uint8Array(100))
        yield* gathered.until(({ exit, sequences }) => exit !== undefined || sequences.length === one)
        assert.isUndefined(gathered.exit)
      }
      yield* gathered.stop
    }
  }))
