import { assert, describe, it } from "@effect/vitest"
import { NatsError, NatsHeaders, Subject } from "effect-nats"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { nastyText } from "./fixtures/nastyText.ts"

const thrown = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return error
  }
  return assert.fail("it did not throw")
}

type Invalid = NatsError.InvalidSubject | NatsError.InvalidHeader

const failureOf = <E extends Invalid>(effect: Effect.Effect<unknown, E>): E => Effect.runSync(Effect.flip(effect))

const isMade = (effect: Effect.Effect<unknown, unknown>): boolean => Exit.isSuccess(Effect.runSyncExit(effect))

const constructors = {
  subject: [Subject.make, Subject.Subject],
  pattern: [Subject.makePattern, Subject.SubjectPattern],
  queue: [Subject.makeQueueGroup, Subject.QueueGroup],
  inboxPrefix: [Subject.makeInboxPrefix, Subject.InboxPrefix],
  headerName: [NatsHeaders.makeName, NatsHeaders.Name],
  headerValue: [(text: string) => NatsHeaders.makeValue("x", text), NatsHeaders.Value]
} as const

describe("a name", () => {
  const wrong: ReadonlyArray<readonly [keyof typeof constructors, string, number | undefined, string]> = [
    ["subject", "", undefined, "it is empty"],
    ["subject", ".a", 1, "it is empty"],
    ["subject", "a.", 2, "it is empty"],
    ["subject", "a..b", 2, "it is empty"],
    ["subject", "a.b c", 2, "it has whitespace"],
    ["subject", "a.b\r\n", 2, "it has whitespace"],
    ["subject", "a.\0", 2, "it has a control character"],
    ["subject", "a.*", 2, "wildcards are for subscribing"],
    ["subject", "a.>", 2, "wildcards are for subscribing"],
    ["subject", "x".repeat(2001), undefined, "it is longer than 2000 bytes"],
    ["pattern", "a.>.b", 2, "\">\" must be the last token"],
    ["pattern", "a.b*", 2, "a wildcard must be a token of its own"],
    ["queue", "q 1", undefined, "it has whitespace"],
    ["inboxPrefix", "_INBOX.>", 2, "wildcards are for subscribing"],
    ["inboxPrefix", "x".repeat(513), undefined, "it is longer than 512 bytes"],
    ["headerName", "a:b", undefined, "its name has a character other than printable ASCII without colon"],
    ["headerName", "", undefined, "its name is empty"],
    ["headerValue", "a\nb", undefined, "its value has a line break or NUL"]
  ]
  for (const [kind, text, token, problem] of wrong) {
    it(`${kind} ${JSON.stringify(text.slice(0, 12))}: ${problem}${token === undefined ? "" : ` (token ${token})`}`, () => {
      const [make, schema] = constructors[kind]
      const error = failureOf<Invalid>(make(text))
      assert.strictEqual(error.problem, problem)
      assert.strictEqual(error._tag, kind.startsWith("header") ? "InvalidHeader" : "InvalidSubject")
      if (error._tag === "InvalidSubject") assert.deepStrictEqual([error.what, error.token], [kind, token])
      const issue = thrown(() => Schema.decodeSync(schema as Schema.Codec<string, string>)(text))
      assert.include(String(issue), problem)
      if (token !== undefined) assert.include(String(issue), `(token ${token})`)
    })
  }

  it.effect("an InvalidSubject can be yielded, caught, and read", () =>
    Effect.gen(function*() {
      const error = yield* Subject.make("orders..created").pipe(
        Effect.catchTag("InvalidSubject", (error) => Effect.succeed(error.message))
      )
      assert.strictEqual(error, "The subject \"orders..created\" is invalid (token 2): it is empty.")
      assert.strictEqual(yield* Subject.make("orders.created"), "orders.created")
    }))

  it("unsafe constructors and literals throw that error", () => {
    assert.strictEqual(Subject.makeUnsafe("a.b"), "a.b")
    assert.strictEqual(Result.getOrThrow(Subject.makeResult("a.b")), "a.b")
    assert.isTrue(Result.isFailure(Subject.makePatternResult("a.>.b")))
    assert.instanceOf(thrown(() => Subject.makeUnsafe("a b")), NatsError.InvalidSubject)
    assert.instanceOf(thrown(() => Subject.makePatternUnsafe("a.>.b")), NatsError.InvalidSubject)
    assert.strictEqual(Subject.literal("a.b"), "a.b")
    assert.strictEqual(Subject.literalPattern("a.*.>"), "a.*.>")
    // What the compiler does not know of.
    assert.instanceOf(thrown(() => Subject.literal("a\u0003")), NatsError.InvalidSubject)
    assert.instanceOf(thrown(() => Subject.literalPattern("a\u0003.*")), NatsError.InvalidSubject)
    assert.instanceOf(thrown(() => Subject.template("a\u0003.{id}")), NatsError.InvalidSubject)
  })

  it.effect.prop(
    "is accepted by its schema exactly when its constructor accepts it",
    [nastyText],
    ([text]) =>
      Effect.sync(() => {
        for (const [make, schema] of Object.values(constructors)) {
          const made = isMade(make(text))
          assert.strictEqual(Schema.is(schema as Schema.Codec<string>)(text), made)
        }
      }),
    { arbitrary: { runs: 500 } }
  )

  it.effect.prop("of every kind can be generated", [
    Arbitrary.schema(Subject.Subject),
    Arbitrary.schema(Subject.SubjectPattern),
    Arbitrary.schema(Subject.QueueGroup)
  ], ([subject, pattern, queue]) =>
    Effect.sync(() => {
      assert.isTrue(isMade(Subject.make(subject)))
      assert.isTrue(isMade(Subject.makePattern(pattern)))
      assert.isTrue(isMade(Subject.makeQueueGroup(queue)))
    }), { arbitrary: { runs: 50 } })
})

