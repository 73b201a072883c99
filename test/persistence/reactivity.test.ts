/** Invalidations over processes: which keys agree, what is invalidated when messages were missed, and what fails nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Queue, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsReactivity } from "effect-nats/persistence"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { Reactivity } from "effect/reactivity"
import { messagesOf, readMessage } from "../../src/persistence/internal/invalidations.ts"
import { until } from "../fixtures/following.ts"

type Keys = Parameters<Reactivity.Reactivity["invalidate"]>[0]

const subject = "effect.reactivity"

/** A process: a client of its own, and what it has heard. */
const processOn = (url: string, options: NatsClient.Options = {}) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.make({
      servers: url,
      ...options,
      reconnect: { initialDelay: "10 millis", ...options.reconnect }
    })
    const reactivity = yield* Effect.provideService(NatsReactivity.make(), NatsClient.NatsClient, nats)
    const heard: Array<string> = []
    const hear = (name: string, keys: Keys) => reactivity.registerUnsafe(keys, () => heard.push(name))
    const hears = (name: string) => until(Effect.sync(() => heard.includes(name)))
    return { nats, reactivity, heard, hear, hears }
  })

/** What goes over the wire. */
const wireOf = (url: string) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.make({ servers: url })
    const texts: Array<string> = []
    const { stream } = yield* nats.subscription(subject)
    yield* Effect.forkScoped(
      Stream.runForEach(stream, ({ text }) =>
        Effect.sync(() => {
          texts.push(text)
        }))
    )
    return { nats, texts }
  })

const keysOfText: Record<string, () => Keys> = {
  text: () => ["users"],
  number: () => [7],
  bigint: () => [8n],
  boolean: () => [true],
  nothing: () => [null],
  undefined: () => [undefined],
  symbol: () => [Symbol.for("a")],
  structure: () => [{ a: 1, b: [2, { c: "x" }] }],
  date: () => [new Date(0)],
  map: () => [new Map([["a", 1]])],
  id: () => ({ users: [1] }),
  structuredId: () => ({ orders: [{ id: 1 }] }),
  surrogate: () => ["\ud800"],
  proto: () => ["__proto__"]
}

describe("what one process invalidates", () => {
  it.live("is invalidated in the others, whatever its keys are, and once where it was done", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const [one, two] = [yield* processOn(server.url), yield* processOn(server.url)]
      one.hear("other", ["other"])
      two.hear("other", { other: ["users"] })
      for (const [name, keys] of Object.entries(keysOfText)) {
        one.heard.length = 0
        two.heard.length = 0
        one.hear(name, keys())
        two.hear(name, keys())
        yield* one.reactivity.invalidate(keys())
        yield* two.hears(name)
        // What comes from the other side is behind what would come of our own.
        yield* two.reactivity.invalidate(["back"])
        yield* one.nats.flush
        assert.deepStrictEqual(one.heard.filter((each) => each === name || each === "other"), [name])
        assert.deepStrictEqual(two.heard.filter((each) => each === name || each === "other"), [name])
      }
    }))

  it.live("runs queries and streams of others again, and what is unregistered or closed no more", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const [one, two] = [yield* processOn(server.url), yield* processOn(server.url)]
      let value = 0
      const results = yield* two.reactivity.query({ users: [1] }, Effect.sync(() => value))
      assert.strictEqual(yield* Queue.take(results), 0)
      const streamed = yield* Effect.forkChild(
        Stream.runCollect(Stream.take(two.reactivity.stream(["users"], Effect.sync(() => value)), 2)),
        { startImmediately: true }
      )
      const stop = two.hear("stopped", ["users"])
      stop()
      yield* one.reactivity.mutation({ users: [1] }, Effect.sync(() => value = 1))
      assert.strictEqual(yield* Queue.take(results), 1)
      yield* Effect.flip(one.reactivity.mutation({ users: [1] }, Effect.fail("no")))
      value = 2
      one.reactivity.invalidateUnsafe(["users:1"])
      assert.strictEqual(yield* Queue.take(results), 2)
      assert.deepStrictEqual(two.heard, [])
      assert.deepStrictEqual((yield* fiberResult(streamed))[0], 0)
    }))

  it.live("in a batch goes in one message, after the batch, and nothing goes of one without", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const [one, two] = [yield* processOn(server.url), yield* processOn(server.url)]
      const wire = yield* wireOf(server.url)
      two.hear("a", ["a"])
      two.hear("b", ["b"])
      two.hear("c", ["c"])
      const batch = one.reactivity.withBatch(
        Effect.gen(function*() {
          yield* one.reactivity.invalidate(["a"])
          yield* one.reactivity.invalidate(["a", "b"])
          yield* one.nats.flush
          yield* wire.nats.flush
          assert.deepStrictEqual(wire.texts, [])
          yield* one.reactivity.withBatch(one.reactivity.mutation(["c"], Effect.void))
          return yield* Effect.fail("as effect does, also where it fails")
        })
      )
      yield* Effect.flip(batch)
      yield* two.hears("a")
      yield* two.hears("b")
      yield* one.reactivity.withBatch(Effect.void)
      yield* one.nats.flush
      yield* wire.nats.flush
      assert.deepStrictEqual(wire.texts.map((text) => readMessage(text)?.keys), [["c"], ["a", "b"]])
      assert.deepStrictEqual(two.heard, ["c", "a", "b"])
    }))

  it.live("is taken by two services of one client, and by both of two layers", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const { nats, reactivity } = yield* processOn(server.url)
      const layer = Layer.provide(NatsReactivity.layer(), Layer.succeed(NatsClient.NatsClient, nats))
      const other = yield* Effect.provide(Reactivity.Reactivity, yield* Layer.build(layer))
      const heard: Array<string> = []
      other.registerUnsafe(["a"], () => heard.push("a"))
      yield* reactivity.invalidate(["a"])
      yield* until(Effect.sync(() => heard.length > 0))
      assert.deepStrictEqual(heard, ["a"])
    }))

  it.live("is split where it is too much for a message, and is everything where a key is", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxPayload: 4096 })
      const [one, two] = [yield* processOn(server.url), yield* processOn(server.url)]
      const wire = yield* wireOf(server.url)
      two.hear("last", ["key 999"])
      two.hear("unrelated", ["unrelated"])
      yield* one.reactivity.invalidate(Array.from({ length: 1000 }, (_, at) => `key ${at}`))
      yield* two.hears("last")
      yield* wire.nats.flush
      assert.isAbove(wire.texts.length, 2)
      assert.deepStrictEqual(two.heard, ["last"])
      yield* one.reactivity.invalidate(["x".repeat(5000)])
      yield* two.hears("unrelated")
    }))
})

