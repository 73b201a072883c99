import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as NatsClient from "../../src/NatsClient.ts"
import { TestAuthCallout, TestNatsServer, TestOperator } from "../../src/testing/index.ts"
import { rawConnect, signWith } from "../fixtures/rawClient.ts"

const pong = "PONG\r\n"
const refused = "-ERR 'Authorization Violation'\r\n"

const login = (port: number, connect?: Readonly<Record<string, unknown>>, lines?: string) =>
  Effect.map(rawConnect({ port, connect, lines }), ({ text }) => text)

const loginWithKey = (port: number, seed: string, fields: Readonly<Record<string, unknown>>) =>
  Effect.map(rawConnect({ port, sign: signWith(seed, fields) }), ({ text }) => text)

const loginAs = (port: number, user: TestOperator.TestUser) => loginWithKey(port, user.seed, { jwt: user.jwt })

const isOld = (server: TestNatsServer.TestNatsServer): boolean => server.version.startsWith("2.9.")

describe("TestNatsServer lets in whom it is told to", () => {
  it.live("users with passwords, odd characters included", () =>
    Effect.gen(function*() {
      const password = "p\"a\\ss ß€ $HOME \t\u0001'{}#;"
      const server = yield* TestNatsServer.make({ users: [{ user: "a", password: "pa" }, { user: "b c", password }] })
      assert.strictEqual(yield* login(server.port, { user: "a", pass: "pa" }), pong)
      assert.strictEqual(yield* login(server.port, { user: "b c", pass: password }), pong)
      assert.strictEqual(yield* login(server.port, { user: "a", pass: password }), refused)
      assert.strictEqual(yield* login(server.port), refused)
    }))

  it.live("bcrypt users and tokens, by their clear-text secret", () =>
    Effect.gen(function*() {
      const users = yield* TestNatsServer.make({ users: [{ user: "a", password: "secret", bcrypt: true }] })
      assert.strictEqual(yield* login(users.port, { user: "a", pass: "secret" }), pong)
      assert.strictEqual(yield* login(users.port, { user: "a", pass: "wrong" }), refused)
      const token = yield* TestNatsServer.make({ token: "s3cr3t", tokenBcrypt: true })
      assert.strictEqual(yield* login(token.port, { auth_token: "s3cr3t" }), pong)
      assert.strictEqual(yield* login(token.port, { auth_token: "wrong" }), refused)
      for (const server of [users, token]) {
        assert.isFalse((yield* server.logs).some((line) => line.includes("Plaintext passwords")))
      }
    }))

  it.live("a token", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "s3cr3t" })
      assert.strictEqual(yield* login(server.port, { auth_token: "s3cr3t" }), pong)
      assert.strictEqual(yield* login(server.port, { auth_token: "other" }), refused)
    }))

  it.live("nkeys", () =>
    Effect.gen(function*() {
      const key = yield* TestOperator.nkey()
      const other = yield* TestOperator.nkey()
      const server = yield* TestNatsServer.make({ users: [{ nkey: key.publicKey }] })
      assert.strictEqual(yield* loginWithKey(server.port, key.seed, { nkey: key.publicKey }), pong)
      assert.strictEqual(yield* loginWithKey(server.port, other.seed, { nkey: other.publicKey }), refused)
      assert.strictEqual(yield* loginWithKey(server.port, other.seed, { nkey: key.publicKey }), refused)
    }))

  it.live("a user on the command line", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ args: ["--user", "john", "--pass", "johnpassword"] })
      assert.strictEqual(yield* login(server.port, { user: "john", pass: "johnpassword" }), pong)
      assert.strictEqual(yield* login(server.port, { user: "john", pass: "jpassword" }), refused)
    }))

  it.live("clients without credentials, as the no-auth user, and wrong credentials still not", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        accounts: { A: { users: [{ user: "a", password: "pa" }] } },
        noAuthUser: "a"
      })
      assert.strictEqual(yield* login(server.port), pong)
      assert.strictEqual(yield* login(server.port, { user: "a", pass: "wrong" }), refused)
    }))

  it.live("users with permissions, which the server enforces", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [{
          user: "a",
          password: "pa",
          permissions: { publish: { allow: "out.>", deny: ["out.secret"] }, subscribe: ["in.*"] }
        }, { user: "default", password: "pa" }],
        defaultPermissions: { publish: "none" }
      })
      const lines = (user: string, text: string) => login(server.port, { user, pass: "pa" }, text)
      assert.strictEqual(yield* lines("a", "PUB out.x 0\r\n\r\nSUB in.x 1\r\n"), pong)
      assert.include(
        yield* lines("a", "PUB out.secret 0\r\n\r\n"),
        "Permissions Violation for Publish to \"out.secret\""
      )
      assert.include(yield* lines("a", "SUB out.x 1\r\n"), "Permissions Violation for Subscription to \"out.x\"")
      assert.include(yield* lines("default", "PUB x 0\r\n\r\n"), "Permissions Violation for Publish to \"x\"")
    }))

  it.live("users of other connection types not", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [{ user: "ws", password: "p", allowedConnectionTypes: ["WEBSOCKET"] }]
      })
      assert.strictEqual(yield* login(server.port, { user: "ws", pass: "p" }), refused)
    }))
})

