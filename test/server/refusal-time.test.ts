/**
 * How long refused credentials are dialled with: `reconnect.refusalTimeout`. Where exact times are asked for the clock is a
 * test's, so that no time passes but that of the delays.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Scope } from "effect"
import { NatsClient, type NatsConfig } from "effect-nats"
import { TestAuthCallout, TestNatsServer, TestOperator } from "effect-nats/testing"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { makeAheadClock } from "../fixtures/aheadClock.ts"
import { atOnce } from "../fixtures/dialling.ts"
import { directory } from "../fixtures/directory.ts"
import { follow, type Following, oneTurn } from "../fixtures/following.ts"

const fast = { initialDelay: "10 millis", maxDelay: "40 millis" } as const

const john = (password: string): TestNatsServer.Options => ({ users: [{ user: "john", password }] })

/** How many of the delays of a client have passed. */
const past = new WeakMap<Following, number>()

/**
 * Lets the delays of a client pass, up to its end, its next session, or so many milliseconds. Gives what has passed since
 * the first dial of the outage; the delay that would be too much is still to pass.
 */
const pass = Effect.fnUntraced(function*(status: Following, millis = Infinity) {
  let passed = 0
  const sessions = status.all("Connected").length
  while (true) {
    const seen = past.get(status) ?? 0
    yield* status.until(({ last }) =>
      last._tag === "Closed" || status.all("Connected").length > sessions || status.all("Reconnecting").length > seen
    )
    const { last } = status
    if (last._tag !== "Reconnecting" || passed + last.delayMillis > millis) return passed
    past.set(status, status.all("Reconnecting").length)
    if (last.attempt > 0) passed += last.delayMillis
    yield* oneTurn
    yield* TestClock.adjust(last.delayMillis)
  }
})

/** The delay that is still to pass. */
const pending = (status: Following): number => {
  const { last } = status
  assert(last._tag === "Reconnecting", last._tag)
  return last.delayMillis
}

/** A client of a vault that can be down, connected, and its server. */
const setUp = Effect.fnUntraced(function*(reconnect: NatsConfig.ReconnectInput = {}) {
  const server = yield* TestNatsServer.make(john("p0"))
  const vault = { password: "p0", down: false }
  const auth = Effect.suspend(() =>
    vault.down ? Effect.fail("down") : Effect.succeed({ user: "john", password: vault.password })
  )
  // Without jitter the first dial of an outage waits for nothing.
  const nats = yield* NatsClient.make({ servers: server.url, auth, reconnect: { jitter: false, ...reconnect } })
  const status = yield* follow(nats)
  return { server, vault, nats, status }
})

const reasonOf = (status: Following): string | undefined => status.all("Reconnecting").at(-1)?.reason._tag

describe("the same credentials, refused", () => {
  it.effect("for refusalTimeout since their first refusal, 30 seconds: the client ends just then", () =>
    Effect.gen(function*() {
      const { nats, server, status } = yield* setUp()
      yield* server.reload(john("changed"))
      assert.strictEqual(yield* pass(status), 30_000)
      assert.strictEqual((yield* Effect.flip(nats.closed)).reason?._tag, "AuthorizationViolation")
    }))

  it.effect("for as long and static: no sooner", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(john("p0"))
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: { user: "john", password: "p0" },
        reconnect: { jitter: false, refusalTimeout: "2 minutes" }
      })
      const status = yield* follow(nats)
      yield* server.reload(john("changed"))
      assert.strictEqual(yield* pass(status), 120_000)
    }))

  it.effect("for ever, where that is said: the client goes on, and is back when they are taken", () =>
    Effect.gen(function*() {
      const { server, status } = yield* setUp({ refusalTimeout: "forever" })
      yield* server.reload(john("changed"))
      yield* pass(status, 600_000)
      assert.strictEqual(status.last._tag, "Reconnecting")
      yield* server.reload(john("p0"))
      yield* pass(status)
      assert.deepInclude(status.last, { _tag: "Connected", session: 2 })
    }))

  it.effect("but for less than that: the client is back, and the next refusals are counted anew", () =>
    Effect.gen(function*() {
      const { server, status } = yield* setUp()
      for (const session of [2, 3]) {
        yield* server.reload(john("changed"))
        yield* pass(status, 20_000)
        assert.strictEqual(status.last._tag, "Reconnecting")
        yield* server.reload(john("p0"))
        yield* pass(status)
        assert.deepInclude(status.last, { _tag: "Connected", session })
      }
    }))

  it.effect("up to a budget that is smaller: maxElapsed, maxAttempts", () =>
    Effect.gen(function*() {
      const elapsed = yield* setUp({ maxElapsed: "10 seconds" })
      yield* elapsed.server.reload(john("changed"))
      // 100 ms, twice as much each time, and no delay that would end later.
      assert.strictEqual(yield* pass(elapsed.status), 6_300)
      const attempts = yield* setUp({ maxAttempts: 3 })
      yield* attempts.server.reload(john("changed"))
      yield* pass(attempts.status)
      assert.strictEqual(attempts.status.all("Reconnecting").length, 2)
    }))
})

