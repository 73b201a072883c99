import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as util from "node:util"
import type { Credentials } from "../../src/internal/wire/credentials.ts"
import {
  anonymous,
  atOnce,
  type DialTestOptions,
  dialTo,
  password,
  pinged,
  refusal,
  token
} from "../fixtures/dialling.ts"
import { follow } from "../fixtures/following.ts"

const repeats = 20

/** Dials again and again: always this tag, and never after waiting for a time. */
const alwaysRefused = (url: string, tag: string, options: DialTestOptions) =>
  Effect.gen(function*() {
    const seen = new Set<string>()
    for (let i = 0; i < repeats; i++) seen.add((yield* atOnce(refusal(url, options)))._tag)
    assert.deepStrictEqual([...seen], [tag])
  })

const john = { user: "john", password: "johnpassword" }

describe("credentials", () => {
  it.live("the right password is let in, and the server answers a ping", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [john] })
      const session = yield* dialTo(server.url, {
        credentials: password("john", "johnpassword"),
        name: "dial-test",
        noEcho: true
      })
      yield* pinged(session)
      assert.isTrue(session.isOpen)
      assert.isFalse(session.encrypted)
      assert.strictEqual(session.server, server.url)
      const [connection] = yield* server.connz
      assert.strictEqual(connection.name, "dial-test")
    }))

  it.live("a wrong password is an AuthorizationViolation, every time, and at once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [john] })
      yield* alwaysRefused(server.url, "AuthorizationViolation", { credentials: password("john", "jpassword") })
    }))

  it.live("no credentials are an AuthorizationViolation that says so", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [john] })
      yield* alwaysRefused(server.url, "AuthorizationViolation", { credentials: anonymous })
      const error = yield* refusal(server.url)
      assert.include(error.message, "none were sent")
      assert.isFalse(error.isRetryable)
    }))

  it.live("an unknown user and a wrong token are AuthorizationViolations", () =>
    Effect.gen(function*() {
      const users = yield* TestNatsServer.make({ users: [john] })
      yield* alwaysRefused(users.url, "AuthorizationViolation", { credentials: password("jane", "johnpassword") })
      const tokens = yield* TestNatsServer.make({ token: "s3cr3t" })
      yield* alwaysRefused(tokens.url, "AuthorizationViolation", { credentials: token("wrong") })
      yield* dialTo(tokens.url, { credentials: token("s3cr3t") })
    }))

  it.live("no trace of a secret in the error or in the session, however it is inspected", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "canary-right" }] })
      const error = yield* refusal(server.url, { credentials: password("john", "canary-wrong") })
      const session = yield* dialTo(server.url, { credentials: password("john", "canary-right") })
      for (const value of [error, session, session.writer]) {
        const text = [
          util.inspect(value, { depth: Infinity, showHidden: true, getters: true }),
          String(value),
          JSON.stringify(value)
        ].join()
        assert.notInclude(text, "canary")
        // Neither as bytes.
        assert.notInclude(text, Buffer.from("canary").toString("hex"))
        assert.notInclude(text, Buffer.from("canary").toString("hex").match(/../g)!.join(" "))
      }
    }))

  it.live("a server that is full says MaxConnectionsExceeded, with its own words", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxConnections: 1 })
      yield* dialTo(server.url)
      yield* alwaysRefused(server.url, "MaxConnectionsExceeded", {})
      const error = yield* refusal(server.url)
      assert(error._tag === "MaxConnectionsExceeded")
      assert.strictEqual(error.text, "maximum connections exceeded")
      assert.isTrue(error.isRetryable)
    }))

  it.live("an NKey and a server that knows none are CredentialsInvalid, with nothing sent, and other servers are tried", () =>
    Effect.gen(function*() {
      const nkey = yield* TestOperator.nkey()
      const auth = { _tag: "NKey", seed: nkey.seed } as const
      const open = yield* TestNatsServer.make({ trace: true })
      const error = yield* Effect.flip(NatsClient.make({ servers: open.url, auth }))
      assert(error._tag === "CredentialsInvalid", error._tag)
      assert.deepInclude(error, { method: "NKey", source: "auth.seed", server: open.url })
      assert.isFalse(error.isRetryable)
      assert.include(error.message, `unusable with ${open.url}: it sent no nonce`)
      assert.isFalse((yield* open.logs).some((line) => line.includes("[CONNECT")))

      const keyed = yield* TestNatsServer.make({ users: [{ nkey: nkey.publicKey }] })
      const client = yield* NatsClient.make({ servers: [open.url, keyed.url], randomizeServers: false, auth })
      assert.deepInclude(yield* client.state, { _tag: "Connected", server: keyed.url })
      // While the one that knows the NKey is away, the other's answer is no end.
      const both = yield* NatsClient.make({
        servers: [keyed.url, open.url],
        randomizeServers: false,
        auth,
        reconnect: { initialDelay: "20 millis", maxDelay: "20 millis" }
      })
      const waiting = yield* follow(both)
      yield* keyed.kill
      yield* waiting.seen("Reconnecting", 6)
      assert.strictEqual(waiting.all("Reconnecting").at(-1)?.reason._tag, "CredentialsInvalid")
      yield* keyed.restart
      yield* waiting.connected(2)

      // A server that knows no NKeys for a moment, as during a change of its configuration, is no end.
      const changing = yield* NatsClient.make({
        servers: keyed.url,
        auth,
        reconnect: { initialDelay: "1 second", maxDelay: "1 second", jitter: false }
      })
      const status = yield* follow(changing)
      yield* keyed.reload({ users: undefined })
      yield* status.seen("Reconnecting", 1)
      assert.strictEqual(status.all("Reconnecting")[0].reason._tag, "CredentialsInvalid")
      yield* keyed.reload({ users: [{ nkey: nkey.publicKey }] })
      yield* status.connected(2)
    }))

  it.live("an NKey and a user JWT are let in, a JWT that has expired is an AuthorizationViolation", () =>
    Effect.gen(function*() {
      const nkey = yield* TestOperator.nkey()
      const keyed = yield* TestNatsServer.make({ users: [{ nkey: nkey.publicKey }] })
      const byKey: Credentials = { method: "NKey", seed: Redacted.make(nkey.seed), source: "test" }
      yield* Effect.flatMap(dialTo(keyed.url, { credentials: byKey }), pinged)
      const stranger = yield* TestOperator.nkey()
      yield* alwaysRefused(keyed.url, "AuthorizationViolation", {
        credentials: { ...byKey, seed: Redacted.make(stranger.seed) }
      })
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const byJwt = (user: TestOperator.TestUser): Credentials => ({
        method: "Jwt",
        jwt: Redacted.make(user.jwt),
        seed: Redacted.make(user.seed),
        source: "test"
      })
      yield* Effect.flatMap(dialTo(server.url, { credentials: byJwt(yield* account.user("u")) }), pinged)
      yield* alwaysRefused(server.url, "AuthorizationViolation", {
        credentials: byJwt(yield* account.user("late", { expired: true }))
      })
    }))

  it.live("fifty dials at once are fifty sessions", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const sessions = yield* Effect.all(Array.from({ length: 50 }, () => dialTo(server.url)), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(sessions, pinged, { discard: true })
      assert.strictEqual(new Set(sessions.map((session) => session.info.client_id)).size, 50)
    }))
})
