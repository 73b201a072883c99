/** A server brought to definitions of streams and consumers, on whichever server the suite runs. */
import { assert, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamError, JetStreamStream } from "effect-nats/jetstream"
import { isBefore } from "../../src/jetstream/internal/needs.ts"
import { rawApi, rawConsumer, rawStream, withJetStream } from "../fixtures/jetStream.ts"

type Definition = JetStreamStream.StreamDefinition | JetStreamConsumer.ConsumerDefinition

const setUp = Effect.gen(function*() {
  const { js, nats, server } = yield* withJetStream()
  const run = Effect.provideService(JetStream.JetStream, js)
  return {
    nats,
    server,
    run,
    isOlderThan: (version: string) => isBefore(server.version, version),
    provision: (definitions: ReadonlyArray<Definition>, apply?: JetStreamStream.Apply) =>
      run(JetStreamStream.provision(definitions, { apply })),
    refusal: (definitions: ReadonlyArray<Definition>, apply?: JetStreamStream.Apply) =>
      Effect.map(Effect.flip(run(JetStreamStream.provision(definitions, { apply }))), (error) => {
        assert.instanceOf(error, JetStreamError.ProvisionRefused)
        return error as JetStreamError.ProvisionRefused
      })
  }
})

const kinds = (report: JetStreamStream.ProvisionReport) =>
  Object.fromEntries(report.entries.flatMap(({ changes }) => changes.map(({ field, kind }) => [field, kind])))

const actions = (report: JetStreamStream.ProvisionReport) =>
  report.entries.map(({ action, done, name }) => `${name} ${action}${done ? "" : action === "none" ? "" : "?"}`)

const Orders = JetStreamStream.make("ORDERS", {
  subjects: ["orders.>", "returns.*"],
  storage: "memory",
  maxAge: "7 days",
  maxBytes: "10 MiB"
})

const Worker = JetStreamConsumer.make(Orders, "worker", { filter: "orders.>", ackWait: "10 seconds" })

it.live("streams come before their consumers, and a second time nothing is changed", () =>
  Effect.gen(function*() {
    const { nats, provision } = yield* setUp
    const planned = yield* provision([Worker, Orders], "nothing")
    assert.deepStrictEqual(actions(planned), ["ORDERS create?", "worker create?"])
    assert.strictEqual((yield* rawApi(nats, "STREAM.NAMES"))["streams"], null)
    const report = yield* provision([Worker, Orders])
    assert.deepStrictEqual(actions(report), ["ORDERS create", "worker create"])
    assert.strictEqual(
      JetStreamStream.formatReport(report),
      "stream ORDERS: created\nconsumer worker of ORDERS: created"
    )
    const writes = (yield* nats.stats).messagesOut
    assert.deepStrictEqual(actions(yield* provision([Worker, Orders])), ["ORDERS none", "worker none"])
    // One look at each, and nothing else.
    assert.strictEqual((yield* nats.stats).messagesOut, writes + 2)
  }))

it.live("by itself it does what loses nothing, keeps what is not declared, and says what it did", () =>
  Effect.gen(function*() {
    const { nats, provision, run } = yield* setUp
    yield* rawStream(nats, "ORDERS", { max_msgs: 100, description: "kept", max_age: 60e9 })
    const report = yield* provision([
      JetStreamStream.make("ORDERS", { maxAge: "2 minutes", maxMessages: 200, subjects: ["orders.>", "more.>"] })
    ])
    assert.deepStrictEqual(kinds(report), { maxAge: "inPlace", maxMessages: "inPlace", subjects: "inPlace" })
    assert.strictEqual(
      JetStreamStream.formatReport(report),
      [
        "stream ORDERS: updated",
        "  maxAge: 1 minute -> 2 minutes; in place",
        "  maxMessages: 100 -> 200; in place",
        "  subjects: [\"orders.>\"] -> [\"more.>\",\"orders.>\"]; in place"
      ].join("\n")
    )
    const { config } = yield* run(JetStreamStream.info("ORDERS"))
    assert.strictEqual(config.description, "kept")
    assert.strictEqual(config.maxMessages, 200)
    assert.deepStrictEqual(config.subjects, ["orders.>", "more.>"])
  }))

