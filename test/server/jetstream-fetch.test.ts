/** A few messages at once: within a time, or none. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer } from "effect-nats/jetstream"
import { connectionOf } from "../../src/internal/operations/connectionOf.ts"
import { until } from "../fixtures/following.ts"
import { acked, gather, upTo } from "../fixtures/gathering.ts"
import { rawApi, rawConsumer, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const target = { stream: "S", consumer: "C" }

const setUp = (config: object = {}) =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S", { storage: "file" })
    yield* rawConsumer(nats, "S", "C", config)
    const run = <A, E>(effect: Effect.Effect<A, E, JetStream.JetStream>) =>
      Effect.provideService(effect, JetStream.JetStream, js)
    const fetch = (count: number, options: JetStreamConsumer.FetchOptions, consumer = "C") =>
      JetStreamConsumer.fetch({ stream: "S", consumer }, count, options).pipe(
        Stream.map(({ sequence }) => sequence),
        Stream.runCollect,
        run
      )
    return { js, nats, server, run, fetch }
  })

const timed = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(effect, (value) => [value, performance.now() - began] as const)
  })

it.live("messages come each as it arrives, and it ends in its time, with few and with none", () =>
  Effect.gen(function*() {
    const { fetch, js, nats, run } = yield* setUp()
    for (const _ of upTo(3)) yield* nats.request("s.a", "x")
    const began = performance.now()
    const three = yield* gather(js, JetStreamConsumer.fetch(target, 10, { maxWait: "2 seconds" }), acked)
    yield* three.count(3)
    // It has not waited for the others.
    const isOver = (): boolean => three.exit !== undefined
    assert.isFalse(isOver())
    yield* three.until(isOver)
    assert.strictEqual(three.exit?._tag, "Success")
    const took = performance.now() - began
    // Its own wait, and not the five seconds of one that is given none.
    assert.isTrue(took > 1_900 && took < 4_900, `${took}`)
    for (let i = 0; i < 10; i++) assert.deepStrictEqual(yield* fetch(10, { maxWait: "20 millis" }), [])
    const [none, millis] = yield* timed(fetch(10, { maxWait: 0 }))
    assert.deepStrictEqual(none, [])
    // Nor does one that is given none at all wait for these.
    assert.isBelow(millis, 4_900)
    assert.isTrue(Option.isNone(yield* run(JetStreamConsumer.next(target, { maxWait: 0 }))))

    const waiting = yield* Effect.forkChild(run(JetStreamConsumer.next(target)))
    while ((yield* rawApi(nats, "CONSUMER.INFO.S.C"))["num_waiting"] < 1) yield* nats.flush
    yield* nats.request("s.a", "late")
    assert.strictEqual(Option.getOrThrow(yield* Fiber.join(waiting)).text, "late")
  }))

it.live("without a wait it has what is there, though the server takes its time, as where replicas agree on it", () =>
  Effect.gen(function*() {
    const { fetch, nats } = yield* setUp()
    for (const _ of upTo(3)) yield* nats.request("s.a", "x")
    const { writer } = connectionOf(nats).session!
    const publish = writer.publish.bind(writer)
    writer.publish = (subject, ...rest) => {
      // Longer than it is waited for the word that the time is over. What else is asked has its answer at once.
      if (subject.startsWith("$JS.API.CONSUMER.MSG.NEXT.")) setTimeout(() => publish(subject, ...rest), 600)
      else publish(subject, ...rest)
    }
    assert.deepStrictEqual(yield* fetch(5, { maxWait: 0 }), upTo(3))
  }))

it.live("limits of the consumer are kept, a restart is survived, and what is left goes back", () =>
  Effect.gen(function*() {
    const { fetch, js, nats, run, server } = yield* setUp({ max_batch: 4, max_expires: 1e9 })
    for (const _ of upTo(10)) yield* nats.request("s.a", "x")
    const ten = yield* gather(js, JetStreamConsumer.fetch(target, 10), acked)
    yield* ten.until(({ exit }) => exit !== undefined)
    assert.deepStrictEqual(ten.sequences, upTo(10))
    // Longer than one pull may wait.
    const waiting = yield* gather(js, JetStreamConsumer.fetch(target, 2, { maxWait: "20 seconds" }), acked)
    yield* Effect.sleep("1200 millis")
    yield* nats.request("s.a", "x")
    yield* waiting.count(1)
    // What was not acknowledged when the server goes can come again: on 2.9 at once.
    yield* until(Effect.map(rawApi(nats, "CONSUMER.INFO.S.C"), (info) => info["num_ack_pending"] === 0))
    yield* server.restart
    yield* nats.request("s.a", "x")
    yield* waiting.until(({ exit }) => exit !== undefined)
    assert.deepStrictEqual(waiting.sequences, [11, 12])

    yield* rawConsumer(nats, "S", "D")
    const head = yield* run(Stream.runHead(JetStreamConsumer.fetch({ stream: "S", consumer: "D" }, 12)))
    assert.strictEqual(Option.getOrThrow(head).sequence, 1)
    yield* nats.flush
    assert.deepStrictEqual(yield* fetch(11, { maxWait: "5 seconds" }, "D"), upTo(12, 2))
  }))

it.live("a pull that is lost is made again while there is time", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* setUp({ max_expires: 1e9 })
    const { writer } = connectionOf(nats).session!
    const publish = writer.publish.bind(writer)
    let pulls = 0
    writer.publish = (subject, ...rest) => {
      // The first one is answered: it is the silence behind an answer that counts.
      if (subject.startsWith("$JS.API.CONSUMER.MSG.NEXT.") && ++pulls === 2) return
      publish(subject, ...rest)
    }
    const waiting = yield* gather(js, JetStreamConsumer.fetch(target, 1, { maxWait: "20 seconds" }), acked)
    yield* until(Effect.sync(() => pulls === 2))
    yield* nats.request("s.a", "x")
    yield* waiting.until(({ exit }) => exit !== undefined)
    assert.deepStrictEqual(waiting.sequences, [1])
  }))

it.live("a limit of the consumer in bytes makes more pulls of it, and a message that is larger has its refusal", () =>
  Effect.gen(function*() {
    const { fetch, nats } = yield* setUp({ max_bytes: 400 })
    for (const _ of upTo(30)) yield* nats.request("s.a", "x")
    assert.deepStrictEqual(yield* fetch(20, { maxWait: 0 }), [...upTo(20)])
    yield* nats.request("s.a", "x".repeat(400))
    const error = yield* Effect.flip(fetch(20, { maxWait: "2 seconds" }))
    assert.deepInclude(error, { _tag: "PullRefused", code: 409, description: "Message Size Exceeds MaxBytes" })
  }))

it.live("what is missing has its name, also while it waits", () =>
  Effect.gen(function*() {
    const { fetch, nats } = yield* setUp()
    const failed = (consumer: string) => Effect.flip(fetch(1, { maxWait: "1 second" }, consumer))
    assert.strictEqual((yield* failed("none"))._tag, "ConsumerNotFound")
    assert.strictEqual((yield* failed("a b"))._tag, "InvalidName")
    yield* rawConsumer(nats, "S", "P", { deliver_subject: "pushed" })
    assert.strictEqual((yield* failed("P"))._tag, "ConsumerIsPush")
    const waiting = yield* Effect.forkChild(Effect.flip(fetch(1, { maxWait: "20 seconds" })))
    while ((yield* rawApi(nats, "CONSUMER.INFO.S.C"))["num_waiting"] < 1) yield* nats.flush
    const [, millis] = yield* timed(
      Effect.andThen(
        rawApi(nats, "CONSUMER.DELETE.S.C"),
        Effect.map(Fiber.join(waiting), (error) => {
          assert.strictEqual(error._tag, "ConsumerDeleted")
        })
      )
    )
    // Long before its wait is over.
    assert.isBelow(millis, 10_000)
  }))

it.live("priority groups: the pinned one reads, another takes over, overflow and an unknown group are told", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* setUp()
    const read = (options: JetStreamConsumer.MessagesOptions, by: JetStream.JetStream, consumer: string) =>
      gather(
        by,
        JetStreamConsumer.messages({ stream: "S", consumer, window: 5, heartbeat: "200 millis", ...options }),
        acked
      )
    if ((yield* nats.serverInfo).api_lvl === undefined) {
      const old = yield* read({ group: "g" }, js, "C")
      assert.deepInclude(yield* old.failure, { _tag: "UnsupportedByServer", feature: "priorityGroups", needs: "2.11" })
      return
    }
    const pinned = { priority_groups: ["g"], priority_policy: "pinned_client", priority_timeout: 4e9 }
    yield* rawConsumer(nats, "S", "pinned", pinned)
    const other = yield* NatsClient.make({ servers: server.url })
    const otherJs = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, other)
    const none = yield* read({}, js, "pinned")
    const refused = yield* none.failure
    assert.deepInclude(refused, { _tag: "PullRefused", code: 400 })
    assert.include(refused.message, "Priority Group")
    const first = yield* read({ group: "g" }, js, "pinned")
    for (const _ of upTo(20)) yield* nats.request("s.a", "x")
    yield* first.count(20)
    const standby = yield* read({ group: "g" }, otherJs, "pinned")
    for (const _ of upTo(20)) yield* nats.request("s.a", "x")
    yield* first.count(40)
    assert.strictEqual(standby.messages.length, 0)
    yield* rawApi(nats, "CONSUMER.UNPIN.S.pinned", { group: "g" })
    for (const _ of upTo(20)) yield* nats.request("s.a", "x")
    const both = (count: number) => until(Effect.sync(() => first.messages.length + standby.messages.length >= count))
    yield* both(60)
    assert.strictEqual(first.messages.length + standby.messages.length, 60)
    yield* first.stop
    for (const _ of upTo(10)) yield* nats.request("s.a", "x")
    yield* both(70)
    assert.isUndefined(standby.exit)

    yield* rawConsumer(nats, "S", "over", {
      priority_groups: ["g"],
      priority_policy: "overflow",
      deliver_policy: "new"
    })
    const over = yield* read({ group: "g", minPending: 5 }, js, "over")
    for (const _ of upTo(3)) yield* nats.request("s.a", "x")
    yield* nats.flush
    assert.strictEqual(over.messages.length, 0)
    for (const _ of upTo(3)) yield* nats.request("s.a", "x")
    yield* over.count(1)
  }))
