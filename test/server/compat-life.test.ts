/** A connection over a client through the life of both: outages, credentials that change, their ends. */
import { assert, it } from "@effect/vitest"
import { AckPolicy, type ConsumerInfo, jetstream, jetstreamManager } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import { errors, nanos, type Status } from "@nats-io/nats-core"
import { Effect, Exit, Layer, Logger, References, Scope, Stream, Tracer } from "effect"
import { NatsClient } from "effect-nats"
import { NatsConnection } from "effect-nats/compat"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { follow, oneTurn, until } from "../fixtures/following.ts"
import { keepSpans } from "../fixtures/keptSpans.ts"
import { connectCompat } from "../fixtures/recordedConnection.ts"
import { rejection, thrown } from "../fixtures/thrown.ts"

const quick = { initialDelay: "20 millis", maxDelay: "100 millis" } as const

/** Statuses as they come, as words. */
const told = (statuses: AsyncIterable<Status>): ReadonlyArray<string> => {
  const words: Array<string> = []
  void (async () => {
    for await (const status of statuses) words.push(status.type === "error" ? status.error.name : status.type)
    words.push("ended")
  })()
  return words
}

const acknowledged = ({ ack_floor: { stream_seq: sequence } }: ConsumerInfo): number => sequence

/** Keeps the texts that come to a subject, from now on. */
const keep = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, subject: string, texts: Array<string>) {
  const { stream } = yield* nats.subscription(subject)
  yield* stream.pipe(
    Stream.runForEach(({ text }) => Effect.sync(() => texts.push(text))),
    Effect.forkScoped({ startImmediately: true })
  )
})

it.live(
  "through restarts: what is consumed and watched goes on, a publish waits, an ack is sent later",
  () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { missing, nats, nc } = yield* connectCompat({ servers: server.url, reconnect: quick })
      const status = yield* follow(nats)
      const words = told(nc.status())
      const jsm = yield* Effect.promise(() => jetstreamManager(nc))
      // As long for each that waits for a server as for those that say so.
      const js = jetstream(nc, { timeout: 10_000 })
      // A server that goes away can forget an acknowledgement: at least once.
      const texts = new Set<string>()
      const watched: Array<string> = []
      const consumer = yield* Effect.promise(async () => {
        await jsm.streams.add({ name: "ORDERS", subjects: ["orders.>"] })
        await jsm.consumers.add("ORDERS", {
          durable_name: "all",
          ack_policy: AckPolicy.Explicit,
          // What a server has forgotten comes again.
          ack_wait: nanos(1000)
        })
        await jsm.consumers.add("ORDERS", { durable_name: "one", ack_policy: AckPolicy.Explicit })
        const consumer = await js.consumers.get("ORDERS", "all")
        await js.publish("orders.a", "held")
        return consumer
      })
      const one = yield* Effect.promise(() => js.consumers.get("ORDERS", "one"))
      const held = yield* Effect.promise(() => one.next())
      const kv = yield* Effect.promise(() => new Kvm(js).create("config"))
      yield* Effect.promise(async () => {
        const watch = await kv.watch()
        void (async () => {
          for await (const entry of watch) watched.push(entry.string())
        })()
        const messages = await consumer.consume({ max_messages: 50, expires: 2000, idle_heartbeat: 500 })
        void (async () => {
          for await (const message of messages) {
            texts.add(message.string())
            message.ack()
          }
        })()
      })
      const expected: Array<string> = ["held"]
      for (let round = 0; round < 3; round++) {
        yield* round === 2 ? server.kill : server.stop
        yield* status.seen("Disconnected", round + 1)
        if (round === 0) held!.ack()
        const publishing = Array.from({ length: 50 }, (_, i) => {
          expected.push(`${round}.${i}`)
          return js.publish("orders.a", `${round}.${i}`, { timeout: 10_000 })
        })
        const putting = kv.put("round", String(round), undefined)
        yield* server.restart
        yield* Effect.promise(() => Promise.all([...publishing, putting]))
        if (round === 0) yield* until(Effect.map(Effect.promise(() => one.info()), (info) => acknowledged(info) === 1))
        while (texts.size < expected.length || watched.length <= round) yield* oneTurn
      }
      assert.sameMembers([...texts], expected)
      assert.deepStrictEqual(watched, ["0", "1", "2"])
      yield* until(Effect.map(Effect.promise(() => consumer.info()), (info) => acknowledged(info) === 151))
      assert.deepStrictEqual(
        words.filter((word) => word !== "reconnecting"),
        "disconnect reconnect ".repeat(3).trim().split(" ")
      )
      assert.deepStrictEqual([...missing], [])
    }),
  60_000
)

