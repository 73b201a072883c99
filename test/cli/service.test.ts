/** The services of a connection, as the command shows them: ours, those of nats.js, and answers of anybody. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { run, start } from "../fixtures/command.ts"
import { order, OrderNotFound, Orders } from "../fixtures/orders.ts"

const handlers = Orders.toLayer({
  get: ({ id }) => id === "0" ? Effect.fail(new OrderNotFound({ id })) : Effect.succeed(order(id)),
  total: ({ items }) => Effect.succeed(items.length),
  since: ({ from }) => Effect.succeed(from),
  ping: () => Effect.void
})

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, ({ url }) => NatsClient.make({ servers: url }))

const serve = (name: string, options?: Partial<NatsService.Options>) =>
  Effect.flatMap(connect, (nats) =>
    NatsService.make(Orders, { name, version: "1.2.0", ...options }).pipe(
      Effect.provide(handlers),
      Effect.provideService(NatsClient.NatsClient, nats)
    ))

const onServer = Effect.map(TestNatsServer.TestNatsServer, ({ url }) => ({ env: { NATS_URL: url } }))

/** Answers discovery with a text of its own. */
const answering = (subject: string, text: string) =>
  Effect.gen(function*() {
    const nats = yield* connect
    const { stream } = yield* nats.subscription(subject)
    yield* nats.flush
    yield* Effect.forkScoped(Stream.runForEach(stream, (message) => message.respond(text)))
  })

it.layer(Layer.fresh(TestNatsServer.layer()), { timeout: "30 seconds", excludeTestServices: true })(
  "without a service",
  (it) => {
    it.effect("list and stats say that nobody answers", () =>
      Effect.gen(function*() {
        const server = yield* onServer
        for (const verb of ["list", "stats"]) {
          const { code, stderr, stdout } = yield* run(["service", verb], server)
          assert.deepStrictEqual([code, stdout], [0, "No service answers.\n"])
          assert.strictEqual(stderr, "Configuration: environment NATS_URL\n")
          const json = yield* run(["service", verb, "--json"], server)
          assert.deepStrictEqual([json.code, JSON.parse(json.stdout), json.stderr], [0, [], ""])
        }
      }))

    it.effect("who asks for one by its name hears that it is not there", () =>
      Effect.gen(function*() {
        const server = yield* onServer
        for (const verb of ["info", "stats"]) {
          const { code, stderr } = yield* run(["service", verb, "billing"], server)
          assert.strictEqual(code, 7)
          assert.include(stderr, "NoSuchService: No service \"billing\" answers here")
          const json = yield* run(["service", verb, "billing", "--json"], server)
          assert.strictEqual(json.code, 7)
          assert.strictEqual(JSON.parse(json.stdout).error.tag, "NoSuchService")
        }
        const { code, stderr } = yield* run(["service", "info", "a.b"], server)
        assert.strictEqual(code, 7)
        assert.include(stderr, "InvalidService")
      }))

    it.effect("a connection that does not come about ends with its own code", () =>
      Effect.gen(function*() {
        const { code, stderr } = yield* run(["service", "list", "--server", "127.0.0.1:1"])
        assert.strictEqual(code, 3)
        assert.include(stderr, "ConnectionRefused")
      }))
  }
)

