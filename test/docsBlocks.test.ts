/** What the check of the documents takes for a whole program, and what it does not. */
import { assert, describe, it } from "@effect/vitest"
import { headerOf, kindOf, problemOf } from "../scripts/docsBlocks.mjs"

const block = (code: string, info = "") => ({ code, info })
const program = (...lines: ReadonlyArray<string>) => block([...lines, "NodeRuntime.runMain(program)"].join("\n"))

describe("a block of a page", () => {
  it("is a program that is run, tests, or a module that another block imports", () => {
    const test = block("import { it } from \"@effect/vitest\"\nit.effect(\"is true\", () => Effect.void)")
    const module = block("// Orders.ts\nexport const Orders = 1")
    const service = program("// node service.ts", "import { Orders } from \"./Orders.ts\"")
    const page = [test, module, service]
    assert.deepStrictEqual(page.map(kindOf), ["test", "module", "program"])
    assert.deepStrictEqual(page.map((each) => problemOf(each, page)), [undefined, undefined, undefined])
  })

  it("that is none of these says so, with a reason", () => {
    const code = "const program = Effect.void"
    assert.include(problemOf(block(code), []), "no whole program")
    assert.isUndefined(problemOf(block(code, "fragment: it goes around any call"), []))
    for (const info of ["fragment", "fragment:", "no-run", "whole"]) {
      assert.include(problemOf(block(code, info), []), "not known, or lacks its reason")
    }
  })

  it("that is a program has all that it uses", () => {
    assert.include(problemOf(program("declare const App: Layer.Layer<never>"), []), "declares what is not there")
    assert.include(problemOf(block("// Orders.ts\nexport const Orders = 1"), []), "imports ./Orders.ts")
    const client = program("// node client.ts, while service.ts runs")
    assert.include(problemOf(client, [client]), "no program service.ts")
    assert.isUndefined(problemOf(client, [client, program("// node service.ts")]))
  })

  it("says in its first line how it is started", () => {
    assert.deepStrictEqual(headerOf("// NATS_USER=john NATS_PASSWORD=x=y node a.ts, while b.ts runs\n…"), {
      name: "a.ts",
      companion: "b.ts",
      env: { NATS_USER: "john", NATS_PASSWORD: "x=y" },
      isModule: false
    })
    assert.isTrue(headerOf("// Orders.ts\n").isModule)
    assert.isUndefined(headerOf("// The service.\n").name)
  })
})
