import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import tls from "node:tls"
import * as util from "node:util"
import type { ConnectError } from "../../src/ConnectError.ts"
import { type DialTestOptions, dialTo, inTime, password, pinged, refusal } from "../fixtures/dialling.ts"

const repeats = 10

/** Dials again and again, and gives the one error that it always was. */
const always = (url: string, options: DialTestOptions) =>
  Effect.gen(function*() {
    const errors: Array<ConnectError> = []
    for (let i = 0; i < repeats; i++) {
      errors.push(yield* refusal(url, options))
    }
    assert.deepStrictEqual([...new Set(errors.map((error) => error._tag))], [errors[0]._tag])
    return errors[0]
  })

const certificateFault = (url: string, options: DialTestOptions, code: string) =>
  Effect.gen(function*() {
    const error = yield* always(url, options)
    assert(error._tag === "TlsCertificateInvalid", error._tag)
    assert.strictEqual(error.code, code)
    assert.isFalse(error.isRetryable)
  })

const connects = (url: string, options: DialTestOptions) =>
  Effect.scoped(Effect.gen(function*() {
    const session = yield* dialTo(url, options)
    yield* pinged(session)
    return session.encrypted
  }))

const setUp = (
  certificate: TestCertificates.CertificateOptions,
  more: Omit<TestNatsServer.Tls, "cert" | "key"> = {},
  options: TestNatsServer.Options = {}
) =>
  Effect.gen(function*() {
    const authority = yield* TestCertificates.authority()
    const { cert, key } = yield* authority.issue(certificate)
    const server = yield* TestNatsServer.make({ ...options, tls: { cert, key, ca: authority.cert, ...more } })
    return {
      authority,
      ca: authority.cert,
      server,
      ip: `nats://127.0.0.1:${server.port}`,
      name: `nats://localhost:${server.port}`
    }
  })

const withClient = (ca: string, client: TestCertificates.Certificate) => ({
  tls: { ca, cert: client.cert, key: Redacted.make(client.key) }
})

