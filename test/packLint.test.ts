/** What the check of the package says of other packages, wrong ones among them. */
import { assert, describe, it } from "@effect/vitest"
import { createTar } from "nanotar"
import { gzipSync } from "node:zlib"
import { findingsOf, problemsOf } from "../scripts/packLint.mjs"

/** A package of the given files, packed as npm does. */
const packed = (files: Readonly<Record<string, string>>): Uint8Array =>
  gzipSync(createTar(Object.entries(files).map(([name, data]) => ({ name: `package/${name}`, data }))))

const entry = (condition: object): string =>
  JSON.stringify({
    name: "thing",
    version: "1.0.0",
    license: "MIT",
    type: "module",
    sideEffects: false,
    files: ["dist"],
    engines: { node: ">=22" },
    exports: { ".": condition }
  })

const right = {
  "package.json": entry({ types: "./dist/index.d.ts", default: "./dist/index.js" }),
  "dist/index.d.ts": "export declare const a: number\n",
  "dist/index.js": "export const a = 1\n"
}

const kindsOf = async (files: Readonly<Record<string, string>>): Promise<ReadonlyArray<string>> =>
  [...new Set((await findingsOf(packed(files), ["."])).map(({ kind }) => kind))].toSorted()

const meant = ["CJSResolvesToESM by node16-cjs", "NoResolution by node10"]

describe("what others see in a package", () => {
  it("is what is meant, of one of modules alone", async () => {
    assert.deepStrictEqual(await kindsOf(right), meant)
    assert.deepStrictEqual(problemsOf(await findingsOf(packed(right), ["."])), [])
  })

  it("is a path to a file that is not packed", async () => {
    const { "dist/index.js": _, ...others } = right
    assert.include(await kindsOf(others), "publint FILE_DOES_NOT_EXIST")
  })

  it("is a condition for types that comes too late", async () => {
    const late = entry({ default: "./dist/index.js", types: "./dist/index.d.ts" })
    assert.include(await kindsOf({ ...right, "package.json": late }), "publint EXPORTS_TYPES_SHOULD_BE_FIRST")
  })

  it("is a declaration that imports what is not packed", async () => {
    const away = `export type { B } from "./internal/b.js"\n`
    const kind = (await kindsOf({ ...right, "dist/index.d.ts": away })).find((each) => !meant.includes(each))
    assert.match(String(kind), /^InternalResolutionError by /)
  })

  it("is a declaration of another kind of module than the code", async () => {
    const cjs = entry({ types: "./dist/index.d.cts", default: "./dist/index.js" })
    const { "dist/index.d.ts": text, ...others } = right
    assert.include(await kindsOf({ ...others, "package.json": cjs, "dist/index.d.cts": text }), "FalseCJS")
  })

  it("is told for each path that was asked for, or not at all", async () => {
    const [problem] = problemsOf(await findingsOf(packed(right), [".", "./more"]))
    assert.match(problem, /^NoResolution by .*\.\/more/)
  })
})

describe("what is found", () => {
  const reasons = new Map([["a by node10", "why"], ["b", "why"]])
  const found = (kind: string, about = "."): { readonly kind: string; readonly about: string } => ({ kind, about })

  it("is let through where it has a reason, and told by its kind and places where it has none", () => {
    assert.deepStrictEqual(problemsOf([found("a by node10"), found("a by node10", "./x"), found("b")], reasons), [])
    assert.deepStrictEqual(
      problemsOf([found("a by node10"), found("b"), found("a by bundler"), found("a by bundler", "./x")], reasons),
      ["a by bundler: ., ./x"]
    )
  })

  it("is missed where it has a reason and is found no more", () => {
    assert.deepStrictEqual(problemsOf([found("b")], reasons), [
      "a by node10 is allowed in packLint.mjs, and is not found any more"
    ])
  })
})
