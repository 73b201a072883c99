import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import { count, follow, keepLedger, oneTurn, unhandled } from "../fixtures/following.ts"

const operatorMode = Effect.gen(function*() {
  const operator = yield* TestOperator.make()
  const account = yield* operator.account("app")
  // Many clients at once keep this process busy, so the server is given patience with their credentials.
  const server = yield* TestNatsServer.make({ operator: operator.setup(account), authTimeout: "20 seconds" })
  return { account, server }
})

describe.concurrent("a user JWT that expires while connected", () => {
  it.live(
    "every 5 seconds, with an Effect that mints the next: 60 seconds, and the streams never end",
    () =>
      Effect.gen(function*() {
        const { account, server } = yield* operatorMode
        const nkey = yield* TestOperator.nkey()
        const mint = Effect.map(
          account.user("app", { nkey, expiresIn: "5 seconds" }),
          ({ creds }) => ({ _tag: "Creds", creds }) as const
        )
        const constant = yield* account.user("witness")
        const app = yield* NatsClient.make({ servers: server.url, auth: mint })
        const witness = yield* NatsClient.make({
          servers: server.url,
          auth: { _tag: "Jwt", jwt: constant.jwt, seed: constant.seed }
        })
        const problems = yield* unhandled
        const status = yield* follow(app)
        const inbound = yield* keepLedger(app, "in")
        const outbound = yield* keepLedger(witness, "out")
        yield* count(witness, "in")
        yield* count(app, "out")
        const ended = yield* Effect.raceFirst(
          Effect.as(Effect.exit(app.closed), "ended"),
          Effect.as(Effect.sleep("60 seconds"), "lives")
        )
        assert.strictEqual(ended, "lives")
        yield* inbound.ledger.more(20)
        yield* outbound.ledger.more(20)
        // Not between two sessions, of which the second is dialled for just then.
        yield* status.until(({ last }) => last._tag === "Connected")
        const { dials, reconnects } = yield* app.stats
        // A JWT's times are whole seconds, rounded up.
        assert.isAtLeast(reconnects, 9)
        assert.strictEqual(dials, 1 + reconnects)
        assert.deepStrictEqual(new Set(status.losses), new Set(["AuthenticationExpired"]))
        assert.match(status.tags.join(" "), /^Connected( Disconnected Connected)+$/)
        assert.strictEqual(inbound.ledger.disorder, 0)
        assert.isAtMost(inbound.ledger.gaps, reconnects)
        assert.strictEqual(outbound.ledger.disorder, 0)
        assert.isAtMost(outbound.ledger.gaps, reconnects)
        yield* oneTurn
        assert.deepStrictEqual(problems, [])
      }),
    90_000
  )

  it.live(
    "and is static: AuthenticationExpired ends the client and its streams, 50 of 50, and nothing is dialled again",
    () =>
      Effect.gen(function*() {
        const { account, server } = yield* operatorMode
        const problems = yield* unhandled
        const one = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, number: number) {
          const status = yield* follow(nats)
          const { stream } = yield* nats.subscription(`in.${number}`)
          const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(stream)))
          // Half of them are publishing at the moment when it happens.
          if (number % 2 === 0) yield* count(nats, `out.${number}`)
          const closed = yield* Effect.flip(nats.closed)
          const read = yield* Fiber.join(reading)
          const published = yield* Effect.flip(nats.publish("late"))
          assert.strictEqual(read._tag, "ConnectionClosed")
          assert.strictEqual(published._tag, "ConnectionClosed")
          yield* status.seen("Closed")
          const { dials } = yield* nats.stats
          return [
            closed._tag,
            closed.reason?._tag,
            read._tag === "ConnectionClosed" ? read.reason?._tag : undefined,
            status.tags.join(" "),
            dials
          ]
        })
        // One after the other: each has its ten seconds from its own dial on.
        const running = yield* Effect.forEach(Array.from({ length: 50 }), (_, number) =>
          Effect.gen(function*() {
            const { creds } = yield* account.user(`app-${number}`, { expiresIn: "10 seconds" })
            const nats = yield* NatsClient.make({ servers: server.url, auth: { _tag: "Creds", creds } })
            return yield* Effect.forkChild(one(nats, number), { startImmediately: true })
          }))
        const outcomes = yield* Effect.forEach(running, Fiber.join)
        for (const outcome of outcomes) {
          assert.deepStrictEqual(outcome, [
            "ConnectionClosed",
            "AuthenticationExpired",
            "AuthenticationExpired",
            "Connected Disconnected Closed",
            1
          ])
        }
        yield* oneTurn
        assert.deepStrictEqual(problems, [])
      }),
    60_000
  )

  it.live("and was expired before the first dial: CredentialsExpired, and nothing is dialled", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const { creds } = yield* account.user("late", { expired: true })
      const log = yield* server.logs
      const error = yield* Effect.flip(NatsClient.make({ servers: server.url, auth: { _tag: "Creds", creds } }))
      assert.strictEqual(error._tag, "CredentialsExpired")
      assert.deepStrictEqual((yield* server.logs).slice(log.length), [])
    }))

  it.live("and the vault goes on giving the expired one: never dialled, until a fresh one is there", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const nkey = yield* TestOperator.nkey()
      const vault = { creds: (yield* account.user("app", { nkey, expiresIn: "6 seconds" })).creds, reads: 0 }
      const auth = Effect.sync(() => {
        vault.reads++
        return { _tag: "Creds", creds: vault.creds } as const
      })
      const app = yield* NatsClient.make({
        servers: server.url,
        auth,
        reconnect: { initialDelay: "20 millis", maxDelay: "100 millis" }
      })
      const status = yield* follow(app)
      yield* status.seen("Reconnecting", 6)
      for (const { reason } of status.all("Reconnecting")) assert.strictEqual(reason._tag, "CredentialsExpired")
      assert.strictEqual((yield* app.stats).dials, 1)
      assert.isAtLeast(vault.reads, 7)
      vault.creds = (yield* account.user("app", { nkey })).creds
      yield* status.connected(2)
      assert.strictEqual((yield* app.stats).dials, 2)
      assert.deepStrictEqual(status.losses, ["AuthenticationExpired"])
    }))
})

describe.concurrent("a password that changed", () => {
  it.live("and a vault that is down: the old one is refused for longer than its time, and the client waits for the new", () =>
    Effect.gen(function*() {
      const users = (password: string): TestNatsServer.Options => ({ users: [{ user: "john", password }] })
      const server = yield* TestNatsServer.make(users("pw"))
      const vault = { down: false, password: "pw" }
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: Effect.suspend(() =>
          vault.down ? Effect.fail("down") : Effect.succeed({ user: "john", password: vault.password })
        ),
        reconnect: { initialDelay: "50 millis", maxDelay: "100 millis", refusalTimeout: "500 millis" }
      })
      const status = yield* follow(nats)
      vault.down = true
      yield* server.reload(users("changed"))
      // Each after half of a delay at least: for more than a second.
      yield* Effect.raceFirst(status.seen("Closed"), status.seen("Reconnecting", 25))
      assert.strictEqual(status.last._tag, "Reconnecting")
      vault.password = "changed"
      vault.down = false
      yield* status.connected(2)
    }))
})
