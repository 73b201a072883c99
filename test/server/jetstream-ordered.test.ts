/** An ordered read: each message once, in the order of the stream, whatever happens to servers and connections. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { gather, pullsOf, readerOf, tell, upTo } from "../fixtures/gathering.ts"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const { ordered } = JetStreamConsumer
const heartbeat = "200 millis"

const store = (nats: NatsClient.NatsClient, subject: string, payload: string | Uint8Array = "x") =>
  nats.request(subject, payload)

const consumersOf = (nats: NatsClient.NatsClient) =>
  Effect.map(rawApi(nats, "CONSUMER.NAMES.S"), ({ consumers }) => (consumers ?? []) as ReadonlyArray<string>)

/** The errors of the API that the server answered, as another program sees them. */
const watchApiErrors = (nats: NatsClient.NatsClient) =>
  Effect.gen(function*() {
    const errors: Array<string> = []
    const { stream } = yield* nats.subscription("$JS.EVENT.ADVISORY.API")
    yield* Effect.forkScoped(Stream.runForEach(stream, ({ text }) =>
      Effect.sync(() => {
        if (/"error":/.test(JSON.parse(text).response)) errors.push(text)
      })))
    return errors
  })

it.live("it begins where it is told to, and leaves no consumer behind", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S", { subjects: ["s.>"], storage: "file" })
    for (const i of upTo(10)) {
      yield* store(nats, `s.${i % 3}`)
      // Their times differ.
      if (i === 5) yield* Effect.sleep("20 millis")
    }
    const at = (yield* rawApi(nats, "STREAM.MSG.GET.S", { seq: 6 }))["message"].time as string
    const sequences = (options: Partial<JetStreamConsumer.OrderedOptions>, count: number) =>
      ordered({ stream: "S", ...options }).pipe(
        Stream.take(count),
        Stream.map(({ sequence }) => sequence),
        Stream.runCollect,
        Effect.provideService(JetStream.JetStream, js)
      )
    assert.deepStrictEqual(yield* sequences({}, 10), upTo(10))
    assert.deepStrictEqual(yield* sequences({ from: { sequence: 7 } }, 4), upTo(10, 7))
    assert.deepStrictEqual(yield* sequences({ from: { time: new Date(at) } }, 5), upTo(10, 6))
    assert.deepStrictEqual(yield* sequences({ from: "last" }, 1), [10])
    assert.deepStrictEqual(yield* sequences({ from: "lastPerSubject" }, 3), [8, 9, 10])
    assert.deepStrictEqual(yield* sequences({ filter: "s.1" }, 4), [1, 4, 7, 10])
    assert.deepStrictEqual(yield* sequences({ filter: "s.*" }, 10), upTo(10))
    assert.deepStrictEqual(yield* sequences({ filter: "s.>", from: "lastPerSubject" }, 3), [8, 9, 10])
    const several = sequences({ filter: ["s.1", "s.2"] }, 7)
    if (server.version.startsWith("2.9.")) {
      assert.deepInclude(yield* Effect.flip(several), { _tag: "UnsupportedByServer", needs: "2.10" })
    } else assert.deepStrictEqual(yield* several, [1, 2, 4, 5, 7, 8, 10])
    const without = yield* ordered({ stream: "S", headersOnly: true }).pipe(
      Stream.runHead,
      Effect.provideService(JetStream.JetStream, js)
    )
    assert.deepInclude(without, { _tag: "Some" })
    const fresh = yield* Effect.forkChild(sequences({ from: "new" }, 1))
    while ((yield* consumersOf(nats)).length === 0) yield* nats.flush
    yield* store(nats, "s.0")
    assert.deepStrictEqual(yield* Fiber.join(fresh), [11])
    assert.deepStrictEqual(yield* consumersOf(nats), [])
    const missing = yield* Stream.runDrain(ordered({ stream: "none" })).pipe(
      Effect.provideService(JetStream.JetStream, js),
      Effect.flip
    )
    assert.deepInclude(missing, { _tag: "StreamNotFound", stream: "none" })
  }))