it.live("what loses messages is refused with the whole report before anything is done, and done where it is allowed", () =>
  Effect.gen(function*() {
    const { nats, provision, refusal, run } = yield* setUp
    yield* rawStream(nats, "ORDERS", { max_age: 3600e9 })
    yield* Effect.forEach(["a", "b", "c", "d", "e"], (each) => nats.request(`orders.${each}`, each))
    const Less = JetStreamStream.make("ORDERS", { maxMessages: 1, maxAge: "30 minutes", description: "less" })
    const Other = JetStreamStream.make("OTHER", { storage: "memory" })
    const refused = yield* refusal([Other, Less])
    assert.deepStrictEqual(kinds(refused.report), {
      maxMessages: "losesMessages",
      maxAge: "losesMessages",
      description: "inPlace"
    })
    assert.deepStrictEqual(refused.changes.map(({ field }) => field).toSorted(), ["maxAge", "maxMessages"])
    assert.include(refused.message, "maxMessages of stream \"ORDERS\" loses messages")
    assert.isFalse(refused.isRetryable)
    assert.deepStrictEqual(actions(refused.report), ["OTHER create?", "ORDERS update?"])
    const before = yield* run(JetStreamStream.info("ORDERS"))
    assert.strictEqual(before.state.messages, 5)
    assert.isUndefined(before.config.description)
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.info("OTHER"))))._tag, "StreamNotFound")
    // Nothing is said to have been refused where nothing is to be done.
    assert.deepStrictEqual(kinds(yield* provision([Less], "nothing")), kinds(refused.report))

    yield* provision([Other, Less], "lossy")
    assert.strictEqual((yield* run(JetStreamStream.info("ORDERS"))).state.messages, 1)
    assert.deepStrictEqual(actions(yield* provision([Other, Less])), ["OTHER none", "ORDERS none"])
  }))

it.live("each change is judged by what it does to what is there", () =>
  Effect.gen(function*() {
    const { isOlderThan, nats, provision, run } = yield* setUp
    yield* rawStream(nats, "ORIGIN")
    const judge = (
      actual: object,
      declared: JetStreamStream.StreamOptions,
      expected: Readonly<Record<string, string>>
    ) =>
      Effect.gen(function*() {
        yield* rawStream(nats, "S", actual)
        const report = yield* provision([JetStreamStream.make("S", declared)], "nothing")
        assert.deepStrictEqual(kinds(report), expected, JSON.stringify(declared))
        // A server agrees with it.
        const lossy = yield* Effect.result(provision([JetStreamStream.make("S", declared)], "lossy"))
        const refuses = Object.values(expected).some((kind) => kind === "needsNew" || kind === "unsupported")
        assert.strictEqual(lossy._tag, refuses ? "Failure" : "Success", JSON.stringify(declared))
        if (!refuses) {
          assert.deepStrictEqual(kinds(yield* provision([JetStreamStream.make("S", declared)], "nothing")), {})
        }
        yield* run(JetStreamStream.delete("S"))
      })
    const from = (version: string, kind: string) => isOlderThan(version) ? "unsupported" : kind
    yield* judge({}, { storage: "file" }, { storage: "needsNew" })
    yield* judge({}, { retention: "workqueue" }, { retention: "needsNew" })
    yield* judge({}, { retention: "interest" }, { retention: isOlderThan("2.10") ? "needsNew" : "losesMessages" })
    yield* judge({ retention: "interest" }, { retention: "limits" }, {
      retention: isOlderThan("2.10") ? "needsNew" : "inPlace"
    })
    yield* judge({ max_msgs: 5 }, { maxMessages: "unlimited" }, { maxMessages: "inPlace" })
    yield* judge({ max_msgs: 5 }, { maxMessages: 4 }, { maxMessages: "losesMessages" })
    yield* judge({}, { maxMessagesPerSubject: 1 }, { maxMessagesPerSubject: "losesMessages" })
    yield* judge({}, { maxBytes: "1 GiB" }, { maxBytes: "losesMessages" })
    yield* judge({ max_age: 60e9, duplicate_window: 60e9 }, { maxAge: "Infinity" }, { maxAge: "inPlace" })
    yield* judge({}, { maxConsumers: 5 }, { maxConsumers: isOlderThan("2.11") ? "needsNew" : "inPlace" })
    yield* judge({}, { denyPurge: true }, { denyPurge: "irreversible" })
    yield* judge({ deny_delete: true }, { denyDelete: false }, { denyDelete: "needsNew" })
    yield* judge({}, { sealed: true, maxAge: "1 hour" }, { sealed: "irreversible" })
    yield* judge({}, { mirror: { name: "ORIGIN" } }, { mirror: "needsNew" })
    yield* judge({ subjects: undefined, mirror: { name: "ORIGIN" } }, { mirror: "none" }, {
      mirror: isOlderThan("2.12") ? "needsNew" : "irreversible"
    })
    yield* judge({ republish: { src: "s.>", dest: "again.>" } }, { republish: "none" }, {
      republish: isOlderThan("2.10") ? "needsNew" : "inPlace"
    })
    yield* judge({}, { ttl: true }, { ttl: from("2.11", "irreversible") })
    yield* judge({}, { schedules: true }, { schedules: from("2.12", "irreversible") })
    yield* judge({}, { counter: true }, { counter: from("2.12", "needsNew") })
    yield* judge({}, { deleteMarkerTtl: "1 minute" }, { deleteMarkerTtl: from("2.11", "irreversible") })
    // A server alone: the old ones take the number for granted.
    yield* judge({}, { replicas: 3 }, { replicas: "unsupported" })
    // Fields that go along with a declared one.
    yield* judge({}, { maxAge: "1 minute" }, { maxAge: "losesMessages", duplicateWindow: "inPlace" })
    yield* judge({ discard: "new", discard_new_per_subject: true, max_msgs_per_subject: 5 }, { discard: "old" }, {
      discard: "inPlace",
      discardNewPerSubject: "inPlace"
    })
  }), 30_000)

