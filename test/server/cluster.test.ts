/**
 * Several servers: which is dialled, and what is told when none can be had. Two of them are scripted, as a real one does
 * neither: one that accepts and is silent, and one whose port is free again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestFakeServer, TestNatsServer } from "effect-nats/testing"
import { count, follow, keepLedger, oneTurn, unhandled, until } from "../fixtures/following.ts"

const fast = { initialDelay: "20 millis", maxDelay: "100 millis" } as const

/** A server that was there, and whose port nobody listens on. */
const deadServer = Effect.map(Effect.scoped(TestFakeServer.make([])), ({ url }) => url)

describe("a cluster of which the client was told one server", () => {
  it.live("three restarted one after the other under traffic: the stream goes on, and what is lost is typed", () =>
    Effect.gen(function*() {
      // The one of the witness goes on: what is sent over two servers, one after the other, can come in another order.
      const [own, ...servers] = yield* TestNatsServer.cluster(4)
      const app = yield* NatsClient.make({ servers: servers[0].url, reconnect: fast })
      const witness = yield* NatsClient.make({ servers: own.url, reconnect: fast })
      const problems = yield* unhandled
      const status = yield* follow(app)
      const { ledger } = yield* keepLedger(app, "in")
      yield* count(witness, "in")
      const service = yield* witness.subscription("echo")
      yield* Effect.forkScoped(Stream.runForEach(service.stream, (message) => Effect.ignore(message.respond("ok"))))
      const outcomes = new Set<string>()
      yield* Effect.forkScoped(Effect.forever(
        app.request("echo", "", { timeout: "500 millis" }).pipe(
          Effect.match({ onFailure: (error) => error._tag, onSuccess: ({ text }) => text }),
          Effect.tap((outcome) => Effect.andThen(Effect.sync(() => outcomes.add(outcome)), Effect.sleep(1)))
        )
      ))
      const heard = yield* keepLedger(app, "unanswered")
      let kills = 0
      for (const server of servers) {
        yield* ledger.more(50)
        const state = yield* app.state
        assert(state._tag === "Connected", state._tag)
        if (state.server === server.url) {
          kills++
          const request = yield* Effect.forkChild(Effect.flip(app.request("unanswered", "1")))
          yield* heard.ledger.more(1)
          yield* server.kill
          assert.strictEqual((yield* Fiber.join(request))._tag, "ConnectionLost")
          // Before it is back: what is back at the first dial is a server to go to, too.
          yield* status.connected(kills + 1)
          yield* server.restart
        } else {
          yield* server.restart
        }
        yield* until(Effect.map(server.monitor("/routez"), (json) => (json as { num_routes: number }).num_routes > 0))
      }
      yield* ledger.more(50)
      assert.isAtLeast(kills, 1)
      const { reconnects } = yield* app.stats
      assert.strictEqual(reconnects, kills)
      // It moved to a server that it was not told of.
      assert.notStrictEqual(status.all("Connected")[1].server, servers[0].url)
      assert.match(status.tags.join(" "), /^Connected( Disconnected( Reconnecting)* Connected)+$/)
      assert.strictEqual(ledger.disorder, 0)
      assert.isAtMost(ledger.gaps, reconnects)
      for (const outcome of outcomes) {
        assert.include(["ok", "ConnectionLost", "NoResponders", "RequestTimedOut"], outcome)
      }
      assert.isTrue(outcomes.has("ok"))
      yield* oneTurn
      assert.deepStrictEqual(problems, [])
    }))

  it.live("in lame duck mode a server says so, and the client moves to another one without a failed dial", () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(2)
      const app = yield* NatsClient.make({ servers: servers[0].url, reconnect: fast })
      const status = yield* follow(app)
      const { ledger } = yield* keepLedger(app, "in")
      yield* servers[0].lameDuck
      yield* status.connected(2)
      assert.deepStrictEqual(status.tags, ["Connected", "LameDuck", "Disconnected", "Connected"])
      assert.deepStrictEqual(status.all("LameDuck"), [{ _tag: "LameDuck", server: servers[0].url }])
      assert.strictEqual(status.all("Connected")[1].server, servers[1].url)
      assert.strictEqual((yield* app.stats).dials, 2)
      yield* app.publish("in", "1")
      yield* ledger.more(1)
    }))
})

describe("several servers", () => {
  it.live("with several causes: the most telling is raised, with all of them as attempts", () =>
    Effect.gen(function*() {
      const dead = yield* deadServer
      const silent = yield* TestFakeServer.make([])
      const locked = yield* TestNatsServer.make({ token: "right" })
      const servers = [dead, locked.url, silent.url]
      const error = yield* Effect.flip(
        NatsClient.make({ servers, randomizeServers: false, auth: { token: "wrong" }, connectTimeout: "3 seconds" })
      )
      assert(error._tag === "AuthorizationViolation", error._tag)
      assert.strictEqual(error.server, locked.url)
      assert.deepStrictEqual(error.attempts?.map(({ error, server }) => [server, error._tag]), [
        [dead, "ConnectionRefused"],
        [locked.url, "AuthorizationViolation"],
        [silent.url, "ConnectTimedOut"]
      ])
      const one = yield* Effect.flip(NatsClient.make({ servers: dead }))
      assert(one._tag === "ConnectionRefused", one._tag)
      assert.isUndefined(one.attempts)
    }))

  it.live("two that refuse and a third that accepts: connected, after one dial each", () =>
    Effect.gen(function*() {
      const locked = yield* TestNatsServer.make({ token: "right" })
      const open = yield* TestNatsServer.make({})
      const app = yield* NatsClient.make({
        servers: [yield* deadServer, locked.url, open.url],
        randomizeServers: false
      })
      assert.deepInclude(yield* app.state, { _tag: "Connected", server: open.url })
      assert.strictEqual((yield* app.stats).dials, 3)
    }))

  it.live("a dead and a good one with maxAttempts 1: an attempt is a round over all of them", () =>
    Effect.gen(function*() {
      const good = yield* TestNatsServer.make({})
      const dead = yield* deadServer
      const app = yield* NatsClient.make({
        servers: [dead, good.url],
        randomizeServers: false,
        reconnect: { ...fast, maxAttempts: 1 }
      })
      yield* app.reconnect
      assert.deepInclude(yield* app.state, { _tag: "Connected", server: good.url, session: 2 })
      assert.strictEqual((yield* app.stats).dials, 4)
      yield* good.kill
      const closed = yield* Effect.flip(app.closed)
      // Reset, when it is dialled just as it dies.
      assert.include(["ConnectionRefused", "ConnectionReset"], closed.reason?._tag)
      assert.deepStrictEqual(closed.reason?.attempts?.map(({ server }) => server), [dead, good.url])
      assert.strictEqual((yield* app.stats).dials, 6)
    }))

  it.live("when one stops, the next is dialled first", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* TestNatsServer.make({}), yield* TestNatsServer.make({})]
      const app = yield* NatsClient.make({ servers: [a.url, b.url], randomizeServers: false, reconnect: fast })
      const status = yield* follow(app)
      yield* a.kill
      yield* status.connected(2)
      yield* a.restart
      yield* app.reconnect
      assert.deepStrictEqual(status.all("Connected").map(({ server }) => server), [a.url, b.url, a.url])
      assert.strictEqual((yield* app.stats).dials, 3)
    }))
})
