/** What a service writes is what the schema's own encoder writes, whatever road it takes. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Schema, SchemaGetter } from "effect"
import { jsonTextDecoder, jsonTextEncoder } from "../src/internal/payload/jsonText.ts"

const Item = Schema.Struct({
  sku: Schema.String,
  price: Schema.Number,
  note: Schema.optionalKey(Schema.String),
  gone: Schema.optional(Schema.Boolean)
})

class Tagged extends Schema.TaggedError<Tagged>()("Tagged", { id: Schema.String }) {}

const schemas: Readonly<Record<string, Schema.Codec<unknown, unknown>>> = {
  struct: Item,
  nested: Schema.Struct({ items: Schema.Array(Item), by: Schema.Record(Schema.String, Item) }),
  union: Schema.Union([Schema.String, Item, Schema.Null]),
  checked: Schema.Struct({ n: Schema.Int.check(Schema.isBetween({ minimum: -5, maximum: 5 })) }),
  transformed: Schema.Struct({ at: Schema.DateTimeUtcFromString, big: Schema.BigInt }),
  undefined: Schema.UndefinedOr(Schema.Number),
  either: Schema.Struct({ gone: Schema.optional(Schema.NullOr(Schema.Boolean)) }),
  class: Tagged
}

const real = (schema: Schema.Codec<unknown, unknown>, value: unknown): string =>
  JSON.stringify(Schema.encodeUnknownSync(Schema.toCodecJson(schema))(value)) ?? "null"

const write = (schema: Schema.Codec<unknown, unknown>, value: unknown) =>
  Effect.runSyncExit(jsonTextEncoder(schema)(value))

describe("the JSON of a service", () => {
  for (const [name, schema] of Object.entries(schemas)) {
    it.effect.prop(`of any value of a schema (${name}) is that of its encoder, and reads as the same value`, [
      Arbitrary.schema(schema)
    ], ([value]) =>
      Effect.sync(() => {
        const written = write(schema, value)
        assert(Exit.isSuccess(written))
        // The order of keys is that of the value, or that of the schema.
        assert.deepStrictEqual(JSON.parse(written.value), JSON.parse(real(schema, value)))
        const read = Effect.runSyncExit(jsonTextDecoder(schema)(written.value))
        assert(Exit.isSuccess(read))
        assert.deepStrictEqual(JSON.parse(real(schema, read.value)), JSON.parse(written.value))
      }))
  }

  it("leaves out what the schema does not have, and writes no value's own idea of JSON", () => {
    class Sly {
      readonly sku = "a"
      readonly price = 1
      toJSON(): unknown {
        return { password: "hunter2" }
      }
    }
    for (const value of [{ sku: "a", price: 1, password: "hunter2" }, new Sly()]) {
      const written = write(Item, value)
      assert(Exit.isSuccess(written))
      assert.strictEqual(written.value, "{\"sku\":\"a\",\"price\":1}")
    }
  })

  it("of what does not fit names the path, and what JSON cannot say is no success", () => {
    const wrong = write(schemas.nested, { items: [{ sku: 1, price: 1 }], by: {} })
    assert(Exit.isFailure(wrong))
    assert.include(JSON.stringify(wrong.cause), "items[0].sku")
    const circular: Record<string, unknown> = {}
    circular.self = circular
    assert.isTrue(Exit.isFailure(write(Schema.Unknown as never, circular)))
  })

  it("may begin with a byte order mark, and with one only", () => {
    const read = (text: string) => Effect.runSyncExit(jsonTextDecoder(Schema.Int)(text))
    assert.deepStrictEqual(read("\uFEFF7"), Exit.succeed(7))
    assert.deepStrictEqual(read("\uFEFF"), Exit.fail({ path: "", problem: "it is empty" }))
    for (const marks of [2, 1_000_000]) {
      assert.deepStrictEqual(read(`${"\uFEFF".repeat(marks)}7`), Exit.fail({ path: "", problem: "it is not JSON" }))
    }
  })

  it("of a void is empty, and any payload reads as one", () => {
    const written = write(Schema.Void as never, undefined)
    assert(Exit.isSuccess(written))
    assert.strictEqual(written.value, "")
    assert.isTrue(Exit.isSuccess(Effect.runSyncExit(jsonTextDecoder(Schema.Void)("anything"))))
  })

  it("of nothing that has an encoding of its own is that", () => {
    const Nothing = Schema.String.pipe(Schema.decodeTo(Schema.Void, {
      decode: SchemaGetter.transform(() => undefined),
      encode: SchemaGetter.transform(() => "nothing")
    }))
    const written = write(Nothing as never, undefined)
    assert(Exit.isSuccess(written))
    assert.strictEqual(written.value, `"nothing"`)
    assert.isTrue(Exit.isFailure(Effect.runSyncExit(jsonTextDecoder(Nothing)("7"))))
    const any = write(Schema.Any as never, undefined)
    assert(Exit.isSuccess(any))
    assert.strictEqual(any.value, "null")
  })
})
