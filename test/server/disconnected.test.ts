import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer, TestOperator } from "effect-nats/testing"
import { follow, keepLedger, oneTurn, until } from "../fixtures/following.ts"

/** A client behind a proxy, so that its connection can be away while the server and a witness live. */
const setUp = Effect.fnUntraced(function*(whileDisconnected: NonNullable<NatsClient.Options["whileDisconnected"]>) {
  const server = yield* TestNatsServer.make({})
  const proxy = yield* TestNatsProxy.make({ port: server.port })
  const witness = yield* NatsClient.make({ servers: server.url })
  const { ledger } = yield* keepLedger(witness, "out")
  const app = yield* NatsClient.make({
    servers: proxy.url,
    whileDisconnected,
    reconnect: { initialDelay: "10 millis", maxDelay: "20 millis" }
  })
  const status = yield* follow(app)
  const cutOff = Effect.gen(function*() {
    yield* proxy.refuse
    yield* proxy.drop("RST")
    yield* status.until((status) => status.last._tag === "Reconnecting")
  })
  return { server, proxy, witness, ledger, app, status, cutOff }
})

const isSuspended = (fiber: Fiber.Fiber<unknown, unknown>) =>
  Effect.map(Effect.andThen(oneTurn, oneTurn), () => fiber.pollUnsafe() === undefined)

