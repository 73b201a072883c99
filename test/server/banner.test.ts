import { assert, it } from "@effect/vitest"
import { Console, Effect, Logger } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"

const canary = "canary-7c1e55"

/** Runs with standard output as the terminal, or the pipe, that is asked for. */
const withTerminal = (isTerminal: boolean) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.stdout.isTTY
      process.stdout.isTTY = isTerminal
      return before
    }),
    (before) =>
      Effect.sync(() => {
        process.stdout.isTTY = before
      })
  )

const connect = Effect.gen(function*() {
  const server = yield* TestNatsServer.TestNatsServer
  yield* NatsClient.make({
    servers: server.url,
    name: "orders",
    auth: { user: "john", password: canary },
    banner: true
  })
  return server
})

it.layer(TestNatsServer.layer({ users: [{ user: "john", password: canary }] }), {
  timeout: "30 seconds",
  excludeTestServices: true
})("the banner", (it) => {
  it.effect("is one structured log line where the log is not a terminal", () =>
    Effect.gen(function*() {
      yield* withTerminal(false)
      const lines: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => {
        lines.push(line)
      })
      const server = yield* Effect.provide(connect, Logger.layer([logger]))
      assert.strictEqual(lines.length, 1)
      const { annotations, message } = JSON.parse(lines[0]) as { annotations: Record<string, unknown>; message: string }
      assert.strictEqual(message, "Connected to NATS")
      const { account, id, ...rest } = annotations
      assert.match(String(id), /^\d+$/)
      assert.oneOf(account, ["$G", "unknown"])
      assert.deepInclude(rest, {
        name: "orders",
        brokers: [server.url],
        auth: "UserPassword",
        jetstream: false
      })
      assert.include(String(rest.server), server.version)
      assert.notInclude(lines[0], canary)
    }))

  it.effect("is a frame on a terminal, with all its sides, and no log line", () =>
    Effect.gen(function*() {
      yield* withTerminal(true)
      const printed: Array<string> = []
      const logged: Array<unknown> = []
      const server = yield* connect.pipe(
        Effect.provideService(Console.Console, {
          ...globalThis.console,
          log: (text: string) => {
            printed.push(text)
          }
        }),
        Effect.provide(Logger.layer([Logger.make(({ message }) => {
          logged.push(message)
        })]))
      )
      const lines = printed.join("\n").split("\n")
      assert.deepStrictEqual(logged, [])
      assert.strictEqual(new Set(lines.map((line) => line.length)).size, 1)
      const text = lines.join("\n")
      for (
        const part of ["orders is connected to NATS", "client id:", "client name: orders", server.url, server.version]
      ) {
        assert.include(text, part)
      }
      assert.match(text, /auth: +UserPassword/)
      assert.match(text, /JetStream: +no/)
      assert.notInclude(text, canary)
    }))

  it.effect("comes with the first session where the client was there before it", () =>
    Effect.gen(function*() {
      yield* withTerminal(false)
      const lines: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => {
        lines.push(line)
      })
      const server = yield* TestNatsServer.make({})
      yield* server.kill
      const nats = yield* NatsClient.make({
        servers: server.url,
        banner: true,
        reconnect: { initialDelay: "5 millis", maxDelay: "5 millis", onFirstConnect: "background" }
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(lines, [])
      yield* server.restart
      yield* nats.flush
      yield* until(Effect.sync(() => lines.length > 0))
      assert.include(lines[0], server.url)
    }))
})
