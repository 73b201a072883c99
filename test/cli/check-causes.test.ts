/**
 * What keeps a client from connecting, cause by cause: `check` names it, at the stage where it is met. Fake servers stand
 * where no real one does what is asked for.
 */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestFakeServer, TestNatsProxy, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import { exitCodes, type FailureClass } from "../../src/cli/internal/failure.ts"
import { check, failureOf, stagesOf } from "../fixtures/checking.ts"
import { names } from "../fixtures/command.ts"
import { dialTo, pinged } from "../fixtures/dialling.ts"
import { directory } from "../fixtures/directory.ts"
import { withTimes } from "../fixtures/jwtTimes.ts"

type Env = Readonly<Record<string, string>>

interface Expected {
  readonly tag: string
  /** One of these, where what is seen first is chance. */
  readonly stage: string | ReadonlyArray<string>
  readonly class: FailureClass
  /** In the sentence. */
  readonly says?: string
  /** Nothing happens up to the end of its time, or nearly: it waits beside others that do. */
  readonly waits?: true
}

/** What a cause needs fails as a test does: a row is no place for errors. */
type Row = readonly [name: string, env: Effect.Effect<Env, unknown, Scope.Scope>, expected: Expected | "ok"]

const run = (rows: ReadonlyArray<Row>): void => {
  for (const [name, env, expected] of rows) {
    it.live(name, () =>
      Effect.gen(function*() {
        const given = yield* Effect.catchIf(
          env,
          // Older servers have no `handshake_first`: their promise is that the set-up says so.
          (error) => (error as { readonly _tag?: string })._tag === "NatsServerTooOld",
          () => Effect.succeed(undefined)
        ).pipe(Effect.orDie)
        if (given === undefined) return
        const checked = yield* check(given)
        if (expected === "ok") {
          assert.strictEqual(checked.code, 0, checked.output)
          assert.includeMembers(stagesOf(checked).map(({ stage }) => stage), ["tcp", "info", "connect", "rtt"])
          return
        }
        const { error, stage } = failureOf(checked)
        assert.strictEqual(error?.tag, expected.tag)
        assert.include(([] as Array<string>).concat(expected.stage), stage)
        assert.strictEqual(checked.code, exitCodes[expected.class])
        assert.match(String(error?.message), /\.$/)
        if (expected.says !== undefined) assert.include(error?.message, expected.says)
        // One that closes when it is spoken to, in the last tenth, is told then.
        if (expected.tag === "ConnectTimedOut") assert.isAtMost(Number(error?.fields["timeoutMillis"]), short)
      }), { concurrent: expected !== "ok" && expected.waits === true })
  }
}

const unreachable = (tag: string, stage: Expected["stage"], says?: string): Expected => ({
  tag,
  stage,
  class: "unreachable",
  ...(says === undefined ? {} : { says })
})

const refused = (tag: string, stage: Expected["stage"], says?: string): Expected => ({
  ...unreachable(tag, stage, says),
  class: "refused"
})

const ofTls = (tag: string, stage: Expected["stage"], says?: string): Expected => ({
  ...unreachable(tag, stage, says),
  class: "tls"
})

/** `connectTimeout` of the rows that wait for it, which is enough to get as far as they say. */
const short = 3000

const silent = (stage: Expected["stage"], says?: string): Expected => ({
  ...unreachable("ConnectTimedOut", stage, says),
  waits: true
})

const inShort = (url: string): Env => ({ NATS_URL: url, NATS_CONNECT_TIMEOUT: `${short} millis` })

const freePort = Effect.map(Effect.scoped(TestFakeServer.make([])), ({ port }) => port)

const fake = (script: TestFakeServer.Script): Effect.Effect<Env, never, Scope.Scope> =>
  Effect.map(TestFakeServer.make(script), ({ url }) => ({ NATS_URL: url }))

const slow = (script: TestFakeServer.Script): Effect.Effect<Env, never, Scope.Scope> =>
  Effect.map(TestFakeServer.make(script), ({ url }) => inShort(url))

