/** Scripted: what comes in one chunk, which a real server cannot be made to do. Whoever it is about gets it whole. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { publish } from "../../src/internal/operations/publish.ts"
import { request, requestMany } from "../../src/internal/operations/request.ts"
import { ask, textOf, turn, type Wired, wired } from "../fixtures/wired.ts"

const limit = { count: Infinity, stall: undefined, sentinel: false, capacity: 100, capacityBytes: 1_000 }
const askMany = (wire: Wired, count: number) =>
  Effect.forkChild(
    Effect.exit(Stream.runCollect(requestMany(wire.connection, "a", "", 5_000, undefined, { ...limit, count }))),
    { startImmediately: true }
  )

describe("replies", () => {
  it.live("in the chunk that ends the session are the replies of their requests; the others lost theirs", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const answered = yield* ask(wire)
      const lost = yield* ask(wire)
      const many = yield* askMany(wire, 2)
      wire.receive(`${wire.reply(1, "x")}${wire.reply(3, "y")}${wire.reply(3, "z")}-ERR 'Stale Connection'\r\n`)
      assert.strictEqual(textOf(yield* Fiber.join(answered)), "x")
      assert.include(textOf(yield* Fiber.join(lost)), "stopped answering pings")
      const replies = yield* yield* Fiber.join(many)
      assert.deepStrictEqual(replies.map(({ text }) => text), ["y", "z"])
      // A chunk that is broken behind the reply, and an end that comes in the same turn.
      wire.attach()
      const [broken, ended] = [yield* ask(wire), yield* ask(wire)]
      wire.receive(`${wire.reply(5, "v")}`)
      wire.end()
      assert.strictEqual(textOf(yield* Fiber.join(ended)), "v")
      assert.include(textOf(yield* Fiber.join(broken)), "The connection was lost")
      wire.attach()
      const last = yield* ask(wire)
      wire.receive(`${wire.reply(6, "w")}garbage\r\n`)
      assert.strictEqual(textOf(yield* Fiber.join(last)), "w")
    }))

  it.live("of one request, two in a chunk: the first counts", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const asked = yield* ask(wire)
      wire.receive(`${wire.reply(1, "first")}${wire.reply(1, "second")}`)
      assert.strictEqual(textOf(yield* Fiber.join(asked)), "first")
      assert.strictEqual(wire.connection.mux.size, 0)
    }))

  it.live("to a token that only begins like a request's are nobody's", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const asked = yield* ask(wire)
      for (const token of ["1x", "x1", "1.x", "01", "", "-1", "+1", "1e0"]) wire.receive(wire.reply(token, "wrong"))
      yield* turn
      assert.isUndefined(asked.pollUnsafe())
      wire.receive(wire.reply(1, "right"))
      assert.strictEqual(textOf(yield* Fiber.join(asked)), "right")
    }))

  it.live("of the next session come to the inbox that is asked for there, too", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      for (const token of [1, 2]) {
        wire.attach()
        const asked = yield* ask(wire)
        assert.deepStrictEqual(wire.lines, ["SUB _INBOX.test.* 1", "PING", `PUB a _INBOX.test.${token} 0`, ""])
        wire.receive(`PONG\r\n${wire.reply(token, "x")}`)
        assert.strictEqual(textOf(yield* Fiber.join(asked)), "x")
        wire.end()
      }
    }))

  it.effect("have what is left of the time, where their request has waited for the session", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      const asked = yield* ask(wire)
      yield* TestClock.adjust("3 seconds")
      wire.attach()
      // Until the deadline sleeps.
      yield* Effect.repeat(turn, { times: 9 })
      yield* TestClock.adjust("1999 millis")
      yield* Effect.repeat(turn, { times: 9 })
      assert.isUndefined(asked.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.include(textOf(yield* Fiber.join(asked)), "RequestTimedOut")
    }))

  it.live("with a status 503 and a payload are replies: the server's own word has none", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const asked = yield* ask(wire)
      const many = yield* askMany(wire, 1)
      const nobody = yield* ask(wire)
      const manyNobody = yield* askMany(wire, 1)
      const block = "NATS/1.0 503\r\n\r\n"
      const of = (token: number, body: string): string =>
        `HMSG ${wire.connection.mux.prefix}${token} 1 ${block.length} ${
          block.length + body.length
        }\r\n${block}${body}\r\n`
      wire.receive(of(1, "busy") + of(2, "busy") + of(3, "") + of(4, ""))
      assert.strictEqual(textOf(yield* Fiber.join(asked)), "busy")
      assert.deepStrictEqual((yield* yield* Fiber.join(many)).map(({ text }) => text), ["busy"])
      assert.include(textOf(yield* Fiber.join(nobody)), "Nobody answers")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(manyNobody)))
    }))
})

describe("the last chunk of a session", () => {
  it.live("has what stands before its fatal word, and nothing behind it", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const subscription = wire.subscribe("a")
      wire.receive("PONG\r\nMSG a 2 6\r\nbefore\r\n-ERR 'User Authentication Expired'\r\nMSG a 2 6\r\nbehind\r\n")
      assert.deepStrictEqual(subscription.rest().map(({ text }) => text), ["before"])
      assert.strictEqual(wire.connection.messagesIn, 1)
    }))
})

describe("before a session", () => {
  it.live("an error that leaves the connection open is no event of the client", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach("-ERR 'odd'\r\nPONG\r\n")
      assert.deepStrictEqual(wire.events.map(({ _tag }) => _tag), ["Connected"])
    }))
})

describe("a ping", () => {
  it.live("is called back once: with its PONG, or with the end of the session", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const told: Array<string> = []
      for (const name of ["first", "second"]) {
        wire.connection.session!.ping((reason) => told.push(`${name} ${reason?._tag}`))
      }
      wire.receive("PONG\r\n")
      wire.end()
      assert.deepStrictEqual(told, ["first undefined", "second ConnectionReset"])
    }))
})

describe("the first chunk of a session", () => {
  const held = (wire: Wired) =>
    Effect.andThen(publish(wire.connection, "held", "x"), publish(wire.connection, "held", "y".repeat(200)))

  it.live("brings the subscriptions out before what was held, each with a PING right behind it", () =>
    Effect.gen(function*() {
      const wire = yield* wired({ whileDisconnected: { buffer: 10 } })
      wire.subscribe("a")
      wire.subscribe("b")
      yield* held(wire)
      wire.attach()
      yield* turn
      assert.deepStrictEqual(wire.lines.slice(0, 6), ["SUB a 2", "PING", "SUB b 3", "PING", "PUB held 1", "x"])
      assert.strictEqual(wire.lines[6], "PUB held 200")
    }))

  it.live("can have a lower limit behind the PONG: what was held is measured by that", () =>
    Effect.gen(function*() {
      const wire = yield* wired({ whileDisconnected: { buffer: 10 } })
      yield* held(wire)
      wire.attach(`PONG\r\nINFO ${JSON.stringify({ server_id: "S", version: "2.10.27", max_payload: 100 })}\r\n`)
      yield* turn
      assert.deepStrictEqual(wire.lines, ["PUB held 1", "x"])
      assert.deepStrictEqual(wire.events.at(-1), { _tag: "Undelivered", messages: 1 })
    }))

  it.live("and the lower limit of a user in the next one: nothing is sent before it is there", () =>
    Effect.gen(function*() {
      const wire = yield* wired({ whileDisconnected: { buffer: 10 } })
      yield* held(wire)
      wire.attach("PONG\r\n", {}, 2)
      yield* turn
      assert.deepStrictEqual(wire.lines, [])
      wire.receive(`INFO ${JSON.stringify({ server_id: "S", version: "2.10.27", max_payload: 100 })}\r\n`)
      wire.receive("PONG\r\n")
      yield* turn
      assert.deepStrictEqual(wire.lines, ["PUB held 1", "x"])
      assert.deepStrictEqual(wire.events.at(-1), { _tag: "Undelivered", messages: 1 })
    }))

  it.live("can end it: what was held is held for the next", () =>
    Effect.gen(function*() {
      const wire = yield* wired({ whileDisconnected: { buffer: 10 } })
      yield* publish(wire.connection, "held", "x")
      wire.attach("PONG\r\n-ERR 'Stale Connection'\r\n")
      yield* turn
      assert.deepStrictEqual(wire.lines, [])
      wire.attach()
      yield* turn
      assert.deepStrictEqual(wire.lines, ["PUB held 1", "x"])
    }))
})

describe("a publish that is confirmed", () => {
  it.live("is watched no longer than it waits: until its PONG, the end of the session, or its interruption", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      const { watches } = wire.connection.refusals
      const ends: ReadonlyArray<(sending: Fiber.Fiber<unknown>) => Effect.Effect<unknown>> = [
        () => Effect.sync(() => wire.receive("PONG\r\n")),
        () => Effect.sync(() => wire.end()),
        Fiber.interrupt
      ]
      for (const end of ends) {
        wire.attach()
        const sending = yield* Effect.forkChild(Effect.exit(publish(wire.connection, "a", "", { confirm: true })), {
          startImmediately: true
        })
        assert.strictEqual(watches.size, 1)
        yield* end(sending)
        yield* Fiber.await(sending)
        assert.strictEqual(watches.size, 0)
      }
    }))
})

describe("a limit that is lowered while connected", () => {
  it.live("binds what is sent after it, and what waits; each message alone", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const big = "y".repeat(200)
      yield* publish(wire.connection, "a", big)
      wire.receive(`INFO ${JSON.stringify({ server_id: "S", version: "2.10.27", max_payload: 100 })}\r\n`)
      for (const sending of [publish(wire.connection, "a", big), request(wire.connection, "a", big, 10, undefined)]) {
        assert.deepInclude(yield* Effect.flip(sending), { _tag: "MaxPayloadExceeded" })
      }
      yield* publish(wire.connection, "a", "x")
      assert.deepStrictEqual(wire.lines, ["PUB a 200", big, "PUB a 1", "x"])
      assert.isDefined(wire.connection.session)
    }))

  it.live("to a negative one is none", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach("PONG\r\n", { max_payload: -1 })
      yield* publish(wire.connection, "a", "y".repeat(2_000_000))
      assert.strictEqual(wire.lines[0], "PUB a 2000000")
    }))
})