it.live("restarts, kills and reconnects are survived without a gap or a double, from wherever it began", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S", { subjects: ["s.>"], storage: "file" })
    for (const i of upTo(4)) yield* store(nats, `s.${i}`)
    // Times of the server are finer than these.
    yield* Effect.sleep("5 millis")
    const began = new Date()
    yield* Effect.sleep("5 millis")
    const read = (from: JetStreamConsumer.OrderedOptions["from"]) =>
      gather(js, ordered({ stream: "S", from, heartbeat, window: 10 }))
    const reads = [
      [yield* read("all"), 1],
      [yield* read("new"), 5],
      [yield* read("last"), 4],
      [yield* read("lastPerSubject"), 1],
      [yield* read({ sequence: 3 }), 3],
      [yield* read({ time: began }), 5]
    ] as const
    while ((yield* consumersOf(nats)).length < reads.length) yield* nats.flush
    let last = 4
    const goesOn = Effect.gen(function*() {
      for (let i = 0; i < 25; i++) yield* store(nats, "s.a")
      last += 25
      const since = performance.now()
      for (const [each, first] of reads) {
        yield* each.count(last - first + 1)
        assert.deepStrictEqual(each.sequences, upTo(last, first))
      }
      // A reader that had noticed nothing would wait until its pull is over, which takes thirty seconds.
      assert.isBelow(performance.now() - since, 10_000)
    })
    // Nothing has come yet to those that wait for what is new.
    yield* nats.reconnect
    const errors = yield* watchApiErrors(nats)
    yield* goesOn
    yield* server.restart
    yield* goesOn
    yield* server.kill
    yield* server.restart
    yield* goesOn
    yield* nats.reconnect
    yield* goesOn
    // A consumer before that is gone already is all that may be told.
    assert.deepStrictEqual(errors.filter((error) => !/\\"err_code\\":10014/.test(error)), [])
    for (const [each] of reads) yield* each.stop
    assert.deepStrictEqual(yield* consumersOf(nats), [])
  }))

it.live("a deleted consumer is made again, a deleted stream ends it", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    const read = yield* gather(js, ordered({ stream: "S", heartbeat }))
    yield* store(nats, "s.a")
    yield* read.count(1)
    for (const name of yield* consumersOf(nats)) yield* rawApi(nats, `CONSUMER.DELETE.S.${name}`)
    yield* store(nats, "s.a")
    yield* read.count(2)
    assert.deepStrictEqual(read.sequences, [1, 2])
    assert.strictEqual((yield* consumersOf(nats)).length, 1)
    yield* rawApi(nats, "STREAM.DELETE.S")
    assert.deepInclude(yield* read.failure, { _tag: "StreamNotFound", stream: "S" })
  }))

it.live("a slow reader holds one window, whatever the stream has", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S")
    const payload = new Uint8Array(1024)
    for (let i = 0; i < 20_000; i++) yield* nats.publish("s.a", payload)
    yield* store(nats, "s.a")
    const slow = yield* gather(js, ordered({ stream: "S", window: 200 }), () => Effect.never)
    yield* slow.count(1)
    const [name] = yield* consumersOf(nats)
    const deliveredOf = (consumer: string) =>
      Effect.map(rawApi(nats, `CONSUMER.INFO.S.${consumer}`), (info) =>
        info["delivered"] as { readonly consumer_seq: number; readonly stream_seq: number })
    yield* until(Effect.map(deliveredOf(name), (delivered) =>
      delivered.consumer_seq >= 200))
    // A time in which more could come.
    yield* Effect.sleep("300 millis")
    assert.deepInclude(yield* deliveredOf(name), { consumer_seq: 200, stream_seq: 200 })
    yield* slow.stop

    const large = yield* gather(js, ordered({ stream: "S", windowBytes: 10_000 }), () => Effect.never)
    yield* large.count(1)
    const [other] = yield* consumersOf(nats)
    yield* Effect.sleep("100 millis")
    assert.isAtMost((yield* deliveredOf(other)).consumer_seq, 10)
    assert.isTrue(yield* server.isRunning)
  }))