const info = TestFakeServer.info()
const tlsInfo = TestFakeServer.info({ tls_required: true })
const greeted: TestFakeServer.Script = [{ send: info }, { expect: "CONNECT" }]

const john = { user: "john", password: "right" }

const asJohn = (url: string, password: string): Env => ({
  NATS_URL: url,
  NATS_USER: "john",
  NATS_PASSWORD: password
})

describe("check names what is at the address", () => {
  run([
    [
      "nothing: refused",
      Effect.map(freePort, (port) => ({ NATS_URL: `127.0.0.1:${port}` })),
      unreachable("ConnectionRefused", "tcp")
    ],
    [
      "nothing, at every address of localhost",
      Effect.map(freePort, (port) => ({ NATS_URL: `localhost:${port}` })),
      unreachable("ConnectionRefused", "tcp")
    ],
    [
      "a name that has no address",
      Effect.succeed({ NATS_URL: "nowhere.invalid", ...names() }),
      unreachable("ServerNotFound", "lookup")
    ],
    ["a listener that says nothing", slow([]), silent("info")],
    ["half an INFO", slow([{ send: info.slice(0, 40) }]), silent("info")],
    ["INFO, and never a PONG", slow(greeted), silent("connect")],
    [
      "an HTTP server, which waits to be spoken to",
      Effect.map(
        Effect.acquireRelease(
          Effect.callback<http.Server>((resume) => {
            const made = http.createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
          }),
          (made) => Effect.sync(() => made.close())
        ),
        // It answers in the last tenth of the time, which is to be enough.
        (server) => ({
          NATS_URL: `127.0.0.1:${(server.address() as AddressInfo).port}`,
          NATS_CONNECT_TIMEOUT: "20 seconds"
        })
      ),
      { ...unreachable("NotANatsServer", "info", "HTTP/1.1 400"), waits: true }
    ],
    [
      "an HTTP server that talks first",
      fake([{ send: "HTTP/1.1 400 Bad Request\r\n\r\n" }]),
      unreachable("NotANatsServer", "info", "HTTP/1.1 400 Bad Request")
    ],
    [
      "a server of something else",
      fake([{ send: "SSH-2.0-OpenSSH_9.2\r\n" }]),
      unreachable("NotANatsServer", "info", "SSH-2.0-OpenSSH_9.2")
    ],
    [
      "an INFO that is no JSON",
      fake([{ send: "INFO {\"server_id\":\r\n" }]),
      unreachable("NotANatsServer", "info")
    ]
  ])
})

describe("check names how a connection ends", () => {
  // On loopback a reset can be there before what came ahead of it is seen.
  const early = ["tcp", "info", "connect"]
  run([
    ["RST on accept", fake([{ end: "RST" }]), unreachable("ConnectionReset", early)],
    ["FIN on accept", fake([{ end: "FIN" }]), unreachable("ConnectionReset", "info")],
    [
      "RST after half an INFO",
      fake([{ send: info.slice(0, 40) }, { end: "RST" }]),
      unreachable("ConnectionReset", early)
    ],
    ["RST right after INFO", fake([{ send: info }, { end: "RST" }]), unreachable("ConnectionReset", early)],
    ["RST after CONNECT", fake([...greeted, { end: "RST" }]), unreachable("ConnectionReset", "connect")],
    ["FIN after CONNECT", fake([...greeted, { end: "FIN" }]), unreachable("ConnectionReset", "connect")],
    [
      "RST between INFO and TLS",
      fake([{ send: tlsInfo }, { end: "RST" }]),
      unreachable("ConnectionReset", ["tcp", "info", "tls"])
    ],
    [
      "RST in the TLS handshake",
      Effect.gen(function*() {
        const { ca, server } = yield* withTls({})
        const proxy = yield* TestNatsProxy.make({ port: server.port })
        yield* proxy.cut({ direction: "toServer", bytes: 1 }, { how: "RST" })
        return { NATS_URL: proxy.url, NATS_TLS_CA: ca }
      }),
      unreachable("ConnectionReset", "tls")
    ],
    ["a TLS handshake that stands still", slow([{ send: tlsInfo }]), silent("tls")]
  ])
})