it.live(
  "credentials that rotate: those of the client, before every dial, and the library notices nothing",
  () =>
    Effect.gen(function*() {
      const users = (password: string): TestNatsServer.Options => ({
        jetstream: true,
        users: [{ user: "app", password }]
      })
      const server = yield* TestNatsServer.make(users("spring"))
      let password = "spring"
      const { nats, nc } = yield* connectCompat({
        servers: server.url,
        auth: Effect.sync(() => ({ user: "app", password })),
        reconnect: quick
      })
      const status = yield* follow(nats)
      const words = told(nc.status())
      const texts: Array<string> = []
      const js = jetstream(nc)
      yield* Effect.promise(async () => {
        const jsm = await jetstreamManager(nc)
        await jsm.streams.add({ name: "ORDERS", subjects: ["orders.>"] })
        await jsm.consumers.add("ORDERS", { durable_name: "all", ack_policy: AckPolicy.Explicit })
        await (await js.consumers.get("ORDERS", "all")).consume({
          callback: (message) => {
            texts.push(message.string())
            message.ack()
          },
          expires: 2000
        })
      })
      for (const [round, next] of ["summer", "autumn"].entries()) {
        password = next
        yield* server.reload(users(next))
        yield* status.connected(round + 2)
        yield* Effect.promise(() => js.publish("orders.a", next))
        while (texts.length <= round) yield* oneTurn
      }
      assert.deepStrictEqual(texts, ["summer", "autumn"])
      assert.include(words, "AuthorizationError")
      assert.deepStrictEqual(
        words.filter((word) => word.endsWith("connect")),
        "disconnect reconnect ".repeat(2).trim().split(" ")
      )
      assert.isFalse(nc.isClosed())
    }),
  20_000
)

it.live("a reconnect that is asked for, and a server that asks its clients to leave", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const { made, nats } = yield* connectCompat({ servers: server.url, reconnect: quick })
    const words = told(made.status())
    yield* Effect.promise(() => made.reconnect())
    assert.strictEqual((yield* nats.stats).reconnects, 1)
    while (words.at(-1) !== "reconnect") yield* oneTurn
    assert.deepStrictEqual(words, ["forceReconnect", "disconnect", "reconnecting", "reconnect"])
    yield* server.lameDuck
    while (!words.includes("ldm")) yield* oneTurn
  }))

it.live("close ends the connection, its subscriptions, requests and statuses, and leaves the client", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const { made: nc, nats } = yield* connectCompat({ servers: server.url })
    const words = told(nc.status())
    const subscription = nc.subscribe("a")
    const message = yield* Effect.promise(async () => {
      nc.publish("a", "x", { reply: "b" })
      for await (const message of subscription) return message
      throw new Error("no message")
    })
    const open = nc.subscribe("a")
    const reading = (async () => {
      for await (const _ of open);
      return "ended"
    })()
    nc.subscribe("silent", { callback: () => {} })
    const request = rejection(nc.request("silent", "", { timeout: 60_000 }))
    yield* Effect.promise(() => nc.flush())
    assert.strictEqual((yield* nats.stats).subscriptions, 2)
    yield* Effect.promise(() => nc.close())
    assert.isTrue(nc.isClosed())
    assert.isUndefined(yield* Effect.promise(() => nc.closed()))
    assert.strictEqual(yield* Effect.promise(() => reading), "ended")
    assert.isUndefined(yield* Effect.promise(() => open.closed))
    const refused = yield* Effect.promise(() => request)
    assert.instanceOf(refused, errors.RequestError)
    assert.propertyVal(refused.cause, "_tag", "ConnectionClosed")
    while (words.at(-1) !== "ended") yield* oneTurn
    assert.deepStrictEqual(words, ["close", "ended"])
    for (const use of [() => nc.publish("a"), () => nc.subscribe("a"), () => message.respond("late")]) {
      assert.instanceOf(thrown(use), errors.ClosedConnectionError)
    }
    for (const use of [nc.request("a"), nc.requestMany("a"), nc.flush(), nc.rtt(), nc.drain(), nc.reconnect()]) {
      assert.instanceOf(yield* Effect.promise(() => rejection(use)), errors.ClosedConnectionError)
    }
    assert.isUndefined(nc.info)
    assert.deepStrictEqual(told(nc.status()), [])
    yield* nats.flush
    assert.strictEqual((yield* nats.stats).subscriptions, 0)
  }))

