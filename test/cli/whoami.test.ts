import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { TestFakeServer, TestNatsServer, TestOperator } from "../../src/testing/index.ts"
import { run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"

const lineOf = (stdout: string, label: string): string | undefined =>
  stdout.split("\n").find((line) => line.startsWith(`  ${label}  `))?.slice(label.length + 2).trim()

/** A server before 2.10 does not tell. */
const tells = (server: TestNatsServer.TestNatsServer): boolean => isAtLeast(server.version, 2, 10)

describe("whoami", () => {
  it.live("tells the user, the account, the rights and the server", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        name: "n1",
        accounts: {
          ORDERS: {
            users: [{
              user: "john",
              password: "pass-of-john",
              permissions: {
                publish: ["orders.>", "$SYS.REQ.USER.INFO"],
                subscribe: { allow: ["_INBOX.>", "orders.>"], deny: "orders.secret" },
                allowResponses: { max: 2, expires: "5 seconds" }
              }
            }]
          }
        }
      })
      const env = { NATS_URL: server.url, NATS_USER: "john", NATS_PASSWORD: "pass-of-john" }
      const { code, stderr, stdout } = yield* run(["whoami"], { env })
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
      assert.strictEqual(stdout.split("\n")[0], "Configuration: environment NATS_URL, NATS_USER, NATS_PASSWORD")
      assert.strictEqual(lineOf(stdout, "user"), "john")
      assert.strictEqual(lineOf(stdout, "method"), "UserPassword")
      assert.strictEqual(lineOf(stdout, "server"), `${server.url}, nats-server ${server.version}, "n1"`)
      assert.match(lineOf(stdout, "connection") ?? "", /^\d+, from 127\.0\.0\.1$/)
      if (tells(server)) {
        assert.strictEqual(lineOf(stdout, "account"), "ORDERS")
        // In any order.
        assert.sameMembers((lineOf(stdout, "may publish to") ?? "").split(" "), ["orders.>", "$SYS.REQ.USER.INFO"])
        assert.match(lineOf(stdout, "may subscribe to") ?? "", /^\S+ \S+, but not orders\.secret$/)
        assert.strictEqual(lineOf(stdout, "may answer"), "2 answers to a request, for 5 seconds")
      }
      const json = yield* run(["whoami", "--json"], { env })
      assert.strictEqual(json.stderr, "")
      const told = JSON.parse(json.stdout)
      assert.strictEqual(told.user, "john")
      assert.strictEqual(told.server.name, "n1")
      assert.strictEqual(told.server.version, server.version)
      assert.strictEqual(told.connection.ip, "127.0.0.1")
      if (tells(server)) assert.deepStrictEqual(told.permissions.subscribe.deny, ["orders.secret"])
      assert.notInclude(stdout + json.stdout, "pass-of-john")
    }).pipe(Effect.scoped))

  it.live("names the user and the account of a JWT, and when it expires", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const orders = yield* operator.account("orders")
      const alice = yield* orders.user("alice", { expiresIn: "1 hour" })
      const server = yield* TestNatsServer.make({ operator: operator.setup(orders) })
      const cwd = yield* directory
      fs.writeFileSync(path.join(cwd, "alice.creds"), alice.creds, { mode: 0o600 })
      const args = ["whoami", "--server", server.url, "--creds", "alice.creds"]
      const { code, stdout } = yield* run(args, { cwd })
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout.split("\n")[0], "Configuration: --server, --creds")
      assert.strictEqual(lineOf(stdout, "user"), `alice (${alice.publicKey})`)
      assert.include(lineOf(stdout, "account"), orders.publicKey)
      assert.strictEqual(lineOf(stdout, "method"), "CredsFile")
      assert.strictEqual(lineOf(stdout, "key"), alice.publicKey)
      assert.match(lineOf(stdout, "expires") ?? "", /\(in (?:59|60) minutes\)$/)
      const json = yield* run([...args, "--json"], { cwd })
      const told = JSON.parse(json.stdout)
      assert.strictEqual(told.key, alice.publicKey)
      assert.strictEqual(told.account, orders.publicKey)
      assert.strictEqual(told.userName, "alice")
      for (const secret of [alice.seed, alice.jwt]) assert.notInclude(stdout + json.stdout, secret)
    }).pipe(Effect.scoped))

  it.live("tells what is known where the client may not ask, with a note", () =>
    Effect.gen(function*() {
      const key = yield* TestOperator.nkey()
      const server = yield* TestNatsServer.make({
        users: [{ nkey: key.publicKey, permissions: { publish: { deny: "$SYS.>" } } }]
      })
      const env = { NATS_URL: server.url, NATS_NKEY_SEED: key.seed }
      const { code, stdout } = yield* run(["whoami"], { env })
      assert.strictEqual(code, 0)
      assert.strictEqual(lineOf(stdout, "user"), key.publicKey)
      assert.strictEqual(lineOf(stdout, "method"), "NKey")
      assert.isUndefined(lineOf(stdout, "may publish to"))
      assert.include(stdout, "note: The server does not say who this client is (")
      const json = JSON.parse((yield* run(["whoami", "--json"], { env })).stdout)
      assert.strictEqual(json.user, key.publicKey)
      assert.strictEqual(json.notes.length, 1)
      assert.notInclude(stdout + JSON.stringify(json), key.seed)
    }).pipe(Effect.scoped))

  it.live("says so where nobody in particular is connected", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const { code, stdout } = yield* run(["whoami", "--server", server.url])
      assert.strictEqual(code, 0)
      assert.strictEqual(
        lineOf(stdout, "user"),
        tells(server) ? "nobody in particular" : "not known: no credentials were sent"
      )
      assert.strictEqual(lineOf(stdout, "method"), "Anonymous")
      if (tells(server)) assert.match(lineOf(stdout, "account") ?? "", /^\$G, /)
    }).pipe(Effect.scoped))

  it.live("fails with the class of the failure, where it does not connect", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "pass-of-john" }] })
      const cwd = yield* directory
      const cases: ReadonlyArray<readonly [Readonly<Record<string, string>>, number, string, string]> = [
        [
          { NATS_URL: server.url, NATS_USER: "john", NATS_PASSWORD: "wr0ng-word" },
          6,
          "refused",
          "AuthorizationViolation"
        ],
        [{ NATS_URL: "127.0.0.1:1" }, 3, "unreachable", "ConnectionRefused"],
        [{ NATS_URL: server.url, NATS_CREDS_FILE: "missing.creds" }, 5, "credentials", "CredentialsUnavailable"],
        [{ NATS_URL: server.url, NATS_TLS_MODE: "require" }, 4, "tls", "TlsUnavailable"],
        [{ NATS_URL: server.url, NATS_USER: "john" }, 2, "configuration", "NatsConfigError"]
      ]
      for (const [env, exitCode, failureClass, tag] of cases) {
        const { code, stdout } = yield* run(["whoami", "--json"], { env, cwd })
        const { error } = JSON.parse(stdout)
        assert.deepStrictEqual([code, error.class, error.tag], [exitCode, failureClass, tag])
        assert.notInclude(stdout, "wr0ng-word")
      }
      const text = yield* run(["whoami", "--server", "127.0.0.1:1"])
      assert.strictEqual(text.code, 3)
      assert.strictEqual(text.stdout, "Configuration: --server\n")
      assert.match(text.stderr, /^ConnectionRefused: Nothing listens at/)
    }).pipe(Effect.scoped), 120_000)

  it.live("says why, though the password has a word of that in it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "pass-of-john" }] })
      const env = { NATS_URL: server.url, NATS_USER: "john", NATS_PASSWORD: "wrongpassword" }
      for (const args of [["whoami"], ["whoami", "--json"], ["check"], ["check", "--json"]]) {
        const { code, stderr, stdout } = yield* run(args, { env })
        assert.strictEqual(code, 6)
        const said = (stdout + stderr).replaceAll(/\s+/g, " ")
        assert.include(said, "refused a user and a password: check `auth`")
        assert.notInclude(said, "withheld")
        assert.notInclude(said, "wrongpassword")
      }
    }).pipe(Effect.scoped))

  it.live("does not repeat a token, which server 2.10 has for the user", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "t0ken-of-john" })
      const env = { NATS_URL: server.url, NATS_TOKEN: "t0ken-of-john" }
      for (const args of [["whoami"], ["whoami", "--json"], ["check"], ["check", "--json"]]) {
        const { code, stderr, stdout } = yield* run(args, { env })
        assert.strictEqual(code, 0)
        assert.notInclude(stdout + stderr, "t0ken-of-john")
        assert.include(stdout, "Token")
        if (args.length === 1 && args[0] === "whoami") {
          assert.strictEqual(lineOf(stdout, "user"), "whoever has the token")
        }
      }
    }).pipe(Effect.scoped))

  it.live("shows nothing of a server that moves a cursor", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([
        { send: TestFakeServer.info({ server_name: "a\u001b[2Jb", version: "2.15.1", client_id: 3 }) },
        { answerPings: true }
      ])
      const { code, stdout } = yield* run(["whoami", "--server", server.url])
      assert.strictEqual(code, 0)
      // oxlint-disable-next-line no-control-regex
      assert.notMatch(stdout, /[\u0000-\u0009\u000b-\u001f]/)
      assert.include(stdout, "note: The server does not say who this client is (RequestTimedOut)")
    }).pipe(Effect.scoped))
})
