/** One message into a stream: what is known of it when the publish is over, whatever happened. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { follow } from "../fixtures/following.ts"
import { rawApi, rawStream, withJetStream } from "../fixtures/jetStream.ts"

const jetStreamOf = (nats: NatsClient.NatsClient, options?: JetStream.Options) =>
  Effect.provideService(JetStream.make(options), NatsClient.NatsClient, nats)

/** A client that reaches the server through a proxy, besides one that does not. */
const throughProxy = (options: Omit<NatsClient.Options, "servers"> = {}) =>
  Effect.gen(function*() {
    const { nats, server } = yield* withJetStream()
    yield* rawStream(nats, "ORDERS")
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    const reconnect = { initialDelay: "10 millis" } as const
    const far = yield* NatsClient.make({ servers: proxy.url, reconnect, ...options } as NatsClient.Options)
    return { nats, server, proxy, far, js: yield* jetStreamOf(far) }
  })

const storedIn = (nats: NatsClient.NatsClient, stream: string) =>
  Effect.map(rawApi(nats, `STREAM.INFO.${stream}`), ({ state }) => state.messages as number)

/** Waits until a stream has so many. */
const untilStored = (nats: NatsClient.NatsClient, stream: string, messages: number) =>
  Effect.repeat(storedIn(nats, stream), {
    until: (stored) => stored >= messages,
    schedule: Schedule.spaced("5 millis")
  })

describe("an acknowledgement", () => {
  it.live("has the stream and the sequence, and of a message id that is stored those of the first copy", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS")
      const plain = { stream: "ORDERS", duplicate: false, domain: undefined, value: undefined }
      assert.deepStrictEqual(yield* js.publish("orders.a", "one"), { ...plain, sequence: 1 })
      assert.deepStrictEqual(yield* js.publish("orders.b", new Uint8Array([1]), { msgId: "7" }), {
        ...plain,
        sequence: 2
      })
      yield* js.publish("orders.c")
      for (const _ of [1, 2, 3]) {
        assert.deepStrictEqual(yield* js.publish("orders.c", "again", { msgId: "7" }), {
          ...plain,
          sequence: 2,
          duplicate: true
        })
      }
      assert.strictEqual(yield* storedIn(nats, "ORDERS"), 3)
      yield* js.publish("orders.d", "x", { headers: { name: ["a", "b"], "Nats-Msg-Id": "other" }, msgId: "8" })
      const { message } = yield* rawApi(nats, "STREAM.MSG.GET.ORDERS", { seq: 4 })
      const headers = Buffer.from(message.hdrs, "base64").toString()
      assert.include(headers, "name: a\r\nname: b")
      assert.include(headers, "Nats-Msg-Id: 8")
      assert.notInclude(headers, "other")
    }))

  it.live("has the value of a counter, and an old server counts nothing", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const level = (yield* nats.serverInfo).api_lvl ?? 0
      yield* rawStream(nats, "COUNTS", level < 2 ? {} : { allow_msg_counter: true, allow_direct: true })
      yield* js.publish("counts.a", "", { headers: { "Nats-Incr": "+9223372036854775807" } })
      const { value } = yield* js.publish("counts.a", "", { headers: { "Nats-Incr": "+2" } })
      assert.strictEqual(value, level < 2 ? undefined : 9223372036854775809n)
      if (level < 2) return
      const refused = yield* Effect.flip(js.publish("counts.a"))
      assert.deepInclude({ ...refused }, { _tag: "MessageRefused", errCode: 10169, subject: "counts.a" })
    }))
})