it.live("drain waits for what has been received to be handled, and what that publishes is sent", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const { made: nc, nats } = yield* connectCompat({ servers: server.url })
    const answers: Array<string> = []
    yield* keep(nats, "handled", answers)
    yield* Effect.forkScoped(nats.consume("echo", (message) => message.respond()), { startImmediately: true })
    const subscription = nc.subscribe("work")
    void (async () => {
      for await (const message of subscription) {
        // Of a handler's own work.
        await new Promise((resolve) => setTimeout(resolve, 2))
        await nc.request("echo", "", { timeout: 2000 })
        nc.publish("handled", message.string())
      }
    })()
    for (let i = 0; i < 20; i++) nc.publish("work", String(i))
    yield* Effect.promise(() => nc.flush())
    const draining = nc.drain()
    assert.isTrue(nc.isDraining())
    assert.instanceOf(thrown(() => nc.subscribe("late")), errors.DrainingConnectionError)
    assert.instanceOf(yield* Effect.promise(() => rejection(nc.drain())), errors.DrainingConnectionError)
    yield* Effect.promise(() => draining)
    yield* nats.flush
    while (answers.length < 20) yield* oneTurn
    assert.isTrue(nc.isClosed())
    assert.isUndefined(yield* Effect.promise(() => nc[Symbol.asyncDispose]()))
  }))

it.live("a drain while the server is away closes, and does not reject", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const { made: nc, nats } = yield* connectCompat({ servers: server.url, reconnect: quick })
    const status = yield* follow(nats)
    nc.subscribe("a", { callback: () => {} })
    yield* server.kill
    yield* status.seen("Disconnected")
    yield* Effect.promise(() => nc.drain())
    assert.isTrue(nc.isClosed())
  }))

it.live("the end of its scope ends it: iterators end, closed() resolves, and the client of its layer lives on", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const scope = yield* Scope.make()
    const layer = Layer.provide(NatsConnection.layer, Layer.succeed(NatsClient.NatsClient, nats))
    const context = yield* Layer.buildWithScope(layer, scope)
    const nc = yield* Effect.provide(NatsConnection.NatsConnection, context)
    const subscription = nc.subscribe("a")
    const texts: Array<string> = []
    const reading = (async () => {
      for await (const message of subscription) texts.push(message.string())
    })()
    nc.publish("a", "x")
    yield* Scope.close(scope, Exit.void)
    yield* Effect.promise(() => reading)
    assert.deepStrictEqual(texts, ["x"])
    assert.isUndefined(yield* Effect.promise(() => nc.closed()))
    yield* nats.flush
  }))

it.live("what ends the client for good reaches closed(), iterators, callbacks and consumers", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const { made: nc } = yield* connectCompat({ servers: server.url, reconnect: false })
    const words = told(nc.status())
    const subscription = nc.subscribe("a")
    const reading = rejection((async () => {
      for await (const _ of subscription);
    })())
    const called = new Promise<Error | null>((resolve) => {
      nc.subscribe("a", { callback: (error) => resolve(error) })
    })
    const consuming = yield* Effect.promise(async () => {
      const jsm = await jetstreamManager(nc)
      await jsm.streams.add({ name: "ORDERS", subjects: ["orders.>"] })
      await jsm.consumers.add("ORDERS", { durable_name: "all", ack_policy: AckPolicy.Explicit })
      return (await jetstream(nc).consumers.get("ORDERS", "all")).consume()
    })
    const consumed = rejection((async () => {
      for await (const _ of consuming);
    })())
    yield* server.kill
    const closed = yield* Effect.promise(() => nc.closed())
    assert.instanceOf(closed, errors.ConnectionError)
    assert.propertyVal(closed.cause, "_tag", "ConnectionReset")
    for (const error of yield* Effect.promise(() => Promise.all([reading, called, consumed]))) {
      assert.instanceOf(error, errors.ClosedConnectionError)
      assert.propertyVal(error.cause, "_tag", "ConnectionClosed")
    }
    while (words.at(-1) !== "ended") yield* oneTurn
    assert.deepStrictEqual(words, ["disconnect", "reconnecting", "close", "ended"])
  }))

it.live("a callback that throws is logged, counted and told; messages and other subscriptions go on", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const logged: Array<unknown> = []
    const { made: nc, nats } = yield* connectCompat({ servers: server.url }).pipe(
      Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(message))])),
      Effect.provideService(References.MinimumLogLevel, "Error")
    )
    const words = told(nc.status())
    const texts: Array<string> = []
    nc.subscribe("a", {
      callback: (_, message) => {
        if (message.string() === "0") throw new Error("of the program")
        texts.push(message.string())
      }
    })
    for (const text of ["0", "1", "2"]) nc.publish("a", text)
    yield* Effect.promise(() => nc.flush())
    yield* oneTurn
    assert.deepStrictEqual(texts, ["1", "2"])
    assert.deepStrictEqual(words, ["Error"])
    assert.strictEqual((yield* nats.stats).handlerFailures, 1)
    assert.match(String(logged.flat()[0]), /A callback of a subscription has thrown/)
  }))