it.live("without the rights to delete and to ask it goes on all the same, and little is left behind", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({
      jetstream: true,
      users: [
        { user: "all", password: "p" },
        {
          user: "reader",
          password: "p",
          permissions: { publish: { deny: ["$JS.API.CONSUMER.DELETE.>", "$JS.API.CONSUMER.INFO.>"] } }
        }
      ]
    })
    const as = (user: string) =>
      NatsClient.make({
        servers: server.url,
        auth: { user, password: "p" },
        reconnect: { initialDelay: "10 millis" },
        logStatus: false
      } as NatsClient.Options)
    const nats = yield* as("all")
    const reader = yield* as("reader")
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, reader)
    yield* rawStream(nats, "S", { storage: "file" })
    const read = yield* gather(js, ordered({ stream: "S", heartbeat, inactiveThreshold: "1 second" }))
    for (const i of upTo(10)) {
      yield* store(nats, "s.a")
      yield* read.count(i)
      yield* reader.reconnect
    }
    yield* store(nats, "s.a")
    yield* read.count(11)
    yield* server.restart
    yield* store(nats, "s.a")
    yield* read.count(12)
    assert.deepStrictEqual(read.sequences, upTo(12))
    // The server removes them, some time after nobody has pulled from them for a second.
    yield* until(Effect.map(consumersOf(nats), ({ length }) => length <= 2))
    yield* read.stop
  }))

it.live("a read that is begun while the server restarts begins when it is back", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S", { storage: "file" })
    yield* rawApi(nats, "CONSUMER.DURABLE.CREATE.S.C", {
      stream_name: "S",
      config: { durable_name: "C", ack_policy: "explicit" }
    })
    yield* store(nats, "s.a")
    const restarting = yield* Effect.forkChild(server.restart)
    const reads = [
      yield* gather(js, ordered({ stream: "S" })),
      yield* gather(js, JetStreamConsumer.messages({ stream: "S", consumer: "C" }))
    ]
    yield* Fiber.join(restarting)
    for (const read of reads) yield* read.count(1)
    assert.deepStrictEqual(reads.map(({ sequences }) => sequences), [[1], [1]])
  }))

it.live("what was published before it could begin again is not missed, also where it has seen nothing", () =>
  Effect.gen(function*() {
    const { nats, server } = yield* withJetStream()
    const proxy = yield* TestNatsProxy.make(server)
    yield* rawStream(nats, "S")
    yield* store(nats, "s.a")
    const behind = yield* NatsClient.make({
      servers: proxy.url,
      reconnect: { initialDelay: "10 millis", maxDelay: "10 millis" },
      logStatus: false
    } as NatsClient.Options)
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, behind)
    const read = yield* gather(js, ordered({ stream: "S", from: "new", heartbeat }))
    while ((yield* consumersOf(nats)).length === 0) yield* nats.flush
    // The reader knows, too: from here on nothing new may be missed.
    yield* behind.flush
    yield* proxy.refuse
    yield* proxy.drop()
    while ((yield* behind.state)._tag === "Connected") yield* Effect.sleep("5 millis")
    yield* store(nats, "s.a")
    yield* proxy.heal
    yield* read.count(1)
    assert.deepStrictEqual(read.sequences, [2])
  }))

