import { assert, describe, it } from "@effect/vitest"
import { deliveriesIn, parseAckSubject } from "../../src/jetstream/internal/ackSubject.ts"

describe("the subject of an acknowledgement", () => {
  it("tells the number of deliveries in bytes as it does in full", () => {
    const last = "41.42.1795636724625213329.7"
    for (
      const subject of [
        `$JS.ACK.S.C.1.${last}`,
        `$JS.ACK.S.C.1207.${last}`,
        `$JS.ACK.hub.HASH.S.C.12.${last}.chance`,
        `$JS.ACK._.HASH.S.C.3.${last}.chance.more`,
        // None of these is one.
        `$JS.ACK.S.C.x.${last}`,
        `$JS.ACK.hub.S.C.5.${last}`,
        "_INBOX.a.b",
        ""
      ]
    ) {
      const bytes = Buffer.from(`before ${subject}.9 behind`)
      const start = "before ".length
      const deliveries = deliveriesIn(bytes, start, start + subject.length)
      assert.strictEqual(deliveries, parseAckSubject(subject)?.deliveries ?? 1, subject)
    }
  })
})