describe("TestNatsServer in operator mode", () => {
  it.live("lets in users with their JWT and key, and nobody with another's", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const foreign = yield* operator.account("B")
      const user = yield* account.user("alice")
      const other = yield* account.user("bob")
      const stranger = yield* foreign.user("eve")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      assert.strictEqual(yield* loginAs(server.port, user), pong)
      assert.strictEqual(yield* loginWithKey(server.port, other.seed, { jwt: user.jwt }), refused)
      assert.strictEqual(yield* loginAs(server.port, stranger), refused)
      assert.strictEqual(yield* login(server.port, { jwt: user.jwt }), refused)
      assert.include(user.creds, user.jwt)
      assert.include(user.creds, user.seed)
    }))

  it.live("refuses expired, early, foreign-network, wrong-connection-type users and expired accounts", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const expired = yield* operator.account("Old", { expired: true })
      const server = yield* TestNatsServer.make({ operator: operator.setup(account, expired) })
      const users = [
        yield* account.user("a", { expired: true }),
        yield* account.user("b", { notYetValid: true }),
        yield* account.user("c", { networks: ["10.0.0.0/8"] }),
        yield* account.user("d", { allowedConnectionTypes: ["WEBSOCKET"] }),
        yield* expired.user("e")
      ]
      for (const user of users) {
        assert.strictEqual(yield* loginAs(server.port, user), refused, user.name)
      }
      assert.strictEqual(yield* loginAs(server.port, yield* account.user("f", { expiresIn: "1 hour" })), pong)
    }))

  it.live("bearer JWTs need no key, unless the account forbids them", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const strict = yield* operator.account("B", { disallowBearer: true })
      const server = yield* TestNatsServer.make({ operator: operator.setup(account, strict) })
      const bearer = yield* account.user("a", { bearer: true })
      assert.strictEqual(yield* login(server.port, { jwt: bearer.jwt }), pong)
      const forbidden = yield* strict.user("b", { bearer: true })
      assert.strictEqual(yield* login(server.port, { jwt: forbidden.jwt }), refused)
    }))

  it.live("a user signed by a signing key of the account", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const signingKey = yield* TestOperator.nkey("account")
      const account = yield* operator.account("A", { signingKeys: [signingKey] })
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      assert.strictEqual(yield* loginAs(server.port, yield* account.user("a", { signingKey })), pong)
      const unknown = yield* TestOperator.nkey("account")
      assert.strictEqual(yield* loginAs(server.port, yield* account.user("b", { signingKey: unknown })), refused)
    }))

  it.live("JWT permissions and limits are enforced", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A", { maxConnections: 0 })
      const open = yield* operator.account("B", { defaultPermissions: { subscribe: { deny: "secret" } } })
      const server = yield* TestNatsServer.make({ operator: operator.setup(account, open) })
      const answer = (user: TestOperator.TestUser, lines: string) =>
        Effect.map(
          rawConnect({ port: server.port, sign: signWith(user.seed, { jwt: user.jwt }), lines }),
          ({ text }) => text
        )
      const user = yield* open.user("a", { permissions: { publish: ["x"], allowResponses: true } })
      assert.strictEqual(yield* answer(user, "PUB x 0\r\n\r\n"), pong)
      assert.include(yield* answer(user, "PUB y 0\r\n\r\n"), "Permissions Violation")
      assert.include(yield* answer(yield* open.user("b"), "SUB secret 1\r\n"), "Permissions Violation")
      assert.include(
        yield* loginAs(server.port, yield* account.user("c")),
        "maximum account active connections exceeded"
      )
    }))

  it.live("a revoked user, and a removed account, are out after a reload; a revocation taken back lets in again", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const user = yield* account.user("alice")
      const other = yield* account.user("bob")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      assert.strictEqual(yield* loginAs(server.port, user), pong)
      const revoked = yield* account.revoke(user)
      yield* server.reload({ operator: operator.setup(revoked) })
      assert.strictEqual(yield* loginAs(server.port, user), refused)
      assert.strictEqual(yield* loginAs(server.port, other), pong)
      const everybody = yield* revoked.revoke("*")
      yield* server.reload({ operator: operator.setup(everybody) })
      assert.strictEqual(yield* loginAs(server.port, other), refused)
      yield* server.reload({ operator: operator.setup(yield* everybody.change({ revocations: {} })) })
      assert.strictEqual(yield* loginAs(server.port, user), pong)
      yield* server.reload({ operator: operator.setup() })
      assert.strictEqual(yield* loginAs(server.port, user), refused)
    }))

  it.live("a user's connection ends when its JWT does", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A", { jetstream: true })
      const server = yield* TestNatsServer.make({ operator: operator.setup(account), jetstream: true })
      const user = yield* account.user("alice", { expiresIn: "3 seconds" })
      const refreshed = yield* account.user("alice", { nkey: user, expiresIn: "1 hour" })
      assert.strictEqual(refreshed.publicKey, user.publicKey)
      const client = yield* NatsClient.make({
        servers: server.url,
        auth: { _tag: "Creds", creds: user.creds },
        reconnect: false
      })
      const reason = yield* Effect.flip(client.closed)
      assert.strictEqual(reason.reason?._tag, "AuthenticationExpired")
      assert.strictEqual(yield* loginAs(server.port, refreshed), pong)
    }))
})

