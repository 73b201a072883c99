/** Streams: created, changed, listed, read and deleted, on whichever server the suite runs. */
import { assert, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { DateTime, Duration, Effect, Option, Stream } from "effect"
import type { NatsClient } from "effect-nats"
import { JetStream, JetStreamStream } from "effect-nats/jetstream"
import { isBefore } from "../../src/jetstream/internal/needs.ts"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const setUp = Effect.gen(function*() {
  const { js, nats, server } = yield* withJetStream()
  const isOlderThan = (version: string) => isBefore(server.version, version)
  return { nats, server, js, isOlderThan, run: Effect.provideService(JetStream.JetStream, js) }
})

/** The limit of what has thousands of them, one behind the other: each is a turn of two processes on a busy machine. */
const manyRoundTrips = 60_000

const collect = <A, E>(stream: Stream.Stream<A, E, JetStream.JetStream>, js: JetStream.JetStream) =>
  Effect.provideService(Stream.runCollect(stream), JetStream.JetStream, js)

/** Published one by one, so that their sequences are known. */
const publish = (nats: NatsClient.NatsClient, ...subjects: ReadonlyArray<string>) =>
  Effect.forEach(subjects, (subject) => nats.request(subject, `of ${subject}`), { discard: true })

const Orders = JetStreamStream.make("ORDERS", { subjects: ["orders.>"], storage: "memory", maxAge: "7 days" })

it.live("a stream is created once, taken for it where it is the same, and what differs is named", () =>
  Effect.gen(function*() {
    const { run } = yield* setUp
    const created = yield* run(JetStreamStream.create(Orders))
    assert.strictEqual(created.name, "ORDERS")
    assert.deepStrictEqual(created.config.subjects, ["orders.>"])
    assert.isTrue(Duration.equals(created.config.maxAge, Duration.days(7)))
    assert.strictEqual(created.config.maxMessages, "unlimited")
    assert.isTrue(DateTime.isDateTime(created.created))
    yield* run(JetStreamStream.create(Orders))

    const other = JetStreamStream.make("ORDERS", { ...Orders.options, maxAge: "1 day", description: "other" })
    const exists = yield* Effect.flip(run(JetStreamStream.create(other)))
    assert.strictEqual(exists._tag, "StreamExists")
    if (exists._tag === "StreamExists") assert.sameMembers([...exists.differences], ["maxAge", "description"])
    assert.include(exists.message, "maxAge")

    const overlap = yield* Effect.flip(
      run(JetStreamStream.create(JetStreamStream.make("B", { subjects: ["orders.a"] })))
    )
    assert.strictEqual(overlap._tag, "SubjectsOverlap")
    const refused = yield* Effect.flip(run(JetStreamStream.create(JetStreamStream.make("B", { maxAge: "5 millis" }))))
    assert.strictEqual(refused._tag, "StreamRefused")
    const replicas = yield* Effect.flip(run(JetStreamStream.create(JetStreamStream.make("B", { replicas: 3 }))))
    assert.strictEqual(replicas._tag, "StreamRefused")
  }))

it.live("an update changes what is declared and keeps the rest", () =>
  Effect.gen(function*() {
    const { run } = yield* setUp
    yield* run(JetStreamStream.create(Orders))
    const updated = yield* run(
      JetStreamStream.update(JetStreamStream.make("ORDERS", { maxMessages: 10, allowDirect: true }))
    )
    assert.strictEqual(updated.config.maxMessages, 10)
    assert.isTrue(updated.config.allowDirect)
    assert.deepStrictEqual(updated.config.subjects, ["orders.>"])
    assert.isTrue(Duration.equals(updated.config.maxAge, Duration.days(7)))
    const storage = yield* Effect.flip(run(JetStreamStream.update(JetStreamStream.make("ORDERS", { storage: "file" }))))
    assert.strictEqual(storage._tag, "StreamRefused")
    const missing = yield* Effect.flip(run(JetStreamStream.update(JetStreamStream.make("NONE", {}))))
    assert.strictEqual(missing._tag, "StreamNotFound")
  }))

it.live("durations and sizes are read back as they were written, also those that fit no double", () =>
  Effect.gen(function*() {
    const { run } = yield* setUp
    const long = Duration.nanos(9_000_000_000_000_000_001n)
    const Precise = JetStreamStream.make("PRECISE", {
      storage: "memory",
      maxAge: long,
      duplicateWindow: "100.000001 millis",
      maxBytes: "1.5 MiB",
      maxMessageSize: "1 KiB"
    })
    const created = yield* run(JetStreamStream.create(Precise))
    assert.deepStrictEqual(Duration.toNanos(created.config.maxAge), Option.some(9_000_000_000_000_000_001n))
    assert.deepStrictEqual(Duration.toNanos(created.config.duplicateWindow!), Option.some(100_000_001n))
    assert.strictEqual(created.config.maxBytes, 1_572_864)
    assert.strictEqual(created.config.maxMessageSize, 1024)
    // What an update sends for the fields that it does not declare.
    const updated = yield* run(JetStreamStream.update(JetStreamStream.make("PRECISE", { description: "precise" })))
    assert.deepStrictEqual(Duration.toNanos(updated.config.maxAge), Option.some(9_000_000_000_000_000_001n))
  }))

it.live("a value that rounds to nothing or does not fit the wire is refused, and nothing is sent", () =>
  Effect.gen(function*() {
    const { nats, run } = yield* setUp
    const sent = (yield* nats.stats).messagesOut
    for (
      const [options, field] of [
        [{ maxAge: "0.0001 nanos" }, "maxAge"],
        [{ maxAge: 0 }, "maxAge"],
        [{ maxAge: "300 weeks", duplicateWindow: "Infinity" }, "duplicateWindow"],
        [{ maxAge: Duration.days(365 * 300) }, "maxAge"],
        [{ maxBytes: "0 GiB" }, "maxBytes"],
        [{ maxBytes: "0.3 B" }, "maxBytes"],
        [{ maxBytes: "9000000 TiB" }, "maxBytes"],
        [{ maxMessageSize: "2 GiB" }, "maxMessageSize"],
        [{ maxMessages: 0 }, "maxMessages"],
        [{ maxMessages: 1.5 }, "maxMessages"],
        [{ replicas: 6 }, "replicas"],
        [{ consumerLimits: { inactiveThreshold: "0 millis" } }, "consumerLimits.inactiveThreshold"],
        [{ metadata: { "_nats.x": "" } }, "metadata._nats.x"],
        [{ deleteMarkerTtl: "1 minute", ttl: false }, "ttl"],
        [{ sources: [{ name: "a.b" }] }, "sources[0].name"],
        [{ storage: "tape" }, "storage"],
        [{ max_age: 5 }, "max_age"]
      ] as ReadonlyArray<readonly [JetStreamStream.StreamOptions, string]>
    ) {
      const error = yield* Effect.flip(run(JetStreamStream.create(JetStreamStream.make("S", options))))
      assert.strictEqual(error._tag, "InvalidDefinition", JSON.stringify(options, (_, value) => String(value)))
      if (error._tag === "InvalidDefinition") assert.strictEqual(error.field, field)
      assert.include(error.message, field)
    }
    const subjects: string = "orders..x"
    const invalid = yield* Effect.flip(run(JetStreamStream.create(JetStreamStream.make("S", { subjects: [subjects] }))))
    assert.strictEqual(invalid._tag, "InvalidSubject")
    assert.strictEqual((yield* nats.stats).messagesOut, sent)
  }))

it.live("a name that no server can take is refused by every operation, and nothing is sent", () =>
  Effect.gen(function*() {
    const { nats, run } = yield* setUp
    const sent = (yield* nats.stats).messagesOut
    const name: string = "a.b"
    const all: ReadonlyArray<
      Effect.Effect<unknown, { readonly _tag: string; readonly message: string }, JetStream.JetStream>
    > = [
      JetStreamStream.create(JetStreamStream.make(name)),
      JetStreamStream.update(JetStreamStream.make(name)),
      JetStreamStream.provision([JetStreamStream.make(name)]),
      JetStreamStream.info(name),
      JetStreamStream.purge(name),
      JetStreamStream.delete(name),
      JetStreamStream.deleteMessage(name, 1),
      JetStreamStream.get(name, { sequence: 1 }),
      Stream.runDrain(JetStreamStream.getMany(name)),
      Stream.runDrain(JetStreamStream.lastPerSubject(name, ">"))
    ]
    for (const operation of all) {
      const error = yield* Effect.flip(run(operation))
      assert.strictEqual(error._tag, "InvalidName")
      assert.include(error.message, "\".\"")
    }
    assert.strictEqual((yield* nats.stats).messagesOut, sent)
  }))

it.live("lists give each of 1,100 streams once, and those of a subject alone", () =>
  Effect.gen(function*() {
    const { js, nats, run } = yield* setUp
    const names = Array.from({ length: 1100 }, (_, index) => `S${index}`)
    yield* Effect.forEach(names, (name) => rawStream(nats, name), { concurrency: 64, discard: true })
    assert.deepStrictEqual([...yield* collect(JetStreamStream.names(), js)].toSorted(), names.toSorted())
    const listed = yield* collect(JetStreamStream.list(), js)
    assert.deepStrictEqual(listed.map(({ name }) => name).toSorted(), names.toSorted())
    assert.deepStrictEqual(listed[0]!.config.subjects, [`${listed[0]!.name.toLowerCase()}.>`])
    assert.deepStrictEqual(yield* collect(JetStreamStream.names({ subject: "s77.x" }), js), ["S77"])
    assert.deepStrictEqual((yield* collect(JetStreamStream.list({ subject: "s77.>" }), js)).map(({ name }) => name), [
      "S77"
    ])
    assert.deepStrictEqual(yield* run(JetStreamStream.nameBySubject("s5.a")), Option.some("S5"))
    assert.deepStrictEqual(yield* run(JetStreamStream.nameBySubject("none.a")), Option.none())
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.nameBySubject("s5.*"))))._tag, "InvalidSubject")
  }), manyRoundTrips)

