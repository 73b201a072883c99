/** The quick yes for JSON says only what the decoder says, too. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { compileGuard } from "../src/internal/payload/jsonGuard.ts"
import { jsonDecoder } from "../src/internal/payload/jsonText.ts"

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  value: Schema.Finite,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})
interface List {
  readonly head: string
  readonly tail: List | null
}
const List = Schema.Struct({
  head: Schema.String,
  tail: Schema.NullOr(Schema.suspend((): Schema.Codec<List> => List))
})

/** Schemas that have a guard. */
const guarded = {
  flat: Schema.Struct({
    id: Schema.String,
    total: Schema.Number,
    count: Schema.Int,
    paid: Schema.Boolean,
    kind: Schema.Literals(["a", "b"]),
    note: Schema.NullOr(Schema.String)
  }),
  optional: Schema.Struct({
    a: Schema.optionalKey(Schema.String),
    b: Schema.optional(Schema.Finite),
    c: Schema.String
  }),
  nested: Schema.Struct({
    items: Schema.Array(Schema.Struct({ sku: Schema.NonEmptyString, price: Schema.Finite })),
    tags: Schema.Record(Schema.String, Schema.Boolean)
  }),
  tagged: Schema.Union([
    Schema.TaggedStruct("A", { x: Schema.Finite }),
    Schema.TaggedStruct("B", { x: Schema.Finite, y: Schema.String })
  ]),
  mixed: Schema.Union([Schema.String, Schema.Boolean, Schema.Null, Schema.Array(Schema.String)]),
  branded: Schema.Struct({ id: Schema.String.check(Schema.isMinLength(2)).pipe(Schema.brand("Id")) }),
  checked: Schema.Struct({ from: Schema.Finite, to: Schema.Finite }).check(
    Schema.makeFilter(({ from, to }) => from <= to)
  ),
  numbers: Schema.Array(Schema.Number),
  tree: Tree,
  list: List
} as const

/** Schemas of which the decoder may change what it accepts. */
const unguarded = {
  date: Schema.Struct({ at: Schema.Date }),
  transformed: Schema.Struct({ n: Schema.NumberFromString }),
  defaulted: Schema.Struct({ n: Schema.String.pipe(Schema.withDecodingDefault(Effect.succeed("x"))) }),
  class: class extends Schema.Class<{ readonly a: string }>("GuardedClass")({ a: Schema.String }) {},
  undefinedFirst: Schema.Union([Schema.Undefined, Schema.Null]),
  optionalNull: Schema.Struct({ a: Schema.optional(Schema.NullOr(Schema.String)) }),
  numberOrText: Schema.Union([Schema.Number, Schema.String]),
  overlapping: Schema.Union([
    Schema.Struct({ a: Schema.String }),
    Schema.Struct({ a: Schema.String, b: Schema.String })
  ]),
  oneOf: Schema.Union([Schema.String, Schema.NonEmptyString], { mode: "oneOf" }),
  renamed: Schema.Struct({ a: Schema.String }).pipe(Schema.encodeKeys({ a: "b" })),
  empty: Schema.Struct({}),
  unknown: Schema.Struct({ a: Schema.Unknown }),
  nonFiniteLiteral: Schema.Union([Schema.Number, Schema.Literal("NaN")])
} as const

const outcome = (decode: Effect.Effect<unknown, Schema.SchemaError>): unknown =>
  Exit.match(Effect.runSyncExit(decode), {
    onFailure: (cause) => `failed: ${String(cause.reasons.map((reason) => reason._tag === "Fail" && reason.error))}`,
    onSuccess: (value) => value
  })

/** Any JSON near to some encoded value: a key more, a key less, another value somewhere. */
const edits = [null, true, 0, 1.5, -1, "", "x", "NaN", "Infinity", [], {}, [null], { a: "x" }, { _tag: "A", x: 1 }]
const edit = (value: unknown, seed: number): unknown => {
  const other = edits[seed % edits.length]
  if (Array.isArray(value)) {
    if (value.length === 0 || seed % 5 === 0) return seed % 2 === 0 ? [...value, other] : other
    return value.with(seed % value.length, edit(value[seed % value.length], Math.floor(seed / 3)))
  }
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value)
    if (keys.length === 0 || seed % 7 === 0) return { ...value, extra: other }
    const key = keys[seed % keys.length]
    if (seed % 7 === 1) return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))
    return { ...value, [key]: edit((value as Record<string, unknown>)[key], Math.floor(seed / 3)) }
  }
  return other
}

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe("what decodes with a guard decodes to the same without", () => {
  for (const [name, schema] of Object.entries({ ...guarded, ...unguarded })) {
    const codec = Schema.toCodecJson(schema as Schema.Codec<unknown>)
    const real = Schema.decodeUnknownEffect(codec)
    const quick = jsonDecoder(schema as Schema.Codec<unknown>)
    const encode = Schema.encodeUnknownSync(codec)
    const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))
    it.effect.prop(
      name,
      [Arbitrary.schema(schema as Schema.Codec<unknown>), seed, seed],
      ([value, first, second]) =>
        Effect.sync(() => {
          const good = json(encode(value))
          for (const input of [good, edit(good, first), edit(edit(good, first), second), edits[first % edits.length]]) {
            assert.deepStrictEqual(outcome(quick(json(input))), outcome(real(json(input))))
          }
        }),
      { arbitrary: { runs: 200 } }
    )
  }
})

describe("a guard", () => {
  for (const [name, schema] of Object.entries(guarded)) {
    it.effect.prop(`is there for ${name}, and gives the parsed value itself`, [
      Arbitrary.schema(schema as Schema.Codec<unknown>)
    ], ([value]) =>
      Effect.gen(function*() {
        const parsed = json(Schema.encodeUnknownSync(Schema.toCodecJson(schema as Schema.Codec<unknown>))(value))
        const guard = compileGuard(schema.ast)
        assert.isDefined(guard)
        if (guard(parsed)) assert.strictEqual(yield* jsonDecoder(schema as Schema.Codec<unknown>)(parsed), parsed)
        // Only what JSON has no form for, such as NaN and undefined, is left to the decoder.
        else assert.match(JSON.stringify(parsed), /"(NaN|-?Infinity)"|null/)
      }), { arbitrary: { runs: 50 } })
  }

  for (const [name, schema] of Object.entries(unguarded)) {
    it(`is not there for ${name}`, () => {
      assert.isUndefined(compileGuard(schema.ast))
    })
  }

  it("is not there for keys that every object inherits, which the decoder sees", () => {
    const schema = Schema.Struct({ toString: Schema.optionalKey(Schema.String) })
    assert.isUndefined(compileGuard(schema.ast))
    assert.match(String(outcome(jsonDecoder(schema)({}))), /toString/)
  })

  it("refuses what the decoder would change", () => {
    const guard = compileGuard(guarded.flat.ast)!
    const good = { id: "a", total: 1, count: 2, paid: true, kind: "a", note: null }
    assert.isTrue(guard(good))
    assert.isFalse(guard({ ...good, extra: 1 }))
    assert.isFalse(guard({ ...good, total: "NaN" }))
    assert.isFalse(guard(JSON.parse(JSON.stringify(good).replace("1", "1e999"))))
    assert.isFalse(guard({ ...good, count: 1.5 }))
    assert.isFalse(guard(JSON.parse(`{"__proto__":{},${JSON.stringify(good).slice(1)}`)))
    assert.isFalse(guard([good]))
    assert.isFalse(guard(null))
  })
})
