import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { secretFinder } from "../../src/internal/protocol/secretFinder.ts"
import { Dice } from "./streams.ts"

const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1)
const percent = (text: string): string => encodeURIComponent(text)
const lower = (text: string): string => percent(text).replace(/%../g, (hex) => hex.toLowerCase())
const everyByte = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")
const everyUnit = (text: string): string =>
  text.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
const form = (text: string): string => percent(text).replaceAll("%20", "+")

const single: ReadonlyArray<(text: string) => string> = [
  (text) => text,
  inJson,
  percent,
  lower,
  everyByte,
  everyUnit,
  form,
  encodeURI
]

/** How a text comes back. */
const ways: ReadonlyArray<(text: string) => string> = [
  ...single,
  (text) => inJson(inJson(text)),
  (text) => percent(percent(text)),
  (text) => percent(inJson(text)),
  (text) => inJson(percent(text)),
  (text) => inJson(text).replaceAll("/", "\\/")
]

const letters = [
  "a",
  "B",
  "7",
  "+",
  "/",
  "=",
  "%",
  "%41",
  "\\",
  "\\n",
  "\"",
  "'",
  " ",
  "\n",
  "\t",
  "é",
  "日",
  "🎉",
  "-",
  "."
]

const someText = (dice: Dice, length: number): string => Array.from({ length }, () => dice.pick(letters)).join("")

/** A part of a text without half a character at an end: those cannot be percent-encoded. */
const part = (text: string, start: number, length: number): string =>
  text.slice(start, start + length).replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, "")

describe("a text repeats a secret", () => {
  it("with eight characters of it in a row, or the whole of a shorter one", () => {
    const find = secretFinder(["CANARYPASSWORD7", "door", "abc"])
    for (const text of ["CANARYPASSWORD7", "x ARYPASSW y", "door", "indoors"]) assert.isTrue(find(text), text)
    for (const text of ["", "CANARYP ASSWORD", "canarypassword7", "doo", "abc", "PASSWOR"]) {
      assert.isFalse(find(text), text)
    }
  })

  it("in every form in which it can come back", () => {
    const secret = "p@ss:/ é\"%41\\x\n🎉"
    const find = secretFinder([secret])
    for (const way of ways) assert.isTrue(find(`'-ERR ${way(secret)}'`), way(secret))
    assert.isTrue(secretFinder(["caf\u00e9 CANARY"])("%63%61%66%E9%20%43%41%4E%41%52%59"), "each byte a character")
    assert.isTrue(find(String.raw`\x70\x40\x73\x73\x3a\x2f\x20\u00e9`), "as Go writes it")
  })

  it("whatever stands around it, which may make another escape of it", () => {
    const secret = "AB é\n/41\\u0041%"
    const find = secretFinder([secret])
    for (
      const before of [
        "%",
        "%%",
        "%4",
        "%C3",
        "%E2%82",
        "\\",
        "\\\\",
        "\\u",
        "\\u00",
        "\\ud83c",
        "\\x",
        "+",
        "%5",
        "%5C",
        "%25"
      ]
    ) {
      for (const way of ways) {
        for (const after of ["", before]) {
          for (let start = 0; start + 8 <= secret.length; start++) {
            const text = `${before}${way(secret.slice(start, start + 8))}${after}`
            assert.isTrue(find(text), text)
          }
        }
      }
    }
    assert.isFalse(find(`%${percent("AB é\n/4")}%`))
  })

  it("in a form within a form", () => {
    const secret = "a\"é/z \\9%"
    const find = secretFinder([secret])
    for (const outer of single) {
      for (const inner of single) {
        const text = `%${outer(inner(secret))}`
        assert.isTrue(find(text), text)
      }
    }
  })

  it("with a line of a key, and not with the armour of one", () => {
    const find = secretFinder([
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\nBCIEIGxvbmcgc2Vj\n-----END PRIVATE KEY-----\n"
    ])
    assert.isTrue(find("key MC4CAQAw"))
    assert.isTrue(find("BCIEIGxvbmcgc2Vj"))
    assert.isFalse(find("-----BEGIN PRIVATE KEY-----"))
  })

  it("and nothing is found where there is none", () => {
    assert.isFalse(secretFinder([])("Authorization Violation"))
    assert.isFalse(secretFinder(["", "a", "xyz"])("a xyz"))
  })

  it("however long a text is that decodes to another again and again", () => {
    const find = secretFinder(["CANARYPASSWORD7"])
    for (const unit of ["%25", "%2525", "25", "\\", "\\u005c", "\\x5c", "%5C", "%5Cu0025", "+", "%C3", "\\u0"]) {
      const began = performance.now()
      assert.isFalse(find(`%${unit.repeat(20_000 / unit.length)}`), unit)
      assert.isBelow(performance.now() - began, 5_000, unit)
    }
  })

  it.prop("where any run of eight stands in it, in any of these forms", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const secret = someText(dice, 8 + dice.below(40))
    const find = secretFinder([someText(dice, 20), secret])
    for (const way of ways) {
      const start = dice.below(secret.length - 7)
      const run = part(secret, start, 8)
      // Nothing is between them: what is around can be the beginning or the end of an escape.
      const text = `${someText(dice, dice.below(5))}${way(run)}${someText(dice, dice.below(5))}`
      // Without half a character, it may be too short.
      if (run.length === 8) assert.isTrue(find(text), JSON.stringify({ secret, run, text }))
    }
  })

  it.prop("and not where there are runs of seven alone", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const secret = Array.from({ length: 30 }, () => dice.pick(["a", "b", "c", "d", "e", "f", "g", "h"])).join("")
    const find = secretFinder([secret])
    for (const way of ways) {
      const start = dice.below(secret.length - 7)
      assert.isFalse(find(`- ${way(secret.slice(start, start + 7))} -`))
    }
  })
})