it.live(
  "streams that are created and deleted between the pages make no list endless, and hide no other",
  () =>
    Effect.gen(function*() {
      const { js, nats, run } = yield* setUp
      const names = Array.from({ length: 600 }, (_, index) => `M${1000 + index}`)
      yield* Effect.forEach(names, (name) => rawStream(nats, name), { concurrency: 64, discard: true })
      let page = 0
      const seen: Array<string> = []
      yield* JetStreamStream.list().pipe(
        Stream.chunks,
        Stream.runForEach((chunk) =>
          Effect.gen(function*() {
            seen.push(...chunk.map(({ name }) => name))
            page++
            // The first ones go, so that all others move forward.
            if (page === 1) yield* Effect.forEach(names.slice(0, 50), (name) => run(JetStreamStream.delete(name)))
            yield* rawStream(nats, `N${page}`)
          })
        ),
        Effect.provideService(JetStream.JetStream, js)
      )
      assert.strictEqual(new Set(seen).size, seen.length)
      assert.includeMembers(seen, names)
    }),
  manyRoundTrips
)

it.live("subjects are counted, the deleted are listed, and a message is read by sequence, as the last and as the next", () =>
  Effect.gen(function*() {
    const { nats, run } = yield* setUp
    for (const allowDirect of [false, true]) {
      yield* run(JetStreamStream.create(JetStreamStream.make("ORDERS", { ...Orders.options, allowDirect })))
      yield* publish(nats, "orders.a", "orders.b", "orders.a", "orders.c")
      yield* nats.request("orders.h", new Uint8Array([0, 255, 10]), { headers: { Kind: ["x", "y"] } })
      yield* run(JetStreamStream.deleteMessage(Orders, 2))

      const { state } = yield* run(JetStreamStream.info(Orders, { subjects: "orders.*", deletedDetails: true }))
      assert.strictEqual(state.messages, 4)
      assert.strictEqual(state.lastSequence, 5)
      assert.strictEqual(state.deletedCount, 1)
      assert.deepStrictEqual(state.deleted, [2])
      assert.deepStrictEqual(Object.fromEntries(state.subjects!), { "orders.a": 2, "orders.c": 1, "orders.h": 1 })
      assert.isUndefined((yield* run(JetStreamStream.info(Orders))).state.subjects)

      for (const consistent of [true, false]) {
        const third = yield* run(JetStreamStream.get(Orders, { sequence: 3 }, { consistent }))
        assert.deepInclude({ ...third }, { stream: "ORDERS", subject: "orders.a", sequence: 3, text: "of orders.a" })
        assert.isBelow(Math.abs(third.timestampMillis - Date.now()), 60_000)
        assert.strictEqual(BigInt(third.timestampMillis), third.timestampNanos / 1_000_000n)
        const last = yield* run(JetStreamStream.get(Orders, { last: "orders.a" }, { consistent }))
        assert.strictEqual(last.sequence, 3)
        const next = yield* run(JetStreamStream.get(Orders, { next: "orders.*", from: 2 }, { consistent }))
        assert.strictEqual(next.sequence, 3)
        const bytes = yield* run(JetStreamStream.get(Orders, { last: "orders.h" }, { consistent }))
        assert.deepStrictEqual([...bytes.data], [0, 255, 10])
        assert.deepStrictEqual(bytes.headers["Kind"], ["x", "y"])
        assert.deepStrictEqual(Object.keys(bytes.headers), ["Kind"])
        const missing = yield* Effect.flip(run(JetStreamStream.get(Orders, { sequence: 2 }, { consistent })))
        assert.strictEqual(missing._tag, "MessageNotFound")
        const none = yield* Effect.flip(run(JetStreamStream.get(Orders, { last: "orders.none" }, { consistent })))
        assert.strictEqual(none._tag, "MessageNotFound")
      }
      yield* run(JetStreamStream.delete(Orders))
    }
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.get("NONE", { sequence: 1 }))))._tag, "StreamNotFound")
  }))

