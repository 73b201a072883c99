import { assert, describe, it } from "@effect/vitest"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Credentials } from "../../src/internal/wire/credentials.ts"
import type { Session } from "../../src/internal/wire/session.ts"
import { type DialTestOptions, dialTo, password, pinged, Recorder } from "../fixtures/dialling.ts"
import { oneTurn, until } from "../fixtures/following.ts"
import { steadyMillis } from "../fixtures/steadyClock.ts"

const many = 20

/** So many sessions at once, half of them publishing in every turn, and what each of them ended with. */
const sessions = (url: string, options?: DialTestOptions) =>
  Effect.gen(function*() {
    const owners = Array.from({ length: many }, () => new Recorder())
    const opened = yield* Effect.forEach(owners, (owner) => dialTo(url, { ...options, owner }), {
      concurrency: "unbounded"
    })
    opened.slice(many / 2).forEach(publishing)
    return {
      opened,
      owners,
      ends: Effect.gen(function*() {
        const ends = yield* Effect.forEach(owners, (owner) => owner.end)
        for (const owner of owners) {
          assert.strictEqual(owner.ends.length, 1)
        }
        for (const session of opened) {
          assert.isFalse(session.isOpen)
        }
        return [...new Set(ends.map((end) => "stage" in end ? `${end._tag} ${end.stage}` : end._tag))]
      })
    }
  })

const publishing = (session: Session): void => {
  const payload = new Uint8Array(128)
  const turn = (): void => {
    if (session.isOpen) {
      for (let i = 0; i < 200; i++) {
        session.writer.publish("load", "", undefined, payload)
      }
      setImmediate(turn)
    }
  }
  turn()
}

const byJwt = (user: TestOperator.TestUser): Credentials => ({
  method: "Jwt",
  jwt: Redacted.make(user.jwt),
  seed: Redacted.make(user.seed),
  source: "test"
})

const operated = Effect.gen(function*() {
  const operator = yield* TestOperator.make()
  const account = yield* operator.account("A")
  const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
  return { operator, account, server }
})

const john = { user: "john", password: "p" }
const asJohn = { credentials: password("john", "p") }

describe("a session ends with the cause that the server names", () => {
  it.live("a user JWT that expires: AuthenticationExpired", () =>
    Effect.gen(function*() {
      const { account, server } = yield* operated
      const user = yield* account.user("u", { expiresIn: "3 seconds" })
      const { ends } = yield* sessions(server.url, { credentials: byJwt(user) })
      assert.deepStrictEqual(yield* ends, ["AuthenticationExpired"])
    }))

  it.live("a user that is revoked: AuthenticationRevoked", () =>
    Effect.gen(function*() {
      const { account, operator, server } = yield* operated
      const user = yield* account.user("u")
      const { ends } = yield* sessions(server.url, { credentials: byJwt(user) })
      yield* server.reload({ operator: operator.setup(yield* account.revoke(user)) })
      assert.deepStrictEqual(yield* ends, ["AuthenticationRevoked"])
    }))

  it.live("an account that expires: AccountAuthenticationExpired", () =>
    Effect.gen(function*() {
      const { account, operator, server } = yield* operated
      const { ends } = yield* sessions(server.url, { credentials: byJwt(yield* account.user("u")) })
      // Its time runs from here, and not while the server starts and the sessions are opened.
      yield* server.reload({ operator: operator.setup(yield* account.change({ expiresIn: "2 seconds" })) })
      assert.deepStrictEqual(yield* ends, ["AccountAuthenticationExpired"])
    }))

  it.live("a password that is changed: AuthorizationViolation", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [john] })
      const { ends } = yield* sessions(server.url, asJohn)
      yield* server.reload({ users: [{ user: "john", password: "q" }] })
      assert.deepStrictEqual(yield* ends, ["AuthorizationViolation"])
    }))

  it.live("a message over the limit: ServerRejected with the server's words", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxPayload: 100 })
      const { ends, owners, opened } = yield* sessions(server.url)
      for (const session of opened) {
        session.writer.publish("large", "", undefined, new Uint8Array(1000))
      }
      assert.deepStrictEqual(yield* ends, ["ServerRejected"])
      const [end] = owners[0].ends
      assert(end._tag === "ServerRejected")
      assert.strictEqual(end.text, "Maximum Payload Violation")
    }))
})

