import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import { count, follow, keepLedger } from "../fixtures/following.ts"

const fast = { initialDelay: "20 millis", maxDelay: "100 millis", refusalTimeout: "1500 millis" } as const

const john = (password: string): TestNatsServer.Options => ({
  users: [{ user: "john", password }, { user: "other", password: "other" }]
})

const asJohn = (server: TestNatsServer.TestNatsServer, auth: NatsClient.Options["auth"]) =>
  NatsClient.make({ servers: server.url, auth, reconnect: fast })

/** Waits for the end, and says how it came about. */
const theEnd = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, subject: string) {
  const status = yield* follow(nats)
  const { stream } = yield* nats.subscription(subject)
  const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(stream)))
  return Effect.gen(function*() {
    const closed = yield* Effect.flip(nats.closed)
    const read = yield* Fiber.join(reading)
    yield* status.seen("Closed")
    assert.strictEqual(read._tag, "ConnectionClosed")
    const { dials } = yield* nats.stats
    return { status, reason: closed.reason?._tag, read: "reason" in read ? read.reason?._tag : undefined, dials }
  })
})

describe.concurrent("a user that the server no longer takes", () => {
  it.live("revoked: the client ends with AuthenticationRevoked, as the server said", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("app")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const user = yield* account.user("john")
      const other = yield* account.user("other")
      const nats = yield* asJohn(server, { _tag: "Creds", creds: user.creds })
      const witness = yield* asJohn(server, { _tag: "Creds", creds: other.creds })
      const witnessed = yield* follow(witness)
      const end = yield* theEnd(nats, "x")
      yield* server.reload({ operator: operator.setup(yield* account.revoke(user)) })
      const { dials, read, reason, status } = yield* end
      assert.strictEqual(reason, "AuthenticationRevoked")
      assert.strictEqual(read, "AuthenticationRevoked")
      assert.deepStrictEqual(status.losses, ["AuthenticationRevoked"])
      // A vault may lag the server. Each dial was refused without a reason.
      assert.isAbove(dials, 4)
      for (const event of status.all("Reconnecting")) assert.strictEqual(event.reason._tag, "AuthorizationViolation")
      assert.deepStrictEqual(witnessed.tags, ["Connected"])
    }))

  it.live("revoked, and given a new JWT by the vault: the client goes on", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("app")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const vault = { user: yield* account.user("john") }
      const nats = yield* asJohn(server, Effect.sync(() => ({ _tag: "Creds", creds: vault.user.creds })))
      const status = yield* follow(nats)
      const revoked = yield* account.revoke(vault.user)
      vault.user = yield* account.user("john")
      yield* server.reload({ operator: operator.setup(revoked) })
      yield* status.connected(2)
      assert.deepStrictEqual(status.losses, ["AuthenticationRevoked"])
    }))

  it.live("removed: the server closes without a word, and the redial says AuthorizationViolation", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(john("pw"))
      const nats = yield* asJohn(server, { user: "john", password: "pw" })
      const end = yield* theEnd(nats, "x")
      yield* server.reload({ users: [{ user: "other", password: "other" }] })
      const { dials, read, reason, status } = yield* end
      assert.strictEqual(reason, "AuthorizationViolation")
      assert.strictEqual(read, "AuthorizationViolation")
      assert.deepStrictEqual(status.losses, ["ConnectionReset"])
      assert.isAbove(dials, 4)
      assert.match(status.tags.join(" "), /^Connected Disconnected( Reconnecting){3,} Closed$/)
    }))

  it.live("with another password: AuthorizationViolation from the first word on, also while it publishes hard", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make(john("pw"))
      const nats = yield* asJohn(server, { user: "john", password: "pw" })
      const end = yield* theEnd(nats, "x")
      const payload = new Uint8Array(512)
      yield* Effect.forkScoped(Effect.ignore(Effect.forever(Effect.andThen(
        Effect.forEach(Array.from({ length: 200 }), () => nats.publish("out", payload), { discard: true }),
        Effect.yieldNow
      ))))
      yield* server.reload(john("changed"))
      const { dials, reason, status } = yield* end
      assert.strictEqual(reason, "AuthorizationViolation")
      assert.deepStrictEqual(status.losses, ["AuthorizationViolation"])
      assert.isAbove(dials, 4)
      assert.match(status.tags.join(" "), /^Connected Disconnected( Reconnecting){3,} Closed$/)
    }))

  it.live("with fewer permissions: the stream that lost its own fails, the others live on the same session", () =>
    Effect.gen(function*() {
      const permitted = (subscribe: ReadonlyArray<string>): TestNatsServer.Options => ({
        users: [{ user: "john", password: "pw", permissions: { publish: [">"], subscribe } }, {
          user: "other",
          password: "other"
        }]
      })
      const server = yield* TestNatsServer.make(permitted(["kept", "lost", "grouped"]))
      const nats = yield* asJohn(server, { user: "john", password: "pw" })
      const witness = yield* asJohn(server, { user: "other", password: "other" })
      const status = yield* follow(nats)
      const kept = yield* keepLedger(nats, "kept")
      const lost = yield* keepLedger(nats, "lost")
      const grouped = yield* nats.subscription("grouped", { queue: "workers" })
      yield* count(witness, "kept")
      yield* count(witness, "lost")
      yield* kept.ledger.more(10)
      yield* lost.ledger.more(10)
      yield* server.reload(permitted(["kept"]))
      const error = yield* Effect.flip(Fiber.join(lost.fiber))
      assert.strictEqual(error._tag, "PermissionsViolation")
      assert.deepInclude(error, { operation: "subscribe", subject: "lost" })
      const queued = yield* Effect.flip(Stream.runDrain(grouped.stream))
      assert.deepInclude(queued, {
        _tag: "PermissionsViolation",
        operation: "subscribe",
        subject: "grouped",
        queue: "workers"
      })
      yield* kept.ledger.more(50)
      assert.strictEqual(kept.ledger.gaps, 0)
      assert.strictEqual(lost.ledger.gaps, 0)
      assert.deepStrictEqual(new Set(status.tags), new Set(["Connected", "PermissionDenied"]))
      assert.strictEqual((yield* nats.stats).reconnects, 0)
      // It is not asked for again on the next session.
      yield* nats.reconnect
      yield* nats.flush
      assert.strictEqual(status.all("PermissionDenied").length, 2)
    }))
})
