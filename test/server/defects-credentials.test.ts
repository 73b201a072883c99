/**
 * Faults of nats.js that refuse good credentials, lose the reason of a refusal, or end a connection that could live.
 */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { recordStatus } from "../fixtures/clients.ts"
import { oneTurn, until } from "../fixtures/following.ts"

const quick = { initialDelay: "10 millis", maxDelay: "50 millis" } as const

const behindProxy = (options: TestNatsServer.Options) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(options)
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    return { server, proxy }
  })

const operatorMode = Effect.gen(function*() {
  const operator = yield* TestOperator.make()
  const account = yield* operator.account("orders")
  return { account, ...yield* behindProxy({ operator: operator.setup(account) }) }
})

const secretFile = (server: TestNatsServer.TestNatsServer, name: string, text: string) =>
  Effect.sync(() => {
    const file = path.join(server.directory, name)
    fs.writeFileSync(file, text, { mode: 0o600 })
    return file
  })

/** The users that are connected now. A connection that was cut is among them for a moment. */
const connectedUsers = (server: TestNatsServer.TestNatsServer) =>
  Effect.map(server.connz, (connections) => connections.map((connection) => connection.authorized_user))

describe("credentials", () => {
  it.live("a creds file that is gone for a moment costs nothing, and the next one is picked up", () =>
    Effect.gen(function*() {
      const { account, proxy, server } = yield* operatorMode
      const alice = yield* account.user("alice")
      const bob = yield* account.user("bob")
      const file = yield* secretFile(server, "user.creds", alice.creds)
      const nats = yield* NatsClient.make({ servers: proxy.url, auth: { user_credentials: file }, reconnect: quick })
      const status = yield* recordStatus(nats)
      yield* Effect.sync(() => fs.rmSync(file))
      yield* proxy.drop("RST")
      yield* status.connected(2)
      yield* nats.flush
      yield* until(Effect.map(connectedUsers(server), (users) => users.length === 1 && users[0] === alice.publicKey))
      yield* secretFile(server, "user.creds", bob.creds)
      yield* proxy.drop("RST")
      yield* status.connected(3)
      yield* nats.flush
      yield* until(Effect.map(connectedUsers(server), (users) => users.length === 1 && users[0] === bob.publicKey))
    }))

  it.live("a provider that fails and dies is asked again, and the last good credentials serve meanwhile", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy({ users: [{ user: "alice", password: "pw" }] })
      const good = Effect.succeed({ user: "alice", password: "pw" })
      const answers = [
        Effect.fail("the vault is sealed"),
        Effect.die(new Error("a defect")),
        good,
        Effect.die(new Error("a defect")),
        Effect.fail("the vault is sealed"),
        good
      ]
      let asked = 0
      const nats = yield* NatsClient.make({
        servers: proxy.url,
        auth: Effect.suspend(() => answers[asked++]),
        reconnect: { ...quick, onFirstConnect: "wait" }
      })
      assert.strictEqual(asked, 3)
      assert.strictEqual(yield* proxy.accepted, 1)
      const status = yield* recordStatus(nats)
      for (const session of [2, 3, 4]) {
        yield* proxy.drop("RST")
        yield* status.connected(session)
      }
      yield* nats.flush
      assert.strictEqual(asked, 6)
    }))

  it.live("an asynchronous provider has answered before CONNECT is sent, and a promise is no provider", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy({ users: [{ user: "alice", password: "pw" }] })
      const fetched = new Promise<NatsClient.Options["auth"]>((resolve) => {
        setTimeout(() => resolve({ user: "alice", password: "pw" }), 20)
      })
      const auth = Effect.promise(() => fetched) as Effect.Effect<{ readonly user: string; readonly password: string }>
      const nats = yield* NatsClient.make({ servers: proxy.url, auth })
      yield* nats.flush
      assert.strictEqual(yield* proxy.accepted, 1)
      const promise = { servers: proxy.url, auth: fetched } as unknown as NatsClient.Options
      const refused = yield* Effect.flip(NatsClient.make(promise))
      assert.strictEqual(refused._tag, "NatsConfigError")
      assert.include(refused.message, "auth")
      assert.strictEqual(yield* proxy.accepted, 1)
    }))

  it.effect("wrong credentials are typed at the first dial, and after refusalTimeout when the client waits for a broker", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy({ users: [{ user: "alice", password: "pw" }] })
      const options: NatsClient.Options = { servers: proxy.url, auth: { user: "alice", password: "wrong" } }
      const once = yield* Effect.flip(NatsClient.make({ ...options, reconnect: quick }))
      assert.strictEqual(once._tag, "AuthorizationViolation")
      assert.strictEqual(yield* proxy.accepted, 1)
      const waiting = yield* Effect.forkChild(
        Effect.flip(
          NatsClient.make({ ...options, reconnect: { ...quick, onFirstConnect: "wait", refusalTimeout: "300 millis" } })
        )
      )
      // Between two dials, so that no time passes in one, however long it takes.
      while (waiting.pollUnsafe() === undefined) {
        yield* until(Effect.map(proxy.connections, (open) => open === 0))
        for (let turns = 0; turns < 10; turns++) yield* oneTurn
        yield* TestClock.adjust("10 millis")
      }
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "AuthorizationViolation")
      assert.isAbove(yield* proxy.accepted, 4)
    }))

  it.live("creds text with CRLF, without a last newline, escaped, or with a byte order mark logs in", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const { creds } = yield* account.user("alice")
      const forms = [
        creds,
        creds.replaceAll("\n", "\r\n"),
        creds.trimEnd(),
        creds.replaceAll("\n", "\\n"),
        creds.replaceAll("\n", "\\r\\n"),
        `\ufeff${creds}`,
        `generated by a tool\n\n${creds}\ndo not edit\n`
      ]
      for (const [index, form] of forms.entries()) {
        const file = yield* secretFile(server, `form-${index}.creds`, form)
        for (const auth of [{ _tag: "Creds" as const, creds: form }, { user_credentials: file }]) {
          const nats = yield* NatsClient.make({ servers: server.url, auth })
          yield* nats.flush
        }
      }
    }))

  it.live("a creds file is read once per dial, so that a rotation never mixes two files", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      const users = [yield* account.user("alice"), yield* account.user("bob")]
      const file = path.join(server.directory, "rotating.creds")
      let turn = 0
      const rotate = Effect.sync(() => {
        fs.writeFileSync(`${file}.new`, users[turn++ % 2].creds, { mode: 0o600 })
        fs.renameSync(`${file}.new`, file)
      })
      yield* rotate
      const rotating = yield* Effect.forkChild(
        Effect.forever(
          Effect.andThen(rotate, Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void))))
        )
      )
      const seen = new Set<string | undefined>()
      for (let i = 0; i < 50; i++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const nats = yield* NatsClient.make({ servers: server.url, auth: { user_credentials: file } })
          yield* nats.flush
          for (const user of yield* connectedUsers(server)) seen.add(user)
        }))
      }
      yield* Fiber.interrupt(rotating)
      assert.deepStrictEqual(seen, new Set(users.map((user) => user.publicKey)))
    }))

  it.live("an expired JWT is known before anything is dialled", () =>
    Effect.gen(function*() {
      const { account, proxy } = yield* operatorMode
      const { creds } = yield* account.user("late", { expired: true })
      const error = yield* Effect.flip(NatsClient.make({ servers: proxy.url, auth: { _tag: "Creds", creds } }))
      assert.strictEqual(error._tag, "CredentialsExpired")
      assert.strictEqual(yield* proxy.accepted, 0)
    }))

  it.live("a JWT that expires while connected ends as AuthenticationExpired, 50 of 50", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operatorMode
      // One after the other: each has its six seconds from its own dial on.
      const clients = yield* Effect.forEach(Array.from({ length: 50 }), () =>
        Effect.gen(function*() {
          const { creds } = yield* account.user("short", { expiresIn: "6 seconds" })
          return yield* NatsClient.make({ servers: server.url, auth: { _tag: "Creds", creds } })
        }))
      const ends = yield* Effect.forEach(clients, (nats) => Effect.flip(nats.closed), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        ends.map((end) => end.reason?._tag),
        Array.from({ length: 50 }, () => "AuthenticationExpired" as const)
      )
    }))

  it.live("a second credentials change by reload is survived, and any number after it", () =>
    Effect.gen(function*() {
      const witnessUser = { user: "witness", password: "pw" }
      const users = (password: string) => [{ user: "alice", password }, witnessUser]
      const server = yield* TestNatsServer.make({ users: users("p0") })
      const password = yield* Ref.make("p0")
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: Effect.map(Ref.get(password), (text) => ({ user: "alice", password: text })),
        reconnect: quick
      })
      const status = yield* recordStatus(nats)
      const witness = yield* NatsClient.make({ servers: server.url, auth: witnessUser })
      const live = yield* nats.subscription("live")
      const texts = yield* Stream.toPull(Stream.map(live.stream, (message) => message.text))
      yield* witness.publish("live", "0")
      assert.deepStrictEqual(yield* texts, ["0"])
      for (let change = 1; change <= 5; change++) {
        yield* Ref.set(password, `p${change}`)
        yield* server.reload({ users: users(`p${change}`) })
        yield* status.connected(change + 1)
        yield* nats.flush
        yield* witness.publish("live", String(change))
        assert.deepStrictEqual(yield* texts, [String(change)])
      }
      assert.deepStrictEqual(
        status.of("Disconnected").map((event) => event.reason._tag),
        Array.from({ length: 5 }, () => "AuthorizationViolation" as const)
      )
      assert.strictEqual((yield* nats.stats).reconnects, 5)
      assert.strictEqual(status.of("Connected").length, 6)
    }))

  it.live("credentials that come later than the server's change are waited for", () =>
    Effect.gen(function*() {
      const users = (password: string) => [{ user: "alice", password }]
      const server = yield* TestNatsServer.make({ users: users("p0") })
      const password = yield* Ref.make("p0")
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: Effect.map(Ref.get(password), (text) => ({ user: "alice", password: text })),
        reconnect: quick
      })
      const status = yield* recordStatus(nats)
      for (let change = 1; change <= 2; change++) {
        yield* server.reload({ users: users(`p${change}`) })
        // Refused more often than static credentials may be.
        yield* status.nth("Reconnecting", change * 5)
        yield* Ref.set(password, `p${change}`)
        yield* status.connected(change + 1)
      }
      yield* nats.flush
    }))

  it.live("of two servers that refuse the credentials and a third that takes them, the third is used", () =>
    Effect.gen(function*() {
      const refusing = [
        yield* TestNatsServer.make({ users: [{ user: "alice", password: "other" }] }),
        yield* TestNatsServer.make({ token: "other" })
      ]
      const accepting = yield* TestNatsServer.make({ users: [{ user: "alice", password: "pw" }] })
      const auth = { user: "alice", password: "pw" }
      const servers = [...refusing, accepting].map((server) => server.url)
      const nats = yield* NatsClient.make({ servers, auth })
      assert.deepInclude(yield* nats.state, { _tag: "Connected", server: accepting.url })
      const status = yield* recordStatus(nats)
      yield* accepting.restart
      yield* status.connected(2)
      assert.deepInclude(yield* nats.state, { _tag: "Connected", server: accepting.url })
      const error = yield* Effect.flip(NatsClient.make({ servers: servers.slice(0, 2), auth, randomizeServers: false }))
      assert(error._tag === "AuthorizationViolation", error._tag)
      assert.deepStrictEqual(
        error.attempts?.map((attempt) => [attempt.server, attempt.error._tag]),
        refusing.map((server) => [server.url, "AuthorizationViolation"])
      )
    }))
})
