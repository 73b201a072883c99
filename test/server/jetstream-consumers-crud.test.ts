/** Consumers: created, changed, listed, paused and deleted, on whichever server the suite runs. */
import { assert, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Cause, Duration, Effect, Exit, Scope, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { isBefore } from "../../src/jetstream/internal/needs.ts"
import { rawConsumer, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const setUp = Effect.gen(function*() {
  const { js, nats, server } = yield* withJetStream()
  yield* rawStream(nats, "ORDERS")
  const isOlderThan = (version: string) => isBefore(server.version, version)
  return { nats, server, js, isOlderThan, run: Effect.provideService(JetStream.JetStream, js) }
})

const Worker = JetStreamConsumer.make("ORDERS", "worker", {
  filter: "orders.created",
  ackWait: "20 seconds",
  maxAckPending: 50
})

it.live("a consumer is created once, taken for it where it is the same, and what differs is named and left as it is", () =>
  Effect.gen(function*() {
    const { run } = yield* setUp
    const created = yield* run(JetStreamConsumer.create(Worker))
    assert.deepInclude({ ...created }, { stream: "ORDERS", name: "worker", isDurable: true, pending: 0 })
    assert.isUndefined(created.deliverSubject)
    assert.strictEqual(created.config.filter, "orders.created")
    assert.strictEqual(created.config.ackPolicy, "explicit")
    assert.isTrue(Duration.equals(created.config.ackWait!, Duration.seconds(20)))
    assert.strictEqual(created.config.maxDeliver, "unlimited")
    yield* run(JetStreamConsumer.create(Worker))

    const other = JetStreamConsumer.make("ORDERS", "worker", { ...Worker.options, ackWait: "1 minute" })
    const exists = yield* Effect.flip(run(JetStreamConsumer.create(other)))
    assert.strictEqual(exists._tag, "ConsumerExists")
    if (exists._tag === "ConsumerExists") assert.deepStrictEqual(exists.differences, ["ackWait"])
    const info = yield* run(JetStreamConsumer.info(Worker))
    assert.isTrue(Duration.equals(info.config.ackWait!, Duration.seconds(20)))

    const none = yield* Effect.flip(run(JetStreamConsumer.create(JetStreamConsumer.make("NONE", "worker"))))
    assert.strictEqual(none._tag, "StreamNotFound")
    const refused = yield* Effect.flip(
      run(JetStreamConsumer.create(JetStreamConsumer.make("ORDERS", "late", { from: "lastPerSubject" })))
    )
    assert.strictEqual(refused._tag, "ConsumerRefused")
  }))

it.live("an update changes what is declared and keeps the rest; what cannot be changed is refused", () =>
  Effect.gen(function*() {
    const { run } = yield* setUp
    yield* run(JetStreamConsumer.create(Worker))
    const updated = yield* run(
      JetStreamConsumer.update(JetStreamConsumer.make("ORDERS", "worker", { ackWait: "1 minute" }))
    )
    assert.isTrue(Duration.equals(updated.config.ackWait!, Duration.minutes(1)))
    assert.strictEqual(updated.config.filter, "orders.created")
    assert.strictEqual(updated.config.maxAckPending, 50)
    const from = yield* Effect.flip(
      run(JetStreamConsumer.update(JetStreamConsumer.make("ORDERS", "worker", { from: "new" })))
    )
    assert.strictEqual(from._tag, "ConsumerRefused")
    const missing = yield* Effect.flip(run(JetStreamConsumer.update(JetStreamConsumer.make("ORDERS", "none"))))
    assert.strictEqual(missing._tag, "ConsumerNotFound")
    const noStream = yield* Effect.flip(run(JetStreamConsumer.update(JetStreamConsumer.make("NONE", "none"))))
    assert.strictEqual(noStream._tag, "StreamNotFound")
  }))

it.live("an ack wait declared for a consumer with a backoff takes the place of that", () =>
  Effect.gen(function*() {
    const { run } = yield* setUp
    const Backoff = JetStreamConsumer.make("ORDERS", "slow", { backoff: ["1 second", "5 seconds"], maxDeliver: 5 })
    const created = yield* run(JetStreamConsumer.create(Backoff))
    assert.isTrue(Duration.equals(created.config.ackWait!, Duration.seconds(1)))
    const Waiting = JetStreamConsumer.make("ORDERS", "slow", { ackWait: "30 seconds" })
    const updated = yield* run(JetStreamConsumer.update(Waiting))
    assert.deepStrictEqual(updated.config.backoff, [])
    assert.isTrue(Duration.equals(updated.config.ackWait!, Duration.seconds(30)))
    const both = JetStreamConsumer.make("ORDERS", "slow", { ackWait: "30 seconds", backoff: ["1 second"] })
    assert.strictEqual((yield* Effect.flip(run(JetStreamConsumer.update(both))))._tag, "InvalidDefinition")
  }))

it.live("a push consumer is seen and deleted, and else refused by name", () =>
  Effect.gen(function*() {
    const { js, nats, run } = yield* setUp
    yield* rawConsumer(nats, "ORDERS", "push", { deliver_subject: "to.me" })
    const Push = JetStreamConsumer.make("ORDERS", "push", { description: "pushed" })
    assert.strictEqual((yield* run(JetStreamConsumer.info(Push))).deliverSubject, "to.me")
    const operations: ReadonlyArray<
      Effect.Effect<unknown, { readonly _tag: string; readonly message: string }, JetStream.JetStream>
    > = [
      JetStreamConsumer.create(Push),
      JetStreamConsumer.update(Push),
      JetStreamStream.provision([Push])
    ]
    for (const operation of operations) {
      const refused = yield* Effect.flip(run(operation))
      assert.strictEqual(refused._tag, "ConsumerIsPush")
      assert.include(refused.message, "effect-nats/compat")
    }
    const listed = yield* Effect.provideService(
      Stream.runCollect(JetStreamConsumer.list("ORDERS")),
      JetStream.JetStream,
      js
    )
    assert.deepStrictEqual(listed.map(({ name }) => name), ["push"])
    yield* run(JetStreamConsumer.delete(Push))
    assert.strictEqual((yield* Effect.flip(run(JetStreamConsumer.info(Push))))._tag, "ConsumerNotFound")
    assert.strictEqual((yield* Effect.flip(run(JetStreamConsumer.delete(Push))))._tag, "ConsumerNotFound")
    const gone = yield* Effect.flip(run(JetStreamConsumer.delete({ stream: "NONE", consumer: "push" })))
    assert.strictEqual(gone._tag, "StreamNotFound")
  }))

it.live("lists give each of 1,100 consumers once", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* setUp
    // Without a limit of the stream, 2.15 stops at 1,000.
    yield* rawStream(nats, "MANY", { max_consumers: 2000 })
    const names = Array.from({ length: 1100 }, (_, index) => `c${index}`)
    yield* Effect.forEach(names, (name) => rawConsumer(nats, "MANY", name, { mem_storage: true }), {
      concurrency: 64,
      discard: true
    })
    const provided = Effect.provideService(JetStream.JetStream, js)
    const listed = yield* provided(Stream.runCollect(JetStreamConsumer.list("MANY")))
    assert.deepStrictEqual(listed.map(({ name }) => name).toSorted(), names.toSorted())
    assert.deepStrictEqual(
      (yield* provided(Stream.runCollect(JetStreamConsumer.names("MANY")))).toSorted(),
      names.toSorted()
    )
    const none = yield* Effect.flip(provided(Stream.runCollect(JetStreamConsumer.names("NONE"))))
    assert.strictEqual(none._tag, "StreamNotFound")
  }), 30_000)