describe("what is refused", () => {
  it.live("has its own tag, and is not stored", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "FULL", { max_msgs: 1, discard: "new" })
      yield* rawStream(nats, "EACH", { max_msgs_per_subject: 1, discard: "new", discard_new_per_subject: true })
      yield* rawStream(nats, "BYTES", { max_bytes: 100, discard: "new" })
      yield* rawStream(nats, "SMALL", { max_msg_size: 10 })
      const none = yield* Effect.flip(js.publish("nobody.there", "x"))
      assert.deepStrictEqual([none._tag, none.isRetryable], ["NoStreamForSubject", true])
      assert.include(none.message, "No stream takes \"nobody.there\"")
      for (const subject of ["full.a", "each.a"] as const) {
        yield* js.publish(subject)
        const full = yield* Effect.flip(js.publish(subject))
        assert.deepStrictEqual([full._tag, full.isRetryable], ["StreamFull", false])
        assert.include(full.message, subject === "full.a" ? "maximum messages exceeded" : "per subject exceeded")
      }
      const bytes = yield* Effect.flip(js.publish("bytes.a", "x".repeat(200)))
      assert.deepInclude({ ...bytes }, { _tag: "StreamFull", stream: "BYTES", subject: "bytes.a" })
      const large = yield* Effect.flip(js.publish("small.a", "x".repeat(11)))
      assert.deepInclude({ ...large }, { _tag: "MessageRefused", errCode: 10054, subject: "small.a" })
      assert.include(large.message, "make it smaller")
      for (const stream of ["FULL", "EACH"]) assert.strictEqual(yield* storedIn(nats, stream), 1)
    }))

  it.live("is not sent where no server could take it", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS")
      const before = (yield* nats.stats).messagesOut
      const subject: string = "orders. a"
      const tags = [
        [js.publish(subject), "InvalidSubject"],
        [js.publish("orders.a", 7 as never), "InvalidPayload"],
        [js.publish("orders.a", new Uint8Array(2 ** 20 + 1)), "MaxPayloadExceeded"],
        [js.publish("orders.a", "", { headers: { name: "two\nlines" } }), "InvalidHeader"],
        [js.publish("orders.a", "", { msgId: "" }), "InvalidHeader"],
        [js.publish("orders.a", "", { msgId: " 7" }), "InvalidHeader"],
        [js.publish("orders.a", "", { msgId: "7\n" }), "InvalidHeader"],
        [js.publish("orders.a", "", { expect: { stream: "A.B" } }), "InvalidHeader"],
        [js.publish("orders.a", "", { expect: { lastSequence: -1 } }), "InvalidHeader"],
        [js.publish("orders.a", "", { expect: { lastSubjectSequence: 1.5 } }), "InvalidHeader"],
        [js.publish("orders.a", "", { expect: { lastMsgId: "" } }), "InvalidHeader"],
        [js.publish("orders.a", "", { ttl: "500 millis" }), "InvalidHeader"],
        [js.publish("orders.a", "", { ttl: 0 }), "InvalidHeader"]
      ] as const
      for (const [publishing, tag] of tags) {
        const failing: Effect.Effect<unknown, { readonly _tag: string }> = publishing
        assert.strictEqual((yield* Effect.flip(failing))._tag, tag)
      }
      assert.strictEqual((yield* nats.stats).messagesOut, before)
    }))

  it.live("is told by what the server denies", () =>
    Effect.gen(function*() {
      const permissions = { publish: { deny: ["orders.b"] } }
      const server = yield* TestNatsServer.make({
        jetstream: true,
        users: [
          { user: "all", password: "p" },
          { user: "some", password: "p", permissions },
          { user: "deaf", password: "p", permissions: { subscribe: { deny: ["deaf.>"] } } }
        ]
      })
      const as = (user: string, options = {}) =>
        NatsClient.make({ servers: server.url, auth: { user, password: "p" }, ...options })
      const all = yield* as("all")
      yield* rawStream(all, "ORDERS")
      const js = yield* jetStreamOf(yield* as("some"))
      const error = yield* Effect.flip(js.publish("orders.b"))
      assert.deepInclude({ ...error }, { _tag: "PermissionsViolation", operation: "publish", subject: "orders.b" })
      assert.strictEqual((yield* js.publish("orders.a")).sequence, 1)
      // Who may not hear the answer may all the same publish.
      const deaf = yield* as("deaf", { inboxPrefix: "deaf", reconnect: { onFirstConnect: "background" } })
      const unheard = yield* Effect.flip((yield* jetStreamOf(deaf)).publish("orders.a"))
      assert.strictEqual(unheard._tag, "PublishOutcomeUnknown")
      assert.strictEqual(unheard._tag === "PublishOutcomeUnknown" && unheard.reason._tag, "PermissionsViolation")
      // That its inbox is denied can be told before the stream has the message.
      assert.strictEqual(yield* untilStored(all, "ORDERS", 2), 2)
    }))
})