it.live("a message that is missing is fetched again, and what a consumer before still sends is not taken", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    // With the heartbeats of others a pause of this process could break a consumer off, too.
    const read = yield* gather(js, ordered({ stream: "S" }))
    while ((yield* consumersOf(nats)).length === 0) yield* nats.flush
    const delivery = readerOf(nats)
    const accept = delivery.accept.bind(delivery)
    const frames: Array<Parameters<typeof accept>> = []
    delivery.accept = (...frame) => {
      if (frame[3] === frame[4]) return accept(...frame)
      frames.push(frame)
      // The third is lost, and once another consumer is there the first ones of the one before come once more.
      if (frames.length === 4) { for (const old of [frames[0], frames[1]]) accept(...old) }
      if (frames.length !== 3) accept(...frame)
    }
    for (const _ of upTo(5)) yield* store(nats, "s.a")
    yield* read.count(5)
    assert.deepStrictEqual(read.sequences, upTo(5))
    // Nor does it break off the consumer of now, whatever its number is.
    const awaitOne = until(Effect.map(consumersOf(nats), ({ length }) => length === 1))
    yield* awaitOne
    const consumers = yield* consumersOf(nats)
    for (const frame of frames.slice(0, 4)) accept(...frame)
    yield* store(nats, "s.a")
    yield* read.count(6)
    yield* store(nats, "s.a")
    yield* read.count(7)
    assert.deepStrictEqual(yield* consumersOf(nats), consumers)
    assert.deepStrictEqual(read.sequences, upTo(7))
    yield* read.stop
    assert.deepStrictEqual(yield* consumersOf(nats), [])
  }))

it.live("what is unread when its client is drained is not given back: it was nobody's to acknowledge", () =>
  Effect.gen(function*() {
    const { nats, server } = yield* withJetStream()
    yield* rawStream(nats, "S")
    for (const _ of upTo(10)) yield* store(nats, "s.a")
    const acks = yield* nats.subscription("$JS.ACK.>")
    const far = yield* NatsClient.make({ servers: server.url, drainTimeout: "100 millis" })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, far)
    const read = yield* gather(js, ordered({ stream: "S", window: 10 }), () => Effect.never)
    yield* read.count(1)
    const delivery = readerOf(far)
    // One array is half a window, and the reader has it.
    yield* until(Effect.sync(() => delivery.pending > 0))
    yield* far.drain
    assert.strictEqual(delivery.pending, 0)
    yield* nats.flush
    yield* acks.drain
    assert.deepStrictEqual(yield* Stream.runCollect(acks.stream), [])
  }))

it.live("what is said of a pull before does not break off the consumer, and asks for nothing", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    yield* rawStream(nats, "S")
    const pulls = pullsOf(nats)
    yield* store(nats, "s.a")
    const read = yield* gather(js, ordered({ stream: "S" }))
    // The first one asks for what is there.
    yield* until(Effect.sync(() => pulls.length === 2))
    const consumers = yield* consumersOf(nats)
    const delivery = readerOf(nats)
    for (const status of ["408 Request Timeout", "409 Message Size Exceeds MaxBytes", "409 Leadership Change"]) {
      tell(delivery, pulls[0], status)
    }
    yield* store(nats, "s.a")
    yield* read.count(2)
    assert.deepStrictEqual(yield* consumersOf(nats), consumers)
    assert.lengthOf(pulls, 2)
    tell(delivery, pulls[1], "408 Request Timeout")
    assert.lengthOf(pulls, 3)
  }))

it.live("a consumer that nobody answers for is asked for again, and then under another name: none is left behind", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const api = yield* NatsClient.make({ servers: server.url })
    const [created, removed]: [Array<string>, Array<string>] = [[], []]
    const tidied = yield* Deferred.make<void>()
    const { stream } = yield* api.subscription("$JS.API.>")
    yield* Effect.forkScoped(Stream.runForEach(stream, (request) => {
      const [, , , what, , name] = request.subject.split(".")
      if (what === "CREATE") created.push(name)
      if (what === "DELETE" && removed.push(name) === 2) return Deferred.succeed(tidied, undefined)
      // The leader has died behind the first one, and pulls are not answered either.
      const isSilent = what === "CREATE" ? created.length === 2 || created.length === 3 : what === "MSG"
      return isSilent ? Effect.void : Effect.ignore(request.respond("{\"num_pending\":0}"))
    }))
    yield* api.flush
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const read = yield* Effect.forkScoped(
      Effect.provideService(Stream.runDrain(ordered({ stream: "S", heartbeat })), JetStream.JetStream, js)
    )
    yield* Deferred.await(tidied)
    const [first, second, , last] = created
    assert.deepStrictEqual(created.slice(0, 4), [first, second, second, last])
    assert.strictEqual(new Set(created.slice(0, 4)).size, 3)
    assert.deepStrictEqual(removed, [first, second])
    yield* Fiber.interrupt(read)
  }))

