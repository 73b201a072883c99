/** Of several servers' failures one is raised: what the user has to change comes before what may pass by itself. */
import { assert, describe, it } from "@effect/vitest"
import { ConnectError } from "effect-nats"
import { mostTelling } from "../src/internal/connection/mostTelling.ts"

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
