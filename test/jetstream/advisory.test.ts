import { assert, describe, it } from "@effect/vitest"
import { advisorySubject, isWanted, readAdvisory } from "../../src/jetstream/internal/advisory.ts"

const type = (last: string): string => `io.nats.jetstream.advisory.v1.${last}`
const about = { id: "7", timestamp: "2026-11-26T13:33:37.055199973Z" }
const ofMessage = { ...about, stream: "S", consumer: "C", consumer_seq: 4, stream_seq: 3, deliveries: 2 }
const read = (json: object) => readAdvisory("$JS.EVENT.ADVISORY.X", JSON.stringify(json))

describe("an advisory", () => {
  it("is read by its type", () => {
    const timestampMillis = Date.UTC(2026, 10, 26, 13, 33, 37, 55)
    assert.deepStrictEqual(read({ ...ofMessage, type: type("max_deliver") }), {
      _tag: "MaxDeliveries",
      id: "7",
      timestampMillis,
      domain: undefined,
      stream: "S",
      consumer: "C",
      sequence: 3,
      deliveries: 2
    })
    const wide = (json: object) => read(json) as object
    assert.deepInclude(wide({ ...ofMessage, type: type("terminated"), reason: "why not", domain: "hub" }), {
      _tag: "MessageTerminated",
      consumerSequence: 4,
      reason: "why not",
      domain: "hub"
    })
    const leader = { ...about, stream: "S", leader: "n1", type: type("stream_leader_elected") }
    assert.deepInclude(wide({ ...leader, replicas: [{ name: "n1", current: true, active: 0 }, { name: "n2" }] }), {
      replicas: [{ name: "n1", current: true, offline: false }, { name: "n2", current: false, offline: false }]
    })
    assert.deepInclude(wide({ ...leader, replicas: null }), { _tag: "StreamLeaderElected", replicas: [] })
    assert.deepInclude(wide({ ...leader, type: type("stream_quorum_lost") }), { _tag: "StreamQuorumLost" })
    assert.deepInclude(wide({ ...ofMessage, leader: "n1", type: type("consumer_leader_elected") }), {
      _tag: "ConsumerLeaderElected"
    })
    assert.deepInclude(wide({ ...ofMessage, type: type("consumer_quorum_lost") }), { _tag: "ConsumerQuorumLost" })
    assert.deepInclude(wide({ ...about, server: "n1", dropped: 10, type: type("api_limit_reached") }), {
      _tag: "ApiLimitReached",
      dropped: 10
    })
    assert.deepInclude(wide({ ...about, stream: "S", bytes: 10, type: type("restore_complete") }), {
      _tag: "RestoreCompleted",
      bytes: 10
    })
  })

  it("is a value also where it is not known, or not as it was", () => {
    for (
      const json of [
        { type: type("of_tomorrow"), id: "7" },
        { type: type("constructor"), id: "7" },
        { type: type("nak"), id: "7" },
        { ...ofMessage, type: type("max_deliver"), timestamp: "yesterday" },
        { ...ofMessage, type: type("max_deliver"), stream_seq: "3" },
        { type: 7 },
        {}
      ]
    ) {
      assert.deepInclude(read(json) as object, { _tag: "UnknownAdvisory", subject: "$JS.EVENT.ADVISORY.X", json })
    }
    for (const text of ["", "no JSON", "null", "[1]"]) {
      assert.strictEqual(readAdvisory("$JS.EVENT.ADVISORY.X", text)._tag, "UnknownAdvisory")
    }
  })

  it("of one kind comes on a subject of its own, and the others are looked through", () => {
    assert.strictEqual(advisorySubject({}), "$JS.EVENT.ADVISORY.>")
    assert.strictEqual(
      advisorySubject({ kinds: ["MaxDeliveries"], stream: "S" }),
      "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.*"
    )
    assert.strictEqual(advisorySubject({ kinds: ["StreamAction"] }), "$JS.EVENT.ADVISORY.STREAM.*.*")
    assert.strictEqual(advisorySubject({ kinds: ["ApiAudit"], stream: "S" }), "$JS.EVENT.ADVISORY.API")
    assert.strictEqual(advisorySubject({ kinds: ["UnknownAdvisory"] }), "$JS.EVENT.ADVISORY.>")
    assert.strictEqual(advisorySubject({ kinds: ["MaxDeliveries", "MessageNaked"] }), "$JS.EVENT.ADVISORY.>")
    const given = read({ ...ofMessage, type: type("nak") })
    assert.isTrue(isWanted({ stream: "S", consumer: "C", kinds: ["MaxDeliveries", "MessageNaked"] })(given))
    assert.isFalse(isWanted({ stream: "T" })(given))
    assert.isFalse(isWanted({ consumer: "D" })(given))
    assert.isFalse(isWanted({ kinds: ["MaxDeliveries"] })(given))
  })
})