it.live("an answer that comes late counts, and what was asked for meanwhile is not left behind", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const api = yield* NatsClient.make({ servers: server.url })
    const [created, removed]: [Array<string>, Array<string>] = [[], []]
    const tidied = yield* Deferred.make<void>()
    const { stream } = yield* api.subscription("$JS.API.>")
    let late: Effect.Effect<void> = Effect.void
    let pulls = 0
    yield* Effect.forkScoped(Stream.runForEach(stream, (request) => {
      const [, , , what, , name] = request.subject.split(".")
      const answer = Effect.ignore(request.respond("{\"num_pending\":0}"))
      if (what === "DELETE" && removed.push(name) === 2) return Deferred.succeed(tidied, undefined)
      if (what === "MSG") {
        pulls++
        return Effect.void
      }
      if (what !== "CREATE") return answer
      created.push(name)
      if (created.length === 2) late = answer
      return created.length === 1 ? answer : created.length === 4 ? late : Effect.void
    }))
    yield* api.flush
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const read = yield* Effect.forkScoped(
      Effect.provideService(Stream.runDrain(ordered({ stream: "S", heartbeat: "2 seconds" })), JetStream.JetStream, js)
    )
    // Who pulls has the answer: one that is lost with the session is asked for again under the same name.
    yield* until(Effect.sync(() => pulls === 1))
    yield* nats.reconnect
    yield* Deferred.await(tidied)
    const [first, second, again, other] = created
    assert.deepStrictEqual(created, [first, second, second, other])
    assert.strictEqual(again, second)
    assert.deepStrictEqual(removed, [first, other])
    yield* Fiber.interrupt(read)
  }))

it.live("what went down with a connection is asked for under another name, and removed as soon as somebody answers", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const api = yield* NatsClient.make({ servers: server.url })
    const created: Array<string> = []
    const removed = new Map<string, number>()
    let pulls = 0
    const tidied = yield* Deferred.make<void>()
    const { stream } = yield* api.subscription("$JS.API.>")
    yield* Effect.forkScoped(Stream.runForEach(stream, (request) => {
      const [, , , what, , name] = request.subject.split(".")
      const answer = Effect.ignore(request.respond("{\"num_pending\":0}"))
      if (what === "CREATE") return created.push(name) === 2 ? Effect.void : answer
      if (what === "MSG") {
        pulls++
        return Effect.void
      }
      if (what !== "DELETE") return answer
      // The first time nobody answers.
      removed.set(name, (removed.get(name) ?? 0) + 1)
      if (removed.get(name) === 1) return Effect.void
      return [...removed.values()].join() === "2,2"
        ? Effect.andThen(answer, Deferred.succeed(tidied, undefined))
        : answer
    }))
    yield* api.flush
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const read = yield* Effect.forkScoped(
      Effect.provideService(Stream.runDrain(ordered({ stream: "S" })), JetStream.JetStream, js)
    )
    // The first one is there for sure, as it is pulled from; the second one goes down without an answer.
    yield* until(Effect.sync(() => pulls === 1))
    yield* nats.reconnect
    yield* until(Effect.sync(() => created.length === 2))
    yield* nats.reconnect
    yield* Deferred.await(tidied)
    assert.strictEqual(new Set(created).size, 3)
    assert.deepStrictEqual([...removed.keys()], created.slice(0, 2))
    yield* Fiber.interrupt(read)
  }))
