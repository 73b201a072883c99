/**
 * Faults of nats.js that lose messages or errors, or hang: in callbacks, publishes, requests, buffers and closing.
 */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { recordStatus } from "../fixtures/clients.ts"
import { oneTurn } from "../fixtures/following.ts"

const quick = { initialDelay: "10 millis", maxDelay: "50 millis" } as const

const behindProxy = (options: TestNatsServer.Options = {}) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(options)
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    const witness = yield* NatsClient.make({ servers: server.url })
    return { server, proxy, witness }
  })

/** Cuts the line and waits until the client knows. */
const disconnect = (proxy: TestNatsProxy.TestNatsProxy, nats: NatsClient.NatsClient) =>
  Effect.gen(function*() {
    const status = yield* recordStatus(nats)
    yield* proxy.refuse
    yield* proxy.drop("RST")
    yield* status.nth("Reconnecting")
    return status
  })

const texts = (subscription: NatsClient.Subscription, count: number) =>
  Effect.map(
    Stream.runCollect(Stream.take(subscription.stream, count)),
    (messages) => messages.map((message) => message.text)
  )

const limited: TestNatsServer.Options = {
  users: [
    { user: "narrow", password: "pw", permissions: { publish: ["open.>"], subscribe: ["open.>", "_INBOX.>"] } },
    { user: "no-inbox", password: "pw", permissions: { publish: [">"], subscribe: ["open.>"] } }
  ]
}