const fiberResult = <A>(fiber: { readonly pollUnsafe: () => Exit.Exit<A, unknown> | undefined }) =>
  Effect.gen(function*() {
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined))
    const exit = fiber.pollUnsafe()
    assert(exit !== undefined && Exit.isSuccess(exit))
    return exit.value
  })

describe("what was missed", () => {
  it.live("is invalidated with everything else after a reconnect, and not before the first one", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const [one, far] = [yield* processOn(server.url), yield* processOn(proxy.url)]
      far.hear("list", ["users", "orders"])
      far.hear("record", { users: [1] })
      const results = yield* far.reactivity.query(["users"], Effect.succeed("ran"))
      yield* Queue.take(results)
      yield* far.nats.flush
      assert.deepStrictEqual(far.heard, [])
      yield* proxy.refuse
      yield* proxy.drop()
      yield* until(Effect.map(far.nats.state, ({ _tag }) => _tag !== "Connected"))
      yield* one.reactivity.invalidate({ users: [1] })
      assert.deepStrictEqual(far.heard, [])
      yield* proxy.heal
      yield* far.hears("list")
      yield* far.hears("record")
      assert.strictEqual(yield* Queue.take(results), "ran")
      // From then on keys are told one by one again.
      far.heard.length = 0
      yield* one.reactivity.invalidate({ users: [1] })
      yield* far.hears("record")
      assert.isFalse(far.heard.includes("orders"))
    }))

  it.live("of a process that was cut off is everything for the others, as soon as it is back", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const [near, far] = [yield* processOn(server.url), yield* processOn(proxy.url)]
      const wire = yield* wireOf(server.url)
      near.hear("users", ["users"])
      far.hear("own", ["users"])
      yield* proxy.refuse
      yield* proxy.drop()
      yield* until(Effect.map(far.nats.state, ({ _tag }) => _tag !== "Connected"))
      // Nothing waits for a connection, and nothing fails.
      yield* far.reactivity.invalidate(["users"])
      yield* far.reactivity.invalidate(["orders"])
      far.reactivity.invalidateUnsafe(["more"])
      assert.deepStrictEqual(far.heard, ["own"])
      yield* proxy.heal
      yield* near.hears("users")
      yield* far.nats.flush
      yield* wire.nats.flush
      // Once for all that was missed.
      assert.deepStrictEqual(wire.texts.map((text) => readMessage(text)?.keys), [undefined])
    }))

  it.live("with a connection that died under it is everything for the others, too", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const [near, far] = [yield* processOn(server.url), yield* processOn(proxy.url)]
      near.hear("users", ["users"])
      yield* proxy.swallow("toServer")
      yield* far.reactivity.invalidate(["users"])
      yield* proxy.drop()
      yield* proxy.heal
      yield* near.hears("users")
    }))

  it.live("before the first session of a client in the background is told then", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const near = yield* processOn(server.url)
      near.hear("users", ["users"])
      yield* server.kill
      const later = yield* processOn(server.url, { reconnect: { onFirstConnect: "background" } })
      later.hear("own", ["users"])
      yield* later.reactivity.invalidate(["users"])
      assert.deepStrictEqual(later.heard, ["own"])
      yield* server.restart
      yield* near.hears("users")
      later.heard.length = 0
      yield* until(Effect.andThen(near.reactivity.invalidate(["users"]), Effect.sync(() => later.heard.length > 0)))
    }))
})