it.live("a stream that is no longer read directly is read from its leader", () =>
  Effect.gen(function*() {
    const { nats, run } = yield* setUp
    yield* run(JetStreamStream.create(JetStreamStream.make("ORDERS", { ...Orders.options, allowDirect: true })))
    yield* publish(nats, "orders.a")
    assert.strictEqual((yield* run(JetStreamStream.get(Orders, { sequence: 1 }))).sequence, 1)
    // By somebody else, so that nothing here knows.
    yield* rawApi(nats, "STREAM.UPDATE.ORDERS", { name: "ORDERS", subjects: ["orders.>"], storage: "memory" })
    const read = run(JetStreamStream.get(Orders, { sequence: 1 }))
    // 2.9 says nothing at all: it is asked otherwise when the time of an answer is over, which are ten seconds.
    assert.strictEqual((yield* read).sequence, 1)
  }), 30_000)

it.live(
  "many messages are read in their order up to the last one that was there, in batches and one by one",
  () =>
    Effect.gen(function*() {
      const { isOlderThan, js, nats, run } = yield* setUp
      for (const allowDirect of [false, true]) {
        yield* run(JetStreamStream.create(JetStreamStream.make("ORDERS", { ...Orders.options, allowDirect })))
        yield* Effect.forEach(
          Array.from({ length: 599 }, (_, index) => `orders.${index % 3}`),
          (subject) => nats.publish(subject, subject),
          { discard: true }
        )
        // Its answer says that those before it are stored, which a flush does not.
        yield* nats.request("orders.2", "orders.2")
        const sequences = (options?: JetStreamStream.GetManyOptions) =>
          Effect.map(
            collect(JetStreamStream.getMany(Orders, options), js),
            (messages) => messages.map(({ sequence }) => sequence)
          )
        const all = Array.from({ length: 600 }, (_, index) => index + 1)
        assert.deepStrictEqual(yield* sequences(), all)
        assert.deepStrictEqual(yield* sequences({ from: 500 }), all.slice(499))
        assert.deepStrictEqual(yield* sequences({ from: 3, limit: 300 }), all.slice(2, 302))
        assert.deepStrictEqual(yield* sequences({ subject: "orders.1" }), all.filter((each) => each % 3 === 2))
        assert.deepStrictEqual(yield* sequences({ subject: "orders.none" }), [])
        assert.deepStrictEqual(yield* sequences({ from: 601 }), [])

        const last = yield* Effect.exit(collect(JetStreamStream.lastPerSubject(Orders, "orders.*"), js))
        if (isOlderThan("2.11") || !allowDirect) {
          assert.strictEqual(last._tag, "Failure")
          assert.include(String(last), isOlderThan("2.11") ? "UnsupportedByServer" : "InvalidAnswer")
        } else {
          assert.strictEqual(last._tag, "Success")
          if (last._tag === "Success") {
            assert.deepStrictEqual(last.value.map(({ subject }) => subject), ["orders.0", "orders.1", "orders.2"])
            assert.deepStrictEqual(last.value.map(({ sequence }) => sequence), [598, 599, 600])
          }
        }
        yield* run(JetStreamStream.delete(Orders))
      }
    }),
  manyRoundTrips
)