describe("operations", () => {
  it.live("a handler that throws ends its own stream and nothing else", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const good = yield* nats.subscription("x")
      const defect = new Error("thrown by a handler")
      const boom = (): never => {
        throw defect
      }
      const bad = [
        Stream.runForEach(nats.subscribe("x"), () => Effect.sync(boom)),
        Stream.runForEach(nats.subscribe("x"), (): Effect.Effect<void> => boom()),
        Stream.runDrain(Stream.map(nats.subscribe("x"), boom)),
        Stream.runDrain(Stream.filter(nats.subscribe("x"), boom))
      ]
      const fibers = yield* Effect.forEach(bad, (stream) => Effect.forkChild(stream, { startImmediately: true }))
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).subscriptions, bad.length + 1)
      yield* nats.publish("x", "1")
      for (const fiber of fibers) {
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === defect)
      }
      yield* nats.publish("x", "2")
      assert.deepStrictEqual(yield* texts(good, 2), ["1", "2"])
      yield* nats.flush
      assert.deepInclude(yield* nats.stats, { subscriptions: 1, reconnects: 0 })
    }))

  it.live("a server that has gone silent is found by pings, a flush does not hang, and the session is replaced", () =>
    Effect.gen(function*() {
      const { proxy, witness } = yield* behindProxy()
      const nats = yield* NatsClient.make({
        servers: proxy.url,
        pingInterval: "100 millis",
        maxPingOut: 2,
        reconnect: quick
      })
      const status = yield* recordStatus(nats)
      const live = yield* nats.subscription("live")
      yield* proxy.swallow("toClient")
      const flush = yield* Effect.flip(nats.flush)
      assert(flush._tag === "ConnectionLost", flush._tag)
      assert.strictEqual(flush.reason._tag, "StaleConnection")
      yield* proxy.heal
      // The dial that began in the silence never gets its INFO.
      yield* proxy.drop("RST")
      yield* status.connected(2)
      yield* nats.flush
      yield* witness.publish("live", "again")
      assert.deepStrictEqual(yield* texts(live, 1), ["again"])
    }))

  it.live("a publish that is denied fails when it is confirmed, and is an event when it is not", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(limited)
      const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "narrow", password: "pw" } })
      const status = yield* recordStatus(nats)
      yield* nats.publish("closed.a")
      assert.deepInclude((yield* status.nth("PermissionDenied")).error, { operation: "publish", subject: "closed.a" })
      const [denied, other] = yield* Effect.all(
        [Effect.flip(nats.publish("closed.b", "", { confirm: true })), nats.publish("open.b", "", { confirm: true })],
        { concurrency: "unbounded" }
      )
      assert.deepInclude(denied, { _tag: "PermissionsViolation", operation: "publish", subject: "closed.b" })
      assert.isUndefined(other)
      assert.strictEqual(status.of("PermissionDenied").length, 2)
      assert.strictEqual((yield* nats.stats).reconnects, 0)
    }))

  it.live("a request that is denied, or whose inbox is, is a PermissionsViolation itself, at once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(limited)
      const as = (user: string) => NatsClient.make({ servers: server.url, auth: { user, password: "pw" } })
      const narrow = yield* as("narrow")
      const noInbox = yield* as("no-inbox")
      const slow = yield* noInbox.subscription("open.slow")
      const other = yield* Effect.forkChild(narrow.request("open.slow"), { startImmediately: true })
      for (let time = 0; time < 2; time++) {
        const subject = yield* Effect.flip(narrow.request("closed.a"))
        assert.deepInclude(subject, { _tag: "PermissionsViolation", operation: "publish", subject: "closed.a" })
        const inbox = yield* Effect.flip(noInbox.request("open.nobody"))
        assert.deepInclude(inbox, { _tag: "PermissionsViolation", operation: "subscribe" })
      }
      assert.isUndefined(other.pollUnsafe(), "another request goes on")
      yield* Stream.runForEach(Stream.take(slow.stream, 1), (message) => message.respond("late"))
      assert.strictEqual((yield* Fiber.join(other)).text, "late")
    }))

  it.live("drain waits until the handlers are done, and at most for drainTimeout", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const witness = yield* NatsClient.make({ servers: server.url })
      const nats = yield* NatsClient.make({ servers: server.url })
      const jobs = yield* nats.subscription("jobs")
      const handled: Array<string> = []
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkChild(Stream.runForEach(jobs.stream, (message) =>
        Effect.gen(function*() {
          yield* Deferred.await(gate)
          yield* oneTurn
          handled.push(message.text)
        })))
      for (let i = 0; i < 20; i++) yield* witness.publish("jobs", String(i))
      yield* witness.flush
      yield* nats.flush
      const draining = yield* Effect.forkChild(nats.drain, { startImmediately: true })
      assert.deepStrictEqual(handled, [])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(draining)
      assert.deepStrictEqual(handled, Array.from({ length: 20 }, (_, i) => String(i)))

      const stuck = yield* NatsClient.make({ servers: server.url, drainTimeout: "200 millis" })
      const never = yield* stuck.subscription("jobs")
      const started = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        Stream.runForEach(never.stream, () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
      )
      yield* witness.publish("jobs")
      yield* Deferred.await(started)
      yield* Effect.orDie(Effect.timeout(stuck.drain, "5 seconds"))
      assert.deepStrictEqual(yield* stuck.state, { _tag: "Closed" })
    }))

  it.live("of 200,000 unread messages 65,536 are kept at most, and the reader is told", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const status = yield* recordStatus(nats)
      const failing = yield* nats.subscription("flood")
      const latest = yield* nats.subscription("flood", { overflow: "dropOldest" })
      const total = 200_000
      for (let i = 0; i < total; i++) yield* witness.publish("flood", String(i))
      yield* witness.flush
      yield* nats.flush
      let kept = 0
      const end = yield* Effect.flip(Stream.runForEach(failing.stream, () =>
        Effect.sync(() => {
          kept++
        })))
      assert.deepInclude(end, { _tag: "SlowConsumer", subject: "flood", messages: 65_536 })
      assert.strictEqual(kept, 65_536)
      assert.strictEqual(yield* latest.dropped, total - 65_536)
      const [first] = yield* texts(latest, 1)
      assert.strictEqual(first, String(total - 65_536))
      assert.deepStrictEqual(status.of("Overflow").map((event) => event.policy).toSorted(), ["dropOldest", "fail"])
    }))

  it.live("a publish while disconnected waits and is delivered, fails, or is kept up to the bound, as was chosen", () =>
    Effect.gen(function*() {
      const { proxy, witness } = yield* behindProxy()
      const make = (whileDisconnected: NatsClient.Options["whileDisconnected"]) =>
        NatsClient.make({ servers: proxy.url, reconnect: quick, whileDisconnected })
      const waiting = yield* make("wait")
      const failing = yield* make("fail")
      const buffering = yield* make({ buffer: 3 })
      const seen = yield* witness.subscription("seen.*")
      yield* disconnect(proxy, waiting)
      yield* disconnect(proxy, failing)
      yield* disconnect(proxy, buffering)

      const waits = yield* Effect.forkChild(waiting.publish("seen.wait", "w"), { startImmediately: true })
      assert.isUndefined(waits.pollUnsafe())
      const refused = yield* Effect.flip(failing.publish("seen.fail", "f"))
      assert.strictEqual(refused._tag, "ConnectionLost")
      const payload = new Uint8Array([0x31])
      yield* buffering.publish("seen.buffer", payload)
      payload[0] = 0x39
      yield* buffering.publish("seen.buffer", "2")
      yield* buffering.publish("seen.buffer", "3")
      const full = yield* Effect.flip(buffering.publish("seen.buffer", "4"))
      assert.strictEqual(full._tag, "ConnectionLost")
      assert.isUndefined(waits.pollUnsafe(), "it still waits")

      yield* proxy.heal
      yield* Fiber.join(waits)
      yield* waiting.flush
      yield* buffering.flush
      yield* Effect.eventually(failing.flush)
      yield* failing.publish("seen.fail", "last", { confirm: true })
      const all = yield* Stream.runCollect(Stream.takeUntil(seen.stream, (message) => message.text === "last"))
      const of = (subject: string) =>
        all.filter((message) => message.subject === subject).map((message) => message.text)
      assert.deepStrictEqual(of("seen.wait"), ["w"])
      assert.deepStrictEqual(of("seen.fail"), ["last"])
      assert.deepStrictEqual(of("seen.buffer"), ["1", "2", "3"])
    }))

  it.live("publishes that are still kept when the client is closed are reported", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy()
      const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: quick, whileDisconnected: { buffer: 3 } })
      const status = yield* disconnect(proxy, nats)
      yield* nats.publish("x", "1")
      yield* nats.publish("x", "2")
      yield* nats.drain
      assert.deepStrictEqual(yield* status.nth("Undelivered"), { _tag: "Undelivered", messages: 2 })
    }))

  it.effect("drain and scope close while disconnected succeed, fail what waits, and end the dialling", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const scope = yield* Scope.make()
      const options: NatsClient.Options = {
        servers: proxy.url,
        reconnect: { initialDelay: "5 millis", maxDelay: "5 millis", jitter: false }
      }
      const drained = yield* NatsClient.make(options)
      const scoped = yield* Scope.provide(NatsClient.make(options), scope)
      const reader = yield* Effect.forkChild(Stream.runCollect(drained.subscribe("x")))
      yield* drained.flush
      yield* server.kill
      const statuses = [yield* recordStatus(drained), yield* recordStatus(scoped)]
      for (const dials of [1, 2]) {
        for (const status of statuses) yield* status.nth("Reconnecting", dials)
        yield* TestClock.adjust("5 millis")
      }
      const waiting = yield* Effect.forkChild(Effect.flip(drained.publish("x")), { startImmediately: true })

      // The clock stands still meanwhile: neither waits for a time.
      yield* drained.drain
      yield* Scope.close(scope, Exit.void)
      for (const nats of [drained, scoped]) {
        assert.deepStrictEqual(yield* nats.state, { _tag: "Closed" })
        yield* nats.closed
      }
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "ConnectionClosed")
      assert.deepStrictEqual(yield* Fiber.join(reader), [])
      const dials = Effect.map(Effect.all([drained.stats, scoped.stats]), (stats) => stats.map(({ dials }) => dials))
      // The end of a dial that was under way comes with the next turn of the event loop.
      yield* oneTurn
      const before = yield* dials
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* dials, before)
    }))

  it.live("an idle subscription is interrupted at once, and the server is told first", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const queue = yield* Queue.unbounded<string>()
      const forms = [
        Stream.runDrain(nats.subscribe("idle")),
        Stream.runDrain(Stream.buffer(nats.subscribe("idle"), { capacity: 16 })),
        Stream.runForEach(nats.subscribe("idle"), (message) => Queue.offer(queue, message.text)),
        Effect.scoped(Effect.flatMap(nats.subscription("idle"), (idle) => Stream.runHead(idle.stream)))
      ]
      const fibers = yield* Effect.forEach(forms, (form) => Effect.forkChild(form, { startImmediately: true }))
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).subscriptions, forms.length)
      yield* Effect.orDie(Effect.timeout(Fiber.interruptAll(fibers), "2 seconds"))
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
      assert.deepStrictEqual((yield* server.connz).map((connection) => connection.subscriptions), [0])
    }))
})
