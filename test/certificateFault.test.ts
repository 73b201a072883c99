/** The end of a TLS handshake whose socket does not tell of the certificate, as in Deno: the error alone has to. */
import { assert, describe, it } from "@effect/vitest"
import { fromEnd } from "../src/internal/wire/connectFailure.ts"
import { SecretFilter } from "../src/internal/wire/secretFilter.ts"

const peer = {
  server: "tls://localhost:4222",
  hosts: [],
  method: "UserPassword" as const,
  filter: new SecretFilter()
}

const withCode = (code: string): Error => Object.assign(new Error("the handshake failed"), { code })

const ended = (error: unknown, certificateFault?: string) =>
  fromEnd(peer, "tls", error, { verify: false, certificateFault, variables: undefined })

describe("a handshake that ends with an error", () => {
  for (
    const code of [
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "CERT_HAS_EXPIRED",
      "CERT_NOT_YET_VALID",
      "CERT_REVOKED",
      "INVALID_PURPOSE",
      "ERR_TLS_CERT_ALTNAME_INVALID"
    ]
  ) {
    it(`of the certificate is TlsCertificateInvalid with its code: ${code}`, () => {
      const error = ended(withCode(code))
      assert(error._tag === "TlsCertificateInvalid", error._tag)
      assert.strictEqual(error.code, code)
      assert.isFalse(error.isRetryable)
    })
  }

  it("of something else is what it is", () => {
    const tags = ["ERR_SSL_WRONG_VERSION_NUMBER", "ECONNRESET", "EPROTO"].map((code) => ended(withCode(code))._tag)
    assert.deepStrictEqual(tags, ["TlsHandshakeFailed", "ConnectionReset", "TlsHandshakeFailed"])
    assert.strictEqual(ended(new Error("CERT_HAS_EXPIRED"))._tag, "ConnectionReset")
  })

  it("and a socket that tells of the certificate is what is believed", () => {
    const error = ended(withCode("ERR_SSL_CERTIFICATE_VERIFY_FAILED"), "CERT_HAS_EXPIRED")
    assert(error._tag === "TlsCertificateInvalid", error._tag)
    assert.strictEqual(error.code, "CERT_HAS_EXPIRED")
  })

  it("after the handshake is about no certificate", () => {
    const error = fromEnd(peer, "up", withCode("CERT_HAS_EXPIRED"), {
      verify: false,
      certificateFault: undefined,
      variables: undefined
    })
    assert.strictEqual(error._tag, "ConnectionReset")
  })
})
