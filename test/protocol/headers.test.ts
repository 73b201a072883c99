import { assert, describe, it } from "@effect/vitest"
import { headers as natsHeaders } from "@nats-io/nats-core"
import { MsgHdrsImpl } from "@nats-io/nats-core/internal"
import * as Schema from "effect/Schema"
import { decodeHeaders, encodeHeaders, getHeader, statusOf } from "../../src/internal/protocol/headers.ts"

type Headers = Readonly<Record<string, string | ReadonlyArray<string>>>

const encode = (record: Headers): Uint8Array => {
  const encoded = encodeHeaders(record)
  if (!(encoded instanceof Uint8Array)) throw new Error(encoded.problem)
  return encoded
}

const decode = (text: string) => decodeHeaders(Buffer.from(text))

const plain = (record: Record<string, Array<string>>): Record<string, Array<string>> => ({ ...record })

const Name = Schema.String.check(Schema.isPattern(/^[!-9;-~]{1,12}$/))
const Value = Schema.Union([
  Schema.String.check(Schema.isPattern(/^[ -~]{0,20}$/)),
  Schema.Literals(["", "é", "日本 語", "😀", "a: b", "NATS/1.0 503", ":", "a\u000bb", "\u007f"])
])

describe("headers", () => {
  it.prop(
    "come back as they were given, but for the blanks around a value",
    { record: Schema.Record(Name, Schema.NonEmptyArray(Value)) },
    ({ record }) => {
      const decoded = decodeHeaders(encode(record))
      assert.isUndefined(decoded.status)
      const names = Object.keys(record)
      assert.deepStrictEqual(Object.keys(decoded.headers).toSorted(), names.toSorted())
      for (const name of names) {
        assert.deepStrictEqual(
          decoded.headers[name],
          record[name].map((value) => value.replace(/^[ \t]+|[ \t]+$/g, ""))
        )
      }
    },
    { arbitrary: { runs: 500 } }
  )

  it.prop(
    "are the bytes that nats-core writes, and are read as nats-core reads them",
    { record: Schema.Record(Name, Schema.NonEmptyArray(Value)) },
    ({ record }) => {
      const theirs = natsHeaders()
      for (const name of Object.keys(record)) for (const value of record[name]) theirs.append(name, value)
      const ours = encode(record)
      assert.strictEqual(Buffer.from(ours).toString(), theirs.toString())
      const read = MsgHdrsImpl.decode(ours)
      const { headers } = decodeHeaders(ours)
      assert.deepStrictEqual(Object.keys(headers), read.keys())
      for (const name of read.keys()) assert.deepStrictEqual(headers[name], read.values(name))
    },
    { arbitrary: { runs: 500 } }
  )

  it("keep letter case, and names that differ in it are two", () => {
    assert.deepStrictEqual(plain(decodeHeaders(encode({ "x-Y": "1", "X-y": ["2", "3"] })).headers), {
      "x-Y": ["1"],
      "X-y": ["2", "3"]
    })
  })

  it("of an empty record, or of names without values, are no bytes at all", () => {
    assert.strictEqual(encode({}).length, 0)
    assert.strictEqual(encode({ a: [] }).length, 0)
  })

  it("named like inherited properties are headers like any other", () => {
    const record: Headers = JSON.parse("{\"__proto__\":\"a\",\"constructor\":\"b\",\"toString\":\"c\"}")
    const { headers } = decodeHeaders(encode(record))
    assert.deepStrictEqual(Object.keys(headers), ["__proto__", "constructor", "toString"])
    assert.strictEqual(getHeader(headers, "__proto__"), "a")
    assert.strictEqual(Object.getPrototypeOf(headers), null)
    assert.isUndefined(getHeader({}, "toString"))
  })

  const bad: ReadonlyArray<readonly [string, Headers, string, string]> = [
    ["an empty name", { "": "x" }, "", "its name is empty"],
    ["a name with a colon", { "a:b": "x" }, "a:b", "its name has a character other than printable ASCII without colon"],
    ["a name with a space", { "a b": "x" }, "a b", "its name has a character other than printable ASCII without colon"],
    [
      "a name with a line break",
      { "a\r\nb": "x" },
      "a\r\nb",
      "its name has a character other than printable ASCII without colon"
    ],
    [
      "a name that ends with a line feed",
      { "a\n": "x" },
      "a\n",
      "its name has a character other than printable ASCII without colon"
    ],
    ["a name with NUL", { "a\0": "x" }, "a\0", "its name has a character other than printable ASCII without colon"],
    ["a name beyond ASCII", { "é": "x" }, "é", "its name has a character other than printable ASCII without colon"],
    ["a value with CR LF", { a: "x\r\nb: SECRET" }, "a", "its value has a line break or NUL"],
    ["a value with CR", { a: "SECRET\r" }, "a", "its value has a line break or NUL"],
    ["a value with LF", { a: ["fine", "\nSECRET"] }, "a", "its value has a line break or NUL"],
    ["a value with NUL", { a: "SECRET\0" }, "a", "its value has a line break or NUL"],
    ["a value with half of a surrogate pair", { a: "SECRET\ud800" }, "a", "its value has half of a surrogate pair"]
  ]
  for (const [name, record, header, problem] of bad) {
    it(`refuse ${name}, and do not tell the value`, () => {
      assert.deepStrictEqual(encodeHeaders({ ok: "1", ...record }), { header, problem })
    })
  }
})

