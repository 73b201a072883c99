import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, type Scope, Stream } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { count, follow, keepLedger, until } from "../fixtures/following.ts"
import { living } from "../fixtures/living.ts"

/** On the heap and outside it. */
const livingMegabytes = (): number => living().all / 1_000_000

const texts = (subscription: NatsClient.Subscription) =>
  Effect.map(Stream.runCollect(subscription.stream), (all) => all.map((message) => message.text))

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

const sendMany = Effect.fnUntraced(function*(witness: NatsClient.NatsClient, subject: string, total: number) {
  const payload = new Uint8Array(128)
  for (let i = 0; i < total; i++) {
    new DataView(payload.buffer).setUint32(0, i)
    yield* witness.publish(subject, payload)
  }
  yield* witness.flush
})

const numberIn = (message: { readonly data: Uint8Array }): number =>
  new DataView(message.data.buffer, message.data.byteOffset).getUint32(0)

const bound = 65_536

describe("500,000 unread messages of 128 bytes", () => {
  const total = 500_000
  const policies = [
    // A failed stream keeps what came before, and ends with the failure.
    { overflow: "fail", first: 0, dropped: 0 },
    { overflow: "dropNewest", first: 0, dropped: total - bound },
    { overflow: "dropOldest", first: total - bound, dropped: total - bound }
  ] as const
  for (const { dropped, first, overflow } of policies) {
    it.live(`${overflow}: 65,536 are kept in under 32 MB, by the policy, with one event`, () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make()
        const nats = yield* NatsClient.make({ servers: server.url })
        const witness = yield* NatsClient.make({ servers: server.url })
        const status = yield* follow(nats)
        const stalled = yield* nats.subscription("flood", { overflow })
        const before = livingMegabytes()
        yield* sendMany(witness, "flood", total)
        yield* nats.flush
        assert.isBelow(livingMegabytes() - before, 32)
        assert.strictEqual(yield* stalled.dropped, dropped)
        assert.deepStrictEqual(status.all("Overflow"), [{ _tag: "Overflow", subject: "flood", policy: overflow }])

        yield* stalled.unsubscribe
        const kept: Array<number> = []
        const exit = yield* Effect.exit(Stream.runForEach(stalled.stream, (message) =>
          Effect.sync(() => {
            kept.push(numberIn(message))
          })))
        assert.strictEqual(kept.length, bound)
        assert.isTrue(kept.every((number, i) => number === first + i))
        if (overflow === "fail") {
          assert.deepInclude(Cause.squash(Exit.isFailure(exit) ? exit.cause : Cause.empty), {
            _tag: "SlowConsumer",
            messages: bound
          })
        } else {
          assert.isTrue(Exit.isSuccess(exit))
        }
      }))
  }

  it.live("by bytes: what is kept is at most capacityBytes", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const capacityBytes = 1024 * 1024
      const stalled = yield* nats.subscription("flood", { capacityBytes, overflow: "dropNewest" })
      yield* sendMany(witness, "flood", 100_000)
      yield* nats.flush
      yield* stalled.unsubscribe
      const kept = yield* texts(stalled)
      const size = kept.length * (128 + "flood".length)
      assert.isAtMost(size, capacityBytes)
      assert.isAbove(size, capacityBytes * 0.9)
    }))
})

