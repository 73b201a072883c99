/** Servers that a server names: whom a client dials then, and whose certificate it takes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"
import { follow, until } from "../fixtures/following.ts"
import { between, tlsPeer } from "../fixtures/manInTheMiddle.ts"

const fast = { initialDelay: "20 millis", maxDelay: "100 millis" } as const
const auth = { user: "john", password: "johns-own-password" } as const
const users = [auth]

/** Waits until a dial of the server has failed, and gives why. */
const failureOf = (client: NatsClient.NatsClient, server: string) =>
  client.status.pipe(
    Stream.map((event) => {
      const reason = event._tag === "Reconnecting" || event._tag === "Closed" ? event.reason : undefined
      return [...(reason?.attempts ?? []), ...(reason === undefined ? [] : [{ server, error: reason }])]
        .find((attempt) => attempt.server === server && (attempt.error as { server?: string }).server === server)?.error
    }),
    Stream.filter((error) => error !== undefined),
    Stream.runHead,
    Effect.map((error) => error._tag === "Some" ? error.value : undefined)
  )

const pki = (names: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const authority = yield* TestCertificates.authority()
    return { authority, ca: authority.cert, tls: yield* authority.issue({ commonName: "server", names }) }
  })

const connectUrls = (client: NatsClient.NatsClient) => Effect.map(client.serverInfo, (info) => info.connect_urls ?? [])

describe("an address that comes in clear, before TLS", () => {
  for (const serverName of [undefined, "127.0.0.1"]) {
    it.live(
      `gets no password under a certificate of its own${serverName === undefined ? "" : ", nor with a serverName"}`,
      () =>
        Effect.gen(function*() {
          const { authority, ca, tls } = yield* pki(["127.0.0.1"])
          const genuine = yield* TestNatsServer.make({ users, tls })
          const evil = yield* tlsPeer(
            yield* authority.issue({ commonName: "evil", names: ["localhost"] }),
            () => ({ clear: { tls_required: true } })
          )
          const middle = yield* between(
            genuine.port,
            (info) => ({
              ...info,
              // Other names that it could want to have verified.
              host: "localhost",
              server_name: "localhost",
              cluster: "localhost",
              connect_urls: [`localhost:${evil.port}`]
            })
          )
          const client = yield* NatsClient.make({
            servers: `tls://127.0.0.1:${middle.port}`,
            auth,
            tls: { ca, serverName },
            reconnect: fast
          })
          const status = yield* follow(client)
          yield* middle.cut
          const failure = yield* failureOf(client, `tls://localhost:${evil.port}`)
          assert(failure?._tag === "TlsCertificateInvalid", failure?._tag)
          assert.strictEqual(failure.code, "ERR_TLS_CERT_ALTNAME_INVALID")
          assert.deepStrictEqual(failure.hosts, serverName === undefined ? ["127.0.0.1"] : undefined)
          assert.include(failure.message, serverName === undefined ? "is not for 127.0.0.1" : "is for another name")
          yield* middle.heal
          yield* status.connected(2)
          assert.deepInclude(yield* client.state, { server: `tls://127.0.0.1:${middle.port}` })
          assert.isAtLeast(evil.accepted(), 1)
          assert.strictEqual(evil.received() + evil.receivedInClear(), "")
        })
    )
  }

  it.live("gets nothing in clear either", () =>
    Effect.gen(function*() {
      const { ca, tls } = yield* pki(["127.0.0.1"])
      const genuine = yield* TestNatsServer.make({ users, tls })
      const evil = yield* tlsPeer(tls, () => ({ clear: {} }))
      const middle = yield* between(genuine.port, (info) => ({ ...info, connect_urls: [`localhost:${evil.port}`] }))
      const client = yield* NatsClient.make({
        servers: `nats://127.0.0.1:${middle.port}`,
        auth,
        tls: { ca, mode: "prefer" },
        reconnect: fast
      })
      yield* middle.cut
      assert.strictEqual((yield* failureOf(client, `tls://localhost:${evil.port}`))?._tag, "TlsUnavailable")
      assert.strictEqual(evil.received() + evil.receivedInClear(), "")
    }))

  it.live("is forgotten when the server tells its cluster inside TLS", () =>
    Effect.gen(function*() {
      const { authority, ca, tls } = yield* pki(["127.0.0.1"])
      const servers = yield* TestNatsServer.cluster(2, { users, tls })
      const evil = yield* tlsPeer(
        yield* authority.issue({ commonName: "evil", names: ["localhost"] }),
        () => ({ clear: { tls_required: true } })
      )
      const middle = yield* between(
        servers[0].port,
        (info) => ({ ...info, connect_urls: [`localhost:${evil.port}`] })
      )
      const client = yield* NatsClient.make({
        servers: `tls://127.0.0.1:${middle.port}`,
        auth,
        tls: { ca },
        reconnect: fast
      })
      const status = yield* follow(client)
      // Before 2.15 a server speaks of its cluster again when the cluster changes.
      yield* servers[1].restart
      yield* until(Effect.map(connectUrls(client), (urls) => urls.includes(`127.0.0.1:${servers[1].port}`)))
      yield* middle.cut
      yield* status.connected(2)
      assert.include(servers.map(({ port }) => `tls://127.0.0.1:${port}`), status.all("Connected").at(-1)?.server)
      assert.strictEqual(evil.accepted(), 0)
    }))
})

