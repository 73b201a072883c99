/**
 * Dials to ports that are something else than a client's. The scripted server only lends its port: one that was listened
 * on, and is free now.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestFakeServer, TestNatsProxy, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import type { ConnectError } from "../../src/ConnectError.ts"
import type { Credentials } from "../../src/internal/wire/credentials.ts"
import { atOnce, type DialTestOptions, dialTo, password, pinged, refusal } from "../fixtures/dialling.ts"
import { oneTurn, until } from "../fixtures/following.ts"

const repeats = 20

const always = (url: string, options?: DialTestOptions) =>
  Effect.gen(function*() {
    const errors: Array<ConnectError> = []
    for (let i = 0; i < repeats; i++) {
      errors.push(yield* refusal(url, options))
    }
    assert.deepStrictEqual([...new Set(errors.map((error) => error._tag))], [errors[0]._tag])
    return errors[0]
  })

/** A port where nothing listens: a listener's, after it has gone. */
const freePort = Effect.map(Effect.scoped(TestFakeServer.make([])), (server) => server.port)

describe("a port", () => {
  it.live("where nothing listens is a ConnectionRefused at once, by address and by name", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      for (const host of ["127.0.0.1", "localhost", "[::1]"]) {
        for (let i = 0; i < repeats; i++) {
          const error = yield* atOnce(refusal(`nats://${host}:${port}`))
          assert.strictEqual(error._tag, "ConnectionRefused")
        }
      }
    }))

  it.live("of a name without an address is a ServerNotFound", () =>
    Effect.gen(function*() {
      // Too long for a name, which the system knows without asking anybody.
      const error = yield* refusal(`nats://${"x".repeat(64)}.invalid:4222`)
      assert.strictEqual(error._tag, "ServerNotFound")
    }))

  it.live("for leaf nodes or for routes is a WrongPort", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ leafnodes: true, cluster: { name: "c" } })
      const leaf = yield* always(`nats://127.0.0.1:${server.leafnodePort}`)
      assert(leaf._tag === "WrongPort", leaf._tag)
      assert.strictEqual(leaf.text, "attempted to connect to leaf node port")
      const route = yield* always(`nats://127.0.0.1:${server.routePort}`)
      assert(route._tag === "WrongPort", route._tag)
      assert.strictEqual(route.text, "attempted to connect to route port")
    }))

  it.effect("for monitoring is NotANatsServer, in the last tenth of the time", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const proxy = yield* TestNatsProxy.make({ port: server.monitoringPort })
      const dials = Array.from({ length: repeats }, () => refusal(proxy.url, { connectTimeout: 60_000 }))
      const dialled = yield* Effect.forkChild(Effect.all(dials, { concurrency: "unbounded" }))
      yield* until(Effect.map(proxy.accepted, (accepted) => accepted === repeats))
      for (let turns = 0; turns < 5; turns++) yield* oneTurn
      yield* TestClock.adjust("53999 millis")
      for (let turns = 0; turns < 5; turns++) yield* oneTurn
      assert.strictEqual((yield* proxy.sent("toServer")).length, 0)
      // It is spoken to, and the rest of the time lasts as long as its answers take.
      yield* TestClock.adjust("1 milli")
      for (const error of yield* Fiber.join(dialled)) {
        assert(error._tag === "NotANatsServer", error._tag)
        assert.strictEqual(error.banner, "HTTP/1.1 400 Bad Request")
      }
    }))

  it.effect("of node's HTTP server is NotANatsServer", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<http.Server>((resume) => {
          const made = http.createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
        }),
        (made) => Effect.sync(() => made.close())
      )
      const { port } = server.address() as AddressInfo
      let connected = false
      server.once("connection", () => {
        connected = true
      })
      const dialled = yield* Effect.forkChild(refusal(`nats://127.0.0.1:${port}`, { connectTimeout: 60_000 }))
      yield* until(Effect.sync(() => connected))
      for (let turns = 0; turns < 5; turns++) yield* oneTurn
      // It answers once it is spoken to: in the last tenth, which lasts as long as that takes.
      yield* TestClock.adjust("54 seconds")
      assert.strictEqual((yield* Fiber.join(dialled))._tag, "NotANatsServer")
    }))

  it.live("of a stopped server times out at stage info", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* server.pause
      // The server may take a moment to stop; the first dial outlasts it.
      yield* Effect.exit(Effect.scoped(dialTo(server.url, { connectTimeout: 100 })))
      const error = yield* refusal(server.url, { connectTimeout: 100 })
      assert(error._tag === "ConnectTimedOut", error._tag)
      assert.strictEqual(error.stage, "info")
      yield* server.resume
      yield* dialTo(server.url)
    }))
})

describe("authentication", () => {
  it.live("credentials that come too late are an AuthenticationTimeout", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [{ user: "john", password: "p" }],
        authTimeout: "50 millis"
      })
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      yield* proxy.swallow("toServer")
      const errors = yield* Effect.all(
        Array.from({ length: repeats }, () => refusal(proxy.url, { credentials: password("john", "p") })),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([...new Set(errors.map((error) => error._tag))], ["AuthenticationTimeout"])
    }))

  it.live("an account that is full says MaxConnectionsExceeded, in other words than a full server", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A", { maxConnections: 1 })
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const user = yield* account.user("u")
      const credentials: Credentials = {
        method: "Jwt",
        jwt: Redacted.make(user.jwt),
        seed: Redacted.make(user.seed),
        source: "test"
      }
      yield* Effect.flatMap(dialTo(server.url, { credentials }), pinged)
      const error = yield* always(server.url, { credentials })
      assert(error._tag === "MaxConnectionsExceeded", error._tag)
      assert.strictEqual(error.text, "maximum account active connections exceeded")
    }))
})
