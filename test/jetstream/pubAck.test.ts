import { assert, describe, it } from "@effect/vitest"
import { AckReader, isOfBatch, Refusal } from "../../src/jetstream/internal/pubAck.ts"

const read = (reader: AckReader, text: string) => {
  const chunk = Buffer.from(`before${text}after`)
  return reader.read(chunk, 6, chunk.length - 5)
}

const plain = { duplicate: false, domain: undefined, value: undefined }

describe("the answer to a publish", () => {
  it("is read alike whatever came before it", () => {
    const streams = ["ORDERS", "ORDERS2", "ORDER", "über", "a\"b\\c"]
    const reader = new AckReader()
    let seed = 1
    const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below
    for (let i = 0; i < 5_000; i++) {
      const ack = {
        stream: streams[next(streams.length)],
        seq: next(2) === 0 ? next(100) : next(2_147_483_647) * 1_000,
        ...(next(8) === 0 ? { duplicate: true } : {}),
        ...(next(8) === 0 ? { domain: "hub" } : {}),
        ...(next(8) === 0 ? { val: "-12345678901234567890" } : {})
      }
      const text = next(4) === 0 ? JSON.stringify(ack, null, 1) : JSON.stringify(ack)
      assert.deepStrictEqual(read(reader, text), {
        stream: ack.stream,
        sequence: ack.seq,
        duplicate: ack.duplicate === true,
        domain: ack.domain,
        value: ack.val === undefined ? undefined : -12345678901234567890n
      })
    }
  })

  it("is what the servers write", () => {
    const reader = new AckReader()
    assert.deepStrictEqual(read(reader, "{\"stream\":\"S1\",\"seq\":2,\"duplicate\": true}"), {
      ...plain,
      stream: "S1",
      sequence: 2,
      duplicate: true
    })
    assert.deepStrictEqual(read(reader, "{\"stream\":\"S1\",\"seq\":3}"), { ...plain, stream: "S1", sequence: 3 })
    assert.deepStrictEqual(read(reader, "{\"stream\":\"S4\",\"seq\":1,\"val\":\"2\"}"), {
      ...plain,
      stream: "S4",
      sequence: 1,
      value: 2n
    })
    const refusal = read(
      reader,
      "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 2\"},\"stream\":\"S5\",\"seq\":0}"
    )
    assert.instanceOf(refusal, Refusal)
    assert.strictEqual((refusal as Refusal).stream, "S5")
    assert.isTrue(isOfBatch("{\"stream\":\"S5\",\"seq\":1,\"batch\":\"2\",\"count\":1}"))
    assert.isFalse(isOfBatch("{\"stream\":\"S5\",\"seq\":1}"))
  })

  it("is none where another one answers, also right behind one that is", () => {
    const reader = new AckReader()
    read(reader, "{\"stream\":\"S1\",\"seq\":3}")
    const others = [
      "",
      "+ACK",
      "{",
      "[]",
      "7",
      "null",
      "{}",
      "{\"stream\":\"S1\"}",
      "{\"seq\":1}",
      "{\"stream\":\"S1\",\"seq\":}",
      "{\"stream\":\"S1\",\"seq\":\"3\"}",
      "{\"stream\":\"S1\",\"seq\":3",
      "}"
    ]
    for (const text of others) assert.strictEqual(typeof read(reader, text), "string", text)
  })
})
