/** Which texts are keys of a bucket, and how others become some. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Api } from "../../src/jetstream/internal/api.ts"
import { locate } from "../../src/jetstream/internal/kvBucket.ts"
import { reasonOf } from "../../src/jetstream/internal/kvEntry.ts"
import { decodeEscaped, encodeEscaped, keysOf, plainKeys } from "../../src/jetstream/internal/kvKeys.ts"
import { millisIn, withoutCovered } from "../../src/jetstream/internal/kvWatch.ts"

const isValid = (key: string) => typeof plainKeys.encode(key) === "string"

describe("keys", () => {
  it("are what all clients take, and filters have wildcards as tokens of their own", () => {
    for (const key of ["a", "a.b", "-", "_kv", "a/b=c", "x".repeat(1024)]) assert.isTrue(isValid(key), key)
    for (const key of ["", ".", "a.", ".a", "a..b", "a b", "a*", "*", ">", "é", "a\n", "x".repeat(1025)]) {
      assert.isFalse(isValid(key), key)
    }
    for (const filter of [">", "*", "a.*", "*.b.>", "a"]) assert.strictEqual(plainKeys.encodeFilter(filter), filter)
    for (const filter of ["", "a.>.b", "a*", ">.a", "a..>"]) {
      assert.notStrictEqual(typeof plainKeys.encodeFilter(filter), "string", filter)
    }
    assert.notStrictEqual(typeof plainKeys.encode(7 as never), "string")
  })

  it.effect.prop("any well-formed text comes back from the escaping codec, and what it writes is a key", [
    Schema.String
  ], ([
    text
  ]) =>
    Effect.sync(() => {
      if (!text.isWellFormed()) return
      const keys = keysOf({ encode: encodeEscaped, decode: decodeEscaped })
      const encoded = keys.encode(text)
      if (text.length > 300) return
      assert(typeof encoded === "string", text)
      assert.isTrue(isValid(encoded))
      assert.strictEqual(keys.decode(encoded), text)
    }))

  it("written by somebody else is none of the codec where there are two ways to write it", () => {
    const keys = keysOf({ encode: encodeEscaped, decode: decodeEscaped })
    for (const foreign of ["=41", "=c3=bc", "=C3", "a=", "=="]) {
      assert.strictEqual(keys.decode(foreign), undefined, foreign)
    }
    assert.strictEqual(keys.encodeFilter("ü.*.>"), "=C3=BC.*.>")
  })
})

describe("filters", () => {
  it("that another one has are left out, since a server refuses what overlaps", () => {
    assert.deepStrictEqual(withoutCovered(["a.*", "a.b", "a.b", "c"]), ["a.*", "c"])
    assert.deepStrictEqual(withoutCovered([">", "a", "*.b"]), [">"])
    assert.deepStrictEqual(withoutCovered(["a.>", "a"]), ["a.>", "a"])
    assert.deepStrictEqual(withoutCovered(["a.*", "a.>"]), ["a.>"])
  })
})

describe("a message of a bucket", () => {
  const reason = (headers: Readonly<Record<string, string>>) => reasonOf((name) => headers[name])
  it("is a value, or says why there is none: by its operation, or by the marker of a server", () => {
    assert.strictEqual(reason({}), undefined)
    assert.strictEqual(reason({ "KV-Operation": "PUT" }), undefined)
    assert.strictEqual(reason({ "KV-Operation": "DEL" }), "delete")
    assert.strictEqual(reason({ "KV-Operation": "PURGE" }), "purge")
    assert.strictEqual(reason({ "Nats-Marker-Reason": "MaxAge" }), "expired")
    assert.strictEqual(reason({ "Nats-Marker-Reason": "Purge" }), "purge")
    assert.strictEqual(reason({ "Nats-Marker-Reason": "Remove" }), "delete")
  })
})

describe("the time of a message", () => {
  it("stands in its acknowledgement's subject, in the short form and in the long one", () => {
    const ns = "1795636724625213329"
    assert.strictEqual(millisIn(`$JS.ACK.S.r.1.7.7.${ns}.12`), 1_795_636_724_625)
    assert.strictEqual(millisIn(`$JS.ACK.hub.ACCOUNT.S.r.1.7.7.${ns}.12.chance`), 1_795_636_724_625)
    assert.strictEqual(millisIn(`$JS.ACK._.ACCOUNT.S.r.1.7.7.${ns}.0`), 1_795_636_724_625)
  })
})

describe("where a bucket is", () => {
  const api = (prefix: string): Api => ({ prefix, isElsewhere: prefix !== "$JS.API", under: api }) as unknown as Api
  it("follows from its stream: itself, the other side of a domain, the origin of a mirror", () => {
    const at = (config: object, prefix = "$JS.API") => {
      const { originStream, readPrefix, writePrefix, origin } = locate("b", config, api(prefix))
      return [readPrefix, writePrefix, origin.prefix, originStream]
    }
    assert.deepStrictEqual(at({}), ["$KV.b.", "$KV.b.", "$JS.API", "KV_b"])
    assert.deepStrictEqual(at({}, "$JS.hub.API"), ["$KV.b.", "$JS.hub.API.$KV.b.", "$JS.hub.API", "KV_b"])
    assert.deepStrictEqual(at({ mirror: { name: "KV_o" } }), ["$KV.o.", "$KV.o.", "$JS.API", "KV_o"])
    assert.deepStrictEqual(at({ mirror: { name: "KV_o", external: { api: "$JS.hub.API" } } }), [
      "$KV.o.",
      "$JS.hub.API.$KV.o.",
      "$JS.hub.API",
      "KV_o"
    ])
    assert.deepStrictEqual(
      at({ mirror: { name: "KV_o", subject_transforms: [{ src: "$KV.o.>", dest: "$KV.b.>" }] } })[0],
      "$KV.b."
    )
  })
})