it.live("a consumer is changed in place where it can be, and else refused naming the fields and left as it is", () =>
  Effect.gen(function*() {
    const { isOlderThan, nats, provision, refusal, run } = yield* setUp
    yield* rawStream(nats, "ORDERS")
    yield* rawConsumer(nats, "ORDERS", "worker", { ack_wait: 30e9, max_ack_pending: 5, description: "kept" })
    const report = yield* provision([JetStreamConsumer.make("ORDERS", "worker", {
      filter: "orders.a",
      ackWait: "10 seconds"
    })])
    assert.deepStrictEqual(kinds(report), { filter: "inPlace", ackWait: "inPlace" })
    const refused = yield* refusal([JetStreamConsumer.make("ORDERS", "worker", {
      ackWait: "20 seconds",
      from: "new",
      replayPolicy: "original",
      ackPolicy: "all"
    })])
    assert.deepStrictEqual(kinds(refused.report), {
      ackWait: "inPlace",
      from: "needsNew",
      replayPolicy: "needsNew",
      ackPolicy: "needsNew"
    })
    assert.sameMembers(refused.changes.map(({ field }) => field), ["from", "replayPolicy", "ackPolicy"])
    assert.include(refused.message, "from of consumer \"worker\" cannot be changed")
    const { config } = yield* run(JetStreamConsumer.info({ stream: "ORDERS", consumer: "worker" }))
    assert.isTrue(Duration.equals(config.ackWait!, Duration.seconds(10)))
    assert.strictEqual(config.description, "kept")
    assert.strictEqual(config.maxAckPending, 5)

    // Where messages are kept for who waits for them, a filter decides what is kept.
    yield* rawStream(nats, "KEPT", { retention: "interest" })
    yield* rawConsumer(nats, "KEPT", "worker")
    const narrowed = yield* refusal([JetStreamConsumer.make("KEPT", "worker", { filter: "kept.a" })])
    assert.deepStrictEqual(kinds(narrowed.report), { filter: "losesMessages" })

    const missing = yield* Effect.flip(provision([JetStreamConsumer.make("NONE", "worker")]))
    assert.strictEqual(missing._tag, "StreamNotFound")
    const twice = yield* Effect.flip(provision([Worker, Worker]))
    assert.strictEqual(twice._tag, "InvalidDefinition")

    const Paused = JetStreamConsumer.make("ORDERS", "worker", { pauseUntil: "2040-01-01T00:00:00.000000001Z" })
    if (isOlderThan("2.11")) {
      assert.deepStrictEqual(kinds((yield* refusal([Paused])).report), { pauseUntil: "unsupported" })
    } else {
      yield* provision([Paused])
      assert.isTrue((yield* run(JetStreamConsumer.info(Paused))).isPaused)
      assert.deepStrictEqual(actions(yield* provision([Paused])), ["worker none"])
    }
  }))

const times = { startsAt: "2026-01-01T00:00:00.123456789+02:00", until: "2040-01-01T00:00:00.1Z" }