describe("TLS", () => {
  it.live("a certificate with the name and the address is good for both, and the wire is encrypted", () =>
    Effect.gen(function*() {
      const { ca, ip, name } = yield* setUp({ names: ["localhost", "127.0.0.1"] })
      assert.isTrue(yield* connects(name, { tls: { ca } }))
      assert.isTrue(yield* connects(ip, { tls: { ca } }))
      assert.isTrue(yield* connects(ip.replace("nats:", "tls:"), { tls: { ca } }))
    }))

  it.live("what was dialled is what is verified, name or address", () =>
    Effect.gen(function*() {
      const altName = "ERR_TLS_CERT_ALTNAME_INVALID"
      const address = yield* setUp({ commonName: "server", names: ["127.0.0.1"] })
      assert.isTrue(yield* connects(address.ip, { tls: { ca: address.ca } }))
      yield* certificateFault(address.name, { tls: { ca: address.ca } }, altName)
      const name = yield* setUp({ commonName: "server", names: ["localhost"] })
      assert.isTrue(yield* connects(name.name, { tls: { ca: name.ca } }))
      yield* certificateFault(name.ip, { tls: { ca: name.ca } }, altName)
      const other = yield* setUp({ commonName: "server", names: ["other.example"] })
      yield* certificateFault(other.name, { tls: { ca: other.ca } }, altName)
      yield* certificateFault(other.ip, { tls: { ca: other.ca } }, altName)
      assert.isTrue(yield* connects(other.ip, { tls: { ca: other.ca, serverName: "other.example" } }))
    }))

  it.live("a certificate that is not to be trusted is a TlsCertificateInvalid with the reason", () =>
    Effect.gen(function*() {
      const good = yield* setUp({})
      yield* certificateFault(good.ip, {}, "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
      const expired = yield* setUp({ expired: true })
      yield* certificateFault(expired.name, { tls: { ca: expired.ca } }, "CERT_HAS_EXPIRED")
      const early = yield* setUp({ notYetValid: true })
      yield* certificateFault(early.name, { tls: { ca: early.ca } }, "CERT_NOT_YET_VALID")
      const alone = yield* TestCertificates.selfSigned({ names: ["localhost"] })
      const server = yield* TestNatsServer.make({ tls: { cert: alone.cert, key: alone.key } })
      yield* certificateFault(`nats://localhost:${server.port}`, {}, "DEPTH_ZERO_SELF_SIGNED_CERT")
    }))

  it.live("the error of a bad certificate does not print the certificate", () =>
    Effect.gen(function*() {
      const { ca, ip } = yield* setUp({ commonName: "server", names: ["localhost"] })
      const error = yield* refusal(ip, { tls: { ca } })
      assert.isBelow(util.inspect(error, { depth: 8 }).length, 4000)
    }))

  it.live("verification is switched off only by dangerouslyDisableVerification", () =>
    Effect.gen(function*() {
      const { ip } = yield* setUp({ expired: true })
      assert.isTrue(yield* connects(ip, { tls: { dangerouslyDisableVerification: true } }))
    }))

  it.live("TLS required here and not offered there is TlsUnavailable, and the password is not sent", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "p" }], trace: true })
      const credentials = password("john", "p")
      const scheme = yield* always(server.url.replace("nats:", "tls:"), { credentials })
      assert.strictEqual(scheme._tag, "TlsUnavailable")
      const mode = yield* always(server.url, { credentials, tls: { mode: "require" } })
      assert.strictEqual(mode._tag, "TlsUnavailable")
      assert.isFalse((yield* server.logs).some((line) => line.includes("CONNECT")))
      // The trace shows a CONNECT when there is one.
      yield* dialTo(server.url, { credentials })
      yield* server.awaitLog("CONNECT")
    }))

  it.live("TLS required there and disabled here is TlsRequired", () =>
    Effect.gen(function*() {
      const { ip } = yield* setUp({})
      const error = yield* always(ip, { tls: { mode: "disable" } })
      assert.strictEqual(error._tag, "TlsRequired")
    }))

  it.live("a server that leaves the choice gets TLS by \"prefer\" and clear text by \"disable\"", () =>
    Effect.gen(function*() {
      const { ca, ip } = yield* setUp({}, { allowNonTls: true })
      assert.isTrue(yield* connects(ip, { tls: { ca } }))
      assert.isFalse(yield* connects(ip, { tls: { mode: "disable" } }))
    }))

  it.live("material that the TLS library does not take is a TlsConfigInvalid without its content", () =>
    Effect.gen(function*() {
      const { authority, ca, ip } = yield* setUp({})
      const one = yield* authority.issue({})
      const two = yield* authority.issue({})
      const canary = "canary-of-a-key"
      const cases = [
        { ca, cert: "rubbish", key: Redacted.make(one.key) },
        { ca, cert: one.cert, key: Redacted.make(canary) },
        { ca, cert: one.cert, key: Redacted.make(two.key) }
      ]
      for (const material of cases) {
        const error = yield* always(ip, { tls: material })
        assert.strictEqual(error._tag, "TlsConfigInvalid")
        assert.notInclude(util.inspect(error, { depth: 8, showHidden: true }), canary)
      }
    }))

  it.live("a wrong password behind TLS is an AuthorizationViolation", () =>
    Effect.gen(function*() {
      const { ca, ip } = yield* setUp({}, {}, { users: [{ user: "john", password: "p" }] })
      const error = yield* always(ip, { tls: { ca }, credentials: password("john", "q") })
      assert.strictEqual(error._tag, "AuthorizationViolation")
    }))

  it.live("a full server says so although it writes that in clear where TLS should begin", () =>
    Effect.gen(function*() {
      const { ca, ip } = yield* setUp({}, {}, { maxConnections: 1 })
      yield* dialTo(ip, { tls: { ca } })
      for (let i = 0; i < 5; i++) {
        const error = yield* always(ip, { tls: { ca } })
        assert.strictEqual(error._tag, "MaxConnectionsExceeded")
      }
    }))

  it.live("a handshake begun before INFO with a server that speaks first is a TlsHandshakeFailed", () =>
    Effect.gen(function*() {
      const { ca, ip } = yield* setUp({})
      const error = yield* always(ip, { tls: { ca, handshakeFirst: true } })
      assert.strictEqual(error._tag, "TlsHandshakeFailed")
    }))
})

const clientCertificates = Effect.gen(function*() {
  const { authority, ca, ip } = yield* setUp({}, { verify: true })
  const stranger = yield* Effect.flatMap(TestCertificates.authority(), (other) => other.issue())
  assert.isTrue(yield* connects(ip, withClient(ca, yield* authority.issue({ names: ["svc@lab.test"] }))))
  for (const options of [{ tls: { ca } }, withClient(ca, stranger)]) {
    const error = yield* always(ip, options)
    assert.strictEqual(error._tag, "TlsHandshakeRejected")
    assert.isFalse(error.isRetryable)
  }
})

