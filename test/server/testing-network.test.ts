import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as net from "node:net"
import * as tls from "node:tls"
import * as NatsClient from "../../src/NatsClient.ts"
import { TestCertificates, TestNatsServer } from "../../src/testing/index.ts"
import { rawConnect } from "../fixtures/rawClient.ts"

const pong = "PONG\r\n"

/** What a client meets that trusts `ca`: the server's answer, or the code of the error. */
const meet = (port: number, options: tls.ConnectionOptions, handshakeFirst = false) =>
  rawConnect({ port, tls: options, handshakeFirst }).pipe(
    Effect.map(({ text }) => text),
    Effect.catch((error) => Effect.succeed((error as NodeJS.ErrnoException).code ?? error.message))
  )

/** The first words of a listener that is told something. */
const firstWords = (port: number, say: string, secure?: tls.ConnectionOptions): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let text = ""
    const address = { host: "127.0.0.1", port }
    const socket = secure === undefined ? net.connect(address) : tls.connect({ ...address, ...secure })
    socket.write(say)
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
      if (text.endsWith("\r\n")) resume(Effect.succeed(text))
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.destroy())
  })

/** Everything a server says to a client that says only this, until the server ends the connection. */
const everything = (port: number, say = ""): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let text = ""
    const socket = net.connect({ host: "127.0.0.1", port })
    if (say !== "") socket.write(say)
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.destroy())
  })

