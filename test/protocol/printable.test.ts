import { assert, describe, it } from "@effect/vitest"
import { printable } from "../../src/internal/protocol/printable.ts"

describe("printable", () => {
  it("leaves text of all languages as it is", () => {
    for (const text of ["", "orders.1", "Żółw, 日本 and 🎉", "a\\nb", "שלום"]) {
      assert.strictEqual(printable(text, 100), text)
    }
  })

  it("escapes what moves a cursor, forges a line, turns the text around or is half a character", () => {
    for (
      const [given, shown] of [
        ["a\x1b[2Jb", "a\\u001b[2Jb"],
        ["a\r\nFORGED\tb", "a\\r\\nFORGED\\tb"],
        ["\x00\x7f\x80\x9b", "\\u0000\\u007f\\u0080\\u009b"],
        ["\u2028\u2029", "\\u2028\\u2029"],
        ["\u202e\u2066\u200f\u061c", "\\u202e\\u2066\\u200f\\u061c"],
        ["\ud800 \udc00", "\\ud800 \\udc00"]
      ]
    ) assert.strictEqual(printable(given, 100), shown)
  })

  it("cuts, and leaves neither half an escape nor half a character", () => {
    assert.strictEqual(printable("x".repeat(900_000), 5), "xxxxx…")
    assert.strictEqual(printable("xxxxx", 5), "xxxxx")
    assert.strictEqual(printable("abc🎉", 4), "abc…")
    for (let max = 0; max < 7; max++) assert.strictEqual(printable("a\x1bb", max), max === 0 ? "…" : "a…")
    assert.strictEqual(printable("a\x1bb", 7), "a\\u001b…")
    assert.strictEqual(printable("a\x1bb", 8), "a\\u001bb")
  })
})
