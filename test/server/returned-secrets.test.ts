/** What a real server sends back that a secret stands in: the subjects of denials, and the names of its certificate. */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { follow } from "../fixtures/following.ts"
import { rendered } from "../fixtures/rendered.ts"

const canary = "CANARYPASSWORD7"
const withheld = "withheld: it repeats a secret"
const auth = { user: "john", password: canary }

const hides = (value: unknown): Effect.Effect<string> =>
  Effect.tap(rendered(value), (text) => Effect.sync(() => assert.notInclude(text, "CANARYPA")))

describe("a server that repeats a secret", () => {
  it.live("in the subject of a denial: it reaches whom it is for, and is not shown", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [{ ...auth, permissions: { publish: { deny: ["t.>"] }, subscribe: { deny: ["t.>"] } } }]
      })
      const nats = yield* NatsClient.make({ servers: server.url, auth })
      const status = yield* follow(nats)
      const own = `t.${canary}.x`
      const denied = yield* Effect.flip(nats.publish(own, "", { confirm: true }))
      assert.deepInclude(denied, { _tag: "PermissionsViolation", operation: "publish", subject: withheld })
      const refused = yield* Effect.flip(nats.subscription(own))
      assert.deepInclude(refused, { _tag: "PermissionsViolation", operation: "subscribe", subject: withheld })
      const asked = yield* Effect.flip(nats.request(own))
      assert.strictEqual(asked._tag, "PermissionsViolation")
      yield* status.seen("PermissionDenied", 3)
      yield* hides([denied, refused, asked, status.events])
      // Any other is told as it is.
      assert.propertyVal(yield* Effect.flip(nats.publish("t.a", "", { confirm: true })), "subject", "t.a")
    }))

  it.live("in a name of its certificate: the code is told, and the certificate is there for who asks", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const name = `${canary.toLowerCase()}.example.test`
      const server = yield* TestNatsServer.make({ tls: yield* authority.issue({ names: [name] }) })
      const error = yield* Effect.flip(NatsClient.make({
        servers: `tls://127.0.0.1:${server.port}`,
        auth: { user: "john", password: canary.toLowerCase() },
        tls: { ca: authority.cert, serverName: "a.test" }
      }))
      assert(error._tag === "TlsCertificateInvalid", error._tag)
      assert.strictEqual(error.code, "ERR_TLS_CERT_ALTNAME_INVALID")
      assert(error.cause instanceof Error)
      assert.propertyVal(error.cause, "message", withheld)
      assert.propertyVal(error.cause, "code", error.code)
      const original = Redacted.value(
        error.cause.cause as Redacted.Redacted<{ readonly cert: { subjectaltname: string } }>
      )
      assert.include(original.cert.subjectaltname, name)
      assert.notInclude((yield* rendered(error)).toLowerCase(), "canarypa")
      // To who has no such secret the names are told.
      const other = yield* Effect.flip(NatsClient.make({
        servers: `tls://127.0.0.1:${server.port}`,
        tls: { ca: authority.cert, serverName: "a.test" }
      }))
      assert.include(String(other.cause), name)
    }))
})

class VaultDown extends Data.TaggedError("VaultDown")<{ readonly token: string; readonly cause: unknown }> {
  override get message(): string {
    return `the vault does not know ${this.token}`
  }
}

class Odd extends Error {
  override readonly name: string
  readonly headers: object
  constructor(name: string) {
    super(`it was ${canary}`, { cause: new Error(`inner ${canary}`) })
    this.name = name
    this.headers = { authorization: canary }
  }
}

describe("a failure of the Effect given as auth", () => {
  const inner = new VaultDown({ token: canary, cause: new Error(canary) })
  const failures: ReadonlyArray<readonly [string, unknown, string]> = [
    ["a tagged error with a secret in its fields, its message and its cause", inner, "VaultDown"],
    ["an error with one everywhere", new Odd("VaultError"), "VaultError"],
    ["an error with one in its name", new Odd(`VaultError: ${canary} is unknown`), "an error without a name"],
    [
      "an error with a key for a name",
      new Odd("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"),
      "an error"
    ],
    ["an object with one in its tag", { _tag: `no ${canary}`, text: canary }, "a value of type object"],
    ["a text", canary, "a value of type string"],
    ["an object that throws when it is looked at", {
      get _tag() {
        throw new Error(canary)
      }
    }, "a value of type object"],
    ["nothing", undefined, "a value of type undefined"]
  ]
  for (const [what, failure, name] of failures) {
    it.live(`that is ${what} is told by its name, and is there for who asks`, () =>
      Effect.gen(function*() {
        for (const auth of [Effect.fail(failure), Effect.die(failure)]) {
          const error = yield* Effect.flip(NatsClient.make({ servers: "nats://127.0.0.1:1", auth }))
          assert(error._tag === "CredentialsUnavailable", error._tag)
          assert.include(error.message, `with ${name}`)
          assert.strictEqual(Redacted.value(error.cause as Redacted.Redacted<unknown>), failure)
          const shown = yield* hides(error)
          assert.notInclude(shown, "SUACSSL3")
          yield* hides(Cause.fail(error))
        }
      }))
  }

  it.live("is not told by a name that is a secret of a dial before", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [auth] })
      let asked = 0
      const lines: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => {
        lines.push(line)
      })
      const nats = yield* Effect.provide(
        NatsClient.make({
          servers: server.url,
          auth: Effect.suspend((): Effect.Effect<typeof auth, Odd> =>
            asked++ === 0 ? Effect.succeed(auth) : Effect.fail(new Odd(`${canary}Error`))
          ),
          reconnect: { initialDelay: 1, maxDelay: 2, maxAttempts: 2 }
        }),
        Logger.layer([logger])
      )
      yield* server.reload({ users: [{ user: "jane", password: "pw" }] })
      const closed = yield* Effect.flip(nats.closed)
      yield* hides([closed, lines])
      assert.isTrue(lines.some((line) => line.includes("failed with an error without a name")), lines.join("\n"))
    }))
})