/** A value other than the default for every field; what it needs beside it stands with it. */
const streams: { readonly [Field in keyof JetStreamStream.StreamOptions]-?: JetStreamStream.StreamOptions } = {
  description: { description: "all of them" },
  subjects: { subjects: ["s.>", "t.*"] },
  storage: { storage: "file" },
  retention: { retention: "workqueue" },
  discard: { discard: "new" },
  discardNewPerSubject: { discardNewPerSubject: true, discard: "new", maxMessagesPerSubject: 3 },
  maxMessages: { maxMessages: 10 },
  maxMessagesPerSubject: { maxMessagesPerSubject: 3 },
  maxBytes: { maxBytes: "1 MiB" },
  maxAge: { maxAge: Duration.nanos(18_000_000_000_000_001n) },
  maxMessageSize: { maxMessageSize: "1 KiB" },
  maxConsumers: { maxConsumers: 3 },
  noAck: { noAck: true },
  duplicateWindow: { duplicateWindow: "30 seconds" },
  replicas: { replicas: 1 },
  placement: { placement: { tags: ["b", "a"] } },
  mirror: { mirror: { name: "ORIGIN", from: { sequence: 7 } } },
  sources: {
    sources: [
      { name: "ORIGIN", filter: "origin.a" },
      { name: "OTHER", transforms: [{ source: "other.>", destination: "moved.>" }] },
      { name: "FAR", domain: "hub", from: { time: times.startsAt } }
    ]
  },
  compression: { compression: "s2", storage: "file" },
  firstSequence: { firstSequence: 9_007_199_254_740_993n },
  subjectTransform: { subjects: ["s.*"], subjectTransform: { source: "s.*", destination: "t.{{wildcard(1)}}" } },
  republish: { subjects: ["s.>"], republish: { destination: "again.>", headersOnly: true } },
  allowDirect: { allowDirect: true },
  mirrorDirect: { mirror: { name: "ORIGIN" }, mirrorDirect: true },
  sealed: { sealed: false },
  denyDelete: { denyDelete: true },
  denyPurge: { denyPurge: true },
  allowRollup: { allowRollup: true },
  consumerLimits: { consumerLimits: { inactiveThreshold: "1 hour", maxAckPending: 50 } },
  ttl: { ttl: true },
  deleteMarkerTtl: { deleteMarkerTtl: "10 seconds" },
  counter: { counter: true },
  atomicBatch: { atomicBatch: true },
  fastBatch: { fastBatch: true },
  schedules: { schedules: true },
  persistMode: { persistMode: "async", storage: "file" },
  metadata: { metadata: { b: "", a: "x" } }
}

const consumers: { readonly [Field in keyof JetStreamConsumer.ConsumerOptions]-?: JetStreamConsumer.ConsumerOptions } =
  {
    description: { description: "one of them" },
    filter: { filter: ["s.b", "s.a"] },
    from: { from: { time: times.startsAt } },
    ackPolicy: { ackPolicy: "all" },
    ackWait: { ackWait: "20.000000001 seconds" },
    maxAckPending: { maxAckPending: "unlimited" },
    maxDeliver: { maxDeliver: 4 },
    backoff: { backoff: ["2 seconds", "1 second"], maxDeliver: 3 },
    replayPolicy: { replayPolicy: "original" },
    headersOnly: { headersOnly: true },
    sampleFrequency: { sampleFrequency: 30 },
    inactiveThreshold: { inactiveThreshold: "1 hour" },
    maxWaiting: { maxWaiting: 7 },
    maxBatch: { maxBatch: 8 },
    maxExpires: { maxExpires: "10 seconds" },
    maxBytes: { maxBytes: "1 MiB" },
    replicas: { replicas: 1 },
    memoryStorage: { memoryStorage: true },
    pauseUntil: { pauseUntil: times.until },
    priorityPolicy: { priorityPolicy: "prioritized", priorityGroups: ["g"] },
    priorityGroups: { priorityPolicy: "overflow", priorityGroups: ["g"] },
    pinnedTtl: { priorityPolicy: "pinnedClient", priorityGroups: ["g"], pinnedTtl: "1 minute" },
    metadata: { metadata: { b: "", a: "x" } }
  }