describe("a template", () => {
  const order = Subject.template("orders.{id}.items.{item}")

  it("knows its pattern and its parameters", () => {
    assert.strictEqual(order.template, "orders.{id}.items.{item}")
    assert.strictEqual(order.pattern, "orders.*.items.*")
    assert.deepStrictEqual(order.parameters, ["id", "item"])
    assert.isTrue(Subject.isTemplate(order))
    assert.isFalse(Subject.isTemplate("orders.{id}"))
    assert.strictEqual(Subject.template("a.b").pattern, "a.b")
    assert.strictEqual(Subject.template("a.b").buildUnsafe({}), "a.b")
  })

  it("builds, matches and parses", () => {
    assert.strictEqual(order.buildUnsafe({ id: "7", item: "b" }), "orders.7.items.b")
    assert.deepStrictEqual(order.parse("orders.7.items.b"), Option.some({ id: "7", item: "b" }))
    assert.isTrue(order.match("orders.7.items.b"))
    for (
      const other of ["orders.7.items", "orders.7.items.b.c", "orders.7.things.b", "orders.7.items.%zz", "", "a..b"]
    ) {
      assert.isFalse(order.match(other), other)
      assert.isTrue(Option.isNone(order.parse(other)), other)
    }
    assert.strictEqual(Effect.runSync(order.patternFor({ item: "a.b" })), "orders.*.items.a%2Eb")
    assert.strictEqual(Effect.runSync(order.patternFor({})), order.pattern)
  })

  it("escapes what a token cannot carry, and reads any percent-encoding", () => {
    const built = (id: string) => Subject.template("a.{id}").buildUnsafe({ id }).slice(2)
    assert.strictEqual(built("a.b"), "a%2Eb")
    assert.strictEqual(built("*"), "%2A")
    assert.strictEqual(built(">"), "%3E")
    assert.strictEqual(built(" \r\n\0"), "%20%0D%0A%00")
    assert.strictEqual(built("%"), "%25")
    assert.strictEqual(built(""), "%")
    assert.strictEqual(built("ü日😀"), "ü日😀")
    assert.strictEqual(built("\u00a0\u0085"), "%C2%A0%C2%85")
    assert.strictEqual(built("$SYS"), "$SYS")
    assert.deepStrictEqual(
      Subject.template("a.{id}").parse(`a.${encodeURIComponent("ü/x")}`),
      Option.some({ id: "ü/x" })
    )
  })

  it("a value at the very start names no subject of the system", () => {
    const first = Subject.template("{tenant}.x")
    assert.strictEqual(first.buildUnsafe({ tenant: "$SYS" }), "%24SYS.x")
    assert.deepStrictEqual(first.parse("%24SYS.x"), Option.some({ tenant: "$SYS" }))
  })

  it.effect.prop(
    "parses what it built, and no value adds a token or a wildcard",
    [nastyText, nastyText],
    ([id, item]) =>
      Effect.gen(function*() {
        const built = yield* Effect.result(order.build({ id, item }))
        if (Result.isFailure(built)) {
          const { problem } = built.failure
          assert.instanceOf(thrown(() => order.buildUnsafe({ id, item })), NatsError.InvalidSubject)
          assert.isTrue(problem.includes("surrogate") || problem.includes("longer than 2000 bytes"), problem)
          assert.isFalse(id.isWellFormed() && item.isWellFormed() && id.length + item.length < 200)
          return
        }
        assert.strictEqual(order.buildUnsafe({ id, item }), built.success)
        assert.strictEqual(built.success.split(".").length, 4)
        assert.isTrue(isMade(Subject.make(built.success)))
        assert.deepStrictEqual(order.parse(built.success), Option.some({ id, item }))
        assert.isTrue(Subject.matches(order.pattern, built.success))
        assert.isTrue(Subject.matches(yield* order.patternFor({ id }), built.success))
      }),
    { arbitrary: { runs: 1000 } }
  )

  const bad: ReadonlyArray<readonly [string, number | undefined, RegExp]> = [
    ["", undefined, /it is empty/],
    ["a..{id}", 2, /it is empty/],
    ["a.{id}.*", 3, /wildcards/],
    ["a.{}", 2, /has a name/],
    ["a.x{id}", 2, /token of its own/],
    ["a.{id}x", 2, /token of its own/],
    ["a.{id", 2, /token of its own/],
    ["a.{a}{b}", 2, /token of its own/],
    ["a.{1}", 2, /name is a letter/],
    ["a.{__proto__}", 2, /name is a letter/],
    ["a.{id}.{id}", 3, /named twice/]
  ]
  for (const [text, token, problem] of bad) {
    it(`that is wrong is an InvalidSubject: ${JSON.stringify(text)}`, () => {
      const error = failureOf(Subject.makeTemplate(text))
      assert.deepInclude(error, { what: "template", subject: text })
      assert.strictEqual(error.token, token)
      assert.match(error.problem, problem)
    })
  }

  it("a value that is no text is an InvalidSubject, also behind the compiler's back", () => {
    const loose: Subject.Template = Effect.runSync(Subject.makeTemplate("a.{constructor}"))
    for (const values of [{}, { constructor: 1 }, { constructor: undefined }]) {
      const error = failureOf(loose.build(values as Record<string, string>))
      assert.deepInclude(error, { what: "template", token: 2, problem: "the value of \"constructor\" is no text" })
    }
  })
})

describe("matching", () => {
  const cases: ReadonlyArray<readonly [string, string, boolean]> = [
    ["a", "a", true],
    ["a", "b", false],
    ["a", "a.b", false],
    ["*", "a", true],
    ["*", "a.b", false],
    ["a.*", "a", false],
    ["a.>", "a", false],
    ["a.>", "a.b.c", true],
    [">", "a.b", true],
    ["a.*.c", "a.b.c", true],
    ["a.*.>", "a.b", false],
    ["A", "a", false]
  ]
  it("has no surprises", () => {
    for (const [pattern, subject, expected] of cases) {
      assert.strictEqual(Subject.matches(pattern, subject), expected, `${pattern} ${subject}`)
    }
  })

  it("of what is invalid is false", () => {
    assert.isFalse(Subject.matches("a..b", "a..b"))
    assert.isFalse(Subject.matches(">", "a b"))
    assert.isFalse(Subject.matches("*", "*"))
    assert.isFalse(Subject.matches("\0", "\0"))
  })
})
