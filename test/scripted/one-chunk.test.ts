/** Scripted: what comes in one chunk, which a real server cannot be made to do. Whoever it is about gets it whole. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Subscription } from "../../src/internal/delivery/subscription.ts"
import { publish } from "../../src/internal/operations/publish.ts"
import { request, requestMany } from "../../src/internal/operations/request.ts"
import { settingsOf } from "../../src/internal/operations/subscribe.ts"
import { turn, type Wired, wired } from "../fixtures/wired.ts"

const ask = (wire: Wired, subject = "a") =>
  Effect.forkChild(Effect.exit(request(wire.connection, subject, "", 5_000, undefined)), { startImmediately: true })

const limit = { count: Infinity, stall: undefined, sentinel: false, capacity: 100, capacityBytes: 1_000 }
const askMany = (wire: Wired, count: number) =>
  Effect.forkChild(
    Effect.exit(Stream.runCollect(requestMany(wire.connection, "a", "", 5_000, undefined, { ...limit, count }))),
    { startImmediately: true }
  )

const textOf = (exit: Exit.Exit<{ readonly text: string }, { readonly _tag: string }>): string =>
  Exit.match(exit, {
    onSuccess: ({ text }) => text,
    onFailure: (cause) => cause.reasons.map((reason) => "error" in reason ? String(reason.error) : reason._tag).join()
  })

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

describe("PING after PING", () => {
  it.live("is answered up to a bound; one PONG more when those are gone answers the rest, and the next PING has its own", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const pongs = () => wire.lines.filter((line) => line === "PONG").length
      wire.receive("PING\r\n".repeat(2_000))
      const most = pongs()
      assert.isBelow(most, 2_000)
      wire.drained()
      assert.strictEqual(pongs(), most + 1)
      wire.receive("PING\r\n")
      assert.strictEqual(pongs(), most + 2)
      wire.drained()
      assert.strictEqual(pongs(), most + 2)
    }))
})

describe("what a server refuses", () => {
  const refused = "-ERR 'maximum subscriptions exceeded'\r\n"

  it.live("before the PONG of a SUB is that subscription's, and no other's", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const [first, second, third, fourth] = ["a", "b", "c", "d"].map((subject) => wire.subscribe(subject))
      wire.receive(`PONG\r\n${refused}PONG\r\n${refused}PONG\r\nPONG\r\n`)
      assert.isTrue([first, second, third, fourth].every(({ confirmed }) => confirmed))
      assert.deepStrictEqual([...wire.connection.subscriptions.values()], [first, fourth])
      yield* turn
      assert.isDefined(wire.connection.session)
    }))

  it.live("of something else before the PONG of a SUB is no subscription's", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const subscription = wire.subscribe("a")
      wire.receive("-ERR 'Invalid Publish Subject'\r\n-ERR 'odd'\r\nPONG\r\n")
      assert.isTrue(wire.connection.subscriptions.has(subscription.sid))
      assert.deepStrictEqual(wire.events.slice(1).map((event) => "text" in event ? event.text : event._tag), [
        "Invalid Publish Subject",
        "odd"
      ])
    }))

  it.live("of a subscription's subject: the one whose SUB it is, the one with its number, or all of its subject", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const denial = (more = "") => `-ERR 'Permissions Violation for Subscription to "a"${more}'\r\n`
      const open = () => [...wire.connection.subscriptions.values()]
      const [first, second, third, other] = ["a", "a", "a", "b"].map((subject) => wire.subscribe(subject))
      const group = wire.connection.subscribe((sid, owner) =>
        new Subscription(sid, settingsOf("a", { queue: "workers" }), owner)
      )
      wire.receive(`PONG\r\n${denial()}PONG\r\nPONG\r\nPONG\r\nPONG\r\n`)
      assert.deepStrictEqual(open(), [first, third, other, group])
      wire.receive(denial(` (sid "${third.sid}")`))
      assert.deepStrictEqual(open(), [first, other, group])
      // Up to 2.10 without the group, which it has to be told with.
      wire.receive(denial(` (sid "${group.sid}")`))
      assert.deepStrictEqual(open(), [first, other])
      assert.deepInclude(wire.events.at(-1), { _tag: "PermissionDenied" })
      assert.include(JSON.stringify(wire.events.at(-1)), "workers")
      const [again, later] = [wire.subscribe("a"), wire.subscribe("c")]
      wire.receive(`PONG\r\nPONG\r\n${denial()}`)
      assert.deepStrictEqual(open(), [other, later])
      assert.isTrue(second.confirmed && again.confirmed)
    }))

  it.live("while a flush stands before the SUB is none's: its limit was lowered, and it ends with those words", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const subscription = wire.subscribe("a")
      wire.receive("PONG\r\n")
      wire.connection.session!.ping(() => {})
      const later = wire.subscribe("b")
      // Pings that are answered in the meantime do not take it away.
      wire.receive(`${refused}PONG\r\nPONG\r\nPING\r\n`)
      assert.deepStrictEqual([...wire.connection.subscriptions.values()], [subscription, later])
      wire.end()
      assert.deepInclude(wire.connection.lostReason, {
        _tag: "ServerRejected",
        text: "maximum subscriptions exceeded"
      })
    }))

  it.live("of a SUB says nothing of an end that follows, nor does a lowered limit of one that comes long after", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      wire.subscribe("a")
      wire.receive(`${refused}PONG\r\n`)
      wire.end()
      assert.strictEqual(wire.connection.lostReason?._tag, "ConnectionReset")
      wire.attach()
      wire.receive(refused)
      yield* Effect.sleep("1100 millis")
      wire.end()
      assert.strictEqual(wire.connection.lostReason?._tag, "ConnectionReset")
    }))

  it.live("of the inbox fails the requests that wait for it, and the next one asks for it again", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const [first, second] = [yield* ask(wire), yield* ask(wire)]
      assert.deepStrictEqual(wire.lines.slice(0, 3), ["SUB _INBOX.test.* 1", "PING", "PUB a _INBOX.test.1 0"])
      wire.receive(`${refused}PONG\r\n`)
      for (const asked of [first, second]) {
        assert.include(textOf(yield* Fiber.join(asked)), "takes no more subscriptions")
      }
      const again = yield* ask(wire)
      assert.strictEqual(wire.lines.filter((line) => line === "SUB _INBOX.test.* 1").length, 2)
      wire.receive(`PONG\r\n${wire.reply(3, "x")}`)
      assert.strictEqual(textOf(yield* Fiber.join(again)), "x")
    }))

  it.live("by the thousand is looked for once: denied requests in flight cost no square of their number", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const count = 5_000
      const asked = yield* Effect.forEach(
        Array.from({ length: count }, (_, i) => `a.${i}`),
        (subject) => ask(wire, subject)
      )
      const denials = Array.from(
        { length: count },
        (_, i) => `-ERR 'Permissions Violation for Publish to "a.${i}"'\r\n`
      )
      wire.receive(`PONG\r\n${denials.join("")}`)
      const exits = yield* Effect.forEach(asked, Fiber.join)
      assert.isTrue(exits.every((exit) => textOf(exit).includes("may not publish")))
      // Somebody waits for each; as events, so many of one turn are enough.
      assert.isBelow(wire.events.length, 1_000)
    }))

  it.live("is the cause of an end that follows, also behind a PING", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      wire.receive("-ERR 'odd'\r\nPING\r\n")
      wire.end()
      assert.deepInclude(wire.connection.lostReason, { _tag: "ServerRejected", text: "odd" })
    }))

  it.live("again and again is told once a turn, and leaves no more behind than its first and last words", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const long = "x".repeat(500_000)
      for (let i = 0; i < 10; i++) {
        wire.receive(`${"-ERR 'same'\r\n".repeat(5_000)}`)
        yield* turn
      }
      assert.strictEqual(wire.events.filter(({ _tag }) => _tag === "ServerComplaint").length, 10)
      wire.receive(Array.from({ length: 5_000 }, (_, i) => `-ERR 'other ${i}'\r\n`).join(""))
      wire.receive(`-ERR '${long}'\r\n`)
      yield* turn
      assert.isBelow(wire.events.length, 100)
      const before = wire.events.length
      wire.receive("-ERR 'one'\r\n-ERR 'two'\r\n".repeat(20))
      assert.strictEqual(wire.events.length - before, 2)
      wire.receive("-ERR 'last'\r\n")
      wire.end()
      assert.deepInclude(wire.connection.lostReason, { _tag: "ServerRejected", text: "same; last" })
    }))

  it.live("in a flood: its last word is told with an end, and what ends the session is heard behind what is repeated", () =>
    Effect.gen(function*() {
      const flooded = yield* wired()
      flooded.attach()
      flooded.receive(Array.from({ length: 500 }, (_, i) => `-ERR 'other ${i}'\r\n`).join(""))
      flooded.end()
      assert.deepInclude(flooded.connection.lostReason, { _tag: "ServerRejected", text: "other 0; other 499" })
      const repeated = yield* wired()
      repeated.attach()
      repeated.receive(`${"-ERR 'odd'\r\n".repeat(500)}-ERR 'User Authentication Expired'\r\n`)
      assert.deepInclude(repeated.connection.lostReason, { _tag: "AuthenticationExpired" })
    }))
})
