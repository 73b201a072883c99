import { assert, describe, it } from "@effect/vitest"
import { closeWord, frame, FrameReader, opcodes } from "../../src/internal/protocol/webSocketFrame.ts"

/** A frame as servers send it. */
const fromServer = (opcode: number, payload: Buffer, fin = true): Buffer => {
  const length = payload.length
  const size = length <= 125
    ? Buffer.from([length])
    : length <= 0xffff
    ? Buffer.from([126, length >> 8, length & 0xff])
    : Buffer.from([127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff])
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode]), size, payload])
}

const read = (chunks: Iterable<Buffer>) => {
  const data: Array<Buffer> = []
  const controls: Array<string> = []
  const reader = new FrameReader({
    data: (chunk) => data.push(chunk),
    control: (opcode, payload) => controls.push(`${opcode} ${payload.toString()}`)
  })
  let fault: string | undefined
  for (const chunk of chunks) {
    fault ??= reader.push(chunk)
  }
  return { text: Buffer.concat(data).toString(), controls, fault }
}

const stream = Buffer.concat([
  fromServer(opcodes.binary, Buffer.from("hello ")),
  fromServer(opcodes.text, Buffer.from("frag"), false),
  fromServer(opcodes.ping, Buffer.from("are you there")),
  fromServer(opcodes.continuation, Buffer.from("mented ")),
  fromServer(opcodes.binary, Buffer.alloc(0)),
  fromServer(opcodes.binary, Buffer.alloc(200, "a")),
  fromServer(opcodes.pong, Buffer.alloc(0)),
  fromServer(opcodes.binary, Buffer.alloc(70_000, "b")),
  fromServer(opcodes.close, Buffer.from([3, 232]))
])

const expected = `hello fragmented ${"a".repeat(200)}${"b".repeat(70_000)}`

describe("FrameReader", () => {
  it("reads the same from every chunking", () => {
    for (const size of [1, 2, 3, 5, 7, 64, 125, 126, 4096, stream.length]) {
      const chunks = Array.from(
        { length: Math.ceil(stream.length / size) },
        (_, i) => stream.subarray(i * size, (i + 1) * size)
      )
      const { controls, fault, text } = read(chunks)
      assert.isUndefined(fault)
      assert.isTrue(text === expected, `chunks of ${size}`)
      assert.deepStrictEqual(controls.map((control) => control.split(" ")[0]), ["9", "10", "8"])
      assert.strictEqual(controls[0], "9 are you there")
    }
  })

  it("refuses what no server may send", () => {
    const broken: ReadonlyArray<readonly [RegExp, Buffer]> = [
      [/compressed/, Buffer.from([0xc2, 0])],
      [/reserved bit/, Buffer.from([0xa2, 0])],
      [/opcode 3/, Buffer.from([0x83, 0])],
      [/opcode 11/, Buffer.from([0x8b, 0])],
      [/masked/, frame(opcodes.binary, Buffer.from("x"), Buffer.alloc(4))],
      [/more than 125 bytes/, fromServer(opcodes.ping, Buffer.alloc(126))],
      [/in parts/, fromServer(opcodes.ping, Buffer.alloc(1), false)],
      [/too long/, Buffer.from([0x82, 127, 255, 255, 255, 255, 0, 0, 0, 0])]
    ]
    for (const [expected, bytes] of broken) {
      assert.match(read([bytes]).fault ?? "", expected)
    }
  })
})

describe("a close frame", () => {
  const close = (status: number, reason: string): Buffer =>
    Buffer.from([status >> 8, status & 0xff, ...Buffer.from(reason)])

  it("is read as its status, and its reason as it came", () => {
    assert.deepStrictEqual(closeWord(close(1008, "Slow Consumer")), {
      status: "closed the WebSocket with status 1008 (policy violation)",
      reason: "Slow Consumer"
    })
    assert.deepStrictEqual(closeWord(close(4000, "\u001b[31m\nx ")), {
      status: "closed the WebSocket with status 4000",
      reason: "\u001b[31m\nx"
    })
    assert.deepStrictEqual(closeWord(close(1001, "")), {
      status: "closed the WebSocket with status 1001 (going away)",
      reason: ""
    })
    for (const short of [[], [3]]) assert.isUndefined(closeWord(Buffer.from(short)))
  })
})

describe("frame", () => {
  it("masks every length, and unmasked it is what was given", () => {
    for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
      const payload = Buffer.alloc(length, "0123456789")
      const mask = Buffer.from([1, 2, 3, 250])
      const bytes = frame(opcodes.binary, payload, mask)
      const head = length <= 125 ? 2 : length <= 65_535 ? 4 : 10
      assert.strictEqual(bytes[0], 0x82)
      assert.strictEqual(bytes[1] & 0x80, 0x80)
      const body = Buffer.from(bytes.subarray(head + 4).map((byte, i) => byte ^ mask[i & 3]))
      assert.isTrue(body.equals(payload), `length ${length}`)
      assert.isTrue(bytes.subarray(head, head + 4).equals(mask))
    }
  })
})
