/** What every error has: a tag that is nobody else's, and a word on whether to try again. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { errorClasses, errorTags } from "./fixtures/errorTags.ts"

const modules = path.resolve(import.meta.dirname, "..", "node_modules")

/** Every tag that a source file gives to an error or to any other value, apart from what stands in comments. */
const tagsIn = (source: string): ReadonlyArray<string> => {
  const code = source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "")
  const given =
    /\b(?:TaggedError|TaggedClass|TaggedStruct|tag)(?:<[^()]*>)?\((?:[^()]*\)\()?\s*"([^"]+)"|_tag"?\??\s*[:=]\s*"([^"]+)"/g
  return [...code.matchAll(given)].map((match) => match[1] ?? match[2])
}

const tagsOf = (name: string): ReadonlyArray<string> => {
  const directory = path.join(modules, name, "src")
  return fs.readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => tagsIn(fs.readFileSync(path.join(directory, file), "utf8")))
}

/**
 * The one word for a key that is none, here and in `effect/crypto`: no operation can fail with both, as keys of a bucket and
 * cryptographic keys never meet in one.
 */
const shared = ["InvalidKey"]

describe("error tags", () => {
  it("are told apart from comments where they are read from sources", () => {
    const source = `
      /** class A extends Data.TaggedError("InComment")<{}> {} */
      export class B extends Data.TaggedError("InData")<{}> {}
      export class C extends Schema.TaggedError<C>()("InSchema", {}) {}
      export class D extends Schema.TaggedError<C>(
        "with/an/identifier"
      )("InSchemaToo", {}) {}
      export class E { readonly _tag = "InClass" }
      export interface F { readonly _tag: "InInterface" }`
    assert.deepStrictEqual(tagsIn(source), [
      "InData",
      "InSchema",
      "InSchemaToo",
      "InClass",
      "InInterface"
    ])
  })

  it("are all different", () => {
    assert.isAtLeast(errorTags.length, 34)
    assert.strictEqual(new Set(errorTags).size, errorTags.length)
  })

  it("are there for every error that a module exports", () => {
    assert.strictEqual(errorTags.length, errorClasses.length)
  })

  it("are none that effect or its packages use", () => {
    const theirs = new Set(["effect", "@effect/platform-node", "@effect/platform-node-shared"].flatMap(tagsOf))
    // Known ones, so that reading nothing cannot pass.
    for (const known of ["TimeoutError", "NoSuchElementError", "PlatformError", "SchemaError", "SocketError"]) {
      assert.isTrue(theirs.has(known), `${known} was not found`)
    }
    assert.deepStrictEqual(errorTags.filter((tag) => theirs.has(tag)), shared)
  })
})

describe("whether to try again is told by", () => {
  for (const each of errorClasses) {
    it.effect.prop(each.name, [Arbitrary.schema(each)], ([error]) =>
      Effect.sync(() => {
        assert.isBoolean("isRetryable" in error ? error.isRetryable : undefined)
      }), { arbitrary: { runs: 20 } })
  }
})