describe("while there is no connection", () => {
  it.live("wait: publishes suspend, can be interrupted, and go out in their order when it is back", () =>
    Effect.gen(function*() {
      const { app, cutOff, ledger, proxy, witness } = yield* setUp("wait")
      yield* cutOff
      const publishing = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3, 4, 5], (number) => app.publish("out", String(number)), { discard: true }),
        { startImmediately: true }
      )
      const given = yield* Effect.forkChild(app.publish("out", "999"), { startImmediately: true })
      const later = yield* Effect.forkChild(app.publish("out", "6"), { startImmediately: true })
      const confirmed = yield* Effect.forkChild(app.publish("out", "7", { confirm: true }), { startImmediately: true })
      const flushing = yield* Effect.forkChild(app.flush, { startImmediately: true })
      const all = [publishing, given, later, confirmed, flushing]
      for (const fiber of all) assert.isTrue(yield* isSuspended(fiber))
      yield* Fiber.interrupt(given)
      yield* proxy.heal
      for (const fiber of all.filter((fiber) => fiber !== given)) yield* Fiber.join(fiber)
      yield* witness.flush
      yield* ledger.until(() => ledger.numbers.length >= 7)
      // One fiber's publishes keep their order; so do those that wait beside it.
      assert.deepStrictEqual(ledger.numbers.filter((number) => number <= 5), [1, 2, 3, 4, 5])
      assert.deepStrictEqual(ledger.numbers.toSorted((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7])
    }))

  it.live("wait: a request waits as a part of its time, and then is ConnectionLost, not a timeout", () =>
    Effect.gen(function*() {
      const { app, cutOff, proxy, status, witness } = yield* setUp("wait")
      const service = yield* witness.subscription("echo")
      yield* Effect.forkScoped(Stream.runForEach(service.stream, (message) => message.respond(message.text)))
      yield* cutOff
      const lost = yield* Effect.flip(app.request("echo", "1", { timeout: "100 millis" }))
      assert(lost._tag === "ConnectionLost", lost._tag)
      assert.strictEqual(lost.reason._tag, "ConnectionRefused")
      const request = yield* Effect.forkChild(app.request("echo", "2"), { startImmediately: true })
      const opening = yield* Effect.forkScoped(app.subscription("late"), { startImmediately: true })
      assert.isTrue(yield* isSuspended(request))
      assert.isTrue(yield* isSuspended(opening))
      yield* proxy.heal
      assert.strictEqual((yield* Fiber.join(request)).text, "2")
      const late = yield* Fiber.join(opening)
      yield* witness.publish("late", "seen")
      const [first] = yield* Stream.runCollect(Stream.take(late.stream, 1))
      assert.strictEqual(first.text, "seen")
      assert.deepStrictEqual(status.losses, ["ConnectionReset"])
    }))

  it.live("fail: every operation is ConnectionLost with the reason, at once, and works again afterwards", () =>
    Effect.gen(function*() {
      const { app, cutOff, ledger, proxy, status } = yield* setUp("fail")
      yield* cutOff
      const operations: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        app.publish("out", "1"),
        app.publish("out", "1", { confirm: true }),
        app.request("out"),
        app.flush,
        app.rtt,
        Effect.scoped(app.subscription("x"))
      ]
      for (const operation of operations) {
        const lost = yield* Effect.flip(operation)
        assert.deepInclude(lost, { _tag: "ConnectionLost" })
        assert(lost._tag === "ConnectionLost" && "reason" in lost)
        assert.include(["ConnectionReset", "ConnectionRefused"], (lost.reason as { readonly _tag: string })._tag)
      }
      yield* proxy.heal
      yield* status.connected(2)
      yield* app.publish("out", "2", { confirm: true })
      yield* ledger.until(() => ledger.numbers.length > 0)
      assert.deepStrictEqual(ledger.numbers, [2])
    }))

  it.live("buffer: publishes succeed up to the bound, fail beyond it, and go out first and in order", () =>
    Effect.gen(function*() {
      const { app, cutOff, ledger, proxy, status } = yield* setUp({ buffer: 3 })
      yield* cutOff
      const payload = Buffer.from("1")
      yield* app.publish("out", payload)
      payload.write("9")
      yield* app.publish("out", "2")
      yield* app.publish("out", "3", { headers: { a: "b" } })
      const full = yield* Effect.flip(app.publish("out", "4"))
      assert.strictEqual(full._tag, "ConnectionLost")
      yield* proxy.heal
      yield* status.connected(2)
      yield* app.publish("out", "5")
      yield* ledger.until(() => ledger.numbers.length >= 4)
      assert.deepStrictEqual(ledger.numbers, [1, 2, 3, 5])
      // The bound counts what is held, not what ever was.
      yield* cutOff
      for (const number of [6, 7, 8]) yield* app.publish("out", String(number))
      assert.strictEqual((yield* Effect.flip(app.publish("out", "9")))._tag, "ConnectionLost")
      yield* proxy.heal
      yield* ledger.until(() => ledger.numbers.length >= 7)
      assert.deepStrictEqual(ledger.numbers, [1, 2, 3, 5, 6, 7, 8])
    }))

  it.live("buffer: what is still held at the end is an Undelivered event", () =>
    Effect.gen(function*() {
      const { app, cutOff, status } = yield* setUp({ buffer: 10 })
      yield* cutOff
      for (const number of [1, 2, 3]) yield* app.publish("out", String(number))
      yield* app.drain
      yield* status.seen("Closed")
      assert.deepStrictEqual(status.all("Undelivered"), [{ _tag: "Undelivered", messages: 3 }])
      yield* app.closed
    }))

  it.live("what was kept or waits is measured by the server and the user that come: only what they refuse fails", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("app")
      const wide = yield* account.user("wide")
      const narrow = yield* account.user("narrow", { maxPayload: 100 })
      const first = yield* TestNatsServer.make({ operator: operator.setup(account) })
      for (const whileDisconnected of ["wait", { buffer: 10 }] as const) {
        const proxy = yield* TestNatsProxy.make({ port: first.port })
        let { creds } = wide
        const witness = yield* NatsClient.make({ servers: first.url, auth: { _tag: "Creds", creds } })
        const { ledger } = yield* keepLedger(witness, "out")
        const app = yield* NatsClient.make({
          servers: proxy.url,
          auth: Effect.sync(() => ({ _tag: "Creds", creds })),
          whileDisconnected,
          reconnect: { initialDelay: "10 millis", maxDelay: "20 millis" }
        })
        const status = yield* follow(app)
        yield* proxy.refuse
        yield* proxy.drop("RST")
        yield* status.until((status) => status.last._tag === "Reconnecting")
        creds = narrow.creds
        const sending = yield* Effect.forEach(
          ["1", "2".padStart(200, "0"), "3"],
          (payload) => Effect.forkChild(Effect.exit(app.publish("out", payload)), { startImmediately: true })
        )
        const waiting = yield* Effect.forEach(
          [app.publish("out", "4".padStart(200, "0"), { confirm: true }), app.request("out", "5".padStart(200, "0"))],
          (each) => Effect.forkChild(Effect.flip(each), { startImmediately: true })
        )
        yield* proxy.heal
        yield* ledger.until(() => ledger.numbers.length >= 2)
        assert.deepStrictEqual(ledger.numbers, [1, 3])
        const failed = (yield* Effect.forEach(sending, Fiber.join)).map(Exit.isFailure)
        assert.deepStrictEqual(failed, [false, whileDisconnected === "wait", false])
        for (const each of waiting) {
          assert.deepInclude(yield* Fiber.join(each), { _tag: "MaxPayloadExceeded", size: 200, limit: 100 })
        }
        yield* app.flush
        const undelivered = status.all("Undelivered").map(({ messages }) => messages)
        assert.deepStrictEqual(undelivered, whileDisconnected === "wait" ? [] : [1])
        assert.deepStrictEqual(status.losses, ["ConnectionReset"])
      }
    }))

  it.live("closing in the outage lets a handler end, sends its answer if the server is back, and takes nothing new", () =>
    Effect.gen(function*() {
      const { app, cutOff, ledger, proxy, server, status, witness } = yield* setUp("wait")
      const jobs = yield* app.subscription("jobs", { queue: "workers" })
      const [started, proceed] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const handled: Array<string> = []
      const handling = yield* Effect.forkChild(Stream.runForEach(jobs.stream, (message) =>
        Effect.gen(function*() {
          handled.push(message.text)
          yield* Deferred.succeed(started, undefined)
          yield* Deferred.await(proceed)
          yield* app.publish("out", message.text)
        })))
      yield* witness.publish("jobs", "1")
      yield* Deferred.await(started)
      yield* cutOff
      const draining = yield* Effect.forkChild(app.drain, { startImmediately: true })
      yield* status.seen("Draining")
      const since = status.events.length
      yield* proxy.heal
      yield* app.flush
      // The connection that was cut is a worker, too, until the server knows of that.
      yield* until(Effect.map(server.connz, (connections) => connections.length === 2))
      // It is back, its handler is still at work, and another worker of the group gets what comes now.
      const other = yield* witness.subscription("jobs", { queue: "workers" })
      for (const number of [2, 3, 4, 5, 6]) yield* witness.publish("jobs", String(number))
      const taken = yield* Stream.runCollect(Stream.take(other.stream, 5))
      assert.deepStrictEqual(taken.map((message) => message.text), ["2", "3", "4", "5", "6"])
      yield* Deferred.succeed(proceed, undefined)
      yield* ledger.until(() => ledger.numbers.length === 1)
      yield* Fiber.join(draining)
      yield* Fiber.join(handling)
      assert.deepStrictEqual(handled, ["1"])
      assert.deepStrictEqual(ledger.numbers, [1])
      yield* status.seen("Closed")
      assert.deepStrictEqual(status.tags.slice(since), ["Closed"])
    }))
})