/** Credentials are refused for 30 seconds in all, and what lies between, when the vault is down, does not count. */
const downMeanwhile = Effect.fnUntraced(function*(vault: { down: boolean }, status: Following) {
  const before = yield* pass(status, 10_000)
  vault.down = true
  assert.isAbove(yield* pass(status, 120_000), 100_000)
  vault.down = false
  const first = pending(status)
  assert.strictEqual(before + (yield* pass(status)), first + 30_000)
})

describe("what does not count", () => {
  it.effect("the time of other credentials: they have all of theirs", () =>
    Effect.gen(function*() {
      const { nats, server, status, vault } = yield* setUp()
      yield* server.reload(john("changed"))
      assert.isAbove(yield* pass(status, 25_000), 20_000)
      vault.password = "p1"
      const first = pending(status)
      assert.strictEqual(yield* pass(status), first + 30_000)
      assert.strictEqual((yield* Effect.flip(nats.closed)).reason?._tag, "AuthorizationViolation")
    }))

  it.effect("the time in which the last good ones stand in for a vault that is down", () =>
    Effect.gen(function*() {
      const { server, status, vault } = yield* setUp()
      yield* server.reload(john("changed"))
      yield* downMeanwhile(vault, status)
    }))

  it.effect("nor is that a reason to dial sooner, when little of their time is left", () =>
    Effect.gen(function*() {
      const { server, status, vault } = yield* setUp({ maxDelay: "2 seconds" })
      yield* server.reload(john("changed"))
      yield* pass(status, 29_500)
      assert.isBelow(pending(status), 2_000)
      vault.down = true
      yield* pass(status, pending(status))
      const before = status.all("Reconnecting").length
      yield* pass(status, 20_000)
      assert.deepStrictEqual(
        new Set(status.all("Reconnecting").slice(before).map((event) => event.delayMillis)),
        new Set([2_000])
      )
    }))

  it.effect("what one server says of credentials that another, which is away, may know; and it is not dialled sooner", () =>
    Effect.gen(function*() {
      // It knows no NKeys, and sends nothing to sign.
      const server = yield* TestNatsServer.make()
      const { seed } = yield* TestOperator.nkey()
      const nats = yield* NatsClient.make({
        servers: [server.url, "nats://127.0.0.1:9"],
        auth: { _tag: "NKey", seed },
        reconnect: {
          jitter: false,
          initialDelay: "1 second",
          maxDelay: "1 second",
          refusalTimeout: "3 seconds",
          onFirstConnect: "background"
        }
      })
      const status = yield* follow(nats)
      assert.isAtLeast(yield* pass(status, 20_000), 19_000)
      assert.strictEqual(reasonOf(status), "CredentialsInvalid")
      assert.deepStrictEqual(new Set(status.all("Reconnecting").map((event) => event.delayMillis)), new Set([1_000]))
    }))

  it.effect("the time in which a vault is down that nothing can stand in for", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(john("p1"))
      const vault = { down: false }
      const auth = Effect.suspend(() =>
        vault.down ? Effect.fail("down") : Effect.succeed({ user: "john", password: "p0" })
      )
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth,
        reconnect: { jitter: false, onFirstConnect: "background" }
      })
      const status = yield* follow(nats)
      yield* downMeanwhile(vault, status)
    }))

  it.live("the wall clock, which somebody sets", () =>
    Effect.gen(function*() {
      const clock = yield* makeAheadClock
      const { server, status } = yield* Effect.provideService(
        setUp({ ...fast, maxElapsed: "1 hour" }),
        Clock.Clock,
        clock
      )
      yield* server.reload(john("changed"))
      yield* status.seen("Reconnecting", 3)
      yield* clock.setWall(7_200_000)
      yield* status.seen("Reconnecting", 8)
      yield* clock.setWall(-14_400_000)
      yield* status.seen("Reconnecting", 12)
      yield* server.reload(john("p0"))
      yield* status.connected(2)
    }))
})