/** A cluster of two with TLS, which tells addresses, and a client that was told the first of them by a name. */
const tlsCluster = Effect.fnUntraced(function*(
  certificateFor: string,
  tls: { readonly serverName?: string } = {},
  webSocket = false
) {
  const { authority, ca, tls: certificate } = yield* pki([certificateFor])
  const [first, second] = yield* TestNatsServer.cluster(2, {
    users,
    tls: certificate,
    ...(webSocket ? { websocket: { tls: certificate } } : {})
  })
  const urlOf = (host: string, server: TestNatsServer.TestNatsServer) =>
    webSocket ? `wss://${host}:${new URL(server.websocketUrl!).port}` : `tls://${host}:${server.port}`
  const client = yield* NatsClient.make({
    servers: urlOf("localhost", first),
    auth,
    tls: { ca, ...tls },
    reconnect: fast
  })
  /** Waits until the server that the client is connected to tells of another, or no longer. */
  const isTold = (server: TestNatsServer.TestNatsServer, told = true) =>
    until(Effect.map(connectUrls(client), (urls) => urls.includes(`127.0.0.1:${server.port}`) === told))
  const status = yield* follow(client)
  const last = () => status.all("Connected").at(-1)?.server
  return { authority, first, second, urlOf, status, last, isTold }
})

describe("a TLS cluster that tells IP addresses and has certificates for names", () => {
  it.live("goes on at another server when one dies", () =>
    Effect.gen(function*() {
      const { first, isTold, last, second, status, urlOf } = yield* tlsCluster("localhost")
      yield* first.kill
      yield* status.connected(2)
      assert.strictEqual(last(), urlOf("127.0.0.1", second))
      // And back: the name is handed on by the server that was learned.
      yield* first.restart
      yield* isTold(first)
      yield* second.kill
      yield* status.connected(3)
      assert.include([urlOf("localhost", first), urlOf("127.0.0.1", first)], last())
    }))

  it.live("and so with WebSocket", () =>
    Effect.gen(function*() {
      const { first, last, second, status, urlOf } = yield* tlsCluster("localhost", {}, true)
      yield* first.kill
      yield* status.connected(2)
      assert.strictEqual(last(), urlOf("127.0.0.1", second))
    }))

  it.live("with a serverName, that is the name for all", () =>
    Effect.gen(function*() {
      const { first, last, second, status, urlOf } = yield* tlsCluster("nats.example.com", {
        serverName: "nats.example.com"
      })
      yield* first.kill
      yield* status.connected(2)
      assert.strictEqual(last(), urlOf("127.0.0.1", second))
    }))

  it.live("a server with a certificate for its address is taken once the address has come inside TLS", () =>
    Effect.gen(function*() {
      const { authority, first, isTold, last, second, status, urlOf } = yield* tlsCluster("localhost")
      yield* second.reload({ tls: yield* authority.issue({ commonName: "server", names: ["127.0.0.1"] }) })
      // Before 2.15 it came in clear at first, and comes inside TLS when the cluster changes.
      yield* second.stop
      yield* isTold(second, false)
      yield* second.restart
      yield* isTold(second)
      yield* first.kill
      yield* status.connected(2)
      assert.strictEqual(last(), urlOf("127.0.0.1", second))
    }))
})

describe("a host name that comes inside TLS", () => {
  for (const handshakeFirst of [false, true]) {
    const how = handshakeFirst ? "where all is inside TLS" : "where the first word is in clear"
    it.live(`is verified by itself, and not by the name that was configured, ${how}`, () =>
      Effect.gen(function*() {
        const { authority, ca, tls } = yield* pki(["127.0.0.1"])
        const clear = handshakeFirst ? {} : { clear: { tls_required: true } }
        const good = yield* tlsPeer(yield* authority.issue({ names: ["localhost"] }), () => clear)
        const other = yield* tlsPeer(tls, () => clear)
        const first = yield* tlsPeer(tls, (connection) =>
          connection === 0
            ? { ...clear, inside: { connect_urls: [`localhost:${other.port}`, `localhost:${good.port}`] } }
            : { clear: {} })
        const client = yield* NatsClient.make({
          servers: `tls://127.0.0.1:${first.port}`,
          auth,
          tls: { ca, handshakeFirst },
          randomizeServers: false,
          reconnect: fast
        })
        const status = yield* follow(client)
        yield* until(Effect.map(connectUrls(client), (urls) => urls.length === 2))
        yield* first.drop
        yield* status.connected(2)
        assert.strictEqual(status.all("Connected").at(-1)?.server, `tls://localhost:${good.port}`)
        assert.strictEqual(other.accepted(), 1)
        assert.strictEqual(other.received(), "")
        assert.include(good.received(), auth.password)
      }))
  }
})

describe("discoverServers: false", () => {
  it.live("dials the servers of the list and no other", () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(2)
      const client = yield* NatsClient.make({ servers: servers[0].url, discoverServers: false, reconnect: fast })
      const status = yield* follow(client)
      yield* servers[0].kill
      yield* status.seen("Reconnecting", 3)
      for (const { reason } of status.all("Reconnecting")) {
        assert.isUndefined(reason.attempts)
      }
      yield* servers[0].restart
      yield* status.connected(2)
      assert.deepStrictEqual(status.all("Connected").map(({ server }) => server), [servers[0].url, servers[0].url])
    }))
})