describe("what a stream has to look like", () => {
  it.live("is by stream sequences: the last one of a subject is that of its last acknowledgement, and no count", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS")
      let a = yield* js.publish("orders.a", "", { expect: { lastSubjectSequence: 0 } })
      let b = yield* js.publish("orders.b", "", { expect: { lastSubjectSequence: 0, stream: "ORDERS" } })
      for (const _ of [1, 2, 3]) {
        a = yield* js.publish("orders.a", "", { expect: { lastSubjectSequence: a.sequence } })
        b = yield* js.publish("orders.b", "", { expect: { lastSubjectSequence: b.sequence, lastSequence: a.sequence } })
      }
      assert.deepStrictEqual([a.sequence, b.sequence], [7, 8])
      // Its fourth message, whose sequence is 7.
      const counted = yield* Effect.flip(js.publish("orders.a", "", { expect: { lastSubjectSequence: 4 } }))
      assert.deepInclude({ ...counted }, { _tag: "WrongLastSequence", subject: "orders.a", actual: 7 })
      assert.include(counted.message, "is 7")
      const last = yield* Effect.flip(js.publish("orders.a", "", { expect: { lastSequence: 7 } }))
      assert.deepInclude({ ...last }, { _tag: "WrongLastSequence", actual: 8 })
      yield* js.publish("orders.c", "", { msgId: "c" })
      const id = yield* Effect.flip(js.publish("orders.c", "", { expect: { lastMsgId: "d" } }))
      assert.deepInclude({ ...id }, { _tag: "WrongLastMessageId", actual: "c" })
      yield* js.publish("orders.c", "", { expect: { lastMsgId: "c" } })
      const stream = yield* Effect.flip(js.publish("orders.a", "", { expect: { stream: "OTHER" } }))
      assert.deepInclude({ ...stream }, { _tag: "WrongStream", expected: "OTHER" })
      assert.strictEqual(yield* storedIn(nats, "ORDERS"), 10)
      // Of who asks by headers of his own, it is what the stream refuses.
      const own = yield* Effect.flip(
        js.publish("orders.a", "", { headers: { "Nats-Expected-Last-Sequence": "1" } })
      )
      assert.deepInclude({ ...own }, { _tag: "MessageRefused", errCode: 10071 })
    }))
})

describe("an expectation about other subjects", () => {
  it.live("is about the last of all that the pattern matches, and never ignored", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const level = (yield* nats.serverInfo).api_lvl ?? 0
      yield* rawStream(nats, "ORDERS")
      const expect = { lastSubjectSequence: 0, forSubject: "orders.*.7" }
      if (level < 1) {
        const old = yield* Effect.flip(js.publish("orders.new.7", "", { expect }))
        assert.deepInclude({ ...old }, { _tag: "UnsupportedByServer", feature: "expectedSubject", needs: "2.11" })
        return assert.strictEqual(yield* storedIn(nats, "ORDERS"), 0)
      }
      const { sequence } = yield* js.publish("orders.new.7", "", { expect })
      const taken = yield* Effect.flip(js.publish("orders.done.7", "", { expect }))
      assert.deepInclude({ ...taken }, { _tag: "WrongLastSequence", subject: "orders.done.7", actual: sequence })
      yield* js.publish("orders.done.7", "", { expect: { ...expect, lastSubjectSequence: sequence } })
      yield* js.publish("orders.done.8", "", { expect: { ...expect, forSubject: "orders.*.8" } })
      for (const wrong of [{ forSubject: "orders.>" }, { lastSubjectSequence: 0, forSubject: "orders..7" }]) {
        const unfit = yield* Effect.flip(js.publish("orders.new.9", "", { expect: wrong }))
        assert.strictEqual(unfit._tag, "InvalidHeader")
      }
      assert.strictEqual(yield* storedIn(nats, "ORDERS"), 3)
    }))
})

describe("a time to live", () => {
  it.live("is kept where the server has it, told where the stream has not, and never ignored", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const level = (yield* nats.serverInfo).api_lvl ?? 0
      yield* rawStream(nats, "PLAIN")
      const error = yield* Effect.flip(js.publish("plain.a", "", { ttl: "1 second" }))
      if (level < 1) {
        assert.deepInclude({ ...error }, { _tag: "UnsupportedByServer", feature: "ttl", needs: "2.11" })
        assert.strictEqual(yield* storedIn(nats, "PLAIN"), 0)
        const all = yield* Effect.flip(Stream.runDrain(js.publishAll(Stream.make({ subject: "plain.a", ttl: 1_000 }))))
        return assert.strictEqual(all._tag, "UnsupportedByServer")
      }
      assert.deepInclude({ ...error }, { _tag: "MessageRefused", errCode: 10166 })
      yield* rawStream(nats, "ORDERS", { allow_msg_ttl: true })
      yield* js.publish("orders.a", "", { ttl: "1500 millis" })
      yield* js.publish("orders.b", "", { ttl: "never" })
      yield* js.publish("orders.c", "", { ttl: "1 second" })
      const { message } = yield* rawApi(nats, "STREAM.MSG.GET.ORDERS", { seq: 1 })
      assert.include(Buffer.from(message.hdrs, "base64").toString(), "Nats-TTL: 2s")
      yield* Effect.repeat(storedIn(nats, "ORDERS"), {
        until: (stored) => stored === 1,
        schedule: Schedule.spaced("50 millis")
      })
    }))
})

