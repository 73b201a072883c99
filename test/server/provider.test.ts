import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Exit, Fiber, Redacted, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer, TestOperator } from "effect-nats/testing"
import { follow, until } from "../fixtures/following.ts"

class VaultDown extends Data.TaggedError("VaultDown")<{ readonly status: number }> {}

const fast = { initialDelay: "10 millis", maxDelay: "40 millis" } as const

/** A vault that can be down, and counts how often it was asked. */
const makeVault = (auth: NonNullable<NatsClient.Options["auth"]>) => {
  const vault = { down: false, asked: 0, auth }
  const read = Effect.suspend(() => {
    vault.asked++
    if (vault.down) return Effect.fail(new VaultDown({ status: 503 }))
    return Effect.isEffect(vault.auth) ? vault.auth : Effect.succeed(vault.auth)
  })
  return { vault, read }
}

describe.concurrent("an Effect that gives the credentials", () => {
  it.live("fails at the first connect: CredentialsUnavailable with its error behind cause, and nothing is dialled", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const error = yield* Effect.flip(
        NatsClient.make({ servers: proxy.url, auth: Effect.fail(new VaultDown({ status: 503 })) })
      )
      assert.strictEqual(error._tag, "CredentialsUnavailable")
      assert.strictEqual(String(error.cause), "<redacted:VaultDown>")
      assert.deepInclude(Redacted.value(error.cause as Redacted.Redacted<object>), { _tag: "VaultDown", status: 503 })
      assert.strictEqual(yield* proxy.accepted, 0)
    }))

  it.live("hangs at the first connect: CredentialsUnavailable after connectTimeout, and nothing is dialled", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const error = yield* Effect.flip(
        NatsClient.make({ servers: proxy.url, connectTimeout: "200 millis", auth: Effect.never })
      )
      assert.strictEqual(error._tag, "CredentialsUnavailable")
      assert.include(error.message, "200 ms")
      assert.strictEqual(yield* proxy.accepted, 0)
    }))

  it.live("fails during an outage: asked again by the schedule, and the last good value serves", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "right" })
      const { read, vault } = makeVault({ token: "right" })
      const app = yield* NatsClient.make({ servers: server.url, auth: read, reconnect: fast })
      const status = yield* follow(app)
      vault.down = true
      yield* server.kill
      yield* status.seen("Reconnecting", 3)
      // A dial just when the server dies is reset.
      for (const { reason } of status.all("Reconnecting").slice(1)) assert.strictEqual(reason._tag, "ConnectionRefused")
      yield* server.restart
      yield* status.connected(2)
      // Once for every dial, whether it gave something or not.
      assert.strictEqual(vault.asked, (yield* app.stats).dials)
      yield* app.flush
    }))

  it.live("fails during an outage of several servers: asked once in a round, which tries them all", () =>
    Effect.gen(function*() {
      const servers = [yield* TestNatsServer.make({}), yield* TestNatsServer.make({})]
      const { read, vault } = makeVault({ _tag: "Anonymous" })
      const app = yield* NatsClient.make({
        servers: servers.map(({ url }) => url),
        auth: read,
        reconnect: { ...fast, maxAttempts: 4 }
      })
      const state = yield* app.state
      const asked = vault.asked
      const { dials } = yield* app.stats
      vault.down = true
      for (const server of servers) {
        if (state._tag === "Connected" && server.url !== state.server) yield* server.kill
      }
      for (const server of servers) yield* server.kill
      yield* Effect.flip(app.closed)
      assert.strictEqual(vault.asked - asked, 4)
      assert.strictEqual((yield* app.stats).dials - dials, 8)
    }))

  it.live("fails while the last good value is refused: that is not the end, since the next value is another one", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "old" })
      const { read, vault } = makeVault({ token: "old" })
      const app = yield* NatsClient.make({ servers: server.url, auth: read, reconnect: fast })
      const status = yield* follow(app)
      vault.down = true
      yield* server.reload({ token: "new" })
      yield* app.reconnect.pipe(Effect.forkScoped)
      yield* status.seen("Reconnecting", 8)
      vault.auth = { token: "new" }
      vault.down = false
      yield* status.connected(2)
    }))

  it.live("fails when the last good value has expired: nothing is dialled until it gives a fresh one", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("app")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const { creds } = yield* account.user("app", { expiresIn: "3 seconds" })
      const { read, vault } = makeVault({ _tag: "Creds", creds })
      const app = yield* NatsClient.make({ servers: proxy.url, auth: read, reconnect: fast })
      const status = yield* follow(app)
      vault.down = true
      yield* status.seen("Disconnected")
      yield* status.seen("Reconnecting", 8)
      for (const { reason } of status.all("Reconnecting")) {
        assert.strictEqual(reason._tag, "CredentialsUnavailable")
        assert.strictEqual(String(reason.cause), "<redacted:VaultDown>")
      }
      assert.strictEqual(yield* proxy.accepted, 1)
      assert.strictEqual((yield* app.stats).dials, 1)
      assert.isAtLeast(vault.asked, 9)
      vault.auth = { _tag: "Creds", creds: (yield* account.user("app")).creds }
      vault.down = false
      yield* status.connected(2)
      assert.strictEqual(yield* proxy.accepted, 2)
      assert.deepStrictEqual(status.losses, ["AuthenticationExpired"])
    }))

  it.live("fails until the budget ends: closed fails with CredentialsUnavailable", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("app")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const { creds } = yield* account.user("app", { expiresIn: "3 seconds" })
      const { read, vault } = makeVault({ _tag: "Creds", creds })
      const app = yield* NatsClient.make({ servers: server.url, auth: read, reconnect: { ...fast, maxAttempts: 5 } })
      vault.down = true
      const closed = yield* Effect.flip(app.closed)
      assert.strictEqual(closed.reason?._tag, "CredentialsUnavailable")
      assert.strictEqual((yield* app.stats).dials, 1)
      assert.strictEqual(vault.asked, 6)
    }))

  it.live("dies, or throws: treated as a failure, and it is asked again", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "right" })
      let asked = 0
      const auth = Effect.sync(() => {
        asked++
        if (asked > 1 && asked < 5) throw new Error("a bug")
        return { token: asked === 1 ? "right" : "new" }
      })
      const app = yield* NatsClient.make({ servers: server.url, auth, reconnect: fast })
      const status = yield* follow(app)
      // The server ends the session by that, and the client dials until it is taken.
      yield* server.reload({ token: "new" })
      yield* status.connected(2)
      assert.strictEqual(asked, 5)
    }))

  it.live("interrupts itself: at the first connect CredentialsUnavailable, and later the last good value serves", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const first = yield* Effect.flip(NatsClient.make({ servers: server.url, auth: Effect.interrupt }))
      assert.strictEqual(first._tag, "CredentialsUnavailable")
      let asked = 0
      const auth = Effect.suspend(() =>
        asked++ === 0 ? Effect.succeed({ _tag: "Anonymous" } as const) : Effect.interrupt
      )
      const app = yield* NatsClient.make({ servers: server.url, auth, reconnect: fast })
      yield* app.reconnect
      yield* app.flush
      assert.isAbove(asked, 1)
    }))

  it.live("is interrupted when the client is closed, or its making interrupted", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const state = { asked: 0, interrupted: 0, hang: true }
      const auth = Effect.suspend(() => {
        state.asked++
        return state.hang
          ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => state.interrupted++))
          : Effect.succeed({ _tag: "Anonymous" } as const)
      })
      // Nothing else ends it: what waited for one of these times would never end.
      const never = { connectTimeout: "1 hour", drainTimeout: "1 hour" } as const
      const options: NatsClient.Options = { servers: server.url, auth, reconnect: fast, ...never }
      const making = yield* Effect.forkChild(Effect.scoped(NatsClient.make(options)))
      yield* until(Effect.sync(() => state.asked === 1))
      yield* Fiber.interrupt(making)
      assert.strictEqual(state.interrupted, 1)
      state.hang = false
      const scope = yield* Scope.make()
      const app = yield* Scope.provide(NatsClient.make(options), scope)
      const status = yield* follow(app)
      state.hang = true
      yield* server.restart
      yield* status.seen("Disconnected")
      yield* until(Effect.sync(() => state.asked === 3))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(state.interrupted, 2)
      yield* app.closed
    }))
})