describe("TestAuthCallout", () => {
  for (const encrypted of [false, true]) {
    it.live(`allows and denies what the test decides${encrypted ? ", encrypted" : ""}`, () =>
      Effect.gen(function*() {
        const callout = yield* TestAuthCallout.make({ encrypted })
        const starting = TestNatsServer.make({
          users: [{ user: "auth", password: "secret" }],
          authCallout: callout.setup({ users: ["auth"] }),
          authTimeout: "2 seconds"
        })
        const plain = yield* TestNatsServer.make()
        if (isOld(plain)) {
          const error = yield* Effect.flip(starting)
          assert.strictEqual(error._tag, "NatsServerTooOld")
          assert.include(error.message, "auth_callout")
          return
        }
        const server = yield* starting
        const client = yield* NatsClient.make({
          servers: server.url,
          auth: { user: "auth", password: "secret" }
        })
        yield* callout.serve(client, ({ connect_opts }) => {
          switch (connect_opts.user) {
            case "john":
              return { allow: { name: "john", permissions: { publish: ["ok"] } } }
            case "mute":
              return { silence: true }
            default:
              return { deny: "only john" }
          }
        })
        const john = yield* login(server.port, { user: "john", pass: "x" }, "PUB ok 0\r\n\r\nPUB no 0\r\n\r\n")
        assert.include(john, "Permissions Violation for Publish to \"no\"")
        assert.notInclude(john, "\"ok\"")
        assert.include(john, pong)
        assert.strictEqual(yield* login(server.port, { user: "eve" }), refused)
        assert.strictEqual(yield* login(server.port, { user: "mute" }), refused)
      }))
  }
})

describe("TestNatsServer.layerClient", () => {
  it.live("gives a connected client and its server in one line", () =>
    Effect.gen(function*() {
      const client = yield* NatsClient.NatsClient
      const server = yield* TestNatsServer.TestNatsServer
      yield* client.flush
      const [connection, ...others] = yield* server.connz
      assert.deepStrictEqual(others, [])
      assert.strictEqual(connection?.authorized_user, "john")
    }).pipe(
      Effect.provide(
        TestNatsServer.layerClient(
          { users: [{ user: "john", password: "johnpassword" }] },
          { auth: { user: "john", password: "johnpassword" } }
        )
      )
    ))
})