describe("check names why a server refuses", () => {
  const operated = Effect.gen(function*() {
    const operator = yield* TestOperator.make()
    const account = yield* operator.account("A", { maxConnections: 1 })
    const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
    return { account, server }
  })
  run([
    [
      "a wrong password, though other servers are named before that",
      fake([{ send: TestFakeServer.info({ connect_urls: ["127.0.0.1:1", "127.0.0.1:2"] }) }, { expect: "CONNECT" }, {
        send: "-ERR 'Authorization Violation'\r\n"
      }, { end: "FIN" }]),
      refused("AuthorizationViolation", "connect")
    ],
    [
      "a wrong password",
      Effect.map(TestNatsServer.make({ users: [john] }), ({ url }) => asJohn(url, "wrong")),
      refused("AuthorizationViolation", "connect", "a user and a password")
    ],
    [
      "a wrong password that has a word of the message in it",
      Effect.map(TestNatsServer.make({ users: [john] }), ({ url }) => asJohn(url, "wrongpassword")),
      refused("AuthorizationViolation", "connect", "refused a user and a password")
    ],
    [
      "no credentials",
      Effect.map(TestNatsServer.make({ users: [john] }), ({ url }) => ({ NATS_URL: url })),
      refused("AuthorizationViolation", "connect", "none were sent")
    ],
    [
      "nothing: the right password",
      Effect.map(TestNatsServer.make({ users: [john] }), ({ url }) => asJohn(url, "right")),
      "ok"
    ],
    [
      "credentials that come too late",
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({ users: [john], authTimeout: "50 millis" })
        const proxy = yield* TestNatsProxy.make({ port: server.port })
        yield* proxy.swallow("toServer")
        return asJohn(proxy.url, "right")
      }),
      // The refusal can be there together with INFO.
      refused("AuthenticationTimeout", ["info", "connect"])
    ],
    [
      "a full server",
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({ maxConnections: 1 })
        yield* Effect.flatMap(dialTo(server.url), pinged)
        return { NATS_URL: server.url }
      }),
      // It writes that right behind INFO.
      refused("MaxConnectionsExceeded", ["info", "connect"])
    ],
    [
      "a full account",
      Effect.gen(function*() {
        const { account, server } = yield* operated
        const user = yield* account.user("u")
        const env = { NATS_URL: server.url, NATS_CREDS: user.creds }
        const client = yield* NatsClient.make({ servers: server.url, auth: { _tag: "Creds", creds: user.creds } })
        yield* client.flush
        return env
      }),
      refused("MaxConnectionsExceeded", "connect", "account")
    ],
    [
      "a JWT that the server finds expired",
      Effect.gen(function*() {
        const { account, server } = yield* operated
        const user = yield* account.user("u")
        // Less than the clock of this machine may be off: the server decides.
        const { jwt, seed } = withTimes(account, user, { exp: Math.floor(Date.now() / 1000) - 20 })
        return { NATS_URL: server.url, NATS_JWT: jwt, NATS_NKEY_SEED: seed }
      }),
      refused("AuthorizationViolation", "connect")
    ],
    [
      "the port for leaf nodes",
      Effect.map(TestNatsServer.make({ leafnodes: true }), ({ leafnodePort }) => ({
        NATS_URL: `127.0.0.1:${leafnodePort}`
      })),
      unreachable("WrongPort", "connect", "leaf node")
    ],
    [
      "the port for routes",
      Effect.map(TestNatsServer.make({ cluster: { name: "c" } }), ({ routePort }) => ({
        NATS_URL: `127.0.0.1:${routePort}`
      })),
      unreachable("WrongPort", "connect", "route")
    ]
  ])
})

const withTls = (
  certificate: TestCertificates.CertificateOptions,
  more: Omit<TestNatsServer.Tls, "cert" | "key"> = {},
  options: TestNatsServer.Options = {}
) =>
  Effect.gen(function*() {
    const authority = yield* TestCertificates.authority()
    const { cert, key } = yield* authority.issue(certificate)
    const server = yield* TestNatsServer.make({ ...options, tls: { cert, key, ca: authority.cert, ...more } })
    return { authority, ca: authority.cert, server }
  })

