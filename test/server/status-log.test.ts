/** What the log has of a connection without being asked. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger, References, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestFakeServer, TestNatsServer } from "effect-nats/testing"
import { follow, until } from "../fixtures/following.ts"
import { listenAt } from "../fixtures/names.ts"

const fast = { initialDelay: "10 millis", maxDelay: "40 millis" } as const
const canary = "canary-9f3b21"

interface Line {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Takes the lines of the log, of every level. */
const recorded = () => {
  const lines: Array<Line> = []
  const logger = Logger.map(Logger.formatJson, (line) => {
    lines.push(JSON.parse(line) as Line)
  })
  const provide = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "Debug"))
  const of = (...levels: ReadonlyArray<string>) => lines.filter(({ level }) => levels.includes(level))
  /** The lines that nobody asked for, in short. */
  const told = () =>
    of("WARN", "INFO", "ERROR").map(({ annotations, level, message }) =>
      [level, message.slice(0, message.indexOf(":") >>> 0).replace(/ after .*/, ""), annotations["cause"]].join(" ")
        .trim()
    )
  return { lines, of, told, provide }
}

describe("the log has", () => {
  it.live("that the connection was lost, is refused once for each cause, and is back after how long", () =>
    Effect.gen(function*() {
      const john = { users: [{ user: "john", password: canary }] }
      const server = yield* TestNatsServer.make(john)
      const { lines, of, provide, told } = recorded()
      const vault = { down: false }
      const auth = Effect.suspend(() =>
        vault.down
          ? Effect.fail({ _tag: "VaultDown", text: canary })
          : Effect.succeed({ user: "john", password: canary })
      )
      const nats = yield* provide(NatsClient.make({ servers: server.url, name: "orders", auth, reconnect: fast }))
      const status = yield* follow(nats)
      yield* server.reload({ users: [{ user: "jane", password: "pw" }] })
      yield* status.seen("Reconnecting", 5)
      vault.down = true
      yield* status.seen("Reconnecting", 10)
      yield* server.reload(john)
      yield* status.connected(2)
      yield* until(Effect.sync(() => of("INFO").length > 0))
      const [first] = status.losses
      assert.deepStrictEqual(told(), [
        `WARN The connection to NATS was lost ${first}`,
        "WARN Still not connected to NATS AuthorizationViolation",
        "WARN The last good credentials are used CredentialsUnavailable",
        "INFO Connected to NATS again"
      ])
      const [back] = of("INFO")
      assert.deepInclude(back.annotations, { client: "orders", server: server.url })
      assert.isAbove(Number(back.annotations["afterMillis"]), 10)
      assert.deepInclude(of("WARN")[1].annotations, { client: "orders", server: server.url })
      assert.notInclude(JSON.stringify(lines), canary)
    }))

  it.live("no cause of an outage that passes by itself, and each that does not", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const { provide, told } = recorded()
      const nats = yield* provide(NatsClient.make({ servers: server.url, reconnect: fast }))
      const status = yield* follow(nats)
      yield* server.kill
      yield* status.seen("Reconnecting", 3)
      const lost = `WARN The connection to NATS was lost ${status.losses[0]}`
      assert.deepStrictEqual(told(), [lost])
      yield* listenAt("127.0.0.1", server.port, (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"))
      const before = status.all("Reconnecting").length
      yield* status.until((seen) =>
        seen.all("Reconnecting").slice(before).filter(({ reason }) => reason._tag === "NotANatsServer").length > 2
      )
      assert.deepStrictEqual(told(), [lost, "WARN Still not connected to NATS NotANatsServer"])
    }))

  it.live("what each server of a list says, where it does not pass by itself", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: canary }] })
      const other = yield* TestFakeServer.make([{ send: "SSH-2.0-OpenSSH_9.2\r\n" }, { end: "FIN" }])
      const { provide, told } = recorded()
      const nats = yield* provide(NatsClient.make({
        servers: [server.url, other.url],
        randomizeServers: false,
        auth: { user: "john", password: canary },
        reconnect: fast
      }))
      const status = yield* follow(nats)
      yield* server.reload({ users: [{ user: "jane", password: "pw" }] })
      yield* status.seen("Reconnecting", 3)
      assert.deepStrictEqual(told().slice(1), [
        "WARN Still not connected to NATS NotANatsServer",
        "WARN Still not connected to NATS AuthorizationViolation"
      ])
    }))

  it.live("at Debug every dial, with server, stage, time and cause", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "right" })
      const dead = yield* TestNatsServer.make({})
      yield* dead.kill
      const { of, provide } = recorded()
      yield* Effect.flip(provide(NatsClient.make({ servers: [dead.url, server.url], auth: { token: "wrong" } })))
      yield* provide(NatsClient.make({ servers: server.url, auth: { token: "right" } }))
      const dials = of("DEBUG").filter(({ message }) => message.startsWith("NATS was dialled: "))
      for (const { annotations } of dials) assert.isAtLeast(Number(annotations["millis"]), 0)
      const fields = dials.map(({ annotations: { cause, server, stage } }) => [server, stage, cause])
      assert.deepStrictEqual(
        fields.slice(0, 2).toSorted(),
        [
          [dead.url, "tcp", "ConnectionRefused"],
          [server.url, "connect", "AuthorizationViolation"]
        ].toSorted()
      )
      assert.deepStrictEqual(fields.slice(2), [[server.url, "up", undefined]])
      // What fails the first connect is told to who connects, and what succeeds at once is what was asked for.
      assert.deepStrictEqual(of("WARN", "INFO", "ERROR"), [])
    }))

  for (const onFirstConnect of ["wait", "background"] as const) {
    it.live(`that the first session is waited for, and that it is there: "${onFirstConnect}"`, () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({})
        yield* server.kill
        const { of, provide, told } = recorded()
        const making = yield* Effect.forkScoped(
          provide(NatsClient.make({ servers: server.url, reconnect: { ...fast, onFirstConnect } }))
        )
        yield* until(Effect.sync(() => of("DEBUG").length > 3))
        assert.deepStrictEqual(told(), ["WARN Waiting for NATS ConnectionRefused"])
        assert.deepInclude(of("WARN")[0].annotations, { servers: server.url })
        yield* server.restart
        const nats = yield* Fiber.join(making)
        yield* nats.flush
        yield* until(Effect.sync(() => of("INFO").length > 0))
        assert.deepStrictEqual(told().slice(1), ["INFO Connected to NATS"])
      }))
  }

  it.live("the end of a client, once: of a layer's as that of a part", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const made = recorded()
      const nats = yield* made.provide(NatsClient.make({ servers: server.url, reconnect: { ...fast, maxAttempts: 2 } }))
      const layered = recorded()
      const options = { servers: server.url, reconnect: { ...fast, maxAttempts: 2 } }
      yield* layered.provide(Layer.build(NatsClient.layer(options)))
      yield* server.kill
      yield* Effect.flip(nats.closed)
      yield* until(Effect.sync(() => layered.of("ERROR").length > 0))
      const once = (told: ReadonlyArray<string>, text: string): void =>
        assert.lengthOf(told.filter((line) => line.includes("ended")), 1, text)
      once(made.told(), "made")
      assert.match(made.told().at(-1)!, /^WARN The connection to NATS has ended for good \w+$/)
      once(layered.told(), "layered")
      assert.strictEqual(layered.of("ERROR")[0].message, "A client has ended")
    }))

  it.live("nothing of a close and a reconnect that are asked for", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const { provide, told } = recorded()
      yield* Effect.scoped(provide(Effect.gen(function*() {
        const nats = yield* NatsClient.make({ servers: server.url })
        yield* nats.reconnect
        yield* nats.reconnect
        yield* nats.flush
      })))
      assert.deepStrictEqual(told(), [])
    }))

  it.live("nothing of what a close cuts off", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const { provide, told } = recorded()
      const nats = yield* provide(NatsClient.make({ servers: server.url, drainTimeout: "500 millis", reconnect: fast }))
      const status = yield* follow(nats)
      const { stream } = yield* nats.subscription("in")
      const received = yield* Deferred.make<void>()
      yield* Effect.forkScoped(
        Stream.runForEach(stream, () => Effect.andThen(Deferred.succeed(received, undefined), Effect.never))
      )
      yield* nats.publish("in")
      yield* Deferred.await(received)
      const draining = yield* Effect.forkChild(nats.drain, { startImmediately: true })
      yield* status.seen("Draining")
      yield* server.kill
      yield* Fiber.join(draining)
      yield* nats.closed
      assert.deepStrictEqual(told(), [])
    }))

  it.live("but what follows on a reconnect that was asked for, where it goes wrong", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: "old" })
      const { of, provide, told } = recorded()
      const vault = { token: "old" }
      const auth = Effect.sync(() => ({ token: vault.token }))
      const nats = yield* provide(NatsClient.make({ servers: server.url, auth, reconnect: fast }))
      const status = yield* follow(nats)
      vault.token = "new"
      yield* Effect.forkScoped(nats.reconnect)
      yield* status.seen("Reconnecting", 3)
      vault.token = "old"
      yield* status.connected(2)
      yield* until(Effect.sync(() => of("INFO").length > 0))
      assert.deepStrictEqual(told(), [
        "WARN Still not connected to NATS AuthorizationViolation",
        "INFO Connected to NATS again"
      ])
    }))

  it.live("nothing at all with logStatus: false", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const { lines, provide } = recorded()
      const nats = yield* provide(NatsClient.make({ servers: server.url, logStatus: false, reconnect: fast }))
      const status = yield* follow(nats)
      yield* server.kill
      yield* status.seen("Reconnecting", 3)
      yield* server.restart
      yield* status.connected(2)
      assert.deepStrictEqual(lines, [])
    }))

  it.live("nothing that a logger can break: one that throws ends no client", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const logger = Logger.make(() => {
        throw new Error("a bug")
      })
      const nats = yield* NatsClient.make({ servers: server.url, reconnect: fast }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      const status = yield* follow(nats)
      yield* server.restart
      yield* status.connected(2)
      yield* nats.flush
    }))
})
