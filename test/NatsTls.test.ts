/** TLS settings, and what becomes of them at a dial. */
import { assert, describe, it, layer } from "@effect/vitest"
import { NatsConfig, type NatsTls } from "effect-nats"
import { TestCertificates } from "effect-nats/testing"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createPrivateKey } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { resolveTls } from "../src/internal/wire/tlsMaterial.ts"

interface Pki {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly encryptedKey: string
  readonly otherKey: string
  readonly directory: string
}

const Pki = Context.Service<Pki>("test/Pki")

const pki = Layer.effect(
  Pki,
  Effect.gen(function*() {
    const authority = yield* TestCertificates.authority()
    const { cert, key } = yield* authority.issue({ commonName: "john" })
    const other = yield* authority.issue({ commonName: "jane" })
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-"))),
      (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
    )
    const encryptedKey = createPrivateKey(key).export({
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: "open sesame"
    })
    return { ca: authority.cert, cert, key, encryptedKey: String(encryptedKey), otherKey: other.key, directory }
  })
)

const problemsOf = (tls: NatsTls.Input, servers = "nats://127.0.0.1"): ReadonlyArray<string> => {
  const decoded = NatsConfig.decodeResult({ servers, tls })
  return Result.isFailure(decoded) ? decoded.failure.problems.map(({ path, problem }) => `${path}: ${problem}`) : []
}

layer(pki)("TLS settings", (it) => {
  it.effect("inline are inline at the dial, the key redacted", () =>
    Effect.gen(function*() {
      const { ca, cert, key } = yield* Pki
      const { tls } = yield* NatsConfig.decode({
        tls: { ca, cert, key, serverName: "nats.example.com", mode: "require" }
      })
      const material = yield* resolveTls(tls)
      assert.deepInclude(material, {
        ca,
        cert,
        serverName: "nats.example.com",
        mode: "require",
        dangerouslyDisableVerification: false
      })
      assert.strictEqual(material.key && Redacted.value(material.key), key)
      assert.notInclude(JSON.stringify(material), key.split("\n")[1])
    }))

  it.effect("in files are read at each dial and given inline", () =>
    Effect.gen(function*() {
      const { ca, cert, directory, key } = yield* Pki
      const file = (name: string): string => path.join(directory, name)
      fs.writeFileSync(file("ca.pem"), "not yet")
      fs.writeFileSync(file("cert.pem"), cert)
      fs.writeFileSync(file("key.pem"), key, { mode: 0o600 })
      const { tls } = yield* NatsConfig.decode({
        tls: { caFile: file("ca.pem"), certFile: file("cert.pem"), keyFile: file("key.pem") }
      })
      const error = yield* Effect.flip(resolveTls(tls))
      assert.strictEqual(
        error.message,
        `tls.caFile (${file("ca.pem")}) is unusable: it has no -----BEGIN CERTIFICATE----- line.`
      )
      fs.writeFileSync(file("ca.pem"), ca)
      const material = yield* resolveTls(tls)
      assert.deepInclude(material, { ca, cert })
    }))

  it.effect("whose file is missing are refused with the option and the file", () =>
    Effect.gen(function*() {
      const { directory } = yield* Pki
      const caFile = path.join(directory, "missing.pem")
      const { tls } = yield* NatsConfig.decode({ tls: { caFile } })
      const error = yield* Effect.flip(resolveTls(tls))
      assert.strictEqual(error._tag, "TlsConfigInvalid")
      assert.strictEqual(error.message, `tls.caFile (${caFile}) is unusable: there is no such file.`)
    }))

  it.effect("whose files do not belong together are refused with both names", () =>
    Effect.gen(function*() {
      const { cert, directory, otherKey } = yield* Pki
      const certFile = path.join(directory, "john.pem")
      const keyFile = path.join(directory, "jane.key")
      fs.writeFileSync(certFile, cert)
      fs.writeFileSync(keyFile, otherKey, { mode: 0o600 })
      const { tls } = yield* NatsConfig.decode({ tls: { certFile, keyFile } })
      const error = yield* Effect.flip(resolveTls(tls))
      assert.include(error.message, `tls.keyFile (${keyFile})`)
      assert.include(error.message, `does not belong to the certificate of tls.certFile (${certFile})`)
    }))

  it.effect("with an encrypted key need the right passphrase", () =>
    Effect.gen(function*() {
      const { cert, encryptedKey } = yield* Pki
      assert.deepStrictEqual(problemsOf({ cert, key: encryptedKey, passphrase: "open sesame" }), [])
      assert.match(problemsOf({ cert, key: encryptedKey })[0], /^tls\.key: .*tls\.passphrase/)
      assert.match(problemsOf({ cert, key: encryptedKey, passphrase: "wrong" })[0], /^tls\.key: .*passphrase is wrong/)
    }))

  it.effect("with PEM that cannot be used are refused at the option", () =>
    Effect.gen(function*() {
      const { ca, cert, key, otherKey } = yield* Pki
      const broken = ca.replace(/\n[A-Za-z0-9+/]{20}/, "\nAAAAAAAAAAAAAAAAAAAA")
      assert.match(problemsOf({ ca: "garbage" })[0], /^tls\.ca: .*BEGIN CERTIFICATE/)
      assert.match(problemsOf({ ca: broken })[0], /^tls\.ca: .*certificate 1 does not parse/)
      assert.match(problemsOf({ ca: ca + broken })[0], /^tls\.ca: .*certificate 2 does not parse/)
      assert.match(problemsOf({ ca: ca.slice(0, 200) })[0], /^tls\.ca: .*END CERTIFICATE/)
      assert.match(problemsOf({ ca: key })[0], /^tls\.ca: .*private key/)
      assert.match(problemsOf({ cert, key: otherKey })[0], /^tls\.key: does not belong/)
      assert.match(problemsOf({ cert, key: cert })[0], /^tls\.key: .*is a certificate/)
      assert.match(problemsOf({ cert, key: key.replaceAll(/[a-z]/g, "x") })[0], /^tls\.key: .*does not parse/)
      assert.deepStrictEqual(problemsOf({ ca: ca + cert, cert, key }), [])
    }))
})