describe("client certificates", () => {
  it.live("a missing and a foreign one are TlsHandshakeRejected, though TLS 1.3 tells after the handshake", () =>
    clientCertificates)

  it.live("a missing and a foreign one are TlsHandshakeRejected with TLS 1.2", () =>
    Effect.gen(function*() {
      const before = tls.DEFAULT_MAX_VERSION
      tls.DEFAULT_MAX_VERSION = "TLSv1.2"
      yield* Effect.ensuring(
        clientCertificates,
        Effect.sync(() => {
          tls.DEFAULT_MAX_VERSION = before
        })
      )
    }))

  it.live("a reset in place of an answer to the handshake is TlsHandshakeRejected where they are asked for, else ConnectionReset", () =>
    Effect.gen(function*() {
      for (const verify of [true, false]) {
        const { ca, server } = yield* setUp({}, { verify })
        const proxy = yield* TestNatsProxy.make({ port: server.port })
        yield* proxy.cut({ direction: "toServer", bytes: 1 }, { how: "RST" })
        const error = yield* always(proxy.url, { tls: { ca } })
        if (verify) {
          assert.strictEqual(error._tag, "TlsHandshakeRejected")
        } else {
          assert(error._tag === "ConnectionReset", error._tag)
          assert.strictEqual(error.stage, "tls")
        }
      }
    }))

  it.live("one that is mapped to no user is an AuthorizationViolation", () =>
    Effect.gen(function*() {
      const { authority, ca, ip } = yield* setUp({}, { verify: "map" }, { users: [{ user: "svc@lab.test" }] })
      const known = yield* authority.issue({ commonName: "client", names: ["svc@lab.test"] })
      const unknown = yield* authority.issue({ commonName: "client", names: ["other@lab.test"] })
      assert.isTrue(yield* connects(ip, withClient(ca, known)))
      const error = yield* always(ip, withClient(ca, unknown))
      assert.strictEqual(error._tag, "AuthorizationViolation")
    }))
})

describe("TLS before INFO", () => {
  /** Servers older than 2.10.4 have no `handshake_first`; there, the promise is that the set-up says so. */
  const withHandshakeFirst = (
    more: Omit<TestNatsServer.Tls, "cert" | "key">,
    body: (given: Effect.Success<ReturnType<typeof setUp>>) => Effect.Effect<void, ConnectError>
  ) =>
    setUp({}, { handshakeFirst: true, ...more }).pipe(
      Effect.matchEffect({
        onSuccess: body,
        onFailure: (error) => Effect.sync(() => assert.strictEqual(error._tag, "NatsServerTooOld"))
      })
    )

  it.live("a client that is told so connects", () =>
    withHandshakeFirst({}, ({ ca, ip }) =>
      Effect.gen(function*() {
        assert.isTrue(yield* connects(ip, { tls: { ca, handshakeFirst: true } }))
      })))

  it.live("a client that is not told so times out at stage info, in time, and hears of handshakeFirst", () =>
    withHandshakeFirst({}, ({ ca, ip }) =>
      Effect.gen(function*() {
        for (const error of yield* inTime(ip, { tls: { ca }, connectTimeout: 1000, repeats: 5 })) {
          assert(error._tag === "ConnectTimedOut", error._tag)
          assert.strictEqual(error.stage, "info")
          assert.include(error.message, "handshakeFirst")
        }
      })))

  it.live("left alone, the server closes first, and that is a ConnectionReset at stage info", () =>
    withHandshakeFirst({ timeout: "300 millis" }, ({ ca, ip }) =>
      Effect.gen(function*() {
        const error = yield* refusal(ip, { tls: { ca }, connectTimeout: 5000 })
        assert(error._tag === "ConnectionReset", error._tag)
        assert.strictEqual(error.stage, "info")
      })))

  it.live("a missing client certificate is a TlsHandshakeRejected", () =>
    withHandshakeFirst({ verify: true }, ({ ca, ip }) =>
      Effect.gen(function*() {
        const error = yield* always(ip, { tls: { ca, handshakeFirst: true } })
        assert.strictEqual(error._tag, "TlsHandshakeRejected")
      })))
})
