/** Definitions and lists against the API of another domain, of a cluster, and of what only says that it is one. */
import { assert, it } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamError, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { isBefore } from "../../src/jetstream/internal/needs.ts"

const provided = (nats: NatsClient.NatsClient, options: JetStream.Options) =>
  Effect.map(
    Effect.provideService(JetStream.make(options), NatsClient.NatsClient, nats),
    (js) => Effect.provideService(JetStream.JetStream, js)
  )

it.live("a server of another domain, whose version nobody knows before, is found out by its answer", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: { domain: "hub" } })
    const nats = yield* NatsClient.make({ servers: server.url })
    const run = yield* provided(nats, { domain: "hub" })
    const New = JetStreamStream.make("NEW", { subjects: ["new"], storage: "memory", ttl: true, metadata: { a: "b" } })
    const Old = JetStreamConsumer.make(New, "old", { metadata: { a: "b" }, filter: ["a", "b"] })
    const result = yield* Effect.result(run(JetStreamStream.provision([New])))
    if (!isBefore(server.version, "2.11")) {
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual((yield* run(JetStreamStream.info(New))).domain, "hub")
      return
    }
    assert.strictEqual(result._tag, "Failure")
    if (result._tag === "Failure") {
      assert.instanceOf(result.failure, JetStreamError.ProvisionRefused)
      const { changes, report } = result.failure as JetStreamError.ProvisionRefused
      const dropped = isBefore(server.version, "2.10") ? ["metadata", "ttl"] : ["ttl"]
      assert.sameMembers(changes.map(({ field }) => field), dropped)
      assert.isTrue(changes.every(({ kind }) => kind === "unsupported"))
      assert.isTrue(report.entries[0]!.done)
      assert.include(result.failure.message, "needs nats-server 2.11")
    }
    const created = yield* Effect.flip(run(JetStreamStream.create(JetStreamStream.make("NEWER", New.options))))
    assert.strictEqual(created._tag, "SubjectsOverlap")
    yield* run(JetStreamStream.delete(New))
    const dropped = yield* Effect.flip(run(JetStreamStream.create(New)))
    assert.strictEqual(dropped._tag, "UnsupportedByServer")
    if (isBefore(server.version, "2.10")) {
      assert.strictEqual((yield* Effect.flip(run(JetStreamConsumer.create(Old))))._tag, "UnsupportedByServer")
    }
  }))

it.live("in a cluster a definition with replicas is kept, and where they are is told", () =>
  Effect.gen(function*() {
    const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
    const nats = yield* NatsClient.make({ servers: servers.map(({ url }) => url) })
    // An election can take longer than the five seconds of one that is given no time.
    const run = yield* provided(nats, { timeout: "20 seconds" })
    const Orders = JetStreamStream.make("ORDERS", { subjects: ["orders.>"], replicas: 3, storage: "memory" })
    const Worker = JetStreamConsumer.make(Orders, "worker", { maxAckPending: 10 })
    // The leader of a new cluster refuses replicas until it has the numbers of all peers, which no monitoring port tells.
    const provisioned = run(JetStreamStream.provision([Orders, Worker]))
    yield* Effect.retry(provisioned, {
      schedule: Schedule.spaced("50 millis"),
      while: (error) => error._tag === "ResourcesExceeded" && error.errCode === 10005
    })
    const again = yield* provisioned
    assert.deepStrictEqual(again.entries.map(({ action }) => action), ["none", "none"])
    const { cluster } = yield* run(JetStreamStream.info(Orders))
    assert.strictEqual(cluster?.replicas.length, 2)
    const fewer = yield* run(JetStreamStream.provision([JetStreamStream.make("ORDERS", { replicas: 1 })]))
    assert.deepStrictEqual(fewer.entries[0]!.changes.map(({ field, kind }) => [field, kind]), [["replicas", "inPlace"]])
  }), 60_000)

/** Answers requests to an API of its own, by their names. */
const pretending = Effect.fnUntraced(function*(
  answer: (name: string, body: { readonly offset?: number }, count: number) => object
) {
  const server = yield* TestNatsServer.make({ jetstream: true })
  const nats = yield* NatsClient.make({ servers: server.url })
  const asked: Array<string> = []
  yield* nats.subscription("FAKE.>").pipe(
    Effect.flatMap(({ stream }) =>
      Effect.forkScoped(Stream.runForEach(stream, (message) => {
        const name = message.subject.slice("FAKE.".length)
        if (name === "INFO") return Effect.ignore(message.respond("{}"))
        asked.push(name)
        const body = message.text === "" ? {} : JSON.parse(message.text) as { readonly offset?: number }
        return Effect.ignore(message.respond(JSON.stringify(answer(name, body, asked.length))))
      }))
    )
  )
  return { asked, run: yield* provided(nats, { apiPrefix: "FAKE" }) }
})

