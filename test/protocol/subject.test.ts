import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import {
  inboxPrefixProblem,
  matches,
  maxInboxPrefixBytes,
  maxSubjectBytes,
  patternProblem,
  queueProblem,
  subjectProblem
} from "../../src/internal/subject/rules.ts"

const checks = { subjectProblem, patternProblem, queueProblem, inboxPrefixProblem }

const show = (text: string): string =>
  JSON.stringify(text.slice(0, 12)).replace(/[^ -~]/gu, (c) => `U+${c.codePointAt(0)!.toString(16)}`)

describe("good names pass, again and again", () => {
  for (
    const subject of [
      "a",
      "a.b.c",
      "$JS.API.INFO",
      "_INBOX.x-Y_z.1",
      "ü.日本.😀",
      "a:b/c+d=e",
      "x".repeat(maxSubjectBytes)
    ]
  ) {
    it(show(subject), () => {
      for (let i = 0; i < 2; i++) {
        assert.isUndefined(subjectProblem(subject))
        assert.isUndefined(patternProblem(subject))
        assert.isUndefined(queueProblem(subject))
      }
    })
  }
  for (const pattern of [">", "*", "a.*", "*.*", "a.>", "a.*.>", "*.b"]) {
    it(`the pattern ${pattern}, which is no subject`, () => {
      assert.isUndefined(patternProblem(pattern))
      assert.strictEqual(subjectProblem(pattern)?.problem, "wildcards are for subscribing")
      assert.strictEqual(inboxPrefixProblem(pattern)?.problem, "wildcards are for subscribing")
    })
  }
})

describe("what no line can carry is a problem everywhere", () => {
  const inside: ReadonlyArray<readonly [string, string]> = [
    ..." \t\r\n\u000b\f\u0085\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\ufeff"
      .split("").map((character) => [character, "it has whitespace"] as const),
    ..."\0\u0001\u001b\u001f\u007f\u0080\u009f".split("").map((character) =>
      [character, "it has a control character"] as const
    ),
    ["\ud800", "it has half of a surrogate pair"],
    ["\udc00", "it has half of a surrogate pair"]
  ]
  for (const [character, problem] of inside) {
    it(`${show(character)}: ${problem}`, () => {
      for (const [name, check] of Object.entries(checks)) {
        for (const text of [`foo.b${character}r`, `foo.${character}`, `foo.bar${character}`]) {
          const found = check(text)
          assert.strictEqual(found?.problem, problem, name)
          if (check !== queueProblem) assert.strictEqual(found?.token, 2, name)
        }
      }
    })
  }

  it("a queue group with a command behind a line break", () => {
    assert.strictEqual(queueProblem("q 1\r\nPUB x 0\r\n\r\nSUB y")?.problem, "it has whitespace")
  })

  it("emptiness", () => {
    for (const check of Object.values(checks)) assert.deepStrictEqual(check(""), { problem: "it is empty" })
  })

  it("more bytes than fit a server's line, counted as UTF-8", () => {
    for (const check of [subjectProblem, patternProblem, queueProblem]) {
      assert.isUndefined(check("é".repeat(maxSubjectBytes / 2)))
      assert.deepStrictEqual(check("é".repeat(maxSubjectBytes / 2) + "a"), { problem: "it is longer than 2000 bytes" })
      assert.deepStrictEqual(check("a".repeat(maxSubjectBytes + 1)), { problem: "it is longer than 2000 bytes" })
    }
    assert.isUndefined(inboxPrefixProblem("a".repeat(maxInboxPrefixBytes)))
    assert.deepStrictEqual(inboxPrefixProblem("a".repeat(maxInboxPrefixBytes + 1)), {
      problem: "it is longer than 512 bytes"
    })
    // Two names, two sizes of ten digits and four spaces stay below what a server takes.
    assert.isBelow(2 * maxSubjectBytes + 2 * 10 + 4, 4096)
  })
})

describe("tokens", () => {
  const table: ReadonlyArray<readonly [string, number, string]> = [
    [".", 1, "it is empty"],
    [".a", 1, "it is empty"],
    ["a.", 2, "it is empty"],
    ["a..b", 2, "it is empty"],
    ["a.b..", 3, "it is empty"],
    ["a.b*", 2, "a wildcard must be a token of its own"],
    ["**", 1, "a wildcard must be a token of its own"],
    ["a.>b", 2, "a wildcard must be a token of its own"],
    ["a.>.b", 2, "\">\" must be the last token"],
    [">.>", 1, "\">\" must be the last token"]
  ]
  for (const [pattern, token, problem] of table) {
    it(`${JSON.stringify(pattern)}: token ${token}, ${problem}`, () => {
      assert.deepStrictEqual(patternProblem(pattern), { token, problem })
      assert.strictEqual(subjectProblem(pattern) === undefined, false)
    })
  }

  it("of a queue group do not count, as the server takes it for one word", () => {
    for (const queue of ["a..b", ".", "a.>", "*"]) assert.isUndefined(queueProblem(queue))
  })
})

describe("what was valid as a pattern is not thereby valid as a subject", () => {
  it("though both remember", () => {
    for (let i = 0; i < 3000; i++) {
      assert.isUndefined(patternProblem(`cache.${i}.*`))
      assert.strictEqual(subjectProblem(`cache.${i}.*`)?.token, 3)
    }
  })
})

describe("matches", () => {
  const table: ReadonlyArray<readonly [string, string, boolean]> = [
    ["a.b", "a.b", true],
    ["a.b", "a.c", false],
    ["a", "a.b", false],
    ["a.b", "a", false],
    ["*", "a", true],
    ["*", "a.b", false],
    ["a.*.c", "a.b.c", true],
    ["a.*.c", "a.b.d", false],
    ["a.*", "a", false],
    [">", "a", true],
    [">", "a.b.c", true],
    ["a.>", "a.b.c", true],
    ["a.>", "a", false],
    ["*.>", "a.b", true],
    ["ab", "a.b", false]
  ]
  for (const [pattern, subject, expected] of table) {
    it(`${pattern} ${expected ? "gets" : "does not get"} ${subject}`, () => {
      assert.strictEqual(matches(pattern, subject), expected)
    })
  }

  const Token = Schema.Literals(["a", "b", "*", ">"])
  it.prop(
    "says what a regular expression says",
    { pattern: Schema.NonEmptyArray(Token), subject: Schema.NonEmptyArray(Schema.Literals(["a", "b"])) },
    ({ pattern, subject }) => {
      const text = pattern.join(".")
      if (patternProblem(text) !== undefined) return
      const expression = pattern.map((token) => token === "*" ? "[^.]+" : token === ">" ? ".+" : token).join("\\.")
      assert.strictEqual(matches(text, subject.join(".")), new RegExp(`^${expression}$`).test(subject.join(".")))
    },
    { arbitrary: { runs: 2000 } }
  )
})