describe("TestNatsServer with TLS", () => {
  it.live("is trusted by clients that trust its authority, and by no other", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const other = yield* TestCertificates.authority()
      const server = yield* TestNatsServer.make({ tls: yield* authority.issue() })
      const { info } = yield* rawConnect({ port: server.port, tls: { ca: authority.cert } })
      assert.isTrue(info["tls_required"])
      assert.strictEqual(yield* meet(server.port, { ca: authority.cert }), pong)
      assert.strictEqual(yield* meet(server.port, { ca: other.cert }), "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
      assert.strictEqual(yield* meet(server.port, {}), "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
    }))

  it.live("presents expired, early, self-signed and wrongly named certificates on request, and takes others by reload", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const selfSigned = yield* TestCertificates.selfSigned()
      const server = yield* TestNatsServer.make({ tls: yield* authority.issue({ expired: true }) })
      const trusting = { ca: [authority.cert] }
      assert.strictEqual(yield* meet(server.port, trusting), "CERT_HAS_EXPIRED")
      yield* server.reload({ tls: yield* authority.issue({ notYetValid: true }) })
      assert.strictEqual(yield* meet(server.port, trusting), "CERT_NOT_YET_VALID")
      yield* server.reload({ tls: selfSigned })
      assert.strictEqual(yield* meet(server.port, trusting), "DEPTH_ZERO_SELF_SIGNED_CERT")
      assert.strictEqual(yield* meet(server.port, { ca: selfSigned.cert }), pong)
      yield* server.reload({ tls: yield* authority.issue({ names: ["elsewhere.test"] }) })
      assert.strictEqual(yield* meet(server.port, trusting), "ERR_TLS_CERT_ALTNAME_INVALID")
      yield* server.reload({ tls: yield* authority.issue({ names: ["127.0.0.1"], expiresIn: "1 hour" }) })
      assert.strictEqual(yield* meet(server.port, trusting), pong)
    }))

  it.live("with verify, wants a client certificate of its authority", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const stranger = yield* TestCertificates.authority()
      const server = yield* TestNatsServer.make({
        tls: { ...yield* authority.issue(), ca: authority.cert, verify: true }
      })
      const client = yield* authority.issue({ commonName: "client", names: [] })
      const foreign = yield* stranger.issue()
      const expired = yield* authority.issue({ expired: true })
      const trusting = { ca: authority.cert }
      assert.strictEqual(yield* meet(server.port, { ...trusting, ...client }), pong)
      for (const certificate of [{}, foreign, expired]) {
        assert.notInclude(yield* meet(server.port, { ...trusting, ...certificate }), "PONG")
      }
    }))

  it.live("with verify \"map\", makes the certificate's name the user", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const server = yield* TestNatsServer.make({
        tls: { ...yield* authority.issue(), ca: authority.cert, verify: "map" },
        users: [{ user: "svc@lab.test" }, { user: "CN=by-subject" }]
      })
      const trusting = { ca: authority.cert }
      const byMail = yield* authority.issue({ commonName: "x", names: ["svc@lab.test"] })
      assert.strictEqual(yield* meet(server.port, { ...trusting, ...byMail }), pong)
      const bySubject = yield* authority.issue({ commonName: "by-subject", names: [] })
      assert.strictEqual(yield* meet(server.port, { ...trusting, ...bySubject }), pong)
      const unknown = yield* authority.issue({ commonName: "y", names: ["other@lab.test"] })
      assert.strictEqual(
        yield* meet(server.port, { ...trusting, ...unknown }),
        "-ERR 'Authorization Violation'\r\n"
      )
    }))

  it.live("with handshakeFirst, shakes hands before INFO; an older server is a typed failure", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const certificate = yield* authority.issue()
      const plain = yield* TestNatsServer.make()
      for (const handshakeFirst of [true, "auto"] as const) {
        const starting = TestNatsServer.make({ tls: { ...certificate, handshakeFirst } })
        if (plain.version.startsWith("2.9.")) {
          const error = yield* Effect.flip(starting)
          assert.strictEqual(error._tag, "NatsServerTooOld")
          assert.include(error.message, `nats-server ${plain.version} does not know handshake_first: use 2.10.4`)
        } else {
          const server = yield* starting
          assert.strictEqual(yield* meet(server.port, { ca: authority.cert }, true), pong)
          if (handshakeFirst === "auto") assert.strictEqual(yield* meet(server.port, { ca: authority.cert }), pong)
        }
      }
    }))

  it.live("leaves the choice to clients with allowNonTls", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const server = yield* TestNatsServer.make({ tls: { ...yield* authority.issue(), allowNonTls: true } })
      const { info, text } = yield* rawConnect({ port: server.port })
      assert.strictEqual(text, pong)
      assert.isTrue(info["tls_available"])
      assert.strictEqual(yield* meet(server.port, { ca: authority.cert }), pong)
    }))

  it.live("speaks only TLS 1.3 when told so", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const certificate = yield* authority.issue()
      const plain = yield* TestNatsServer.make()
      const starting = TestNatsServer.make({ tls: { ...certificate, minVersion: "1.3" } })
      const server = yield* Effect.exit(starting)
      if (Exit.isFailure(server)) {
        assert.isTrue(plain.version.startsWith("2.9."))
        assert.strictEqual((yield* Effect.flip(starting))._tag, "NatsServerTooOld")
        return
      }
      const { port } = server.value
      assert.strictEqual(yield* meet(port, { ca: authority.cert }), pong)
      assert.notInclude(yield* meet(port, { ca: authority.cert, maxVersion: "TLSv1.2" }), "PONG")
    }))

  it.live("keeps its key files from other users of the machine, and takes them along when it goes", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const scope = yield* Scope.make()
      const server = yield* TestNatsServer.make({ tls: yield* authority.issue(), token: "s3cr3t" }).pipe(
        Scope.provide(scope)
      )
      const files = fs.readdirSync(server.directory)
      assert.includeMembers(files, ["server.conf", "server-key.pem"])
      for (const file of files) assert.strictEqual(fs.statSync(`${server.directory}/${file}`).mode & 0o077, 0, file)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(fs.existsSync(server.directory))
    }))
})

describe("TestNatsServer with limits", () => {
  it.live("tells max_payload, refuses a connection too many, and ends the mute", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        maxConnections: 1,
        maxPayload: 10,
        token: "s3cr3t"
      })
      yield* NatsClient.make({ servers: server.url, auth: { token: "s3cr3t" } })
      assert.include(yield* everything(server.port), "maximum connections exceeded")
      yield* server.reload({ maxConnections: 10 })
      const { info } = yield* rawConnect({ port: server.port, connect: { auth_token: "s3cr3t" } })
      assert.strictEqual(info["max_payload"], 10)
      const big = yield* rawConnect({
        port: server.port,
        connect: { auth_token: "s3cr3t" },
        lines: "PUB x 11\r\n01234567890\r\n"
      })
      assert.include(big.text, "Maximum Payload Violation")
      // Not before: it is little for those who have to say something.
      yield* server.reload({ authTimeout: "300 millis" })
      const mute = yield* everything(server.port)
      assert.include(mute, "Authentication Timeout")
    }))

  it.live("pings as often as it is told", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ pingInterval: "50 millis", maxPingOut: 1 })
      const text = yield* everything(server.port, "CONNECT {\"verbose\":false}\r\nPING\r\n")
      assert.include(text, "PING\r\n")
      assert.include(text, "Stale Connection")
    }))

  it.live("says a secret in no error, even where the server does", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        TestNatsServer.make({ users: [{ user: "a", password: "canary-7c1" }], config: "canary-7c1: true" })
      )
      assert.include(error.message, "<redacted>")
      assert.notInclude(`${error.message} ${JSON.stringify(error)} ${String(error)}`, "canary-7c1")
    }))
})