it.live("purging takes what it is told and says how much; what is denied or sealed is refused by name", () =>
  Effect.gen(function*() {
    const { nats, run } = yield* setUp
    yield* run(JetStreamStream.create(Orders))
    yield* publish(nats, "orders.a", "orders.b", "orders.a", "orders.a", "orders.b")
    assert.strictEqual(yield* run(JetStreamStream.purge(Orders, { filter: "orders.a", keep: 1 })), 2)
    assert.strictEqual(yield* run(JetStreamStream.purge(Orders, { upTo: 4 })), 1)
    yield* run(JetStreamStream.deleteMessage(Orders, 4, { secure: true }))
    const again = yield* Effect.flip(run(JetStreamStream.deleteMessage(Orders, 4)))
    assert.strictEqual(again._tag, "MessageNotFound")
    assert.strictEqual(yield* run(JetStreamStream.purge(Orders)), 1)

    yield* publish(nats, "orders.a")
    yield* run(JetStreamStream.update(JetStreamStream.make("ORDERS", { denyPurge: true, denyDelete: true })))
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.purge(Orders))))._tag, "PurgeRefused")
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.deleteMessage(Orders, 6))))._tag, "DeleteRefused")
    yield* run(JetStreamStream.update(JetStreamStream.make("ORDERS", { sealed: true })))
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.purge(Orders))))._tag, "StreamSealed")
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.deleteMessage(Orders, 6))))._tag, "StreamSealed")

    yield* run(JetStreamStream.delete(Orders))
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.delete(Orders))))._tag, "StreamNotFound")
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.purge(Orders))))._tag, "StreamNotFound")
    assert.strictEqual((yield* Effect.flip(run(JetStreamStream.info(Orders))))._tag, "StreamNotFound")
  }))

