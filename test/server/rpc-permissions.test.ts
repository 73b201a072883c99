import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { auth, user } from "../fixtures/losing.ts"
import { caller, failureIn, failureTag, serve } from "../fixtures/rpcRigs.ts"

const password = "correct horse"
const as = (user: string) => ({ nats: { auth: { user, password } } })

const broker = TestNatsServer.layer({
  users: [
    {
      user: "server",
      password,
      permissions: { subscribe: ["users", "users.>", "denied", "denied.>"], publish: ["_INBOX.>", "replies.own.>"] }
    },
    { user: "client", password, permissions: { subscribe: ["_INBOX.>"], publish: ["users", "users.>"] } },
    { user: "own", password, permissions: { subscribe: ["replies.own.>"], publish: ["users", "users.>"] } }
  ]
})

it.layer(broker, { timeout: "30 seconds", excludeTestServices: true })("rpc with permissions", (it) => {
  it.effect("the permissions that the document names are enough for calls, streams and interruptions", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.TestNatsServer
      const { seen } = yield* serve(url, "a", as("server"))
      // Its pings are answered, however late.
      const { nats, users } = yield* caller(url, { ...as("client"), pingInterval: "50 millis", maxPingOut: 1_000 })
      assert.strictEqual(yield* users.Which(), "a")
      assert.strictEqual(yield* Stream.runCount(users.Count({ to: 100, each: 10 })), 100)
      const fiber = yield* Effect.forkChild(users.Never({ id: "1" }))
      yield* seen.until("Never 1 started", 1)
      // The server says once that it has the call. The rest are answers to pings.
      const { messagesIn } = yield* nats.stats
      yield* until(Effect.map(nats.stats, (stats) => stats.messagesIn >= messagesIn + 3))
      yield* Fiber.interrupt(fiber)
      yield* seen.until("Never 1 interrupted", 1)
      assert.strictEqual((yield* nats.state)._tag, "Connected")
    }))

  it.effect("a client whose user has inboxes of its own needs no more than the prefix of its NatsClient", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.TestNatsServer
      yield* serve(url, "a", as("server"))
      const auth = { user: "own", password }
      const { users } = yield* caller(url, { nats: { auth, inboxPrefix: "replies.own" } })
      assert.strictEqual(yield* users.Which(), "a")
      const error = yield* Effect.flip(caller(url, { nats: { auth } }))
      assert.strictEqual(error._tag, "PermissionsViolation")
    }))

  it.effect("a subject that the client's user may not publish to fails the call with PermissionsViolation", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.TestNatsServer
      yield* serve(url, "a", { ...as("server"), subject: "denied" })
      const { users } = yield* caller(url, { ...as("client"), subject: "denied" })
      assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "PermissionsViolation")
    }))

  it.effect("a subject that the server's user may not subscribe to fails the server's layer", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.TestNatsServer
      const error = yield* Effect.flip(serve(url, "a", { ...as("server"), subject: "elsewhere" }))
      assert.strictEqual(error._tag, "PermissionsViolation")
    }))

  it.effect("a server whose user loses the right to subscribe ends: its callers see that, and not an interruption", () =>
    Effect.gen(function*() {
      const broker = yield* TestNatsServer.make(user([]))
      const nats = { auth }
      const { seen } = yield* serve(broker.url, "a", { nats })
      const { users } = yield* caller(broker.url, { nats, pingInterval: "1 hour" })
      const call = yield* Effect.forkChild(Effect.exit(users.Wait({ id: "1" })))
      yield* seen.until("Wait 1 started", 1)
      yield* broker.reload(user(["users"]))
      assert.deepInclude(failureIn(yield* Fiber.join(call)), { _tag: "RpcServerLost", reason: "ended" })
    }))

  /** A server, and a client of a user that can lose rights, with a call that the client knows to be at the server. */
  const inFlight = Effect.fnUntraced(function*(allowed: ReturnType<typeof user>) {
    const server = { user: "server", password }
    const broker = yield* TestNatsServer.make({ users: [...allowed.users, server] })
    // It does not find out by itself who is gone.
    const { seen } = yield* serve(broker.url, "a", { ...as("server"), clientTimeout: "1 hour" })
    const { nats, users } = yield* caller(broker.url, { nats: { auth }, pingInterval: "1 hour" })
    const waiting = yield* Effect.forkChild(Effect.exit(users.Wait({ id: "1" })), { startImmediately: true })
    yield* seen.until("Wait 1 started", 1)
    // It is announced.
    yield* until(Effect.map(nats.stats, ({ messagesIn }) => messagesIn === 1))
    const reload = (less: ReturnType<typeof user>) => broker.reload({ users: [...less.users, server] })
    return { reload, seen, users, waiting }
  })

  it.effect("a client whose user loses its inbox tells the server that nobody waits any more", () =>
    Effect.gen(function*() {
      const { reload, seen, waiting } = yield* inFlight(user([]))
      yield* reload(user(["_INBOX.>"]))
      assert.strictEqual(failureTag(yield* Fiber.join(waiting)), "PermissionsViolation")
      yield* seen.until("Wait 1 interrupted", 1)
    }))

  it.effect("a client whose user loses the right to call keeps the calls that a server has", () =>
    Effect.gen(function*() {
      const { reload, seen, users, waiting } = yield* inFlight(user([]))
      const [{ permissions, ...rest }] = user([]).users
      yield* reload({ users: [{ ...rest, permissions: { ...permissions, publish: ["users.>"] } }] })
      assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "PermissionsViolation")
      yield* Deferred.succeed(seen.gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(waiting), Exit.succeed("a 1"))
    }))
})