/** A server with this certificate, dialled as `host` by a client that trusts its authority. */
const named = (
  host: string,
  certificate: TestCertificates.CertificateOptions,
  more: Env = {}
): Effect.Effect<Env, unknown, Scope.Scope> =>
  Effect.map(withTls(certificate), ({ ca, server }) => ({
    NATS_URL: `nats://${host}:${server.port}`,
    NATS_TLS_CA: ca,
    ...more
  }))

const both = { names: ["localhost", "127.0.0.1"] }

describe("check names what is wrong with TLS", () => {
  const wrongName = ofTls("TlsCertificateInvalid", "tls")
  run([
    ["nothing, by name", named("localhost", both), "ok"],
    ["nothing, by address", named("127.0.0.1", both), "ok"],
    [
      "required there, disabled here",
      named("127.0.0.1", both, { NATS_TLS_MODE: "disable" }),
      ofTls("TlsRequired", "info")
    ],
    [
      "a certificate of an authority that is not trusted",
      Effect.map(withTls(both), ({ server }) => ({ NATS_URL: server.url })),
      ofTls("TlsCertificateInvalid", "tls")
    ],
    [
      "TLS before INFO with a server that speaks first",
      named("127.0.0.1", both, { NATS_TLS_HANDSHAKE_FIRST: "true" }),
      ofTls("TlsHandshakeFailed", "tls")
    ],
    [
      "required here, not there",
      Effect.map(TestNatsServer.make({}), ({ url }) => ({ NATS_URL: url, NATS_TLS_MODE: "require" })),
      ofTls("TlsUnavailable", "info")
    ],
    [
      "a certificate that signed itself",
      Effect.gen(function*() {
        const alone = yield* TestCertificates.selfSigned({ names: ["localhost"] })
        const server = yield* TestNatsServer.make({ tls: { cert: alone.cert, key: alone.key } })
        return { NATS_URL: `localhost:${server.port}` }
      }),
      ofTls("TlsCertificateInvalid", "tls")
    ],
    ["another name, dialled by name", named("localhost", { commonName: "s", names: ["other.example"] }), wrongName],
    ["another name, dialled by address", named("127.0.0.1", { commonName: "s", names: ["other.example"] }), wrongName],
    ["nothing: an address only, dialled so", named("127.0.0.1", { commonName: "s", names: ["127.0.0.1"] }), "ok"],
    ["an address only, dialled by name", named("localhost", { commonName: "s", names: ["127.0.0.1"] }), wrongName],
    ["nothing: a name only, dialled so", named("localhost", { commonName: "s", names: ["localhost"] }), "ok"],
    ["a name only, dialled by address", named("127.0.0.1", { commonName: "s", names: ["localhost"] }), wrongName],
    ["an expired certificate", named("localhost", { ...both, expired: true }), wrongName],
    [
      "nothing: a wrong password behind it",
      Effect.map(withTls(both, {}, { users: [john] }), ({ ca, server }) => ({
        ...asJohn(server.url, "wrong"),
        NATS_TLS_CA: ca
      })),
      refused("AuthorizationViolation", "connect")
    ],
    [
      "nothing: a full server, which says so in clear",
      Effect.gen(function*() {
        const { ca, server } = yield* withTls(both, {}, { maxConnections: 1 })
        yield* Effect.flatMap(dialTo(server.url, { tls: { ca } }), pinged)
        return { NATS_URL: server.url, NATS_TLS_CA: ca }
      }),
      refused("MaxConnectionsExceeded", ["info", "tls"])
    ],
    [
      "nothing: TLS before INFO on both sides",
      Effect.map(withTls(both, { handshakeFirst: true }), ({ ca, server }) => ({
        NATS_URL: server.url,
        NATS_TLS_CA: ca,
        NATS_TLS_HANDSHAKE_FIRST: "true"
      })),
      "ok"
    ],
    [
      "TLS before INFO there only: silence up to the end of the time",
      Effect.map(withTls(both, { handshakeFirst: true, timeout: "60 seconds" }), ({ ca, server }) => ({
        ...inShort(server.url),
        NATS_TLS_CA: ca
      })),
      silent("info", "handshakeFirst")
    ],
    [
      "TLS before INFO there only: the server's time is over first",
      Effect.map(withTls(both, { handshakeFirst: true, timeout: "300 millis" }), ({ ca, server }) => ({
        NATS_URL: server.url,
        NATS_TLS_CA: ca
      })),
      unreachable("ConnectionReset", "info")
    ]
  ])

  it.live("material that is no certificate: nothing is dialled", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([])
      const file = path.join(yield* directory, "ca.pem")
      fs.writeFileSync(file, "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
      const checked = yield* check({ NATS_URL: server.url, NATS_TLS_CA_FILE: file })
      assert.strictEqual(checked.code, exitCodes.tls)
      const { tls } = checked.report
      assert.strictEqual(tls?.status, "failed")
      assert.strictEqual(tls?.error?.tag, "TlsConfigInvalid")
      assert.include(tls?.error?.message, "NATS_TLS_CA_FILE")
      assert.deepStrictEqual(checked.report.servers, [])
      assert.strictEqual(yield* server.accepted, 0)
    }))
})