it.live("a field that the server does not know is refused before anything is sent", () =>
  Effect.gen(function*() {
    const { isOlderThan, run } = yield* setUp
    for (
      const [needs, options, field] of [
        ["2.10", { compression: "s2", storage: "file" }, "compression"],
        ["2.10", { metadata: { a: "b" } }, "metadata"],
        ["2.11", { ttl: true }, "ttl"],
        ["2.12", { atomicBatch: true }, "atomicBatch"],
        ["2.12", { counter: true }, "counter"],
        ["2.14", { fastBatch: true }, "fastBatch"]
      ] as ReadonlyArray<readonly [string, JetStreamStream.StreamOptions, string]>
    ) {
      const definition = JetStreamStream.make("NEW", { storage: "memory", ...options })
      const created = yield* Effect.result(run(JetStreamStream.create(definition)))
      if (isOlderThan(needs)) {
        assert.strictEqual(created._tag, "Failure")
        if (created._tag === "Failure") {
          assert.strictEqual(created.failure._tag, "UnsupportedByServer")
          assert.deepInclude({ ...created.failure }, { feature: field, needs })
        }
        assert.strictEqual((yield* Effect.flip(run(JetStreamStream.info("NEW"))))._tag, "StreamNotFound")
      } else {
        assert.strictEqual(created._tag, "Success")
        yield* run(JetStreamStream.delete("NEW"))
      }
    }
  }))

it.live("the official library reads what was created here, and the other way round", () =>
  Effect.gen(function*() {
    const { nats, run, server } = yield* setUp
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() => connect({ servers: server.url })),
      (open) => Effect.promise(() => open.close())
    )
    const jsm = yield* Effect.promise(() => jetstreamManager(connection))
    yield* run(JetStreamStream.create(JetStreamStream.make("OURS", {
      ...Orders.options,
      subjects: ["orders.>"],
      maxBytes: "10 MiB",
      republish: { source: "orders.>", destination: "again.>" },
      discard: "new"
    })))
    const ours = yield* Effect.promise(() => jsm.streams.info("OURS"))
    assert.strictEqual(ours.config.max_age, 7 * 24 * 3_600 * 1e9)
    assert.strictEqual(ours.config.max_bytes, 10 * 1024 * 1024)
    assert.strictEqual(ours.config.discard, "new")
    assert.deepInclude(ours.config.republish, { src: "orders.>", dest: "again.>" })

    yield* Effect.promise(() =>
      jsm.streams.add({
        name: "THEIRS",
        subjects: ["theirs.>"],
        max_age: 60e9,
        max_msgs_per_subject: 5,
        allow_direct: true
      })
    )
    yield* publish(nats, "theirs.a")
    const theirs = yield* run(JetStreamStream.info("THEIRS"))
    assert.isTrue(Duration.equals(theirs.config.maxAge, Duration.minutes(1)))
    assert.strictEqual(theirs.config.maxMessagesPerSubject, 5)
    assert.strictEqual(theirs.config.storage, "file")
    const same = yield* run(JetStreamStream.provision([JetStreamStream.make("THEIRS", theirs.config)]))
    assert.strictEqual(same.entries[0]!.action, "none")
  }))
