import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as childProcess from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as process from "node:process"
import * as readline from "node:readline"
import * as NatsClient from "../../src/NatsClient.ts"
import { TestNatsProxy, TestNatsServer } from "../../src/testing/index.ts"
import { findBinary } from "../../src/testing/internal/serverBinary.ts"
import { timed } from "../fixtures/dialling.ts"
import { until } from "../fixtures/following.ts"
import { rawConnect } from "../fixtures/rawClient.ts"

// A place of its own, so that what other tests leave or use does not count.
const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "testing-server-"))
process.env["TMPDIR"] = temporary
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }))

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const leftDirectories = (): ReadonlyArray<string> =>
  fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith("effect-nats-"))

const welcomed = (port: number, connect?: Readonly<Record<string, unknown>>) =>
  Effect.map(rawConnect({ port, connect }), ({ text }) => text)

describe("TestNatsServer", () => {
  it.live("a server without options lets everybody in, and says its url, version and pid", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const { info, text } = yield* rawConnect({ port: server.port })
      assert.strictEqual(text, "PONG\r\n")
      assert.strictEqual(server.url, `nats://127.0.0.1:${server.port}`)
      assert.strictEqual(server.version, info["version"])
      assert.isTrue(isAlive(yield* server.pid))
      assert.isTrue(yield* server.isRunning)
    }))

  it.live("scope close leaves no process and no directory", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* TestNatsServer.make({ jetstream: true }).pipe(Scope.provide(scope))
      const pid = yield* server.pid
      assert.isTrue(fs.existsSync(server.directory))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(pid))
      assert.isFalse(fs.existsSync(server.directory))
    }))

  it.live("a layer gives the server", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      assert.strictEqual(yield* welcomed(server.port, { auth_token: "s3cr3t" }), "PONG\r\n")
    }).pipe(Effect.provide(TestNatsServer.layer({ token: "s3cr3t" }))))

  it.effect("starts under a TestClock, whose time stands still", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      assert.isTrue(yield* server.isRunning)
    }))

  it.live("eight start side by side, each on ports of its own", () =>
    Effect.gen(function*() {
      const servers = yield* Effect.all(Array.from({ length: 8 }, () => TestNatsServer.make()), {
        concurrency: "unbounded"
      })
      const ports = new Set(servers.flatMap((server) => [server.port, server.monitoringPort]))
      assert.strictEqual(ports.size, 16)
      for (const server of servers) {
        assert.strictEqual(yield* welcomed(server.port), "PONG\r\n")
      }
    }))

  it.live("interruption at any moment of the start leaves no process and no directory", () =>
    Effect.gen(function*() {
      const before = leftDirectories()
      const pids = path.join(os.tmpdir(), "pids")
      const noisy = path.join(os.tmpdir(), "nats-server")
      fs.writeFileSync(noisy, `#!/bin/sh\necho $$ >> ${pids}\nexec ${yield* findBinary(undefined)} "$@"\n`, {
        mode: 0o755
      })
      const [, start] = yield* timed(Effect.scoped(TestNatsServer.make({ binary: noisy })))
      const moments = 24
      for (let moment = 0; moment < moments; moment++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(TestNatsServer.make({ binary: noisy }), Effect.never))
        )
        // The time is what is tested: it goes through all that a start takes.
        yield* Effect.sleep(start * moment / moments)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        assert.deepStrictEqual(leftDirectories(), before)
      }
      const started = fs.readFileSync(pids, "utf8").split("\n").filter((line) => line !== "").map(Number)
      assert.isAbove(started.length, 0)
      assert.deepStrictEqual(started.filter(isAlive), [])
      // As long as a dozen starts.
    }), 120_000)

  it.live("a killed test process takes its server and directory along", () =>
    Effect.gen(function*() {
      const parent = childProcess.spawn(process.execPath, [
        path.join(import.meta.dirname, "../fixtures/crashingParent.ts")
      ], { stdio: ["ignore", "pipe", "inherit"] })
      const line = yield* Effect.callback<string>((resume) => {
        readline.createInterface(parent.stdout).once("line", (text) => resume(Effect.succeed(text)))
      })
      const { directory, pid } = JSON.parse(line) as { readonly pid: number; readonly directory: string }
      assert.isTrue(isAlive(pid))
      assert.isTrue(fs.existsSync(directory))
      parent.kill("SIGKILL")
      yield* until(Effect.sync(() => !isAlive(pid)))
      yield* until(Effect.sync(() => !fs.existsSync(directory)))
    }))

  it.live("a configuration the server does not take is a typed failure that says what the server said", () =>
    Effect.gen(function*() {
      const before = leftDirectories()
      const error = yield* Effect.flip(TestNatsServer.make({ config: "no_such_option: 1" }))
      assert.strictEqual(error._tag, "NatsServerConfigRejected")
      assert.include(error.message, "no_such_option")
      assert.deepStrictEqual(leftDirectories(), before)
    }))

  it.live("without a program the error says what to do", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(TestNatsServer.make({ binary: "/nowhere/nats-server" }))
      assert.strictEqual(error._tag, "NatsServerNotFound")
      assert.include(error.message, "/nowhere/nats-server")
      assert.include(error.message, "NATS_SERVER")
    }))

  it.live("reload changes the users and is in force when it returns", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "one" }] })
      assert.strictEqual(yield* welcomed(server.port, { user: "john", pass: "one" }), "PONG\r\n")
      for (const password of ["two", "three", "four"]) {
        yield* server.reload({ users: [{ user: "john", password }] })
        assert.strictEqual(yield* welcomed(server.port, { user: "john", pass: password }), "PONG\r\n")
        assert.include(yield* welcomed(server.port, { user: "john", pass: "one" }), "Authorization Violation")
      }
    }))

  it.live("a refused reload is a typed failure, and the server runs on with what it had", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "s3cr3t" })
      const error = yield* Effect.flip(server.reload({ config: "foo: {" }))
      assert.strictEqual(error._tag, "NatsServerConfigRejected")
      assert.strictEqual(yield* welcomed(server.port, { auth_token: "s3cr3t" }), "PONG\r\n")
      yield* server.reload({ maxPayload: 2048 })
      const { info } = yield* rawConnect({ port: server.port, connect: { auth_token: "s3cr3t" } })
      assert.strictEqual(info["max_payload"], 2048)
      yield* Effect.flip(server.reload({ config: "foo: {" }))
      yield* server.restart
      const again = yield* rawConnect({ port: server.port, connect: { auth_token: "s3cr3t" } })
      assert.strictEqual(again.info["max_payload"], 2048)
    }))

  it.live("restart keeps the port, after a kill and after a stop and while running", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ name: "again" })
      const pids = new Set([yield* server.pid])
      yield* server.kill
      assert.isFalse(yield* server.isRunning)
      assert.strictEqual(yield* server.awaitExit, "SIGKILL")
      const refused = yield* Effect.flip(rawConnect({ port: server.port }))
      assert.include(refused.message, "ECONNREFUSED")
      yield* server.restart
      assert.strictEqual(yield* welcomed(server.port), "PONG\r\n")
      pids.add(yield* server.pid)
      yield* server.stop
      assert.isFalse(yield* server.isRunning)
      yield* server.restart
      assert.strictEqual(yield* welcomed(server.port), "PONG\r\n")
      pids.add(yield* server.pid)
      yield* server.restart
      assert.strictEqual(yield* welcomed(server.port), "PONG\r\n")
      pids.add(yield* server.pid)
      assert.strictEqual(pids.size, 4)
    }))

  it.live("a paused server accepts and says nothing; a resumed one answers", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      yield* server.pause
      const silent = yield* Effect.forkChild(rawConnect({ port: server.port }))
      assert.strictEqual((yield* Effect.exit(Effect.timeout(Fiber.join(silent), "200 millis")))._tag, "Failure")
      const waiting = yield* Effect.forkChild(welcomed(server.port))
      yield* server.resume
      assert.strictEqual(yield* Fiber.join(waiting), "PONG\r\n")
    }))

  it.live("a paused server can be stopped", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      yield* server.pause
      yield* server.stop
      assert.isFalse(yield* server.isRunning)
    }))

  it.live("lame duck mode closes the clients and ends the server by itself", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const client = yield* NatsClient.make({ servers: server.url, reconnect: false })
      yield* server.lameDuck
      assert.strictEqual((yield* Effect.flip(client.closed))._tag, "ConnectionClosed")
      assert.strictEqual(yield* server.awaitExit, 0)
    }))

  it.live("controls of a server that is down fail typed", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      yield* server.kill
      for (
        const control of [server.reload({}), server.pause, server.lameDuck, server.connz, server.awaitLog("never")]
      ) {
        assert.strictEqual((yield* Effect.flip(Effect.asVoid(control)))._tag, "NatsServerExited")
      }
    }))

  it.live("awaitLog gives a line that is there, and waits for one that is not", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "s3cr3t" })
      assert.include(yield* server.awaitLog("Server is ready"), "Server is ready")
      const waiting = yield* Effect.forkChild(server.awaitLog(/authentication error/i), { startImmediately: true })
      yield* rawConnect({ port: server.port })
      assert.include(yield* Fiber.join(waiting), "authentication error")
      const from = (yield* server.logs).length
      const next = yield* Effect.forkChild(server.awaitLog(/authentication error/i, { from }), {
        startImmediately: true
      })
      assert.isUndefined(next.pollUnsafe())
      yield* rawConnect({ port: server.port })
      yield* Fiber.join(next)
      assert.strictEqual((yield* server.logs).filter((line) => line.includes("authentication error")).length, 2)
    }))

  it.live("awaitLog, called again as soon as it gave a line, waits for another one", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "s3cr3t" })
      const refused = Effect.suspend(() => Effect.map(server.logs, (lines) => lines.length)).pipe(
        Effect.flatMap((from) => server.awaitLog(/authentication error/i, { from }))
      )
      const both = yield* Effect.forkChild(Effect.all([refused, refused]), { startImmediately: true })
      yield* rawConnect({ port: server.port })
      assert.isUndefined(both.pollUnsafe())
      yield* rawConnect({ port: server.port })
      const [first, second] = yield* Fiber.join(both)
      assert.notStrictEqual(first, second)
    }))

  it.live("connz lists the connections that are open, and monitor reads any other page", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      assert.deepStrictEqual(yield* server.connz, [])
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      yield* proxy.swallow("toClient")
      yield* Effect.forkScoped(
        rawConnect({ port: proxy.port, early: true, connect: { name: "open" }, lines: "SUB a.b 1\r\n" }),
        { startImmediately: true }
      )
      yield* until(Effect.map(proxy.sent("toClient"), (sent) => sent.includes("PONG")))
      const [connection, ...others] = yield* server.connz
      assert.deepStrictEqual(others, [])
      assert.strictEqual(connection?.name, "open")
      assert.deepStrictEqual(connection?.subscriptions_list, ["a.b"])
      const varz = (yield* server.monitor("/varz")) as { readonly port: number }
      assert.strictEqual(varz.port, server.port)
    }))

  it.live("a server that dies while starting is a typed failure with its last words", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        TestNatsServer.make({ name: "lonely", jetstream: true, cluster: { name: "alone" } })
      )
      assert.strictEqual(error._tag, "NatsServerExited")
      assert.include(error.message, "JetStream")
    }))
})
