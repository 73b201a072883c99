/** The times of a JWT where the clock of this machine and the server's differ, and what a server has said of them. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { NatsClient } from "effect-nats"
import { TestAuthCallout, TestNatsServer, TestOperator } from "effect-nats/testing"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { makeAheadClock } from "../fixtures/aheadClock.ts"
import { directory } from "../fixtures/directory.ts"
import { follow, oneTurn } from "../fixtures/following.ts"
import { withTimes } from "../fixtures/jwtTimes.ts"

const fast = { initialDelay: "20 millis", maxDelay: "100 millis" } as const

const operatorMode = Effect.gen(function*() {
  const operator = yield* TestOperator.make()
  const account = yield* operator.account("app")
  const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
  return { account, server }
})

/** Makes a client whose clock is so much ahead of the server's. */
const atClock = (millis: number, options: NatsClient.Options) =>
  Effect.gen(function*() {
    const clock = yield* makeAheadClock
    yield* clock.forward(millis)
    return yield* Effect.provideService(NatsClient.make(options), Clock.Clock, clock)
  })

describe.concurrent("a JWT, by a clock that is off", () => {
  it.live("expired for less than a minute by a fast one: the server decides, and takes it", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const { creds } = yield* account.user("app", { expiresIn: "60 seconds" })
      const nats = yield* atClock(95_000, { servers: server.url, auth: { _tag: "Creds", creds } })
      yield* nats.flush
    }))

  it.live("not valid yet by a slow one: the server decides, and takes it", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const auth = withTimes(account, yield* account.user("app"), { nbf: Math.floor(Date.now() / 1000) - 10 })
      const nats = yield* atClock(-60_000, { servers: server.url, auth })
      yield* nats.flush
    }))

  it.live("ended as expired by the server: a static one ends the client at once, also where the clock is hours behind", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      for (const ahead of [0, -10_800_000]) {
        const { creds } = yield* account.user("app", { expiresIn: "2 seconds" })
        const nats = yield* atClock(ahead, { servers: server.url, auth: { _tag: "Creds", creds } })
        const status = yield* follow(nats)
        const closed = yield* Effect.flip(nats.closed)
        assert.strictEqual(closed.reason?._tag, "AuthenticationExpired")
        assert.strictEqual((yield* nats.stats).dials, 1)
        yield* status.seen("Closed")
        assert.notInclude(status.tags, "Reconnecting")
      }
    }))

  it.live("ended as expired by the server: a file is read again, and is dialled with when another JWT is in it", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const nkey = yield* TestOperator.nkey()
      const file = path.join(yield* directory, "app.creds")
      const write = (creds: string): void => fs.writeFileSync(file, creds, { mode: 0o600 })
      write((yield* account.user("app", { nkey, expiresIn: "2 seconds" })).creds)
      const nats = yield* atClock(-10_800_000, {
        servers: server.url,
        auth: { _tag: "CredsFile", path: file },
        reconnect: fast
      })
      const status = yield* follow(nats)
      yield* status.seen("Reconnecting", 5)
      for (const { reason } of status.all("Reconnecting")) {
        assert.deepInclude(reason, { _tag: "CredentialsExpired", source: file, notYetValid: false })
      }
      assert.strictEqual((yield* nats.stats).dials, 1)
      write((yield* account.user("app", { nkey })).creds)
      yield* status.connected(2)
      assert.strictEqual((yield* nats.stats).dials, 2)
    }))

  it.effect("and the same JWT for refusalTimeout: the client ends with what the server said", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const { creds } = yield* account.user("app", { expiresIn: "2 seconds" })
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: Effect.succeed({ _tag: "Creds", creds }),
        reconnect: { ...fast, jitter: false, refusalTimeout: "300 millis" }
      })
      const status = yield* follow(nats)
      // By the test's clock, on which no time passes but that of the delays.
      let passed = 0
      for (let round = 1;; round++) {
        yield* status.until(({ last }) => last._tag === "Closed" || status.all("Reconnecting").length >= round)
        const { last } = status
        if (last._tag !== "Reconnecting") break
        // The first one comes before any refusal: the session was a young one.
        if (last.attempt > 0) passed += last.delayMillis
        yield* oneTurn
        yield* TestClock.adjust(last.delayMillis)
      }
      assert.strictEqual(passed, 300)
      const closed = yield* Effect.flip(nats.closed)
      assert.strictEqual(closed.reason?._tag, "AuthenticationExpired")
      assert.strictEqual((yield* nats.stats).dials, 1)
    }))

  it.live("that an auth callout issued for a password expires: the password is sent again", () =>
    Effect.gen(function*() {
      const callout = yield* TestAuthCallout.make()
      const started = yield* Effect.result(TestNatsServer.make({
        users: [{ user: "auth", password: "secret" }],
        authCallout: callout.setup({ users: ["auth"] })
      }))
      // 2.9 knows no auth callout, and its set-up says so.
      if (started._tag === "Failure") return assert.strictEqual(started.failure._tag, "NatsServerTooOld")
      const server = started.success
      const service = yield* NatsClient.make({ servers: server.url, auth: { user: "auth", password: "secret" } })
      yield* callout.serve(service, () => ({ allow: { name: "john", expiresIn: "2 seconds" } }))
      const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "john", password: "p" } })
      const status = yield* follow(nats)
      yield* status.connected(2)
      assert.deepStrictEqual(status.losses, ["AuthenticationExpired"])
    }))
})

describe("a static JWT that is not valid yet", () => {
  it.live("is waited for: what the server says of it before its time is no refusal that counts", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const auth = withTimes(account, yield* account.user("app"), { nbf: Math.floor(Date.now() / 1000) + 3 })
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth,
        reconnect: { ...fast, onFirstConnect: "wait", refusalTimeout: "500 millis" }
      })
      assert.isAbove((yield* nats.stats).dials, 5)
    }))

  it.effect("is waited for, far beyond what a refusal is, and is not dialled with", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      // By the test's clock, which begins in 1970.
      const { jwt, seed } = yield* account.user("app", { notYetValid: true })
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: { _tag: "Jwt", jwt, seed },
        reconnect: { jitter: false, initialDelay: "7 seconds", maxDelay: "7 seconds", onFirstConnect: "background" }
      })
      const status = yield* follow(nats)
      for (let round = 1; round <= 30; round++) {
        yield* status.until(({ last }) => last._tag === "Closed" || status.all("Reconnecting").length >= round)
        yield* oneTurn
        yield* TestClock.adjust("7 seconds")
      }
      assert.deepInclude(status.last, { _tag: "Reconnecting" })
      for (const { reason } of status.all("Reconnecting")) {
        assert.deepInclude(reason, { _tag: "CredentialsExpired", notYetValid: true })
      }
      // Each by the schedule: there is no last dial to hurry to.
      assert.deepStrictEqual(
        new Set(status.all("Reconnecting").map(({ delayMillis }) => delayMillis)),
        new Set([7_000])
      )
      assert.strictEqual((yield* nats.stats).dials, 0)
    }))

  it.effect("fails the first connect at once where that fails", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const { jwt, seed } = yield* account.user("app", { notYetValid: true })
      const error = yield* Effect.flip(NatsClient.make({ servers: server.url, auth: { _tag: "Jwt", jwt, seed } }))
      assert.deepInclude(error, { _tag: "CredentialsExpired", notYetValid: true })
    }))
})
