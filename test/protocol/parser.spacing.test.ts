import { assert, describe, it } from "@effect/vitest"
import { Parser } from "../../src/internal/protocol/parser.ts"
import type { MessageTarget } from "../../src/internal/protocol/target.ts"

interface Read {
  readonly sid: number
  readonly subject: string
  readonly reply: string
  readonly payload: string
}

const readAll = (chunks: ReadonlyArray<Buffer>): ReadonlyArray<Read> => {
  const read: Array<Read> = []
  const target = (sid: number): MessageTarget => ({
    touched: false,
    accept(chunk, subjectStart, subjectEnd, replyStart, replyEnd, _headers, payloadStart, payloadEnd) {
      read.push({
        sid,
        subject: chunk.toString("utf8", subjectStart, subjectEnd),
        reply: chunk.toString("utf8", replyStart, replyEnd),
        payload: chunk.toString("utf8", payloadStart, payloadEnd)
      })
    },
    commit() {}
  })
  const parser = new Parser({ target, info() {}, ping() {}, pong() {}, error() {} })
  for (const chunk of chunks) assert.strictEqual(parser.push(chunk), undefined)
  return read
}

const plain: Read = { sid: 3, subject: "7", reply: "", payload: "ab" }

// Numbers as subjects and replies, so that one part taken for another would still look right.
const lines: ReadonlyArray<readonly [line: string, expected: Read]> = [
  ["MSG 7 3 2\r\n", plain],
  ["MSG  7 3 2\r\n", plain],
  ["MSG 7  3 2\r\n", plain],
  ["MSG 7 3  2\r\n", plain],
  ["MSG 7 3 2 \r\n", plain],
  ["MSG 7 3 2\n", plain],
  ["MSG\t7\t3\t2\r\n", plain],
  ["msg 7 3 2\r\n", plain],
  ["MSG 7 0000000003 0000000002\r\n", plain],
  ["MSG 7 3 9 2\r\n", { ...plain, reply: "9" }],
  ["MSG 7 3  9 2\r\n", { ...plain, reply: "9" }],
  ["MSG 7 3 9  2\r\n", { ...plain, reply: "9" }],
  ["MSG 7 3 9 2 \r\n", { ...plain, reply: "9" }],
  ["MSG 7 3 9.9 2\r\n", { ...plain, reply: "9.9" }],
  ["MSG 7 3 99999999999 2\r\n", { ...plain, reply: "99999999999" }],
  ["MSG 7 3 99999999999 0000000002\r\n", { ...plain, reply: "99999999999" }]
]

describe("the line of a MSG", () => {
  for (const [line, expected] of lines) {
    it(`${JSON.stringify(line)} is read the same wherever it is cut`, () => {
      const frame = Buffer.from(`${line}ab\r\n`)
      // The next message leaves room behind the line, as it is in a full chunk.
      const stream = Buffer.concat([frame, frame, Buffer.from("PING\r\nMSG other 4 32\r\n"), Buffer.alloc(32, 0x78)])
      for (let cut = 0; cut <= stream.length; cut++) {
        assert.deepStrictEqual(readAll([stream.subarray(0, cut), stream.subarray(cut)]), [expected, expected])
      }
    })
  }
})