describe("TestNatsServer with more listeners", () => {
  it.live("JetStream", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: { maxMemory: 1_000_000, maxFile: 2_000_000 } })
      const { info } = yield* rawConnect({ port: server.port })
      assert.isTrue(info["jetstream"])
      const jsz = (yield* server.monitor("/jsz")) as { readonly config: { readonly max_storage: number } }
      assert.strictEqual(jsz.config.max_storage, 2_000_000)
    }))

  it.live("JetStream's data is there after a restart", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const client = yield* NatsClient.make({ servers: server.url })
      const made = yield* client.request(
        "$JS.API.STREAM.CREATE.S",
        JSON.stringify({ name: "S", subjects: ["s.>"], storage: "file" })
      )
      assert.notInclude(made.text, "error")
      yield* client.request("s.1", "hello")
      yield* server.kill
      yield* server.restart
      yield* client.reconnect
      const stream = yield* client.request("$JS.API.STREAM.INFO.S")
      assert.include(stream.text, "\"messages\":1")
    }))

  for (const secure of [false, true]) {
    it.live(`WebSocket ${secure ? "with" : "without"} TLS`, () =>
      Effect.gen(function*() {
        const authority = yield* TestCertificates.authority()
        const server = yield* TestNatsServer.make({ websocket: secure ? { tls: yield* authority.issue() } : true })
        const url = new URL(server.websocketUrl!)
        assert.strictEqual(url.protocol, secure ? "wss:" : "ws:")
        const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        const answer = yield* firstWords(Number(url.port), upgrade, secure ? { ca: authority.cert } : undefined)
        assert.include(answer, "HTTP/1.1 101")
      }))
  }

  it.live("leaf nodes and routes, whose ports refuse clients", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ name: "hub", leafnodes: true, cluster: { name: "one" } })
      const ports = [[server.leafnodePort!, "leaf node"], [server.routePort!, "route"]] as const
      for (const [port, kind] of ports) {
        const { text } = yield* rawConnect({ port })
        assert.include(text, `attempted to connect to ${kind} port`)
      }
    }))
})

describe("TestNatsServer.cluster", () => {
  it.live("starts servers that know each other, also after each was restarted", () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(3, { token: "s3cr3t" })
      const urls = (server: TestNatsServer.TestNatsServer) =>
        Effect.map(
          rawConnect({ port: server.port, connect: { auth_token: "s3cr3t" } }),
          ({ info }) => [...(info["connect_urls"] as ReadonlyArray<string> | undefined) ?? []].toSorted()
        )
      const all = servers.map((server) => `127.0.0.1:${server.port}`).toSorted()
      for (const server of servers) assert.deepStrictEqual(yield* urls(server), all)
      for (const server of servers) {
        yield* server.restart
        for (const each of servers) {
          let told = yield* urls(each)
          while (told.length < 3) {
            yield* Effect.sleep("20 millis")
            told = yield* urls(each)
          }
          assert.deepStrictEqual(told, all)
        }
      }
    }))

  it.live("with JetStream, has a leader", () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(3, { jetstream: true, name: "js" })
      const jsz = (yield* servers[0]!.monitor("/jsz")) as { readonly meta_cluster: { readonly leader: string } }
      assert.match(jsz.meta_cluster.leader, /^js-[123]$/)
    }))

  it.live("a cluster that cannot start leaves nothing behind", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(TestNatsServer.cluster(2, { config: "no_such_option: 1" }))
      assert.strictEqual(error._tag, "NatsServerConfigRejected")
    }))
})