describe("a message that is no invalidation", () => {
  it.live("is left out with a warning, and the next one counts", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const { nats } = yield* wireOf(server.url)
      const logged: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ logLevel, message }) => void logged.push([logLevel, message]))])
      const { hear, heard, hears } = yield* Effect.provide(processOn(server.url), yield* Layer.build(logger))
      hear("a", ["a"])
      const wrong = [
        "",
        "{",
        "[]",
        "null",
        "{\"from\":1}",
        "{\"from\":\"x\",\"keys\":\"a\"}",
        "{\"from\":\"x\",\"keys\":[{}]}"
      ]
      for (const text of wrong) yield* nats.publish(subject, text)
      yield* nats.publish(subject, new Uint8Array([0xff, 0xfe, 0]))
      yield* nats.publish(subject, "{\"from\":\"x\",\"keys\":[\"a\"],\"new\":1}")
      yield* hears("a")
      assert.deepStrictEqual(heard, ["a"])
      const warnings = logged.filter((entry) => JSON.stringify(entry).includes("is no invalidation"))
      assert.strictEqual(warnings.length, wrong.length + 1)
    }))
})

describe("a shared reactivity", () => {
  const failing = (url: string, options: NatsClient.Options, own: NatsReactivity.Options = {}) =>
    Effect.flatMap(
      NatsClient.make({ servers: url, ...options }),
      (nats) => Effect.flip(Effect.provideService(NatsReactivity.make(own), NatsClient.NatsClient, nats))
    )

  it.live("fails typed for a subject that is none, and for one that is not permitted", () =>
    Effect.gen(function*() {
      const permissions = { subscribe: { deny: [subject] } }
      const server = yield* TestNatsServer.make({ users: [{ user: "u", password: "p", permissions }] })
      const user = { auth: { user: "u", password: "p" } }
      assert.strictEqual((yield* failing(server.url, user, { subject: "a.*" }))._tag, "InvalidSubject")
      assert.strictEqual((yield* failing(server.url, user))._tag, "PermissionsViolation")
    }))

  it.live("that may not publish says so, and works for itself and what others tell", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [
          { user: "reader", password: "p", permissions: { publish: { deny: [subject] } } },
          { user: "writer", password: "p" }
        ]
      })
      const logged: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])
      const reader = yield* Effect.provide(
        processOn(server.url, { auth: { user: "reader", password: "p" } }),
        yield* Layer.build(logger)
      )
      const writer = yield* processOn(server.url, { auth: { user: "writer", password: "p" } })
      reader.hear("a", ["a"])
      yield* reader.reactivity.invalidate(["a"])
      assert.deepStrictEqual(reader.heard, ["a"])
      yield* until(Effect.sync(() => logged.some((text) => text.includes("not told to others"))))
      yield* writer.reactivity.invalidate(["a"])
      yield* until(Effect.sync(() => reader.heard.length > 1))
    }))

  it("splits keys so that no message is larger than it may be", () => {
    const keys = [
      "a",
      1,
      "é".repeat(100),
      -5,
      "x".repeat(400),
      "\u0000".repeat(20),
      ...Array.from({ length: 50 }, String)
    ]
    const messages = messagesOf("me", keys, 700)
    assert.isTrue(messages.every((message) => Buffer.byteLength(message) <= 700))
    assert.deepStrictEqual(messages.flatMap((message) => readMessage(message)?.keys ?? []), keys)
    assert.deepStrictEqual(messagesOf("me", [...keys, "y".repeat(500)], 700).map((message) => readMessage(message)), [
      { from: "me" }
    ])
  })
})
