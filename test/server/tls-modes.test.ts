/**
 * When TLS is required: nothing is sent in clear then, whatever the server offers. The server in clear is scripted: it
 * keeps every byte that it was sent, where a real one logs at most what it could parse.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { NatsClient, type NatsConfig } from "effect-nats"
import { TestCertificates, TestFakeServer, TestNatsServer } from "effect-nats/testing"
import { follow } from "../fixtures/following.ts"
import { tlsPeer } from "../fixtures/manInTheMiddle.ts"

const auth = { user: "john", password: "johns-own-password" } as const
const users = [auth]
const fast = { initialDelay: "20 millis", maxDelay: "100 millis" } as const

const refusalOf = (options: NatsConfig.Input) => Effect.flip(Effect.scoped(NatsClient.make(options)))

/** A server without TLS that lets everybody in, and what it was sent. */
const clearServer = TestFakeServer.make(TestFakeServer.handshake())

describe("a list with tls:// or wss://", () => {
  const lists: ReadonlyArray<readonly [string, (dead: string, clear: string) => string]> = [
    [
      "tls:// with user info, and a server without a scheme behind it",
      (dead, clear) => `tls://john:${auth.password}@${dead},${clear}`
    ],
    ["a server without a scheme before tls://", (dead, clear) => `${clear},tls://john:${auth.password}@${dead}`],
    [
      "a server without a scheme between two",
      (dead, clear) => `tls://john:${auth.password}@${dead},${clear},tls://${dead}`
    ],
    [
      "wss:// with user info, and a server without a scheme behind it",
      (dead, clear) => `wss://john:${auth.password}@${dead},${clear}`
    ],
    ["a server without a scheme before wss://", (dead, clear) => `${clear},wss://john:${auth.password}@${dead}`]
  ]
  for (const [name, list] of lists) {
    it.live(`sends nothing in clear: ${name}`, () =>
      Effect.gen(function*() {
        const clear = yield* clearServer
        // A WebSocket has its TLS first of all; this server would wait for it for ever.
        const error = yield* refusalOf({
          servers: list("127.0.0.1:1", `127.0.0.1:${clear.port}`),
          connectTimeout: "1 second"
        })
        assert.include(["TlsUnavailable", "TlsHandshakeFailed"], error._tag)
        const received = yield* clear.received(0)
        assert.notInclude(received, "CONNECT")
        assert.notInclude(received, auth.password)
      }))
  }
})

describe("TLS settings without a mode", () => {
  it.live("need a server with TLS: the password does not go to one without", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const client = yield* authority.issue({ commonName: "john" })
      const server = yield* TestNatsServer.make({ users, trace: true })
      const settings = [
        { ca: authority.cert },
        { ca: authority.cert, ...client },
        { serverName: "nats.example.com" },
        { handshakeFirst: false, dangerouslyDisableVerification: true }
      ]
      for (const tls of settings) {
        const error = yield* refusalOf({ servers: server.url, auth, tls })
        assert.strictEqual(error._tag, "TlsUnavailable")
        assert.include(error.message, "`tls` settings")
      }
      assert.isFalse((yield* server.logs).some((line) => line.includes("CONNECT")))
      // The mode that is written counts, and the trace shows a CONNECT when there is one.
      yield* Effect.scoped(
        NatsClient.make({ servers: server.url, auth, tls: { ca: authority.cert, mode: "prefer" } })
      )
      yield* server.awaitLog("CONNECT")
    }))
})

describe("a server that had TLS", () => {
  const certificate = Effect.gen(function*() {
    const authority = yield* TestCertificates.authority()
    return { ca: authority.cert, tls: yield* authority.issue({ names: ["127.0.0.1"] }) }
  })

  it.live("and has none any more gets no password, until it has it again", () =>
    Effect.gen(function*() {
      const { ca, tls } = yield* certificate
      const server = yield* TestNatsServer.make({ users, tls, trace: true })
      const client = yield* NatsClient.make({
        servers: server.url,
        auth,
        tls: { ca, mode: "prefer" },
        reconnect: fast
      })
      const status = yield* follow(client)
      yield* server.reload({ tls: undefined })
      const before = (yield* server.logs).length
      const again = yield* Effect.forkChild(client.reconnect)
      yield* status.seen("Reconnecting", 2)
      assert.strictEqual(status.all("Reconnecting").at(-1)?.reason._tag, "TlsUnavailable")
      assert.isFalse((yield* server.logs).slice(before).some((line) => line.includes("[CONNECT")))
      yield* server.reload({ tls })
      yield* Fiber.join(again)
      assert.deepInclude(yield* client.state, { _tag: "Connected", session: 2 })
      // The trace shows the CONNECT that came then.
      yield* server.awaitLog("[CONNECT", { from: before })
    }))

  it.live("is not asked again in clear by who stands before it", () =>
    Effect.gen(function*() {
      const { ca, tls } = yield* certificate
      const peer = yield* tlsPeer(tls, (connection) => ({ clear: connection === 0 ? { tls_available: true } : {} }))
      const client = yield* NatsClient.make({
        servers: `127.0.0.1:${peer.port}`,
        auth,
        tls: { ca, mode: "prefer" },
        reconnect: fast
      })
      const status = yield* follow(client)
      assert.include(peer.received(), auth.password)
      yield* peer.drop
      yield* status.seen("Reconnecting", 3)
      assert.isAtLeast(peer.accepted(), 3)
      assert.strictEqual(peer.receivedInClear(), "")
    }))
})