describe("where the server says nothing, a session ends as ConnectionReset at stage up", () => {
  it.live("a user that is removed, and the next dial says the rest", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [john] })
      const { ends } = yield* sessions(server.url, asJohn)
      yield* server.reload({ users: [{ user: "jane", password: "p" }] })
      assert.deepStrictEqual(yield* ends, ["ConnectionReset up"])
      const next = yield* Effect.flip(dialTo(server.url, asJohn))
      assert.strictEqual(next._tag, "AuthorizationViolation")
    }))

  it.live("a client that reads too slowly for the server, and its message says that this can be why", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ writeDeadline: "100 millis" })
      const owner = new Recorder()
      const session = yield* dialTo(server.url, { owner })
      // Far more comes back than the operating system keeps for a reader.
      for (let sid = 1; sid <= 200; sid++) session.writer.subscribe(sid, "flood", undefined)
      for (let i = 0; i < 40; i++) session.writer.publish("flood", "", undefined, new Uint8Array(64 * 1024))
      session.writer.flush()
      // The time that it does not read is what is tested. A server that had no turn in it has the next one.
      while (owner.ends.length === 0) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
        yield* oneTurn
      }
      const end = yield* owner.end
      assert.deepInclude(end, { _tag: "ConnectionReset", stage: "up" })
      assert.match(end.message, /without giving a reason: .* or this client read too slowly for it\.$/)
      yield* server.awaitLog(/Slow Consumer/)
    }))

  it.live("a server that is killed, or stopped", () =>
    Effect.gen(function*() {
      for (const how of ["kill", "stop"] as const) {
        const server = yield* TestNatsServer.make({})
        const { ends } = yield* sessions(server.url)
        yield* server[how]
        assert.deepStrictEqual(yield* ends, ["ConnectionReset up"])
      }
    }))
})

describe("an error that leaves the connection open", () => {
  it.live("is told, and the session lives on: permissions, invalid subject, too many subscriptions", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [{ ...john, permissions: { publish: "ok", subscribe: { deny: "denied" } } }],
        maxSubscriptions: 2
      })
      const owner = new Recorder()
      const session = yield* dialTo(server.url, { ...asJohn, owner })
      session.writer.publish("User Authentication Expired".replaceAll(" ", "-"), "", undefined, "x")
      session.writer.subscribe(1, "denied", "q")
      session.writer.subscribe(2, "ok..b", undefined)
      for (let sid = 3; sid < 6; sid++) {
        session.writer.subscribe(sid, `ok.${sid}`, undefined)
      }
      yield* pinged(session)
      assert.deepStrictEqual(owner.errors, [
        "Permissions Violation for Publish to \"User-Authentication-Expired\"",
        "Permissions Violation for Subscription to \"denied\" using queue \"q\"",
        "Invalid Subject",
        "maximum subscriptions exceeded"
      ])
      yield* pinged(session)
      assert.isTrue(session.isOpen)
      assert.deepStrictEqual(owner.ends, [])
    }))
})

describe("a server in lame duck mode", () => {
  it.live("says so in INFO, and closes later", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const owner = new Recorder()
      const session = yield* dialTo(server.url, { owner })
      yield* server.lameDuck
      yield* owner.until(({ infos }) => infos.some((info) => info.ldm === true))
      assert.isTrue(session.info.ldm)
    }))
})

describe("close", () => {
  it.live("releases the connection at once, and the owner hears nothing of it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const owner = new Recorder()
      const session = yield* dialTo(server.url, { owner })
      session.ping((reason) => assert.strictEqual(reason?._tag, "ConnectionReset"))
      const gone = yield* steadyMillis(Effect.suspend(() => {
        session.close()
        session.close()
        assert.isFalse(session.isOpen)
        return until(Effect.map(server.connz, (open) => open.length === 0))
      }))
      assert.isBelow(gone, 500)
      assert.deepStrictEqual(owner.ends, [])
      const late = yield* Effect.flip(pinged(session))
      assert.strictEqual(late._tag, "ConnectionReset")
    }))
})