describe("what is not known", () => {
  it.live("is told apart from what was never written, when the connection dies or nobody answers in time", () =>
    Effect.gen(function*() {
      const { far, js, nats, proxy } = yield* throughProxy()
      const followed = yield* follow(far)
      yield* proxy.swallow("toClient")
      const stored = yield* Effect.forkChild(Effect.flip(js.publish("orders.a", "", { msgId: "7" })), {
        startImmediately: true
      })
      // The server has it, and its answer does not come.
      yield* untilStored(nats, "ORDERS", 1)
      const late = yield* Effect.flip(js.publish("orders.a", "", { timeout: "50 millis" }))
      assert.deepInclude({ ...late }, { _tag: "PublishOutcomeUnknown", subject: "orders.a" })
      assert.strictEqual(late._tag === "PublishOutcomeUnknown" && late.reason._tag, "RequestTimedOut")
      assert.isFalse(late.isRetryable)
      yield* untilStored(nats, "ORDERS", 2)
      yield* proxy.refuse
      yield* proxy.drop()
      const died = yield* Fiber.join(stored)
      assert.deepInclude({ ...died }, { _tag: "PublishOutcomeUnknown", subject: "orders.a", msgId: "7" })
      assert.strictEqual(died._tag === "PublishOutcomeUnknown" && died.reason._tag, "ConnectionLost")
      assert.isTrue(died.isRetryable)
      yield* followed.until(({ tags }) => tags.includes("Disconnected"))
      const never = yield* Effect.flip(js.publish("orders.b", "", { timeout: "50 millis" }))
      assert.deepStrictEqual([never._tag, never.isRetryable], ["NotPublished", true])
      assert.include(never.message, "was never sent")
      const waiting = yield* Effect.forkChild(js.publish("orders.c"), { startImmediately: true })
      yield* proxy.heal
      assert.strictEqual((yield* Fiber.join(waiting)).sequence, 3)
      assert.deepInclude(yield* js.publish("orders.a", "", { msgId: "7" }), { sequence: 1, duplicate: true })
      assert.strictEqual(yield* storedIn(nats, "ORDERS"), 3)
    }))

  it.live("with `whileDisconnected: \"fail\"` nothing waits, and a client that is closed says so", () =>
    Effect.gen(function*() {
      const { far, js, proxy } = yield* throughProxy({ whileDisconnected: "fail" })
      const followed = yield* follow(far)
      yield* proxy.refuse
      yield* proxy.drop()
      yield* followed.until(({ tags }) => tags.includes("Disconnected"))
      assert.strictEqual((yield* Effect.flip(js.publish("orders.a")))._tag, "NotPublished")
      yield* far.drain
      assert.strictEqual((yield* Effect.flip(js.publish("orders.a")))._tag, "ConnectionClosed")
    }))

  it.live("another program that answers whatever it sees gives neither a success nor a defect", () =>
    Effect.gen(function*() {
      const { js, nats, server } = yield* withJetStream()
      yield* rawStream(nats, "ORDERS")
      const other = yield* NatsClient.make({ servers: server.url })
      const answering = yield* Deferred.make<void>()
      yield* Effect.forkScoped(
        Effect.gen(function*() {
          const { stream } = yield* other.subscription("*.>")
          yield* Deferred.succeed(answering, undefined)
          yield* Stream.runForEach(
            stream,
            (message) =>
              message.reply === undefined || message.subject.startsWith("silent")
                ? Effect.void
                : message.respond("+ACK").pipe(
                  // As if the stream were the slower one.
                  Effect.andThen(
                    message.subject === "late.a" ? message.respond("{\"stream\":\"LATE\",\"seq\":7}") : Effect.void
                  ),
                  Effect.ignore
                )
          )
        }).pipe(Effect.scoped)
      )
      yield* Deferred.await(answering)
      for (let i = 1; i <= 20; i++) assert.strictEqual((yield* js.publish("orders.a")).sequence, i)
      const all = yield* Stream.runCollect(
        js.publishAll(Stream.map(Stream.range(1, 500), () => ({ subject: "orders.b" })))
      )
      assert.strictEqual(all.at(-1)!.sequence, 520)
      assert.strictEqual((yield* js.publish("late.a")).sequence, 7)
      const [late] = yield* Stream.runCollect(js.publishAll(Stream.make({ subject: "late.a" })))
      assert.strictEqual(late.sequence, 7)
      // Time enough for what the other one answers.
      const timeout = "2 seconds"
      const [strange, many] = yield* Effect.all([
        Effect.flip(js.publish("nobody.a", "", { timeout })),
        Effect.flip(Stream.runDrain(js.publishAll(Stream.make({ subject: "nobody.a" }), { timeout })))
      ], { concurrency: "unbounded" })
      assert.deepInclude({ ...strange }, { _tag: "InvalidAnswer", request: "nobody.a" })
      assert.strictEqual(many._tag, "InvalidAnswer")
      const silent = yield* Effect.flip(js.publish("silent.a", "", { timeout: "100 millis" }))
      assert.strictEqual(silent._tag, "PublishOutcomeUnknown")
    }))
})

