/**
 * Faults of nats.js in choosing a server, in naming why it cannot be had, and in protecting the wire to it.
 */
import { assert, describe, it } from "@effect/vitest"
import { wsconnect } from "@nats-io/nats-core"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestNatsProxy, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { ConnectError } from "../../src/ConnectError.ts"
import { recordStatus } from "../fixtures/clients.ts"

const quick = { initialDelay: "10 millis", maxDelay: "50 millis" } as const

// Nobody listens there.
const dead = "nats://127.0.0.1:1"

/** The failure of a connect whose own limit is far away, which is here long before. */
const atOnce = (options: NatsClient.Options): Effect.Effect<ConnectError> =>
  NatsClient.make({ ...options, connectTimeout: "25 seconds" }).pipe(
    Effect.scoped,
    Effect.flip,
    Effect.filterOrElse((error) => error._tag !== "NatsConfigError", Effect.die),
    Effect.timeout("5 seconds"),
    Effect.orDie
  )

const tagOf = (error: ConnectError): string => "text" in error ? `${error._tag}: ${error.text}` : error._tag

describe("dialling", () => {
  it.live("a server that is full is MaxConnectionsExceeded at once, in clear and with TLS", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      for (const tls of [undefined, yield* authority.issue()]) {
        const server = yield* TestNatsServer.make({ maxConnections: 1, tls })
        const options: NatsClient.Options = {
          servers: server.url,
          ...(tls === undefined ? {} : { tls: { ca: authority.cert } })
        }
        yield* NatsClient.make(options)
        for (let time = 0; time < 10; time++) {
          assert.strictEqual(tagOf(yield* atOnce(options)), "MaxConnectionsExceeded: maximum connections exceeded")
        }
      }
    }))

  it.live("an account that is full is MaxConnectionsExceeded at once, in the server's words", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("small", { maxConnections: 1 })
      const { creds } = yield* account.user("alice")
      const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const options: NatsClient.Options = { servers: server.url, auth: { _tag: "Creds", creds } }
      yield* NatsClient.make(options)
      assert.strictEqual(
        tagOf(yield* atOnce(options)),
        "MaxConnectionsExceeded: maximum account active connections exceeded"
      )
    }))

  it.live("a client certificate that is missing or not trusted is TlsHandshakeRejected at once", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const stranger = yield* TestCertificates.authority()
      const server = yield* TestNatsServer.make({
        tls: { ...yield* authority.issue(), ca: authority.cert, verify: true }
      })
      const ca = authority.cert
      for (const client of [{}, yield* stranger.issue({ names: [] })]) {
        assert.strictEqual(
          tagOf(yield* atOnce({ servers: server.url, tls: { ca, ...client } })),
          "TlsHandshakeRejected"
        )
      }
      const nats = yield* NatsClient.make({
        servers: server.url,
        tls: { ca, ...yield* authority.issue({ names: [] }) }
      })
      yield* nats.flush
    }))

  it.live("the port for leaf nodes is WrongPort at once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ leafnodes: true })
      const error = yield* atOnce({ servers: `nats://127.0.0.1:${server.leafnodePort}` })
      assert.strictEqual(tagOf(error), "WrongPort: attempted to connect to leaf node port")
    }))

  it.live("with a single attempt, or none after the first, every server of the list is still tried", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      for (const servers of [[dead, proxy.url], [proxy.url, dead], [dead, "nats://127.0.0.1:2", proxy.url]]) {
        const once = yield* NatsClient.make({ servers, reconnect: false })
        yield* once.flush
        const nats = yield* NatsClient.make({ servers, reconnect: { ...quick, maxAttempts: 1 } })
        const status = yield* recordStatus(nats)
        for (const session of [2, 3]) {
          yield* proxy.drop("RST")
          yield* status.connected(session)
        }
        yield* nats.flush
      }
    }))

  it.live("the name or address that was dialled is verified, or serverName", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const certified = (name: string) =>
        Effect.flatMap(authority.issue({ commonName: "server", names: [name] }), (tls) => TestNatsServer.make({ tls }))
      const named = yield* certified("localhost")
      const numbered = yield* certified("127.0.0.1")
      const ca = authority.cert
      const byAddress = yield* atOnce({ servers: `tls://127.0.0.1:${named.port}`, tls: { ca } })
      assert.deepInclude(byAddress, { _tag: "TlsCertificateInvalid", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
      const byName = yield* atOnce({ servers: `tls://localhost:${numbered.port}`, tls: { ca } })
      assert.deepInclude(byName, { _tag: "TlsCertificateInvalid", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
      for (
        const options of [
          { servers: `tls://127.0.0.1:${numbered.port}`, tls: { ca } },
          { servers: `tls://localhost:${named.port}`, tls: { ca } },
          { servers: `tls://127.0.0.1:${named.port}`, tls: { ca, serverName: "localhost" } }
        ]
      ) {
        const nats = yield* NatsClient.make(options)
        yield* nats.flush
      }
    }))

  it.live("dials over TCP and TLS side by side, and a WebSocket of nats-core among them, keep their own transports", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const clear = yield* TestNatsServer.make({ websocket: true })
      const secure = yield* TestNatsServer.make({ tls: yield* authority.issue() })
      const foreign = Effect.acquireRelease(
        Effect.promise(() => wsconnect({ servers: clear.websocketUrl!, name: "foreign" })),
        (connection) => Effect.promise(() => connection.close())
      )
      const overTcp = Effect.flatMap(NatsClient.make({ servers: clear.url, name: "tcp" }), (nats) => nats.flush)
      const overTls = Effect.flatMap(
        NatsClient.make({ servers: secure.url, name: "tls", tls: { ca: authority.cert } }),
        (nats) => nats.flush
      )
      const rounds = Array.from({ length: 5 }, () => [overTcp, foreign, overTls])
      yield* Effect.all(rounds.flat(), { concurrency: "unbounded", discard: true })
      yield* Effect.all(rounds.flat(), { discard: true })
      const kinds = (server: TestNatsServer.TestNatsServer) =>
        Effect.map(
          server.connz,
          (connections) =>
            connections.map((connection) => `${connection.name} ${"type" in connection ? connection.type : "nats"}`)
              .toSorted()
        )
      assert.deepStrictEqual(yield* kinds(clear), [
        ...Array.from({ length: 10 }, () => "foreign websocket"),
        ...Array.from({ length: 10 }, () => "tcp nats")
      ])
      assert.deepStrictEqual(yield* kinds(secure), Array.from({ length: 10 }, () => "tls nats"))
    }))

  it.live("of 60 clients kicked while they publish hard, 60 know why", () =>
    Effect.gen(function*() {
      const clients = 20
      const rounds = 3
      const server = yield* TestNatsServer.make({ users: [{ user: "alice", password: "p0" }] })
      const reasons: Array<string | undefined> = []
      for (let round = 0; round < rounds; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const auth = { user: "alice", password: `p${round}` }
          const all = yield* Effect.all(
            Array.from({ length: clients }, () => NatsClient.make({ servers: server.url, auth, reconnect: false })),
            { concurrency: "unbounded" }
          )
          const payload = new Uint8Array(512)
          const publishing = yield* Effect.forEach(all, (nats) =>
            Effect.forkChild(
              Effect.flip(Effect.forever(
                Effect.forEach(Array.from({ length: 500 }), () => nats.publish("hard", payload), { discard: true })
              ))
            ))
          yield* server.reload({ users: [{ user: "alice", password: `p${round + 1}` }] })
          for (const fiber of publishing) {
            const error = yield* Fiber.join(fiber)
            reasons.push(error._tag === "ConnectionClosed" ? error.reason?._tag : error._tag)
          }
        }))
      }
      assert.deepStrictEqual(reasons, Array.from({ length: clients * rounds }, () => "AuthorizationViolation"))
    }))
})
