/** Scripted: what a server refuses, complains of and asks for within a chunk, which a real one cannot be made to say. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Subscription } from "../../src/internal/delivery/subscription.ts"
import { settingsOf } from "../../src/internal/operations/subscribe.ts"
import { ask, textOf, turn, wired } from "../fixtures/wired.ts"

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

  it.live("of a request that has its reply in the same chunk is nothing: the reply counts", () =>
    Effect.gen(function*() {
      const wire = yield* wired()
      wire.attach()
      const [answered, other] = [yield* ask(wire), yield* ask(wire)]
      wire.receive(`PONG\r\n-ERR 'Permissions Violation for Publish to "a"'\r\n${wire.reply(1, "x")}`)
      assert.strictEqual(textOf(yield* Fiber.join(answered)), "x")
      assert.include(textOf(yield* Fiber.join(other)), "may not publish")
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