it.live("an ephemeral consumer goes with its scope, also where the answer to its creation was lost", () =>
  Effect.gen(function*() {
    const { js, nats, run } = yield* setUp
    const scope = yield* Scope.make()
    const made = yield* Scope.provide(run(JetStreamConsumer.ephemeral("ORDERS", { filter: "orders.a" })), scope)
    assert.isFalse(made.isDurable)
    assert.strictEqual(made.config.filter, "orders.a")
    const target = { stream: "ORDERS", consumer: made.name }
    assert.strictEqual((yield* run(JetStreamConsumer.info(target))).name, made.name)
    yield* Scope.close(scope, Exit.void)
    assert.strictEqual((yield* Effect.flip(run(JetStreamConsumer.info(target))))._tag, "ConsumerNotFound")

    // A server can take the creation behind the deletion: here it does each time.
    const testScope = yield* Effect.scope
    const behind = (...[subject, ...rest]: Parameters<typeof nats.request>) =>
      !subject.includes(".CREATE.") ? nats.request(subject, ...rest) : Effect.andThen(
        Effect.forkIn(Effect.andThen(Effect.sleep("20 millis"), nats.request(subject, ...rest)), testScope),
        Effect.never
      )
    const late = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, { ...nats, request: behind })
    yield* Effect.scoped(JetStreamConsumer.ephemeral("ORDERS")).pipe(
      Effect.provideService(JetStream.JetStream, late),
      Effect.timeoutOption("1 millis")
    )

    // Interrupted at some time before its answer.
    const lost = Effect.scoped(run(JetStreamConsumer.ephemeral("ORDERS"))).pipe(Effect.timeoutOption("1 millis"))
    yield* Effect.forEach(Array.from({ length: 20 }), () => lost, { concurrency: 4, discard: true })
    const left = yield* Effect.provideService(
      Stream.runCollect(JetStreamConsumer.names("ORDERS")),
      JetStream.JetStream,
      js
    )
    assert.deepStrictEqual(left, [])

    yield* run(JetStreamConsumer.create(Worker))
    const taken = yield* Effect.flip(Effect.scoped(run(JetStreamConsumer.ephemeral("ORDERS", { name: "worker" }))))
    assert.strictEqual(taken._tag, "ConsumerExists")
    assert.strictEqual((yield* run(JetStreamConsumer.info(Worker))).name, "worker")
  }))