describe("the mode", () => {
  const given: ReadonlyArray<readonly [string, NatsTls.Input]> = [
    ["caFile", { caFile: "/ca.pem" }],
    ["certFile and keyFile", { certFile: "/cert.pem", keyFile: "/key.pem" }],
    ["a passphrase", { certFile: "/cert.pem", keyFile: "/key.pem", passphrase: "open sesame" }],
    ["serverName", { serverName: "nats.example.com" }],
    ["handshakeFirst", { handshakeFirst: true }],
    ["dangerouslyDisableVerification", { dangerouslyDisableVerification: true }]
  ]
  for (const [name, tls] of given) {
    it.effect(`is "require" where ${name} is given, unless it is written`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* NatsConfig.decode({ tls })).tls.mode, "require")
        assert.strictEqual((yield* NatsConfig.decode({ tls: { ...tls, mode: undefined } })).tls.mode, "require")
        assert.strictEqual((yield* NatsConfig.decode({ tls: { ...tls, mode: "prefer" } })).tls.mode, "prefer")
      }))
  }

  it.effect("is \"require\" where an authority or a certificate is given as text", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const client = yield* authority.issue({ commonName: "john" })
      assert.strictEqual((yield* NatsConfig.decode({ tls: { ca: authority.cert } })).tls.mode, "require")
      assert.strictEqual((yield* NatsConfig.decode({ tls: client })).tls.mode, "require")
    }))

  it.effect("is told as not written where nothing is given, or only what is so anyway, and \"prefer\" for a dial", () =>
    Effect.gen(function*() {
      for (const tls of [undefined, {}, { handshakeFirst: false }, { dangerouslyDisableVerification: false }]) {
        const config = yield* NatsConfig.decode({ tls })
        const encoded = yield* Schema.encodeEffect(NatsConfig.NatsConfig)(config)
        for (const each of [config, yield* NatsConfig.decode(config), yield* NatsConfig.decode(encoded)]) {
          assert.notProperty(each.tls, "mode")
          assert.strictEqual((yield* resolveTls(each.tls)).mode, "prefer")
        }
      }
    }))
})

describe("TLS settings that clash", () => {
  const cases: ReadonlyArray<readonly [string, NatsTls.Input, string, RegExp]> = [
    ["a certificate without a key", { certFile: "/c" }, "nats://a", /^tls\.certFile: needs its private key/],
    ["a key without a certificate", { keyFile: "/k" }, "nats://a", /^tls\.keyFile: needs its certificate/],
    ["a passphrase without a key", { passphrase: "p" }, "nats://a", /^tls\.passphrase: is of no key/],
    ["text and a file", { ca: "x", caFile: "/ca" }, "nats://a", /^tls\.caFile: clashes with `ca`/],
    [
      "the content of a file as its path",
      { caFile: "-----BEGIN CERTIFICATE-----" },
      "nats://a",
      /^tls\.caFile: .*`ca`/
    ],
    [
      "no TLS and a handshake first",
      { mode: "disable", handshakeFirst: true },
      "nats://a",
      /^tls\.handshakeFirst: clashes/
    ],
    ["no TLS and tls://", { mode: "disable" }, "tls://a", /^tls\.mode: .*tls:\/\//],
    ["no TLS and wss://", { mode: "disable" }, "b,wss://a", /^tls\.mode: .*wss:\/\//],
    ["TLS required and ws://", { mode: "require" }, "ws://a", /^tls\.mode: is "require".*use wss/],
    [
      "an authority and ws://",
      { handshakeFirst: false, caFile: "/ca" },
      "ws://a",
      /^tls\.caFile: requires TLS.*use wss/
    ],
    ["a name to verify and ws://", { serverName: "a" }, "nats://b,ws://a", /^tls\.serverName: requires TLS.*use wss/]
  ]
  for (const [name, tls, servers, expected] of cases) {
    it(`(${name}) are an error that names the option`, () => {
      assert.match(problemsOf(tls, servers)[0] ?? "", expected)
    })
  }

  it("say how verification is turned off when asked in other words", () => {
    const decoded = NatsConfig.decodeResult({ tls: { rejectUnauthorized: false } })
    assert.match(Result.isFailure(decoded) ? decoded.failure.message : "", /dangerouslyDisableVerification/)
  })
})