describe("a subscription", () => {
  it.live("with few messages among many of others keeps its own memory alone, and its messages whole", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const rare = yield* nats.subscription("rare.*")
      let handled = 0
      const busy = yield* nats.subscription("busy")
      yield* Effect.forkScoped(Stream.runForEachArray(busy.stream, (batch) =>
        Effect.sync(() => {
          handled += batch.length
        })))
      const before = livingMegabytes()
      for (let i = 0; i < 1000; i++) {
        const reply = i % 2 === 0 ? undefined : `reply.${i}`
        yield* witness.publish(`rare.${i}`, `payload ${i}`, i % 3 === 0 ? { reply, headers: { i: `${i}` } } : { reply })
        yield* sendMany(witness, "busy", 300)
      }
      yield* nats.flush
      // It has come; its reader may have the last of it still before it.
      yield* until(Effect.sync(() => handled === 300_000))
      // A chunk of each would be 40 MB and more.
      assert.isBelow(livingMegabytes() - before, 10)
      const kept = yield* Stream.runCollect(Stream.take(rare.stream, 1000))
      for (const [i, message] of kept.entries()) {
        assert.deepStrictEqual(
          [message.subject, message.text, message.reply, message.header("i")],
          [`rare.${i}`, `payload ${i}`, i % 2 === 0 ? undefined : `reply.${i}`, i % 3 === 0 ? `${i}` : undefined]
        )
      }
    }))

  it.live("keeps its order and sees nothing twice over connections that break, whatever overlaps it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port, record: false })
      const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: { initialDelay: "5 millis" } })
      const witness = yield* NatsClient.make({ servers: server.url })
      const status = yield* follow(nats)
      const ledgers = yield* Effect.forEach(["in.a", "in.*", "in.>"], (subject) => keepLedger(nats, subject))
      yield* count(witness, "in.a")
      for (let session = 1; session <= 5; session++) {
        yield* Effect.forEach(ledgers, ({ ledger }) => ledger.more(20))
        yield* proxy.drop("RST")
        yield* status.connected(session + 1)
      }
      for (const { fiber, ledger } of ledgers) {
        yield* ledger.more(20)
        assert.strictEqual(ledger.disorder, 0)
        assert.isUndefined(fiber.pollUnsafe())
      }
    }))

  it.live("that is denied fails its own stream, in every form, and the others go on", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [{ user: "u", password: "p", permissions: { publish: [">"], subscribe: ["open.>", "_INBOX.>"] } }]
      })
      const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "u", password: "p" } })
      const open = yield* nats.subscription("open.a", { max: 1 })
      const forms = [
        Stream.runDrain(nats.subscribe("closed.a")),
        Effect.scoped(Effect.flatMap(nats.subscription("closed.b"), ({ stream }) => Stream.runDrain(stream))),
        nats.consume("closed.c", () => Effect.void, { concurrency: 4 })
      ]
      for (const form of forms) {
        const error = yield* Effect.flip(form)
        assert.strictEqual(error._tag, "PermissionsViolation")
      }
      assert.strictEqual((yield* nats.stats).subscriptions, 1)
      yield* nats.publish("open.a", "still here")
      assert.deepStrictEqual(yield* texts(open), ["still here"])
    }))

  it.live("fails with the cause when the connection ends for good, in every form, after what was received", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({
        servers: server.url,
        reconnect: { initialDelay: "5 millis", maxAttempts: 2 }
      })
      const unread = yield* nats.subscription("in")
      const seen: Array<string> = []
      const begun = yield* Latch.make()
      const forms = yield* Effect.forEach([
        Stream.runDrain(nats.subscribe("in")),
        Stream.runDrain(Stream.buffer(nats.subscribe("in"), { capacity: 16 })),
        Stream.runDrain(Stream.merge(nats.subscribe("in"), nats.subscribe("in.other"))),
        nats.consume("in", () => begun.open, { concurrency: 3 })
      ], (form) => Effect.forkChild(Effect.flip(form), { startImmediately: true }))
      yield* nats.flush
      for (const text of numbers(1, 3)) yield* nats.publish("in", text)
      yield* nats.flush
      yield* begun.await
      yield* server.kill
      for (const form of forms) {
        const error = yield* Fiber.join(form)
        assert(error._tag === "ConnectionClosed", error._tag)
        assert.strictEqual(error.reason?._tag, "ConnectionRefused")
      }
      const error = yield* Effect.flip(
        Stream.runForEach(unread.stream, (message) => Effect.sync(() => seen.push(message.text)))
      )
      assert.deepStrictEqual(seen, ["1", "2", "3"])
      assert(error._tag === "ConnectionClosed", error._tag)
      assert.strictEqual(error.reason?._tag, "ConnectionRefused")
    }))

  it.live("that is drained while messages pour in: everything up to its leave is read, then the stream ends", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const leaving = yield* nats.subscription("in")
      const staying = yield* nats.subscription("in")
      const publishing = yield* Effect.forkChild(sendMany(witness, "in", 20_000))
      const first = yield* Stream.runCollect(Stream.take(staying.stream, 100))
      assert.isAtLeast(first.length, 100)
      yield* leaving.drain
      const read = yield* Stream.runCollect(leaving.stream)
      assert.isAbove(read.length, 0)
      assert.isTrue(read.every((message, i) => numberIn(message) === i))
      yield* Fiber.join(publishing)
      yield* nats.flush
      const { messagesIn, subscriptions } = yield* nats.stats
      assert.strictEqual(subscriptions, 1)
      // All that the server sent: to the one that stayed, and to the one that left.
      assert.strictEqual(read.length, messagesIn - 20_000)
    }))
})