it.live("a publish without a session is as `whileDisconnected` says: kept in order, refused, or kept up to a bound", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    // They lose the server, and who listens does not.
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    const listener = yield* NatsClient.make({ servers: server.url })
    const heard: Array<string> = []
    yield* keep(listener, "kept", heard)
    const options = { servers: proxy.url, reconnect: quick } as const
    const waiting = yield* connectCompat(options)
    const failing = yield* connectCompat({ ...options, whileDisconnected: "fail" })
    const bounded = yield* connectCompat({ ...options, whileDisconnected: { buffer: 2 } })
    const all = [waiting, failing, bounded]
    const following = yield* Effect.forEach(all, ({ nats }) => follow(nats))
    yield* proxy.refuse
    yield* proxy.drop()
    yield* Effect.forEach(following, (status) => status.seen("Disconnected"))
    const bytes = new TextEncoder().encode("w0")
    waiting.made.publish("kept", bytes)
    bytes.fill(0)
    for (let i = 1; i < 5; i++) waiting.made.publish("kept", `w${i}`)
    assert.strictEqual(waiting.made.getServer(), "")
    for (
      const publish of [() => failing.made.publish("kept", "f"), () => {
        for (let i = 0; i < 3; i++) bounded.made.publish("kept", `b${i}`)
      }]
    ) {
      const error = thrown(publish)
      assert.instanceOf(error, errors.RequestError)
      assert.propertyVal(error.cause, "_tag", "ConnectionLost")
    }
    assert.instanceOf(yield* Effect.promise(() => rejection(failing.made.rtt())), errors.RequestError)
    // Who hears of the session first does not overtake what waits for it.
    yield* waiting.nats.status.pipe(
      Stream.runForEach((event) =>
        event._tag === "Connected" ? Effect.sync(() => waiting.made.publish("kept", "w5")) : Effect.void
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* proxy.heal
    yield* Effect.forEach(following, (status) => status.connected(2))
    while (heard.length < 8) yield* oneTurn
    assert.deepStrictEqual(heard.filter((text) => text.startsWith("w")), ["w0", "w1", "w2", "w3", "w4", "w5"])
    assert.deepStrictEqual(heard.filter((text) => text.startsWith("b")), ["b0", "b1"])
  }))

it.live("what still waits for a session when the connection is closed is told", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const { made: nc, nats } = yield* connectCompat({ servers: server.url, reconnect: quick })
    const status = yield* follow(nats)
    const words = told(nc.status())
    yield* server.kill
    yield* status.seen("Disconnected")
    for (let i = 0; i < 3; i++) nc.publish("a", String(i))
    yield* Effect.promise(() => nc.close())
    yield* status.seen("Undelivered")
    assert.deepStrictEqual(status.all("Undelivered"), [{ _tag: "Undelivered", messages: 3 }])
    while (words.at(-1) !== "ended") yield* oneTurn
    assert.deepStrictEqual(words.slice(-3), ["ConnectionError", "close", "ended"])
  }))

it.live("publish and request make the spans of the client, within that of who called, and carry them on", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const { spans, tracer } = keepSpans()
    const traced = Effect.gen(function*() {
      const { made: nc } = yield* connectCompat({ servers: server.url })
      const js = jetstream(nc)
      const received = nc.subscribe("notes", { max: 1 })
      yield* Effect.promise(async () => {
        const jsm = await jetstreamManager(nc)
        await jsm.streams.add({ name: "ORDERS", subjects: ["orders.>"] })
        await jsm.consumers.add("ORDERS", { durable_name: "all", ack_policy: AckPolicy.Explicit })
        nc.subscribe("echo", { callback: (_, message) => void message.respond(message.data) })
        await nc.flush()
      })
      const program = Effect.promise(async () => {
        const stored = js.publish("orders.a", "x")
        nc.publish("notes", "y")
        await nc.request("echo", "z", { timeout: 2000 })
        await stored
        const taken = await (await js.consumers.get("ORDERS", "all")).next()
        await taken?.ackAck()
        for await (const message of received) return message.headers?.get("traceparent")
        throw new Error("no message")
      })
      return yield* Effect.withSpan(program, "of the program")
    })
    const carried = yield* Effect.provideService(Effect.scoped(traced), Tracer.Tracer, tracer)
    const own = spans.find(({ name }) => name === "of the program")!
    const within = spans.filter(({ parent }) => parent._tag === "Some" && parent.value.spanId === own.spanId)
    // What is called when the fiber has gone on waiting is of nobody.
    assert.sameMembers(within.map(({ name }) => name), ["request orders.a", "publish notes", "request echo"])
    assert.include(carried, within.find(({ name }) => name === "publish notes")!.spanId)
    const names = spans.map(({ name }) => name)
    assert.includeMembers(names, ["request $JS.API.STREAM.CREATE", "request $JS.API.CONSUMER.INFO"])
    // Answers and acknowledgements belong to what they answer.
    assert.deepStrictEqual(names.filter((name) => name.includes("_INBOX") || name.includes("$JS.ACK")), [])
  }))