it.live(
  "every field comes back as it was declared, alone and from the server's own answer, or is found unsupported",
  () =>
    Effect.gen(function*() {
      const { isOlderThan, nats, provision, run } = yield* setUp
      yield* rawStream(nats, "ORIGIN", { allow_direct: true })
      yield* rawStream(nats, "OTHER")
      const same = (definition: Definition, copy: Effect.Effect<Definition, unknown>, field: string) =>
        Effect.gen(function*() {
          const provisioned = yield* Effect.result(provision([definition]))
          if (provisioned._tag === "Failure") {
            assert.instanceOf(provisioned.failure, JetStreamError.ProvisionRefused, `${field}: ${provisioned.failure}`)
            const { changes, report } = provisioned.failure as JetStreamError.ProvisionRefused
            // It is known before anything is sent.
            assert.isFalse(report.entries[0]!.done, field)
            assert.isTrue(
              changes.every(({ kind, needs }) => kind === "unsupported" && isOlderThan(needs!)),
              `${field}: ${provisioned.failure}`
            )
            return
          }
          const again = yield* provision([definition], "nothing")
          assert.deepStrictEqual(actions(again), [`${definition.name} none`], JetStreamStream.formatReport(again))
          const copied = yield* provision([yield* copy], "nothing")
          assert.deepStrictEqual(actions(copied), [`${definition.name} none`], JetStreamStream.formatReport(copied))
        })
      for (const [field, options] of Object.entries(streams)) {
        const { subjects } = options
        const definition = JetStreamStream.make("S", {
          storage: "memory",
          ...(options.mirror === undefined && subjects === undefined ? { subjects: ["unused"] } : {}),
          ...options
        })
        const copy = Effect.map(run(JetStreamStream.info("S")), ({ config }) => JetStreamStream.make("S", config))
        yield* same(definition, copy, field)
        yield* Effect.ignore(run(JetStreamStream.delete("S")))
      }
      yield* rawStream(nats, "PARENT", { subjects: ["s.>"] })
      for (const [field, options] of Object.entries(consumers)) {
        const definition = JetStreamConsumer.make("PARENT", "c", options)
        const copy = Effect.map(
          run(JetStreamConsumer.info(definition)),
          ({ config }) => JetStreamConsumer.make("PARENT", "c", config)
        )
        yield* same(definition, copy, field)
        yield* Effect.ignore(run(JetStreamConsumer.delete(definition)))
      }
    }),
  30_000
)

it.live("several programs that provision the same at once all succeed", () =>
  Effect.gen(function*() {
    const { provision, run } = yield* setUp
    const reports = yield* Effect.forEach(Array.from({ length: 20 }), () => provision([Orders, Worker]), {
      concurrency: "unbounded"
    })
    assert.strictEqual(reports.length, 20)
    assert.strictEqual((yield* run(JetStreamStream.info(Orders))).state.consumers, 1)
    assert.deepStrictEqual(actions(yield* provision([Orders, Worker])), ["ORDERS none", "worker none"])
  }))

it.live("what a server refuses has its name, and what it sends back is shown without secrets", () =>
  Effect.gen(function*() {
    const { nats, provision } = yield* setUp
    yield* rawStream(nats, "OTHER", { subjects: ["orders.a"] })
    assert.strictEqual((yield* Effect.flip(provision([Orders])))._tag, "SubjectsOverlap")
    const refused = yield* Effect.flip(provision([JetStreamStream.make("S", { maxAge: "1 milli" })]))
    assert.strictEqual(refused._tag, "StreamRefused")
    yield* rawStream(nats, "NASTY", { description: "\u001b[31mred\nline" })
    const text = JetStreamStream.formatReport(
      yield* provision([JetStreamStream.make("NASTY", { description: "plain" })], "nothing")
    )
    assert.notInclude(text, "\u001b")
    assert.strictEqual(text.split("\n").length, 2)
  }))

it.live("a definition is a layer, and a service demands its streams and consumers", () =>
  Effect.gen(function*() {
    const { nats, run } = yield* setUp
    class Shop extends Context.Service<Shop, { readonly stream: string; readonly consumer: string }>()("test/Shop") {}
    const ShopLive = Layer.effect(
      Shop,
      Effect.gen(function*() {
        const stream = yield* JetStreamStream.provisioned(Orders)
        const consumer = yield* JetStreamConsumer.provisioned(Worker)
        return { stream: stream.name, consumer: consumer.name }
      })
    ).pipe(
      Layer.provide(JetStreamConsumer.layer(Worker)),
      Layer.provide(JetStreamStream.layer(Orders)),
      Layer.provide(JetStream.layer()),
      Layer.provide(Layer.succeed(NatsClient.NatsClient, nats))
    )
    const shop = yield* Effect.provide(Shop, ShopLive)
    assert.deepStrictEqual(shop, { stream: "ORDERS", consumer: "worker" })
    assert.strictEqual((yield* run(JetStreamStream.info(Orders))).name, "ORDERS")

    const lossy = JetStreamStream.layer(JetStreamStream.make("ORDERS", { maxMessages: 1 })).pipe(
      Layer.provide(JetStream.layer()),
      Layer.provide(Layer.succeed(NatsClient.NatsClient, nats))
    )
    const failed = yield* Effect.flip(Effect.scoped(Layer.build(lossy)))
    assert.strictEqual(failed._tag, "ProvisionRefused")
  }))