describe.each(["TLSv1.2", "TLSv1.3"])("check names what is wrong with a client certificate, with %s", (version) => {
  const dialled = (
    client: (authority: TestCertificates.Authority) => Effect.Effect<TestCertificates.Certificate | undefined, unknown>
  ) =>
    Effect.gen(function*() {
      const { authority, ca, server } = yield* withTls(both, { verify: true })
      const own = yield* client(authority)
      return {
        NATS_URL: server.url,
        NATS_TLS_CA: ca,
        NODE_OPTIONS: `--tls-max-${version.toLowerCase().replace("tls", "")}`,
        ...(own === undefined ? {} : { NATS_TLS_CERT: own.cert, NATS_TLS_KEY: own.key })
      }
    })
  // TLS 1.3 tells after the handshake.
  const rejected = ofTls("TlsHandshakeRejected", version === "TLSv1.2" ? "tls" : ["tls", "connect"])
  run([
    ["there is none", dialled(() => Effect.succeed(undefined)), rejected],
    [
      "another authority's",
      dialled(() => Effect.flatMap(TestCertificates.authority(), (other) => other.issue())),
      rejected
    ],
    ["nothing", dialled((authority) => authority.issue()), "ok"]
  ])
})

describe("check names what is wrong with a WebSocket", () => {
  const served = (tls: boolean) =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const certificate = yield* authority.issue(both)
      const server = yield* TestNatsServer.make({ websocket: tls ? { tls: certificate } : true })
      return { ca: authority.cert, server, url: String(server.websocketUrl) }
    })
  run([
    ["nothing: ws", Effect.map(served(false), ({ url }) => ({ NATS_URL: url })), "ok"],
    ["nothing: wss", Effect.map(served(true), ({ ca, url }) => ({ NATS_URL: url, NATS_TLS_CA: ca })), "ok"],
    [
      "wss with a certificate that is not trusted",
      Effect.map(served(true), ({ url }) => ({ NATS_URL: url })),
      ofTls("TlsCertificateInvalid", "tls")
    ],
    [
      "wss to a listener without TLS",
      Effect.map(served(false), ({ url }) => ({ NATS_URL: url.replace("ws:", "wss:") })),
      ofTls("TlsHandshakeFailed", "tls")
    ],
    [
      "ws to a port for NATS",
      Effect.map(served(false), ({ server }) => ({ NATS_URL: server.url.replace("nats:", "ws:") })),
      unreachable("WrongPort", "info")
    ],
    [
      "a proxy that refuses it",
      Effect.map(
        TestFakeServer.make([{ expect: "GET" }, { send: "HTTP/1.1 503 Service Unavailable\r\n\r\n" }, { end: "FIN" }]),
        ({ url }) => ({ NATS_URL: url.replace("nats:", "ws:") })
      ),
      refused("WebSocketRefused", "info", "503")
    ]
  ])
})
