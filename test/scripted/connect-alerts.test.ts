/**
 * Scripted: servers that answer the TLS handshake with one alert. A real one chooses its alerts itself.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestFakeServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import { refusal } from "../fixtures/dialling.ts"
import * as Stranger from "../fixtures/stranger.ts"

const alert = (description: number): Uint8Array => Uint8Array.of(0x15, 3, 3, 0, 2, 2, description)

/** The error of a dial whose handshake is answered with an alert, by a server that says whether it asks for a certificate. */
const answered = (description: number, verify = false) =>
  Effect.gen(function*() {
    const stranger = yield* Stranger.make
    const info = TestFakeServer.info({ tls_required: true, tls_verify: verify })
    stranger.play = (socket, received) => void (received === "" ? socket.write(info) : socket.end(alert(description)))
    return yield* refusal(`nats://127.0.0.1:${stranger.port}`)
  })

describe("an alert in place of a TLS handshake", () => {
  const aboutCertificates: ReadonlyArray<readonly [number, string]> = [
    [42, "bad_certificate"],
    [43, "unsupported_certificate"],
    [44, "certificate_revoked"],
    [45, "certificate_expired"],
    [46, "certificate_unknown"],
    [48, "unknown_ca"],
    [49, "access_denied"],
    [116, "certificate_required"]
  ]
  for (const [description, name] of aboutCertificates) {
    it.live(`${name} is TlsHandshakeRejected, and asks for a client certificate`, () =>
      Effect.gen(function*() {
        const error = yield* answered(description)
        assert(error._tag === "TlsHandshakeRejected", `${error._tag} ${error.message}`)
        assert.match(error.message, /set `tls.cert` and `tls.key`/)
      }))
  }

  const others: ReadonlyArray<readonly [number, string, RegExp]> = [
    [70, "protocol_version", /no version of TLS in common/],
    [110, "unsupported_extension", /look at its log/],
    [112, "unrecognized_name", /`tls.serverName`/],
    [71, "insufficient_security", /ciphers/],
    [80, "internal_error", /look at its log/],
    [50, "decode_error", /look at its log/],
    [47, "illegal_parameter", /look at its log/],
    [51, "decrypt_error", /look at its log/]
  ]
  for (const [description, name, expected] of others) {
    it.live(`${name} is TlsHandshakeFailed, and not about a client certificate`, () =>
      Effect.gen(function*() {
        for (const verify of [false, true]) {
          const error = yield* answered(description, verify)
          assert(error._tag === "TlsHandshakeFailed", `${error._tag} ${error.message}`)
          assert.match(error.message, expected)
          assert.notMatch(error.message, /tls\.cert/)
        }
      }))
  }

  it.live("handshake_failure says both, and is a rejection only where the server asks for a certificate", () =>
    Effect.gen(function*() {
      for (const verify of [false, true]) {
        const error = yield* answered(40, verify)
        assert.strictEqual(error._tag, verify ? "TlsHandshakeRejected" : "TlsHandshakeFailed")
        assert.match(error.message, /no cipher or group in common.* or .*client certificate/)
      }
    }))
})
