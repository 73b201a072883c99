/**
 * What docs/cli.md shows is what the command does: each `console` block is run, line for line, on servers that are as the
 * page says. In what it shows `…` stands for any text; spaces count as one, and figures with a unit as any such figure.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { run, type Running, start } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"
import { order, OrderNotFound, Orders } from "../fixtures/orders.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"

interface Shown {
  readonly line: number
  readonly command: string
  readonly output: ReadonlyArray<string>
}

const page = path.resolve(import.meta.dirname, "..", "..", "docs", "cli.md")

/** The commands of a page, each with the lines below it. */
const commandsOf = (text: string): ReadonlyArray<Shown> => {
  const found: Array<{ line: number; command: string; output: Array<string> }> = []
  let inside = false
  for (const [index, line] of text.split("\n").entries()) {
    if (line.startsWith("```")) inside = line === "```console"
    else if (!inside) continue
    else if (line.startsWith("$ ")) found.push({ line: index + 1, command: line.slice(2), output: [] })
    else found.at(-1)?.output.push(line)
  }
  return found
}

/** Words of a line of shell: quotes, and variables in front. */
const words = (command: string): ReadonlyArray<string> =>
  [...command.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) => word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"))

const variablesOf = (assignments: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  Object.fromEntries(assignments.map((each) => [each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]))

interface Call {
  readonly env: Readonly<Record<string, string>>
  readonly args: ReadonlyArray<string>
  readonly input: string | undefined
}

// A command with `&` at its end runs beside the next ones, and `wait` shows what it prints from then on.
/** `printf '…' | NAME=value npx effect-nats args`, as the page has them. */
const callOf = (command: string): Call => {
  const piped = /^printf ('[^']*') \| (.*)$/.exec(command)
  const all = words(piped?.[2] ?? command)
  const start = all.indexOf("npx")
  assert.deepStrictEqual(all.slice(start, start + 2), ["npx", "effect-nats"], command)
  return {
    env: variablesOf(all.slice(0, start)),
    args: all.slice(start + 2),
    input: piped?.[1].slice(1, -1).replaceAll("\\n", "\n")
  }
}

const normal = (line: string): string =>
  line.replace(/\d+(?:\.\d+)? (ms|µs|ns|s|KiB|MiB|GiB|B)\b/g, "# $1").replace(/\s+/g, " ").trim()

const matches = (shown: string, line: string): boolean => {
  const parts = normal(shown).split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
  return new RegExp(`^${parts.join(".*")}$`, "u").test(normal(line))
}

const withoutEnd = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const last = lines.findLastIndex((line) => line.trim() !== "")
  return lines.slice(0, last + 1)
}

const handlers = Orders.toLayer({
  get: ({ id }) => id === "0" ? Effect.fail(new OrderNotFound({ id })) : Effect.succeed(order(id)),
  total: ({ items }) => Effect.succeed(items.length),
  since: ({ from }) => Effect.succeed(from),
  ping: () => Effect.void
})

const world = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({
    users: [{ user: "john", password: "johnpassword" }],
    jetstream: true
  })
  const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "john", password: "johnpassword" } })
  yield* NatsService.make(Orders, { name: "orders", version: "1.0.0", description: "Orders of the shop" }).pipe(
    Effect.provide(handlers),
    Effect.provideService(NatsClient.NatsClient, nats)
  )
  const cwd = yield* directory
  fs.writeFileSync(
    path.join(cwd, "nats.json"),
    JSON.stringify({ servers: server.url, auth: { user: "john", password: "johnpasword" } }),
    {
      mode: 0o600
    }
  )
  const operator = yield* TestOperator.make()
  const account = yield* operator.account("SHOP")
  const { creds } = yield* account.user("checkout", {
    permissions: { publish: ["orders.>", "_INBOX.>"], subscribe: ["_INBOX.>"] }
  })
  fs.writeFileSync(path.join(cwd, "checkout.creds"), creds, { mode: 0o600 })
  return { cwd, server }
})

it.live("docs/cli.md", () =>
  Effect.gen(function*() {
    const { cwd, server } = yield* world
    // The page shows what newer servers tell of a client.
    if (!isAtLeast(server.version, 2, 10)) return
    const { port } = server
    const commands = commandsOf(fs.readFileSync(page, "utf8"))
    assert.isAtLeast(commands.length, 5)
    const exported: Record<string, string> = {}
    let background: Running | undefined
    const here = (text: string): string => text.replaceAll("127.0.0.1:4222", `127.0.0.1:${port}`)
    const there = (text: string): string => text.replaceAll(`127.0.0.1:${port}`, "127.0.0.1:4222")
    for (const { command, line, output } of commands) {
      if (command.startsWith("export ")) {
        Object.assign(exported, variablesOf(words(command).slice(1)))
        continue
      }
      let finished: { readonly code?: number | undefined; readonly stderr: string; readonly stdout: string }
      if (command === "wait") {
        if (background === undefined) return assert.fail("nothing runs in the background")
        const before = { stderr: background.stderr().length, stdout: 0 }
        const { code, stderr, stdout } = yield* background.finished
        finished = { code, stderr: stderr.slice(before.stderr), stdout: stdout.slice(before.stdout) }
      } else {
        const { args, env, input } = callOf(command.replace(/ &$/, ""))
        const all = { ...exported, ...env }
        const given = Object.fromEntries(Object.entries(all).map(([name, value]) => [name, here(value)]))
        const options = { cwd, env: given, input }
        if (command.endsWith(" &")) {
          background = yield* start(args.map(here), options)
          yield* background.until((_, stderr) => stderr.includes("Subscribed to"))
          finished = { code: 0, stderr: background.stderr(), stdout: "" }
        } else {
          finished = yield* run(args.map(here), options)
        }
      }
      const { code, stderr, stdout } = finished
      // A terminal shows both; what a command says of itself comes first.
      const lines = withoutEnd(there(stderr + stdout).split("\n"))
      const shown = withoutEnd(output)
      const at = `docs/cli.md:${line}: ${command}\n${lines.join("\n")}`
      assert.isNumber(code, at)
      for (const [index, promise] of shown.entries()) {
        assert.isTrue(matches(promise, lines[index] ?? ""), `${at}\nline ${index + 1} is not\n${promise}`)
      }
      assert.strictEqual(lines.length, shown.length, at)
    }
  }).pipe(Effect.scoped, Effect.provide(Layer.empty)), 240_000)
