/** Every program in docs/coming-from-panini.md runs, and prints what it says. */
import { NodeServices } from "@effect/platform-node"
import { afterAll, assert, it } from "@effect/vitest"
import { ConfigProvider, Console, Effect, Exit, Layer, type Scope } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { format } from "node:util"
import { readBlocks } from "../../scripts/docs.mjs"
import { firstMissing } from "../../scripts/examples.mjs"

const document = "docs/coming-from-panini.md"
const root = path.resolve(import.meta.dirname, "..", "..")
const text = fs.readFileSync(path.join(root, document), "utf8").split("\n")

type Services = NatsClient.NatsClient | NodeServices.NodeServices | Scope.Scope

// In the project, so that its modules are found.
const directory = (() => {
  const parent = path.join(root, ".cache")
  fs.mkdirSync(parent, { recursive: true })
  return fs.mkdtempSync(path.join(parent, "panini-"))
})()
afterAll(() => fs.rmSync(directory, { recursive: true }))

/** A block ends with what it prints, as comments below `// Prints:`. */
const promised = (code: string): ReadonlyArray<string> => {
  const lines = code.split("\n")
  const start = lines.indexOf("// Prints:")
  return start < 0 ? [] : lines.slice(start + 1).map((line) => line.replace(/^\/\/ {2,}/, "").trim())
}

/** Runs a block as a user would who pastes it, with the environment that names the server. */
const run = Effect.fnUntraced(function*(line: number, code: string) {
  const file = path.join(directory, `${line}.ts`)
  fs.writeFileSync(file, `${code}\nexport { program }\n`)
  const { program } = (yield* Effect.promise(() => import(file))) as {
    readonly program: Effect.Effect<unknown, unknown, Services>
  }
  const server = yield* TestNatsServer.TestNatsServer
  const lines: Array<string> = []
  const print = (...values: ReadonlyArray<unknown>): void => {
    lines.push(format(...values))
  }
  const capturing: Console.Console = Object.assign(Object.create(console), { log: print, error: print, info: print })
  const exit = yield* program.pipe(
    Effect.scoped,
    Effect.provide([
      Layer.fresh(NatsClient.layer({ servers: server.url })),
      NodeServices.layer,
      ConfigProvider.layer(ConfigProvider.fromUnknown({ NATS_URL: server.url }))
    ]),
    Effect.provideService(Console.Console, capturing),
    Effect.exit
  )
  return { exit, printed: lines.join("\n") }
})

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })(document, (it) => {
  for (const { code, file, line } of readBlocks()) {
    if (file !== document) continue
    const heading = text.slice(0, line).findLast((each) => each.startsWith("#"))?.replace(/^#+ /, "")
    it.effect(`the program at line ${line} (${heading}) runs and prints what it says`, () =>
      Effect.gen(function*() {
        const lines = promised(code)
        assert.isNotEmpty(lines, "it says nothing below `// Prints:`")
        const { exit, printed } = yield* run(line, code)
        assert.isTrue(Exit.isSuccess(exit), `${String(exit)}\n${printed}`)
        assert.isUndefined(firstMissing(lines, printed), printed)
      }))
  }
})
