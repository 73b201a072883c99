/** What is said of credentials and TLS settings that came from variables names the variables. */
import { assert, describe, it } from "@effect/vitest"
import { ConnectError, NatsClient, NatsConfig, NatsLayer } from "effect-nats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import { generateKeyPairSync } from "node:crypto"
import * as fs from "node:fs"
import { keysOf, options } from "../src/internal/config/keys.ts"
import { noteVariables } from "../src/internal/config/origin.ts"
import { resolveCredentials } from "../src/internal/wire/credentials.ts"
import { resolveTls } from "../src/internal/wire/tlsMaterial.ts"
import { directory } from "./fixtures/directory.ts"
import { credsText, identity } from "./fixtures/identity.ts"

const env = { NATS_TLS_CA_FILE: "/no/ca.pem", ORDERS_NATS_TLS_CA_FILE: "/no/ca.pem", NATS_URL: "nats://127.0.0.1:1" }
const withEnv = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
const words = "(/no/ca.pem) is unusable: there is no such file."

describe("TlsConfigInvalid", () => {
  it.live("of variables names them, with their prefix, from every layer that reads them", () =>
    Effect.gen(function*() {
      const layers: ReadonlyArray<readonly [string, Layer.Layer<NatsClient.NatsClient, { readonly message: string }>]> =
        [
          ["NATS_TLS_CA_FILE", NatsLayer.fromEnv()],
          ["ORDERS_NATS_TLS_CA_FILE", NatsLayer.fromEnv({ prefix: "ORDERS_NATS" })],
          ["NATS_TLS_CA_FILE", NatsClient.layerConfig(NatsConfig.config())]
        ]
      for (const [name, layer] of layers) {
        const error = yield* withEnv(Effect.scoped(Effect.flip(Layer.build(layer))))
        assert.strictEqual(error.message, `${name} ${words}`)
      }
    }))

  it.effect("of a key that is encrypted asks for the variable of its passphrase", () =>
    Effect.gen(function*() {
      const key = generateKeyPairSync("ed25519").privateKey.export({
        type: "pkcs8",
        format: "pem",
        cipher: "aes-256-cbc",
        passphrase: "open sesame"
      })
      const inFile = `${yield* directory}/key.pem`
      fs.writeFileSync(inFile, key, { mode: 0o600 })
      const { tls } = yield* Effect.provideService(
        NatsConfig.fromEnv(),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env: { NATS_TLS_CERT_FILE: inFile, NATS_TLS_KEY_FILE: inFile } })
      )
      const word = "it is encrypted and there is no passphrase: set"
      const ofKey = { ...tls, certFile: undefined }
      assert.include((yield* Effect.flip(resolveTls(ofKey))).message, `${word} \`tls.passphrase\``)
      noteVariables(ofKey, "NATS")
      assert.strictEqual(
        (yield* Effect.flip(resolveTls(ofKey))).message,
        `NATS_TLS_KEY_FILE (${inFile}) is unusable: ${word} NATS_TLS_PASSPHRASE.`
      )
    }))

  it.effect("of options names them, whatever was read from variables before", () =>
    Effect.gen(function*() {
      yield* withEnv(NatsConfig.fromEnv())
      const { tls } = yield* NatsConfig.decode({ tls: { caFile: "/no/ca.pem" } })
      assert.strictEqual((yield* Effect.flip(resolveTls(tls))).message, `tls.caFile ${words}`)
    }))
})

describe("credentials of variables", () => {
  it.live("are called by them, in errors and in the warning of a file", () =>
    Effect.gen(function*() {
      const john = identity(1)
      const file = `${yield* directory}/john.creds`
      fs.writeFileSync(file, john.seed)
      fs.chmodSync(file, 0o644)
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => lines.push(String(message)))
      const resolved = (variables: Record<string, string>) =>
        Effect.flatMap(
          Effect.provideService(
            NatsConfig.fromEnv({ prefix: "ORDERS" }),
            ConfigProvider.ConfigProvider,
            ConfigProvider.fromEnv({ env: variables })
          ),
          ({ auth }) => Effect.result(resolveCredentials(auth))
        )
      const old = john.jwt({ exp: 1_000_000_000 })
      const words = (result: Result.Result<unknown, { readonly message: string }>): string =>
        Result.isFailure(result) ? result.failure.message : ""
      assert.include(words(yield* resolved({ ORDERS_JWT: old, ORDERS_NKEY_SEED: john.seed })), " from ORDERS_JWT ")
      assert.include(words(yield* resolved({ ORDERS_CREDS: credsText(old, john.seed) })), " from ORDERS_CREDS ")
      yield* Effect.provide(resolved({ ORDERS_CREDS_FILE: file }), Logger.layer([logger]))
      assert.lengthOf(lines, 1)
      assert.include(lines[0], `${file} (ORDERS_CREDS_FILE) holds a secret`)
      const given = yield* NatsConfig.decode({ auth: { _tag: "Jwt", jwt: old, seed: john.seed } })
      assert.include(words(yield* Effect.result(resolveCredentials(given.auth))), " from auth.jwt ")
    }))
})

describe("a failed handshake", () => {
  const server = "tls://a:4222"
  const errors = (variables: {} | { readonly variables: string }) =>
    [
      new ConnectError.TlsCertificateInvalid({ server, code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", ...variables }),
      new ConnectError.TlsCertificateInvalid({ server, code: "ERR_TLS_CERT_ALTNAME_INVALID", ...variables }),
      new ConnectError.TlsHandshakeRejected({
        server,
        code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
        ...variables
      }),
      new ConnectError.TlsHandshakeFailed({ server, code: "ERR_SSL_WRONG_VERSION_NUMBER", ...variables })
    ].map(({ message }) => message)

  it("with settings of variables names them", () => {
    const named = errors({ variables: "X" }).flatMap((message) => message.match(/X_TLS_\w+/g) ?? [])
    const known = new Set(keysOf("tls").map((key) => `X_${options[`tls.${key}` as "tls.ca"][0]}`))
    assert.deepStrictEqual(named.filter((name) => !known.has(name)), [])
    assert.includeMembers(named, [
      "X_TLS_CA",
      "X_TLS_CA_FILE",
      "X_TLS_SERVER_NAME",
      "X_TLS_CERT",
      "X_TLS_HANDSHAKE_FIRST"
    ])
    assert.notInclude(errors({ variables: "X" }).join(), "`tls.")
  })

  it("with others names the options", () => {
    assert.include(errors({}).join(), "set `tls.ca` or `tls.caFile`")
  })
})