it.live(
  "a consumer is paused, resumed, reset and unpinned where the server can, else it says which one can",
  () =>
    Effect.gen(function*() {
      const { isOlderThan, nats, run } = yield* setUp
      yield* run(JetStreamConsumer.create(Worker))
      const unsupported = <A, E extends { readonly _tag: string; readonly message: string }>(
        operation: Effect.Effect<A, E, JetStream.JetStream>,
        needs: string
      ) =>
        Effect.map(Effect.flip(run(operation)), (error) => {
          assert.strictEqual(error._tag, "UnsupportedByServer")
          assert.include(error.message, needs)
        })
      if (isOlderThan("2.11")) {
        yield* unsupported(JetStreamConsumer.pause(Worker, "2040-01-01T00:00:00Z"), "2.11")
        yield* unsupported(JetStreamConsumer.resume(Worker), "2.11")
        yield* unsupported(JetStreamConsumer.reset(Worker), "2.14")
        yield* unsupported(JetStreamConsumer.unpin(Worker, "g"), "2.11")
        yield* unsupported(
          JetStreamConsumer.create(
            JetStreamConsumer.make("ORDERS", "p", { priorityGroups: ["g"], priorityPolicy: "overflow" })
          ),
          "2.11"
        )
        return
      }
      const paused = yield* run(JetStreamConsumer.pause(Worker, new Date(Date.now() + 3_600_000)))
      assert.isTrue(paused.isPaused)
      assert.isAbove(Duration.toMinutes(paused.pauseRemaining!), 55)
      assert.isTrue((yield* run(JetStreamConsumer.info(Worker))).isPaused)
      assert.isFalse((yield* run(JetStreamConsumer.resume(Worker))).isPaused)
      assert.isFalse((yield* run(JetStreamConsumer.info(Worker))).isPaused)
      const never = yield* Effect.flip(run(JetStreamConsumer.pause(Worker, "tomorrow")))
      assert.strictEqual(never._tag, "InvalidDefinition")

      yield* nats.request("orders.created", "1")
      yield* nats.request("orders.created", "2")
      assert.strictEqual(yield* run(JetStreamConsumer.reset(Worker, { sequence: 2 })), 2)
      assert.strictEqual((yield* run(JetStreamConsumer.info(Worker))).pending, 1)

      const group = yield* Effect.flip(run(JetStreamConsumer.unpin(Worker, "g")))
      assert.strictEqual(group._tag, "ConsumerRefused")
      const Pinned = JetStreamConsumer.make("ORDERS", "pinned", {
        priorityGroups: ["g"],
        priorityPolicy: "pinnedClient"
      })
      const pinned = yield* run(JetStreamConsumer.create(Pinned))
      assert.strictEqual(pinned.config.priorityPolicy, "pinnedClient")
      assert.deepStrictEqual(pinned.priorityGroups.map(({ name }) => name), ["g"])
      yield* run(JetStreamConsumer.unpin(Pinned, "g"))
      const missing = yield* Effect.flip(
        run(JetStreamConsumer.pause({ stream: "ORDERS", consumer: "none" }, new Date()))
      )
      assert.strictEqual(missing._tag, "ConsumerNotFound")
    }),
  10_000
)

it.live("a reset of what is not there says so at once, and one to a sequence that is none, or before the first, is refused", () =>
  Effect.gen(function*() {
    const { isOlderThan, run } = yield* setUp
    const none = { stream: "ORDERS", consumer: "none" }
    if (isOlderThan("2.14")) {
      assert.strictEqual((yield* Effect.flip(run(JetStreamConsumer.reset(none))))._tag, "UnsupportedByServer")
      return
    }
    const tagOf = <A, E extends { readonly _tag: string }>(operation: Effect.Effect<A, E, JetStream.JetStream>) =>
      Effect.map(Effect.timeout(Effect.flip(run(operation)), "2 seconds"), ({ _tag }) => _tag)
    assert.strictEqual(yield* tagOf(JetStreamConsumer.reset(none)), "ConsumerNotFound")
    assert.strictEqual(yield* tagOf(JetStreamConsumer.reset({ ...none, stream: "NONE" })), "StreamNotFound")
    const Late = JetStreamConsumer.make("ORDERS", "late", { from: { sequence: 5 } })
    yield* run(JetStreamConsumer.create(Late))
    assert.strictEqual(yield* run(JetStreamConsumer.reset(Late)), 5)
    assert.strictEqual(yield* tagOf(JetStreamConsumer.reset(Late, { sequence: 4 })), "ConsumerRefused")
    for (const sequence of [0, -1, 1.5, Number.NaN]) {
      const exit = yield* Effect.exit(run(JetStreamConsumer.reset(Late, { sequence })))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof RangeError, String(sequence))
    }
    assert.strictEqual(yield* run(JetStreamConsumer.reset(Late, { sequence: 6 })), 6)
  }))

