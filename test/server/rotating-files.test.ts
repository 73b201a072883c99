/** Secret files that are replaced as Kubernetes does it, by one link: who uses the new ones, and from when. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as path from "node:path"
import * as Renewal from "../../examples/deployment/renewal.ts"
import { writeVolume } from "../fixtures/deployed.ts"
import { directory } from "../fixtures/directory.ts"
import { follow, until } from "../fixtures/following.ts"

const mode = 0o440

/** A broker that knows its clients by their certificates, and a client with the first one, from files. */
const withCertificates = Effect.gen(function*() {
  const authority = yield* TestCertificates.authority()
  const serverTls = { ...(yield* authority.issue()), ca: authority.cert, verify: "map" as const }
  const server = yield* TestNatsServer.make({
    tls: serverTls,
    users: [{ user: "CN=first" }, { user: "CN=second" }]
  })
  const volume = path.join(yield* directory, "tls")
  const write = Effect.fnUntraced(function*(commonName: string, ca = authority.cert) {
    const { cert, key } = yield* authority.issue({ commonName, names: [] })
    writeVolume(volume, mode, { "ca.crt": ca, "tls.crt": cert, "tls.key": key })
  })
  yield* write("first")
  const nats = yield* NatsClient.make({
    servers: server.url.replace("nats://", "tls://"),
    tls: { caFile: `${volume}/ca.crt`, certFile: `${volume}/tls.crt`, keyFile: `${volume}/tls.key` },
    logStatus: false
  })
  yield* nats.flush
  const user = Effect.map(server.connz, ([connection]) => connection?.authorized_user)
  /** A session that has ended can be listed for a moment. */
  const becomes = (name: string) => until(Effect.map(user, (now) => now === name))
  return { authority, becomes, nats, server, serverTls, user, volume, write }
})

// Keys are made, which takes long on a machine that is busy.
describe("a certificate, its key and the authority", { timeout: 120_000 }, () => {
  it.live("are those of the next dial: a session goes on with the ones that it began with, and `reconnect` ends it", () =>
    Effect.gen(function*() {
      const { becomes, nats, user, write } = yield* withCertificates
      assert.strictEqual(yield* user, "CN=first")
      yield* write("second")
      yield* nats.flush
      assert.strictEqual(yield* user, "CN=first")
      assert.strictEqual((yield* nats.stats).dials, 1)
      yield* nats.reconnect
      yield* becomes("CN=second")
    }))

  it.live("of a server change under its sessions: a file with both authorities goes before, and nobody notices", () =>
    Effect.gen(function*() {
      const { authority, becomes, nats, server, serverTls, write } = yield* withCertificates
      const next = yield* TestCertificates.authority()
      yield* write("second", authority.cert + next.cert)
      yield* server.reload({ tls: { ...serverTls, ...(yield* next.issue()) } })
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).dials, 1)
      yield* nats.reconnect
      yield* becomes("CN=second")
      // The old authority is not needed any more.
      yield* write("second", next.cert)
      yield* nats.reconnect
      yield* nats.flush
    }))

  it.live("that do not fit together are an outage, as those that are read while they are replaced, and it passes", () =>
    Effect.gen(function*() {
      const { authority, becomes, nats, volume, write } = yield* withCertificates
      const status = yield* follow(nats)
      const [one, another] = [yield* authority.issue(), yield* authority.issue()]
      writeVolume(volume, mode, { "ca.crt": authority.cert, "tls.crt": one.cert, "tls.key": another.key })
      const asked = yield* Effect.forkChild(nats.reconnect, { startImmediately: true })
      yield* status.seen("Reconnecting")
      assert.strictEqual(status.all("Reconnecting")[0].reason._tag, "TlsConfigInvalid")
      yield* write("second")
      yield* Fiber.join(asked)
      yield* becomes("CN=second")
    }))

  it.live("are used at once where examples/deployment/renewal.ts watches them", () =>
    Effect.gen(function*() {
      const { becomes, nats, volume, write } = yield* withCertificates
      const status = yield* follow(nats)
      yield* Layer.build(Layer.provide(Renewal.layer(volume), Layer.succeed(NatsClient.NatsClient, nats)))
      yield* write("second")
      yield* status.connected(2)
      yield* becomes("CN=second")
      yield* write("first")
      yield* status.connected(3)
      yield* becomes("CN=first")
      assert.strictEqual((yield* nats.stats).dials, 3)
      const nowhere = Layer.provide(Renewal.layer(`${volume}/missing`), Layer.succeed(NatsClient.NatsClient, nats))
      assert.strictEqual((yield* Effect.flip(Layer.build(nowhere)))._tag, "PlatformError")
    }))
})

/** Two users of an account, and a volume with the credentials of the first. */
const twoUsers = Effect.gen(function*() {
  const operator = yield* TestOperator.make()
  const account = yield* operator.account("shop")
  const [first, second] = [yield* account.user("first"), yield* account.user("second")]
  const server = yield* TestNatsServer.make({ operator: operator.setup(account) })
  const volume = path.join(yield* directory, "nats")
  writeVolume(volume, mode, { "nats.creds": first.creds })
  return { account, first, operator, second, server, volume }
})

describe("a creds file", { timeout: 120_000 }, () => {
  it.live("that is replaced before its user is revoked: one Disconnected, and the next session is the new user's", () =>
    Effect.gen(function*() {
      const { account, first, operator, second, server, volume } = yield* twoUsers
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: { _tag: "CredsFile", path: `${volume}/nats.creds` },
        logStatus: false
      })
      const status = yield* follow(nats)
      writeVolume(volume, mode, { "nats.creds": second.creds })
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).dials, 1)
      yield* server.reload({ operator: operator.setup(yield* account.revoke(first)) })
      yield* status.connected(2)
      assert.deepStrictEqual(status.tags, ["Connected", "Disconnected", "Connected"])
      yield* until(Effect.map(server.connz, ([connection]) => connection?.authorized_user === second.publicKey))
    }))

  it.live("that is replaced only after its user was revoked: refused dials until then, and it comes back by itself", () =>
    Effect.gen(function*() {
      const { account, first, operator, second, server, volume } = yield* twoUsers
      const nats = yield* NatsClient.make({
        servers: server.url,
        auth: { _tag: "CredsFile", path: `${volume}/nats.creds` },
        reconnect: { initialDelay: "20 millis", maxDelay: "100 millis" },
        logStatus: false
      })
      const status = yield* follow(nats)
      yield* server.reload({ operator: operator.setup(yield* account.revoke(first)) })
      yield* status.seen("Reconnecting", 2)
      writeVolume(volume, mode, { "nats.creds": second.creds })
      yield* status.connected(2)
      yield* until(Effect.map(server.connz, ([connection]) => connection?.authorized_user === second.publicKey))
    }))
})