describe("reading is tolerant", () => {
  it("of lines without a colon, names without letters, missing ends", () => {
    assert.deepStrictEqual(plain(decode("NATS/1.0\r\nnothing\r\n: x\r\nA:b\r\nC :  d\t \r\nE:").headers), {
      A: ["b"],
      "C ": ["d"],
      E: [""]
    })
    for (const text of ["", "NATS", "NATS/1.0", "NATS/1.0\r\n", "\r\n\r\n", "\0\0"]) {
      assert.deepStrictEqual(plain(decode(text).headers), {})
      assert.isUndefined(decode(text).status)
    }
  })

  it("of bytes that are not UTF-8", () => {
    const block = Buffer.concat([Buffer.from("NATS/1.0\r\nA: "), Buffer.of(0xff, 0xc0), Buffer.from("\r\n\r\n")])
    assert.strictEqual(decodeHeaders(block).headers["A"].length, 1)
  })
})

describe("the status", () => {
  const table: ReadonlyArray<readonly [string, number, string | undefined]> = [
    ["NATS/1.0 503\r\n\r\n", 503, undefined],
    ["NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n", 100, "Idle Heartbeat"],
    ["NATS/1.0   408   Request Timeout \r\n\r\n", 408, "Request Timeout"],
    ["NATS/1.0\t404\tNo Messages\r\n\r\n", 404, "No Messages"],
    ["NATS/1.0 409 409 Conflict\r\n\r\n", 409, "409 Conflict"],
    ["NATS/1.0 503", 503, undefined]
  ]
  for (const [text, status, description] of table) {
    it(`of ${JSON.stringify(text)} is ${status}`, () => {
      const decoded = decode(text)
      assert.strictEqual(decoded.status, status)
      assert.strictEqual(decoded.description, description)
      assert.strictEqual(statusOf(Buffer.from(text)), status)
      const theirs = MsgHdrsImpl.decode(Buffer.from(text))
      assert.strictEqual(theirs.code, status)
      assert.strictEqual(theirs.description, description ?? "")
    })
  }

  it("is none where there is none", () => {
    for (
      const text of [
        "NATS/1.0\r\n\r\n",
        "NATS/1.0\r\n503: x\r\n\r\n",
        "NATS/1.0 abc\r\n\r\n",
        "NATS/1.0 5033\r\n\r\n",
        "NATS/1.0503\r\n",
        "NATS/1.0 50"
      ]
    ) {
      assert.strictEqual(statusOf(Buffer.from(text)), 0, text)
    }
  })

  it("is read where it stands in a chunk, and not beyond its end", () => {
    const chunk = Buffer.from("HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n")
    assert.strictEqual(statusOf(chunk, 16, 32), 503)
    assert.strictEqual(statusOf(chunk, 16, 27), 0)
    assert.strictEqual(statusOf(chunk, 0, 16), 0)
  })
})

describe("getHeader", () => {
  it("takes the very name first, then one that differs in letter case", () => {
    const record = { "nats-msg-id": ["lower"], "Nats-Msg-Id": ["exact", "second"], Empty: [] }
    assert.strictEqual(getHeader(record, "Nats-Msg-Id"), "exact")
    assert.strictEqual(getHeader(record, "NATS-MSG-ID"), "lower")
    assert.isUndefined(getHeader(record, "Nats"))
    assert.isUndefined(getHeader(record, "Empty"))
  })
})