it.live("a name that no server can take is refused by every operation, and nothing is sent", () =>
  Effect.gen(function*() {
    const { nats, run } = yield* setUp
    const sent = (yield* nats.stats).messagesOut
    const bad: string = "a b"
    for (const [stream, consumer] of [[bad, "c"], ["ORDERS", bad]] as const) {
      const definition = JetStreamConsumer.make(stream, consumer)
      const target = { stream, consumer }
      const operations: ReadonlyArray<
        Effect.Effect<unknown, { readonly _tag: string; readonly message: string }, JetStream.JetStream>
      > = [
        JetStreamConsumer.create(definition),
        JetStreamConsumer.update(definition),
        JetStreamStream.provision([definition]),
        Effect.scoped(JetStreamConsumer.ephemeral(stream, { name: consumer })),
        JetStreamConsumer.info(target),
        JetStreamConsumer.delete(target),
        JetStreamConsumer.pause(target, new Date()),
        JetStreamConsumer.resume(target),
        JetStreamConsumer.reset(target),
        JetStreamConsumer.unpin(target, "g"),
        Stream.runDrain(JetStreamConsumer.list(bad)),
        Stream.runDrain(JetStreamConsumer.names(bad))
      ]
      for (const operation of operations) {
        const error = yield* Effect.flip(run(operation))
        assert.strictEqual(error._tag, "InvalidName")
        assert.include(error.message, "white space")
      }
    }
    assert.strictEqual((yield* nats.stats).messagesOut, sent)
  }))

it.live("a second consumer without a filter on a work queue, and one more than the stream allows, are refused by name", () =>
  Effect.gen(function*() {
    const { run } = yield* setUp
    yield* run(JetStreamStream.create(JetStreamStream.make("WORK", {
      storage: "memory",
      retention: "workqueue",
      maxConsumers: 1
    })))
    yield* run(JetStreamConsumer.create(JetStreamConsumer.make("WORK", "one")))
    const second = yield* Effect.flip(run(JetStreamConsumer.create(JetStreamConsumer.make("WORK", "two"))))
    assert.oneOf(second._tag, ["ConsumerRefused", "ResourcesExceeded"])
    yield* run(JetStreamStream.create(JetStreamStream.make("FEW", { storage: "memory", maxConsumers: 1 })))
    yield* run(JetStreamConsumer.create(JetStreamConsumer.make("FEW", "one")))
    const more = yield* Effect.flip(run(JetStreamConsumer.create(JetStreamConsumer.make("FEW", "two"))))
    assert.strictEqual(more._tag, "ResourcesExceeded")
  }))

it.live("the official library reads what was created here, and the other way round", () =>
  Effect.gen(function*() {
    const { run, server } = yield* setUp
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() => connect({ servers: server.url })),
      (open) => Effect.promise(() => open.close())
    )
    const jsm = yield* Effect.promise(() => jetstreamManager(connection))
    yield* run(JetStreamConsumer.create(Worker))
    const ours = yield* Effect.promise(() => jsm.consumers.info("ORDERS", "worker"))
    assert.deepInclude(ours.config, {
      ack_wait: 20e9,
      filter_subject: "orders.created",
      max_ack_pending: 50,
      durable_name: "worker"
    })

    yield* Effect.promise(() =>
      jsm.consumers.add("ORDERS", {
        durable_name: "theirs",
        ack_policy: "explicit",
        max_deliver: 3,
        opt_start_seq: 7,
        deliver_policy: "by_start_sequence"
      })
    )
    const theirs = yield* run(JetStreamConsumer.info({ stream: "ORDERS", consumer: "theirs" }))
    assert.deepStrictEqual(theirs.config.from, { sequence: 7 })
    assert.strictEqual(theirs.config.maxDeliver, 3)
    const same = yield* run(JetStreamStream.provision([JetStreamConsumer.make("ORDERS", "theirs", theirs.config)]))
    assert.strictEqual(same.entries[0]!.action, "none")
  }))
