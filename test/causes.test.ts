/** What an error of connecting means: what is done about it, what counts it, and which of several is raised. */
import { assert, describe, it } from "@effect/vitest"
import { ConnectError } from "effect-nats"
import {
  authFailures,
  isAboutCredentials,
  isAuthFailure,
  isLocal,
  isRefusal,
  mayPass,
  mostTelling
} from "../src/internal/connection/causes.ts"

const attempt = (error: ConnectError.ConnectError): ConnectError.Attempt => ({ server: "nats://a:4222", error })

const server = "nats://a:4222"
const refused = new ConnectError.ConnectionRefused({ server })

describe("of several failures", () => {
  const before: ReadonlyArray<readonly [ConnectError.ConnectError, ConnectError.ConnectError]> = [
    [new ConnectError.AuthorizationViolation({ server, method: "Token" }), refused],
    [new ConnectError.AuthorizationViolation({ server, method: "Token" }), new ConnectError.TlsUnavailable({ server })],
    [
      new ConnectError.TlsCertificateInvalid({ server, code: "CERT_HAS_EXPIRED" }),
      new ConnectError.ConnectTimedOut({ server, stage: "info", timeoutMillis: 1 })
    ],
    [new ConnectError.ConnectionReset({ server, stage: "info" }), new ConnectError.ServerNotFound({ server })]
  ]
  for (const [telling, other] of before) {
    it(`${telling._tag} is raised before ${other._tag}, and carries both`, () => {
      for (const attempts of [[attempt(telling), attempt(other)], [attempt(other), attempt(telling)]]) {
        const raised = mostTelling(attempts)
        assert.strictEqual(raised._tag, telling._tag)
        assert.deepStrictEqual(raised.attempts, attempts)
      }
    })
  }

  it("the first of those that say as much is raised; a single one is raised as it is", () => {
    const second = new ConnectError.ConnectionRefused({ server: "nats://b:4222" })
    assert.include(mostTelling([attempt(refused), attempt(second)]), { server })
    assert.strictEqual(mostTelling([attempt(refused)]), refused)
  })
})

describe("an error of connecting", () => {
  const method = "Jwt"
  const source = "auth"
  const credentials: ReadonlyArray<readonly [string, ConnectError.ConnectError, string]> = [
    ["refused by a server", new ConnectError.AuthorizationViolation({ server, method }), "refusal, about, counted"],
    [
      "unusable",
      new ConnectError.CredentialsInvalid({ method, source, problem: "x" }),
      "refusal, about, counted, local"
    ],
    [
      "unusable at one server",
      new ConnectError.CredentialsInvalid({ method, source, problem: "x", server }),
      "refusal, about, counted"
    ],
    [
      "expired",
      new ConnectError.CredentialsExpired({ method, source, notYetValid: false, at: 0 }),
      "refusal, about, counted, local"
    ],
    [
      "not valid yet",
      new ConnectError.CredentialsExpired({ method, source, notYetValid: true, at: 0 }),
      "refusal, about, counted, local, passes"
    ],
    ["away", new ConnectError.CredentialsUnavailable({ source, problem: "x" }), "counted, local"],
    ["revoked", new ConnectError.AuthenticationRevoked({ server }), "about, counted"],
    ["expired while connected", new ConnectError.AuthenticationExpired({ server }), "about, counted"],
    ["of an expired account", new ConnectError.AccountAuthenticationExpired({ server }), "about, counted"],
    ["sent too late", new ConnectError.AuthenticationTimeout({ server }), "counted"]
  ]
  const judged = (error: ConnectError.ConnectError): string =>
    [
      isRefusal(error) ? "refusal" : [],
      isAboutCredentials(error) ? "about" : [],
      isAuthFailure(error) ? "counted" : [],
      isLocal(error) ? "local" : [],
      mayPass(error) ? "passes" : []
    ].flat().join(", ")

  for (const [state, error, judgement] of credentials) {
    it(`of credentials that are ${state} is ${judgement}`, () => assert.strictEqual(judged(error), judgement))
  }

  it("of anything else is about no credentials, and only bad TLS settings are found without a server", () => {
    assert.strictEqual(judged(new ConnectError.TlsConfigInvalid({ source: "tls", problem: "x" })), "local")
    assert.strictEqual(judged(refused), "")
    assert.sameMembers([...authFailures], [...new Set(credentials.map(([, { _tag }]) => _tag))])
  })

  it("of an NKey that one server cannot use passes where another server was away", () => {
    const [, unusable] = credentials[2]
    assert.isTrue(mayPass(mostTelling([attempt(unusable), attempt(refused)])))
    assert.isFalse(mayPass(mostTelling([attempt(unusable), attempt(unusable)])))
  })
})
