/**
 * A broken stream ends with a description, never with an exception, and never with bytes of the stream.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { Parser } from "../../src/internal/protocol/parser.ts"
import { cut, Dice, parse, stream } from "./streams.ts"

const canary = "CANARY-5f0c"
const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

const faultOf = (text: string | Buffer): string | undefined => parse([Buffer.from(text)]).fault

const known =
  /^(an unknown operation|malformed (message line|subscription id|message size|header size|INFO)|a header longer than its message|no line end after a message|a (message|line) of more than \d+ bytes)$/

const info = (fields: object): string =>
  `INFO ${JSON.stringify({ server_id: "N", version: "2.10.0", max_payload: 1, ...fields })}\r\n`

describe("a broken stream", () => {
  const table: ReadonlyArray<readonly [string, string, string]> = [
    ["an HTTP server", `HTTP/1.1 400 Bad Request\r\n${canary}`, "an unknown operation"],
    ["an SSH server", `SSH-2.0-${canary}`, "an unknown operation"],
    ["an empty line", "\r\nPING\r\n", "an unknown operation"],
    ["a word that only begins like an operation", `PINGER ${canary}\r\n`, "an unknown operation"],
    ["PING with an argument", `PING ${canary}\r\n`, "an unknown operation"],
    ["MSG without a blank", `MSGa 1 5\r\n${canary}`, "an unknown operation"],
    ["no size", `MSG ${canary} 1\r\n`, "malformed message line"],
    ["nothing but MSG", "MSG \r\n", "malformed message line"],
    ["too many arguments", `MSG a 1 b c 5\r\n${canary}`, "malformed message line"],
    ["far too many arguments", `MSG a 1 b c d e f g h 5\r\n${canary}`, "malformed message line"],
    ["HMSG with one size", `HMSG a 1 5\r\n${canary}`, "malformed message line"],
    ["a carriage return inside a line", `MSG a\r 1 5\r\n${canary}`, "malformed message line"],
    ["a subscription id that is none", `MSG a ${canary} 5\r\n`, "malformed subscription id"],
    ["a negative subscription id", "MSG a -1 5\r\n", "malformed subscription id"],
    ["a negative size", "MSG a 1 -5\r\n", "malformed message size"],
    ["a fraction", "MSG a 1 1.5\r\n", "malformed message size"],
    ["an exponent", "MSG a 1 1e3\r\n", "malformed message size"],
    ["a hexadecimal size", "MSG a 1 0x10\r\n", "malformed message size"],
    ["NaN", "MSG a 1 NaN\r\n", "malformed message size"],
    ["a size beyond all integers", `MSG a 1 ${"9".repeat(400)}\r\n`, "malformed message size"],
    ["a size above the limit", "MSG a 1 134217729\r\n", "a message of more than 134217728 bytes"],
    ["the largest size there is", "MSG a 1 999999999999999\r\n", "a message of more than 134217728 bytes"],
    ["a header size that is none", `HMSG a 1 ${canary} 5\r\n`, "malformed header size"],
    ["a header longer than its message", `HMSG a 1 6 5\r\n${canary}`, "a header longer than its message"],
    ["a payload longer than said", `MSG a 1 2\r\n${canary}\r\n`, "no line end after a message"],
    [
      "a payload shorter than said",
      `MSG a 1 30\r\n${canary}\r\nMSG a 1 30\r\n${canary}\r\n`,
      "no line end after a message"
    ],
    [
      "a payload that ends with a line feed only",
      `MSG a 1 ${canary.length}\r\n${canary}\nPING\r\n`,
      "no line end after a message"
    ],
    ["INFO that is not JSON", `INFO {"server_id":"${canary}\r\n`, "malformed INFO"],
    ["INFO that is no object", `INFO ["${canary}"]\r\n`, "malformed INFO"],
    ["INFO without what every server says", "INFO {}\r\n", "malformed INFO"],
    ["INFO without argument", "INFO \r\n", "malformed INFO"],
    ["INFO with a size that is none", info({ max_payload: canary }), "malformed INFO"],
    ["INFO with addresses that are none", info({ connect_urls: [1, canary] }), "malformed INFO"],
    ["INFO with a flag that is none", info({ tls_required: canary }), "malformed INFO"]
  ]
  for (const [name, bytes, fault] of table) {
    it(`${name} is "${fault}"`, () => {
      assert.strictEqual(faultOf(bytes), fault)
      const crumbs = parse(Array.from(Buffer.from(bytes), (byte) => Buffer.from([byte])))
      assert.strictEqual(crumbs.fault, fault)
      assert.match(fault, known)
    })
  }

  it("delivers what came before the fault, and nothing after it", () => {
    const { broken, events, fault, parser } = parse([
      Buffer.from("MSG a 1 2\r\nhi\r\nGARBAGE\r\nPING\r\nMSG a 1 2\r\nno\r\n"),
      Buffer.from("PING\r\nMSG a 1 2\r\nno\r\n")
    ])
    assert.deepStrictEqual(events, [`["message",1,"a","",0,"hi"]`])
    assert.deepStrictEqual(broken, [])
    assert.strictEqual(fault, "an unknown operation")
    assert.strictEqual(parser.messagesIn, 1)
  })

  it("is known at its first wrong byte, before any line end", () => {
    assert.strictEqual(faultOf("G"), "an unknown operation")
    assert.strictEqual(faultOf("HT"), "an unknown operation")
    assert.strictEqual(parse(["P", "I", "X"].map((text) => Buffer.from(text))).fault, "an unknown operation")
    assert.strictEqual(faultOf("H"), undefined)
  })

  it.prop("never throws, and never repeats a byte of the stream, whatever is damaged", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const frames = Array.from(
      { length: 6 },
      () => dice.below(2) === 0 ? stream(dice, 1, 60) : Buffer.from(`MSG a 1 ${canary.length}\r\n${canary}\r\n`)
    )
    const bytes = Buffer.concat(frames)
    for (let hits = 1 + dice.below(4); hits > 0; hits--) {
      bytes[dice.below(bytes.length)] = dice.pick([0, 10, 13, 32, 48, 57, 77, 255, dice.below(256)])
    }
    const whole = parse([bytes])
    if (whole.fault !== undefined) assert.match(whole.fault, known)
    assert.deepStrictEqual(whole.broken, [])
    const pieces = parse(cut(dice, bytes))
    assert.strictEqual(pieces.fault, whole.fault)
    assert.deepStrictEqual(pieces.events, whole.events)
  }, { timeout: 60_000, arbitrary: { runs: 3000 } })

  it.prop("of random bytes is found", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const { fault } = parse(cut(dice, Buffer.from([0, ...Array.from({ length: 100 }, () => dice.below(256))])))
    assert.strictEqual(fault, "an unknown operation")
  }, { arbitrary: { runs: 200 } })
})

describe("limits", () => {
  it("end a message line that does not end, without waiting for its end", () => {
    const endless = Buffer.from(`MSG ${"a".repeat(70_000)}`)
    assert.strictEqual(parse([endless]).fault, "a line of more than 65536 bytes")
    assert.strictEqual(parse(cut(new Dice(1), endless)).fault, "a line of more than 65536 bytes")
    assert.strictEqual(parse([Buffer.from(`PING${" ".repeat(70_000)}`)]).fault, "a line of more than 65536 bytes")
  })

  it("end an INFO or -ERR line of more than a mebibyte, and let a long one pass", () => {
    const long = info({ connect_urls: Array.from({ length: 20_000 }, (_, i) => `10.0.0.1:${i}`) })
    assert.isAbove(long.length, 300_000)
    assert.strictEqual(faultOf(long), undefined)
    assert.strictEqual(parse(cut(new Dice(2), Buffer.from(long))).events.length, 1)
    assert.strictEqual(faultOf(`-ERR '${canary}${"x".repeat(1 << 20)}`), "a line of more than 1048576 bytes")
  })

  it("let no more than 16 KiB of an -ERR through, of one without its quotes, too", () => {
    for (const line of [`'${"x".repeat(500_000)}'`, "x".repeat(500_000)]) {
      const errors: Array<string> = []
      const nothing = (): void => {}
      new Parser({
        target: () => undefined,
        info: nothing,
        ping: nothing,
        pong: nothing,
        error: (text) => errors.push(text)
      }).push(Buffer.from(`-ERR ${line}\r\n`))
      assert.deepStrictEqual(errors, ["x".repeat(16 * 1024)])
    }
  })

  it("are given by the owner", () => {
    const limits = { maxControlLine: 20, maxPayload: 5 }
    const fault = (text: string) => parse([Buffer.from(text)], { limits }).fault
    assert.strictEqual(fault("MSG a 1 5\r\nhello\r\n"), undefined)
    assert.strictEqual(fault("MSG a 1 6\r\nhello!\r\n"), "a message of more than 5 bytes")
    assert.strictEqual(fault("MSG aaaaaaaaaaaaaaaaaaaaaaaa 1 5\r\nhello\r\n"), "a line of more than 20 bytes")
  })

  it("of memory: a size that is only announced takes none", () => {
    const before = process.memoryUsage().arrayBuffers
    const parsers = Array.from({ length: 20 }, () => parse([Buffer.from("MSG a 1 134217728\r\nabc")]).parser)
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 20 * 17 * 1024 * 1024)
    assert.deepStrictEqual(parsers.map((parser) => parser.pendingBytes), parsers.map(() => 22))
  })
})

describe("a big message", () => {
  it("of 64 MiB in chunks of 64 KiB is delivered whole", () => {
    const size = 64 * 1024 * 1024
    let sum = -1
    const target = {
      touched: false,
      accept(chunk: Buffer, ...at: ReadonlyArray<number>) {
        assert.strictEqual(at[6] - at[5], size)
        sum = 0
        for (let i = at[5]; i < at[6]; i += 4096) sum += chunk[i]
      },
      commit() {}
    }
    const parser = new Parser({ target: () => target, info() {}, ping() {}, pong() {}, error() {} })
    const block = Buffer.alloc(64 * 1024, 7)
    assert.strictEqual(parser.push(Buffer.from(`MSG a 1 ${size}\r\n`)), undefined)
    for (let sent = 0; sent < size; sent += block.length) parser.push(block)
    assert.strictEqual(parser.push(Buffer.from("\r\nPING\r\n")), undefined)
    assert.strictEqual(sum, 7 * size / 4096)
    assert.strictEqual(parser.pendingBytes, 0)
  })

  it("is copied once per byte, however small the chunks are", () => {
    const size = 300_000
    const copy = Buffer.prototype.copy
    let copied = 0
    Buffer.prototype.copy = function(...args: Parameters<typeof copy>) {
      const bytes = copy.apply(this, args)
      copied += bytes
      return bytes
    }
    try {
      const parser = new Parser({ target: () => undefined, info() {}, ping() {}, pong() {}, error() {} })
      for (const byte of Buffer.from(`MSG a 1 ${size}\r\n`)) parser.push(Buffer.of(byte))
      const byte = Buffer.from("a")
      for (let i = 0; i < size; i++) parser.push(byte)
      parser.push(Buffer.from("\r\n"))
      assert.strictEqual(parser.unknown, 1)
    } finally {
      Buffer.prototype.copy = copy
    }
    assert.isAtMost(copied, size + 100)
  })
})

describe("what a parser ignores and counts", () => {
  it("skips messages of unknown subscriptions, and counts them", () => {
    const { events, parser } = parse([Buffer.from("MSG a 1 1\r\nx\r\nMSG a 2 1\r\ny\r\nMSG a 1 1\r\nz\r\n")], {
      knows: (sid) => sid === 2
    })
    assert.deepStrictEqual(events, [`["message",2,"a","",0,"y"]`])
    assert.strictEqual(parser.messagesIn, 3)
    assert.strictEqual(parser.unknown, 2)
    assert.strictEqual(parser.bytesIn, 42)
  })

  it("goes no further in the same chunk once it is stopped", () => {
    const seen: Array<string> = []
    const parser: Parser = new Parser({
      target: () => undefined,
      info: () => parser.stop(),
      ping: () => seen.push("ping"),
      pong: () => seen.push("pong"),
      error: (text) => seen.push(text)
    })
    assert.strictEqual(parser.push(Buffer.from(`PING\r\n${info({})}-ERR 'x'\r\nPONG\r\n`)), undefined)
    assert.strictEqual(parser.push(Buffer.from("GARBAGE")), undefined)
    assert.deepStrictEqual(seen, ["ping"])
  })

  it("asks for the target again after a control line, so that a changed subscription is seen", () => {
    let asked = 0
    const parser = new Parser({ target: () => (asked++, undefined), info() {}, ping() {}, pong() {}, error() {} })
    parser.push(Buffer.from("MSG a 1 0\r\n\r\nMSG a 1 0\r\n\r\nPONG\r\nMSG a 1 0\r\n\r\n"))
    assert.strictEqual(asked, 2)
  })

  it("keeps only the fields of INFO that are known, and takes null as absent", () => {
    const { events } = parse([Buffer.from(info({ go: "1.22", connect_urls: null, "__proto__x": 1, cluster: "c" }))])
    assert.deepStrictEqual(events, [`info {"cluster":"c","max_payload":1,"server_id":"N","version":"2.10.0"}`])
  })
})