const asJohn = (servers: string | ReadonlyArray<string>, onFirstConnect: NatsConfig.OnFirstConnect) =>
  NatsClient.make({ servers, auth: { user: "john", password: "p0" }, reconnect: { ...fast, onFirstConnect } })

const connectedAs = Effect.fnUntraced(function*(url: string) {
  const nats = yield* asJohn(url, "fail")
  return { nats, status: yield* follow(nats) }
})

describe("the first connect", () => {
  it.live("with \"wait\" and \"background\": waits until the user is there", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "jane", password: "p0" }] })
      const waiting = yield* Effect.forkScoped(asJohn(server.url, "wait"))
      const background = yield* asJohn(server.url, "background")
      const status = yield* follow(background)
      yield* status.seen("Reconnecting", 5)
      assert.isUndefined(waiting.pollUnsafe())
      yield* server.reload(john("p0"))
      yield* status.connected(1)
      yield* (yield* Fiber.join(waiting)).flush
    }))

  it.live("with \"fail\": the first refusal is the end, of two servers, of a file and of an Effect too", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("app")
      const { creds } = yield* account.user("john")
      const file = path.join(yield* directory, "john.creds")
      fs.writeFileSync(file, creds, { mode: 0o600 })
      const servers = [(yield* TestNatsServer.make(john("p1"))).url, (yield* TestNatsServer.make(john("p2"))).url]
      const forms: ReadonlyArray<NatsClient.Options["auth"]> = [
        { user: "john", password: "p0" },
        { _tag: "CredsFile", path: file },
        Effect.succeed({ user: "john", password: "p0" })
      ]
      for (const auth of forms) {
        let dials = 0
        const counted = Effect.isEffect(auth) ? Effect.tap(auth, () => Effect.sync(() => dials++)) : auth
        const error = yield* atOnce(Effect.flip(NatsClient.make({ servers, auth: counted })))
        assert.strictEqual(error._tag, "AuthorizationViolation")
        assert.strictEqual(dials, Effect.isEffect(auth) ? 2 : 0)
      }
    }))
})

describe("a client that has been connected", () => {
  it.live("outlives an auth callout that is away, and sees its user again", () =>
    Effect.gen(function*() {
      const callout = yield* TestAuthCallout.make()
      const started = yield* Effect.result(TestNatsServer.make({
        users: [{ user: "auth", password: "secret" }],
        authCallout: callout.setup({ users: ["auth"] }),
        authTimeout: "2 seconds"
      }))
      // 2.9 knows no auth callout, and its set-up says so.
      if (started._tag === "Failure") return assert.strictEqual(started.failure._tag, "NatsServerTooOld")
      const server = started.success
      const serve = Effect.gen(function*() {
        const service = yield* NatsClient.make({ servers: server.url, auth: { user: "auth", password: "secret" } })
        yield* callout.serve(
          service,
          ({ connect_opts: { user } }) => user === "john" ? { allow: { name: "john" } } : { deny: "only john" }
        )
      })
      const scope = yield* Effect.scope
      const { nats, status } = yield* Effect.scoped(
        Effect.andThen(serve, Scope.provide(connectedAs(server.url), scope))
      )
      yield* server.restart
      // By the server that is back, and not while it was away.
      const refusals = ["AuthorizationViolation", "AuthenticationTimeout"]
      yield* status.until(({ last }) =>
        last._tag === "Closed" ||
        status.all("Reconnecting").filter(({ reason }) => refusals.includes(reason._tag)).length >= 2
      )
      assert.include(refusals, reasonOf(status))
      yield* serve
      yield* status.connected(2)
      yield* nats.flush
    }))

  it.live("outlives a reload without its user and one with it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(john("p0"))
      const { status } = yield* connectedAs(server.url)
      yield* server.reload({ users: [{ user: "jane", password: "p0" }] })
      yield* status.seen("Reconnecting", 5)
      assert.strictEqual(reasonOf(status), "AuthorizationViolation")
      yield* server.reload(john("p0"))
      yield* status.connected(2)
    }))
})