it.live("a list whose page fails fails, and so does one that is not of all servers", () =>
  Effect.gen(function*() {
    const { run } = yield* pretending((name, _, count) =>
      name === "STREAM.NAMES"
        ? count === 1
          ? { streams: Array.from({ length: 1024 }, (_, index) => `S${index}`), total: 1100, offset: 0 }
          : { error: { code: 503, err_code: 10008, description: "JetStream system temporarily unavailable" } }
        : { streams: [], missing: ["ORDERS"], total: 1 }
    )
    const names = yield* Effect.flip(run(Stream.runDrain(JetStreamStream.names())))
    assert.strictEqual(names._tag, "JetStreamUnavailable")
    const list = yield* Effect.flip(run(Stream.runDrain(JetStreamStream.list())))
    assert.strictEqual(list._tag, "JetStreamUnavailable")
    assert.include(list.message, "ORDERS")
  }))

it.live("a list comes to its end whatever is answered", () =>
  Effect.gen(function*() {
    // The same page again and again, of a list that is said to be long.
    const stuck = yield* pretending(() => ({ streams: ["A", "B"], total: 100 }))
    assert.deepStrictEqual(yield* stuck.run(Stream.runCollect(JetStreamStream.names())), ["A", "B"])
    assert.isBelow(stuck.asked.length, 200)
    // Other elements on each page, whatever was asked for: it goes back, but not for ever.
    const moving = yield* pretending((_, __, count) => ({ streams: [`A${count}`, `B${count}`], total: 20 }))
    const found = yield* moving.run(Stream.runCollect(JetStreamStream.names()))
    assert.strictEqual(new Set(found).size, found.length)
    assert.isBelow(moving.asked.length, 200)
    const broken = yield* pretending(() => ({ streams: "A", total: 1 }))
    assert.strictEqual(
      (yield* Effect.flip(broken.run(Stream.runDrain(JetStreamStream.names()))))._tag,
      "InvalidAnswer"
    )
  }))

it.live("an answer without a configuration, and a stream that goes while it is provisioned, fail typed", () =>
  Effect.gen(function*() {
    const bare = yield* pretending(() => ({ type: "io.nats" }))
    assert.strictEqual((yield* Effect.flip(bare.run(JetStreamStream.info("S"))))._tag, "InvalidAnswer")
    // It is there whenever one looks, and gone whenever one updates.
    const gone = yield* pretending((name) =>
      name.startsWith("STREAM.INFO")
        ? { config: { name: "S", max_msgs: 5 } }
        : { error: { code: 404, err_code: 10059, description: "stream not found" } }
    )
    const S = JetStreamStream.make("S", { maxMessages: 10 })
    assert.strictEqual((yield* Effect.flip(gone.run(JetStreamStream.provision([S]))))._tag, "ProvisionRefused")
    assert.isBelow(gone.asked.length, 10)
  }))

it.live("subjects are counted on all pages, and an error of another request is no defect", () =>
  Effect.gen(function*() {
    const many = yield* pretending((_, { offset = 0 }) => ({
      config: { name: "S" },
      total: 5,
      offset,
      limit: 2,
      state: {
        messages: 5,
        subjects: Object.fromEntries([0, 1].map((each) => [`s.${offset + each}`, 1]).slice(0, 5 - offset))
      }
    }))
    const { state } = yield* many.run(JetStreamStream.info("S", { subjects: ">" }))
    assert.deepStrictEqual([...state.subjects!.keys()], ["s.0", "s.1", "s.2", "s.3", "s.4"])
    assert.strictEqual(many.asked.length, 3)

    for (const [errCode, description] of [[10059, "stream not found"], [10014, "consumer not found"]] as const) {
      const wrong = yield* pretending(() => ({ error: { code: 404, err_code: errCode, description } }))
      const stream = yield* Effect.flip(wrong.run(JetStreamStream.create(JetStreamStream.make("S"))))
      assert.oneOf(stream._tag, ["InvalidAnswer", "JetStreamApiError"])
      const consumer = yield* Effect.flip(wrong.run(JetStreamConsumer.create(JetStreamConsumer.make("S", "c"))))
      assert.oneOf(consumer._tag, ["InvalidAnswer", "StreamNotFound"])
    }
  }))

it.live("what somebody else creates meanwhile is judged anew", () =>
  Effect.gen(function*() {
    const error = (errCode: number) => ({ error: { code: 400, err_code: errCode, description: "refused" } })
    const raced = yield* pretending((name, _, count) => {
      if (count === 1) return error(10059)
      if (name.startsWith("STREAM.CREATE")) return error(10058)
      return { config: { name: "S", max_msgs: name.startsWith("STREAM.UPDATE") ? 10 : 5 } }
    })
    const S = JetStreamStream.make("S", { maxMessages: 10 })
    const { entries } = yield* raced.run(JetStreamStream.provision([S]))
    assert.deepStrictEqual(entries.map(({ action, done }) => [action, done]), [["update", true]])
    assert.deepStrictEqual(raced.asked, ["STREAM.INFO.S", "STREAM.CREATE.S", "STREAM.INFO.S", "STREAM.UPDATE.S"])
    // And refused where that is not allowed.
    const lossy = yield* pretending((name, _, count) => {
      if (count === 1) return error(10059)
      return name.startsWith("STREAM.CREATE") ? error(10058) : { config: { name: "S", max_msgs: 50 } }
    })
    const refused = yield* Effect.flip(lossy.run(JetStreamStream.provision([S])))
    assert.strictEqual(refused._tag, "ProvisionRefused")
  }))