describe("under a message id", () => {
  it.live("a publish is tried again for longer than one try may take, and there is one copy", () =>
    Effect.gen(function*() {
      const { far, js, nats, proxy } = yield* throughProxy()
      const retry = Schedule.spaced("20 millis")
      // Stored and unanswered, then no connection, then answered.
      yield* proxy.swallow("toClient")
      const first = yield* Effect.forkChild(
        js.publish("orders.a", "", { msgId: "1", timeout: "100 millis", retry }),
        { startImmediately: true }
      )
      yield* untilStored(nats, "ORDERS", 1)
      yield* proxy.drop()
      yield* proxy.heal
      assert.deepInclude(yield* Fiber.join(first), { sequence: 1, duplicate: true })
      // No stream at first.
      const second = yield* Effect.forkChild(
        js.publish("later.a", "", { msgId: "1", timeout: "1 second", retry }),
        { startImmediately: true }
      )
      yield* far.flush
      yield* rawStream(nats, "LATER")
      assert.deepInclude(yield* Fiber.join(second), { stream: "LATER", sequence: 1, duplicate: false })
      assert.deepStrictEqual([yield* storedIn(nats, "ORDERS"), yield* storedIn(nats, "LATER")], [1, 1])
    }))

  it.live("it ends after `retryWithin`, after the schedule, or where a stream refuses it, and says what may be stored", () =>
    Effect.gen(function*() {
      const { js, nats, proxy } = yield* throughProxy()
      const retry = Schedule.spaced("10 millis")
      const none = yield* Effect.flip(js.publish("nobody.a", "", { msgId: "1", retry, retryWithin: "100 millis" }))
      assert.strictEqual(none._tag, "NoStreamForSubject")
      const thrice = { msgId: "1", retry: Schedule.upTo(retry, { times: 2 }) }
      const before = (yield* nats.stats).messagesOut
      assert.strictEqual((yield* Effect.flip(js.publish("nobody.a", "", thrice)))._tag, "NoStreamForSubject")
      assert.strictEqual((yield* nats.stats).messagesOut, before)
      yield* rawStream(nats, "FULL", { max_msgs: 1, discard: "new" })
      yield* js.publish("full.a")
      assert.strictEqual((yield* Effect.flip(js.publish("full.a", "", { msgId: "1", retry })))._tag, "StreamFull")
      // The first try is stored, the last one is never written: that is not the whole truth.
      yield* proxy.swallow("toClient")
      const unclear = yield* Effect.forkChild(
        Effect.flip(
          js.publish("orders.a", "", { msgId: "2", timeout: "100 millis", retry, retryWithin: "600 millis" })
        ),
        { startImmediately: true }
      )
      yield* untilStored(nats, "ORDERS", 1)
      yield* proxy.refuse
      yield* proxy.drop()
      const error = yield* Fiber.join(unclear)
      assert.deepInclude({ ...error }, { _tag: "PublishOutcomeUnknown", msgId: "2" })
      assert.strictEqual(yield* storedIn(nats, "ORDERS"), 1)
    }))
})