describe("max", () => {
  it.live("ends the stream with success after so many messages, and the server sends no more", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const limited = yield* nats.subscription("in", { max: 3 })
      for (const text of numbers(1, 10)) yield* nats.publish("in", text)
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).messagesIn, 3)
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
      assert.deepStrictEqual(yield* texts(limited), ["1", "2", "3"])
      yield* limited.unsubscribe
      yield* limited.drain
      assert.deepStrictEqual((yield* server.connz).map((connection) => connection.subscriptions), [0])
    }))

  it.live("loses nothing of a queue group: the other members get the rest", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const limited = yield* nats.subscription("jobs", { queue: "workers", max: 5 })
      const other = yield* nats.subscription("jobs", { queue: "workers" })
      for (const text of numbers(1, 200)) yield* witness.publish("jobs", text)
      yield* witness.flush
      yield* nats.flush
      yield* other.unsubscribe
      const some = yield* texts(limited)
      const rest = yield* texts(other)
      assert.strictEqual(some.length, 5)
      assert.deepStrictEqual([...some, ...rest].toSorted((a, b) => Number(a) - Number(b)), numbers(1, 200))
    }))

  it.live("counts over sessions: a new one is told what is left", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: { initialDelay: "5 millis" } })
      const status = yield* follow(nats)
      const limited = yield* nats.subscription("in", { max: 5 })
      for (const text of numbers(1, 2)) yield* nats.publish("in", text)
      yield* nats.flush
      yield* proxy.drop("RST")
      yield* status.connected(2)
      for (const text of numbers(3, 10)) yield* nats.publish("in", text)
      yield* nats.flush
      assert.deepStrictEqual(yield* texts(limited), numbers(1, 5))
      yield* proxy.drop("RST")
      yield* status.connected(3)
      yield* nats.flush
      const lines = (yield* proxy.sent("toServer")).toString().split("\r\n").filter((line) => /^(UN)?SUB/.test(line))
      const sid = lines[0].split(" ").at(-1)
      assert.deepStrictEqual(lines, [`SUB in ${sid}`, `UNSUB ${sid} 5`, `SUB in ${sid}`, `UNSUB ${sid} 3`])
    }))

  it.live("ends consume with success when that many are handled, and counts what overflow drops", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const handled: Array<string> = []
      const consuming = yield* Effect.forkChild(
        nats.consume("in", (message) => Effect.sync(() => handled.push(message.text)), { max: 50, concurrency: 4 }),
        { startImmediately: true }
      )
      const small = yield* nats.subscription("in", { max: 50, capacity: 10, overflow: "dropNewest" })
      yield* nats.flush
      for (const text of numbers(1, 60)) yield* nats.publish("in", text)
      yield* Fiber.join(consuming)
      assert.deepStrictEqual(handled, numbers(1, 50))
      assert.deepStrictEqual(yield* texts(small), numbers(1, 10))
      assert.strictEqual(yield* small.dropped, 40)
    }))

  it.live("and unsubscribe leave nothing behind at the close: handlers of what was received finish, and their answers go out", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const answers = yield* witness.subscription("answers", { max: 6 })
      const gate = yield* Latch.make()
      const begun = yield* Latch.make()
      const answer = (message: NatsMessage.NatsMessage) =>
        begun.open.pipe(Effect.andThen(gate.await), Effect.andThen(message.respond(message.text)))
      const limited = yield* nats.subscription("in", { max: 3 })
      const left = yield* nats.subscription("in")
      const readers = yield* Effect.forEach(
        [limited, left],
        ({ stream }) => Effect.forkChild(Stream.runForEach(stream, answer), { startImmediately: true })
      )
      for (const text of numbers(1, 3)) yield* witness.publish("in", text, { reply: "answers" })
      yield* witness.flush
      yield* begun.await
      yield* nats.flush
      yield* left.unsubscribe
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
      const draining = yield* Effect.forkChild(nats.drain, { startImmediately: true })
      // More round trips than the close itself makes: it fails if the client is closed.
      for (let i = 0; i < 4; i++) yield* nats.flush
      assert.isUndefined(draining.pollUnsafe())
      yield* gate.open
      yield* Fiber.join(draining)
      for (const reader of readers) yield* Fiber.join(reader)
      assert.deepStrictEqual((yield* texts(answers)).toSorted(), ["1", "1", "2", "2", "3", "3"])
    }))

  it.live("and other numbers that make no sense are a defect, and nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const wrong: ReadonlyArray<Effect.Effect<unknown, unknown, Scope.Scope>> = [
        nats.subscription("in", { max: 0 }),
        nats.subscription("in", { max: 1.5 }),
        nats.subscription("in", { max: 1_000_000_000 }),
        nats.subscription("in", { capacity: Number.NaN }),
        nats.subscription("in", { capacityBytes: -1 }),
        Stream.runDrain(nats.requestMany("in", "", { count: 0 }))
      ]
      for (const operation of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(operation))
        assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.instanceOf(Cause.squash(exit.cause), RangeError)
      }
      assert.strictEqual((yield* nats.stats).messagesOut, 0)
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
    }))
})