it.layer(Layer.fresh(TestNatsServer.layer()), { timeout: "30 seconds", excludeTestServices: true })(
  "with services",
  (it) => {
    it.effect("list counts the instances of each version, or has a row for each", () =>
      Effect.gen(function*() {
        const server = yield* onServer
        yield* serve("orders")
        yield* serve("orders")
        yield* serve("orders", { version: "2.0.0" })
        yield* serve("billing")
        const rowsOf = (stdout: string): ReadonlyArray<ReadonlyArray<string>> =>
          stdout.trim().split("\n").map((line) => line.split(/ +/))
        /** Asks again where a service of this busy process has answered later than is waited for. */
        const listed = (args: ReadonlyArray<string>, hasAll: (stdout: string) => boolean) =>
          Effect.repeat(run(["service", "list", ...args], server), {
            until: ({ code, stdout }) => code !== 0 || hasAll(stdout)
          })
        const { code, stdout } = yield* listed(
          [],
          (stdout) => rowsOf(stdout).slice(1).reduce((sum, row) => sum + Number(row[2]), 0) >= 4
        )
        assert.strictEqual(code, 0)
        assert.deepStrictEqual(rowsOf(stdout), [
          ["NAME", "VERSION", "INSTANCES"],
          ["billing", "1.2.0", "1"],
          ["orders", "1.2.0", "2"],
          ["orders", "2.0.0", "1"]
        ])
        const each = yield* listed(["orders", "--instances"], (stdout) => rowsOf(stdout).length >= 4)
        assert.lengthOf(rowsOf(each.stdout), 4)
        const json = JSON.parse((yield* listed(["--json"], (stdout) => JSON.parse(stdout).length >= 4)).stdout)
        assert.deepStrictEqual(json.map(({ name }: { readonly name: string }) => name), [
          "billing",
          "orders",
          "orders",
          "orders"
        ])
      }))

    it.effect("info and stats show endpoints, and what they have done", () =>
      Effect.gen(function*() {
        const server = yield* onServer
        yield* serve("counted", { description: "Orders of the shop", metadata: { team: "shop" } })
        const nats = yield* connect
        yield* nats.request("counted.get", JSON.stringify({ id: "7" }))
        yield* nats.request("counted.get", JSON.stringify({ id: "0" }))
        const info = (yield* run(["service", "info", "counted"], server)).stdout
        assert.include(info, "Orders of the shop")
        assert.match(info, /team +shop/)
        assert.match(info, /get +counted\.get +q\n/)
        const stats = (yield* run(["service", "stats", "counted"], server)).stdout
        assert.match(stats, /get +2 +1 +\d/)
        const [one] = JSON.parse((yield* run(["service", "stats", "counted", "--json"], server)).stdout)
        const { num_errors, num_requests } = one.endpoints.find(({ name }: { readonly name: string }) => name === "get")
        assert.deepStrictEqual([num_requests, num_errors], [2, 1])
        const byId = JSON.parse((yield* run(["service", "stats", "counted", one.id, "--json"], server)).stdout)
        assert.lengthOf(byId, 1)
      }))

    it.effect("top draws tables until it has enough, and is ended by a signal", () =>
      Effect.gen(function*() {
        const server = yield* onServer
        yield* serve("busy")
        const nats = yield* connect
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(nats.request("busy.ping", "null"), Effect.yieldNow)))
        const { code, stdout } = yield* run([
          "service",
          "top",
          "busy",
          "--interval",
          "200 millis",
          "--count",
          "5",
          "--json"
        ], server)
        assert.strictEqual(code, 0)
        const tables = stdout.trim().split("\n").map((line) => JSON.parse(line))
        assert.lengthOf(tables, 5)
        const rates = tables.map(({ services }) =>
          services.find(({ endpoint }: { readonly endpoint: string }) => endpoint === "ping")
        )
        assert.strictEqual(rates[0].requestsPerSecond, 0)
        // Between two of them a busy machine may do nothing.
        assert.isTrue(rates.slice(1).some(({ requestsPerSecond }) => requestsPerSecond > 0))
        const running = yield* start(["service", "top", "busy", "--interval", "200 millis"], server)
        yield* running.until((text) => text.split("REQ/S").length > 2)
        running.process.kill("SIGINT")
        const finished = yield* running.finished
        assert.strictEqual(finished.code, 130)
        assert.notInclude(finished.stdout, "\u001b")
      }))

    it.effect("times and counts are read as those of the other commands, before anything is dialled", () =>
      Effect.gen(function*() {
        const server = yield* onServer
        assert.strictEqual((yield* run(["service", "list", "--timeout", "2s"], server)).code, 0)
        for (const [option, value] of [["--interval", "50ms"], ["--count", "0"], ["--timeout", "Infinity"]]) {
          const { code, stderr } = yield* run(["service", "top", option, value, "--server", "127.0.0.1:1"])
          assert.strictEqual(code, 2, stderr)
          assert.include(stderr, `${option} has a wrong value: expected a`)
        }
      }))

    it.effect("top goes on when the server is back", () =>
      Effect.gen(function*() {
        const { restart, url } = yield* TestNatsServer.TestNatsServer
        const running = yield* start(["service", "top", "--interval", "100 millis"], { env: { NATS_URL: url } })
        yield* running.until((text) => text.includes("every"))
        yield* restart
        const before = running.stdout().length
        yield* running.until((text) => text.slice(before).split("every").length > 2)
      }))

    it.effect("what a service says moves no cursor and hides nothing", () =>
      Effect.gen(function*() {
        const server = yield* onServer
        const nasty = `a\u001b[2Jb\u009bc\u202ed\ne${"x".repeat(100_000)}`
        const instance = { name: "nasty", id: nasty, version: nasty, metadata: { [nasty]: nasty } }
        yield* answering("$SRV.PING", JSON.stringify({ type: "io.nats.micro.v1.ping_response", ...instance }))
        yield* answering(
          "$SRV.INFO.nasty",
          JSON.stringify({
            type: "io.nats.micro.v1.info_response",
            ...instance,
            description: nasty,
            endpoints: [{ name: nasty, subject: nasty, queue_group: nasty, metadata: {} }]
          })
        )
        const stats = {
          name: nasty,
          subject: nasty,
          queue_group: "q",
          num_requests: 1,
          num_errors: 1,
          last_error: nasty
        }
        const answer = { type: "io.nats.micro.v1.stats_response", ...instance, started: nasty, endpoints: [stats] }
        yield* answering("$SRV.STATS.nasty", JSON.stringify(answer))
        const commands = [
          ["list"],
          ["list", "--instances"],
          ["info", "nasty"],
          ["stats", "nasty"],
          ["top", "nasty", "--count", "1"]
        ]
        for (const args of commands) {
          const { code, stderr, stdout } = yield* run(["service", ...args], server)
          assert.strictEqual(code, 0, stderr)
          assert.include(stdout, "\\u001b")
          assert.notMatch((stdout + stderr).replaceAll("\n", ""), /[\p{Cc}\p{Bidi_Control}]/u)
          assert.isBelow(stdout.length, 20_000)
          const json = yield* run(["service", ...args, "--json"], server)
          assert.notMatch(json.stdout.replaceAll("\n", ""), /[\p{Cc}\p{Bidi_Control}]/u)
          assert.include(JSON.stringify(JSON.parse(json.stdout)), "\u202e")
        }
      }))
  }
)

it.effect("a client without the rights is told which it lacks", () =>
  Effect.gen(function*() {
    const { url } = yield* TestNatsServer.make({
      users: [{ user: "john", password: "johns-word", permissions: { publish: { deny: ["$SRV.>"] } } }]
    })
    const { code, stderr } = yield* run(["service", "list"], {
      env: { NATS_URL: url, NATS_USER: "john", NATS_PASSWORD: "johns-word" }
    })
    assert.strictEqual(code, 7)
    assert.include(stderr, "PermissionsViolation")
    assert.include(stderr, "$SRV.PING")
  }))
