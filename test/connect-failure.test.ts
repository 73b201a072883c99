import { assert, describe, it } from "@effect/vitest"
import { fromTcp, type Peer } from "../src/internal/wire/connectFailure.ts"

const peer: Peer = { server: "nats://many:4222", hosts: [], method: "Anonymous", timeoutMillis: 5 }

const coded = (code: string): Error => Object.assign(new Error(code), { code })

/** What Node gives for a name with several addresses: the code is that of the first, and there is no message. */
const together = (...codes: ReadonlyArray<string>): Error =>
  Object.assign(new AggregateError(codes.map(coded)), { code: codes[0] })

describe("of several addresses that were tried side by side", () => {
  for (
    const [codes, tag, code] of [
      [["ENETUNREACH", "ECONNREFUSED"], "ConnectionRefused", "ECONNREFUSED"],
      [["ENETUNREACH", "ETIMEDOUT"], "ConnectTimedOut", "ETIMEDOUT"],
      [["ECONNREFUSED", "ECONNRESET"], "ConnectionRefused", "ECONNREFUSED"],
      [["EADDRNOTAVAIL", "ECONNRESET"], "ConnectionReset", "ECONNRESET"],
      [["ETIMEDOUT", "ECONNREFUSED"], "ConnectionRefused", "ECONNREFUSED"]
    ] as const
  ) {
    it(`${codes.join(" and ")} is ${tag}, with that one as cause`, () => {
      const error = fromTcp(peer, together(...codes))
      assert.strictEqual(error._tag, tag)
      assert.deepInclude(error.cause, { code, message: code })
    })
  }

  it("without any, it is what it is", () => {
    const empty = together()
    assert.strictEqual(fromTcp(peer, empty).cause, empty)
  })
})
