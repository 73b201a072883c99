/**
 * The end of a client in every state: at once or in its time, never failing, leaving nothing. Scripted servers hold a
 * dial at one of its stages, or throw a client out just there; a real one does not stop in the middle.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestFakeServer, TestNatsServer } from "effect-nats/testing"
import { follow, keepLedger, oneTurn, unhandled, until } from "../fixtures/following.ts"
import { steadyMillis } from "../fixtures/steadyClock.ts"

const kinds = new Set(["TCPSocketWrap", "TLSWrap", "ConnectWrap", "GetAddrInfoReqWrap", "Timeout"])

/** The sockets, dials and timers of this process. */
const resources = (): ReadonlyArray<string> =>
  process.getActiveResourcesInfo().filter((kind) => kinds.has(kind)).toSorted()

/** Waits for a condition, for at most so long, without a timer of its own, which would be among the resources. */
const soon = (condition: () => boolean, millis = 2_000): Effect.Effect<void> => {
  const until = Date.now() + millis
  const look: Effect.Effect<void> = Effect.suspend(() =>
    condition() || Date.now() > until ? Effect.void : Effect.andThen(oneTurn, look)
  )
  return look
}

/** Runs an effect after which this process has the same sockets and timers as before it, and nothing unhandled. */
const releasing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const problems = yield* unhandled
    // The test runner has timers of its own when a test begins.
    yield* soon(() => !resources().includes("Timeout"))
    const before = resources()
    const result = yield* Effect.scoped(effect)
    // The other side of a closed socket goes a few turns later.
    yield* soon(() => String(resources()) === String(before), 10_000)
    assert.deepStrictEqual(resources(), before)
    assert.deepStrictEqual(problems, [])
    return result
  })

/**
 * Closes a client by its scope: it has succeeded within this time, of which a busy machine takes nothing, and the client has
 * ended on purpose. Gives the milliseconds that it took in all.
 */
const closesWithin = Effect.fnUntraced(function*(
  bound: number,
  client: { readonly scope: Scope.Closeable; readonly app: NatsClient.NatsClient }
) {
  const before = Date.now()
  const steady = yield* steadyMillis(Scope.close(client.scope, Exit.void))
  const millis = Date.now() - before
  assert.isAtMost(steady, bound)
  yield* client.app.closed
  assert.deepStrictEqual(yield* client.app.state, { _tag: "Closed" })
  return millis
})

const open = Effect.fnUntraced(function*(options: NatsClient.Options) {
  const scope = yield* Scope.make()
  const app = yield* Scope.provide(NatsClient.make(options), scope)
  return { scope, app }
})

const dead = Effect.map(Effect.scoped(TestFakeServer.make([])), ({ url }) => url)

const times = 5

describe("interrupting the first connect ends it at once and leaves nothing", () => {
  const interrupted = (options: NatsClient.Options, reached: Effect.Effect<boolean>) =>
    releasing(Effect.gen(function*() {
      const making = yield* Effect.forkChild(Effect.scoped(Effect.andThen(NatsClient.make(options), Effect.never)))
      yield* until(reached)
      assert.isBelow(yield* steadyMillis(Fiber.interrupt(making)), 500)
      const exit = yield* Fiber.await(making)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.isFalse(Exit.hasFails(exit))
      assert.isFalse(Exit.hasDies(exit))
    }))

  const atStage = (script: TestFakeServer.Script, reached: (received: string) => boolean) =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make(script)
      for (let i = 1; i <= times; i++) {
        yield* interrupted(
          { servers: server.url },
          Effect.gen(function*() {
            return (yield* server.accepted) === i && reached(yield* server.received(i - 1))
          })
        )
        assert.strictEqual(yield* server.connections, 0)
      }
    })

  it.live("resolving credentials", () =>
    Effect.gen(function*() {
      let asked = false
      const auth = Effect.suspend(() => {
        asked = true
        return Effect.never
      })
      yield* interrupted({ auth }, Effect.sync(() => asked))
    }))

  it.live("waiting for INFO", () => atStage([], () => true))

  it.live("in the TLS handshake", () =>
    atStage([{ send: TestFakeServer.info({ tls_required: true }) }], (received) => received.length > 0))

  it.live("waiting for the answer to CONNECT", () =>
    atStage([{ send: TestFakeServer.info() }], (received) => received.includes("PING")))

  it.live("waiting for a broker", () =>
    Effect.gen(function*() {
      let asked = 0
      const auth = Effect.sync(() => {
        asked++
        return { _tag: "Anonymous" } as const
      })
      const options: NatsClient.Options = {
        servers: yield* dead,
        auth,
        reconnect: { initialDelay: "1 milli", factor: 100, maxDelay: "1 hour", onFirstConnect: "wait" }
      }
      yield* interrupted(options, Effect.sync(() => asked >= 2))
    }))
})

describe("closing the scope ends the client within its deadline, releases everything, and never fails", () => {
  it.live("connected and idle: at once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      for (let i = 0; i < times; i++) {
        yield* releasing(Effect.gen(function*() {
          const client = yield* open({ servers: server.url, name: "idle" })
          yield* closesWithin(500, client)
        }))
        yield* until(Effect.map(server.connz, (connections) => connections.length === 0))
      }
    }))

  it.live("connected and busy: what waits fails with ConnectionClosed, streams end", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        const client = yield* open({ servers: server.url })
        const { app } = client
        const { stream } = yield* app.subscription("in")
        const heard = yield* Deferred.make<void>()
        const reading = yield* Effect.forkChild(
          Stream.runForEach(stream, () => Deferred.succeed(heard, undefined)),
          { startImmediately: true }
        )
        const requests = yield* Effect.forEach(
          [1, 2, 3],
          () => Effect.forkChild(Effect.flip(app.request("in")), { startImmediately: true })
        )
        const publishing = yield* Effect.forkChild(
          Effect.flip(Effect.forever(Effect.andThen(app.publish("out", new Uint8Array(1000)), Effect.yieldNow)))
        )
        yield* Deferred.await(heard)
        yield* closesWithin(1_000, client)
        yield* Fiber.join(reading)
        for (const request of [...requests, publishing]) {
          const error = yield* Fiber.join(request)
          assert.deepInclude(error, { _tag: "ConnectionClosed" })
          assert.isFalse("reason" in error && error.reason !== undefined)
        }
      }))
      yield* until(Effect.map(server.connz, (connections) => connections.length === 0))
    }))

  it.live("backing off: at once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        const client = yield* open({
          servers: server.url,
          reconnect: { initialDelay: "1 hour", maxDelay: "1 hour" }
        })
        yield* server.kill
        yield* until(Effect.map(client.app.state, (state) => state._tag === "Reconnecting"))
        const waiting = yield* Effect.forkChild(Effect.flip(client.app.publish("x")), { startImmediately: true })
        yield* closesWithin(500, client)
        assert.strictEqual((yield* Fiber.join(waiting))._tag, "ConnectionClosed")
      }))
    }))

  const redialling = (script: TestFakeServer.Script, reached: (received: string) => boolean) =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make((number) =>
        number === 0 ? [...TestFakeServer.handshake(), { expect: "PUB leave" }, { end: "RST" }] : script
      )
      yield* releasing(Effect.gen(function*() {
        const client = yield* open({ servers: server.url })
        yield* client.app.publish("leave")
        yield* until(Effect.gen(function*() {
          return (yield* server.accepted) === 2 && reached(yield* server.received(1))
        }))
        assert.strictEqual((yield* client.app.state)._tag, "Disconnected")
        yield* closesWithin(500, client)
      }))
      assert.strictEqual(yield* server.connections, 0)
    })

  it.live("reconnecting, waiting for INFO: at once", () => redialling([], () => true))

  it.live("reconnecting, in the TLS handshake: at once", () =>
    redialling([{ send: TestFakeServer.info({ tls_required: true }) }], (received) => received.length > 0))

  it.live("reconnecting, waiting for the answer to CONNECT: at once", () =>
    redialling([{ send: TestFakeServer.info() }], (received) => received.includes("PING")))

  it.live("half-open: within drainTimeout", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        const client = yield* open({ servers: server.url, drainTimeout: "300 millis" })
        yield* server.pause
        for (let i = 0; i < 20; i++) yield* client.app.publish("x", new Uint8Array(100_000))
        const millis = yield* closesWithin(300 + 200, client)
        assert.isAtLeast(millis, 290)
      }))
      yield* server.resume
    }))

  it.live("with a handler that never ends: given up at drainTimeout, by drain and by the scope alike", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        for (const how of ["drain", "scope"]) {
          const client = yield* open({ servers: server.url, drainTimeout: "300 millis" })
          const status = yield* follow(client.app)
          const { stream } = yield* client.app.subscription("in")
          const started = yield* Deferred.make<void>()
          const handling = yield* Effect.forkChild(
            Stream.runForEach(stream, () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never)),
            { startImmediately: true }
          )
          yield* client.app.publish("in")
          yield* Deferred.await(started)
          const before = Date.now()
          if (how === "drain") yield* client.app.drain
          yield* closesWithin(500, client)
          assert.isAtLeast(Date.now() - before, 290)
          yield* status.seen("Closed")
          assert.deepStrictEqual(status.tags, ["Connected", "Draining", "Closed"])
          yield* Fiber.interrupt(handling)
        }
      }))
      yield* until(Effect.map(server.connz, (connections) => connections.length === 0))
    }))

  it.live("while it drains already, and again after: once is enough", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        const client = yield* open({ servers: server.url, drainTimeout: "2 seconds" })
        const { stream } = yield* client.app.subscription("in")
        const [started, proceed] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const handling = yield* Effect.forkChild(
          Stream.runForEach(
            stream,
            () => Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(proceed))
          ),
          { startImmediately: true }
        )
        yield* client.app.publish("in")
        yield* Deferred.await(started)
        const draining = yield* Effect.forkChild(client.app.drain, { startImmediately: true })
        assert.strictEqual((yield* client.app.state)._tag, "Draining")
        assert.strictEqual((yield* Effect.flip(Effect.scoped(client.app.subscription("y"))))._tag, "ConnectionClosed")
        const closing = yield* Effect.forkChild(closesWithin(1_500, client), { startImmediately: true })
        yield* Deferred.succeed(proceed, undefined)
        yield* Fiber.join(closing)
        yield* Fiber.join(draining)
        yield* Fiber.join(handling)
        yield* client.app.drain
      }))
    }))

  /** A client that is being closed while a handler is at work, and what the handler's answer came to. */
  const answering = Effect.fnUntraced(function*(options: NatsClient.Options, bound = 1_500) {
    const client = yield* open(options)
    const { stream } = yield* client.app.subscription("in")
    const [started, proceed] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    const answers: Array<string> = []
    const handling = yield* Effect.forkChild(
      Stream.runForEach(stream, () =>
        Effect.gen(function*() {
          yield* Deferred.succeed(started, undefined)
          yield* Deferred.await(proceed)
          const answer = client.app.publish("out", "1")
          answers.push(yield* Effect.match(answer, { onFailure: ({ _tag }) => _tag, onSuccess: () => "sent" }))
        })),
      { startImmediately: true }
    )
    yield* client.app.publish("in")
    yield* Deferred.await(started)
    const closing = yield* Effect.forkChild(closesWithin(bound, client), { startImmediately: true })
    yield* until(Effect.map(client.app.state, (state) => state._tag === "Draining"))
    return { proceed, answers, ended: Effect.andThen(Fiber.join(closing), Fiber.join(handling)) }
  })

  it.live("while the server dies in the middle of the drain: not beyond drainTimeout", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        const client = yield* answering({ servers: server.url, drainTimeout: "500 millis" })
        yield* server.kill
        yield* Deferred.succeed(client.proceed, undefined)
        yield* client.ended
        assert.deepStrictEqual(client.answers, ["ConnectionClosed"])
      }))
    }))

  it.live("while the server dies and nothing is dialled again: as soon as the handlers are done", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        const client = yield* answering({ servers: server.url, drainTimeout: "1 minute", reconnect: false })
        yield* server.kill
        yield* Deferred.succeed(client.proceed, undefined)
        yield* client.ended
        assert.deepStrictEqual(client.answers, ["ConnectionClosed"])
      }))
    }))

  it.live("while the server restarts in the middle of the drain: the answer is sent", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        // It has the time that a server takes to come back.
        const client = yield* answering({ servers: server.url, drainTimeout: "20 seconds" }, 20_000)
        yield* server.restart
        const witness = yield* NatsClient.make({ servers: server.url })
        const { ledger } = yield* keepLedger(witness, "out")
        yield* Deferred.succeed(client.proceed, undefined)
        yield* client.ended
        yield* ledger.until(() => ledger.numbers.length === 1)
        assert.deepStrictEqual(client.answers, ["sent"])
      }))
    }))

  it.live("and who begins to listen just then is told each state once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const { app } = yield* open({ servers: server.url })
      const draining = yield* Effect.forkChild(app.drain, { startImmediately: true })
      const events = yield* Stream.runCollect(app.status)
      yield* Fiber.join(draining)
      assert.deepStrictEqual(events.map((event) => event._tag), ["Draining", "Closed"])
      assert.deepStrictEqual(yield* Stream.runCollect(app.status), [{ _tag: "Closed" }])
    }))

  it.live("after its supervision ended: nothing is left to do, and closed keeps its reason", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(Effect.gen(function*() {
        const client = yield* open({ servers: server.url, reconnect: false })
        yield* server.kill
        const closed = yield* Effect.flip(client.app.closed)
        assert.strictEqual(closed.reason?._tag, "ConnectionReset")
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(Scope.close(client.scope, Exit.void))))
        assert.strictEqual((yield* Effect.flip(client.app.closed)).reason?._tag, "ConnectionReset")
      }))
    }))

  it.live("a hundred clients at once, each at another moment of its life", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      yield* releasing(
        Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) =>
          Effect.gen(function*() {
            const life = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
              const app = yield* NatsClient.make({ servers: server.url })
              const { fiber } = yield* keepLedger(app, `in.${i}`)
              yield* app.publish(`in.${i}`, "1")
              yield* app.flush
              yield* app.reconnect
              yield* Fiber.join(fiber)
            })))
            for (let turn = 0; turn < i; turn++) yield* oneTurn
            const exit = yield* Effect.andThen(Fiber.interrupt(life), Fiber.await(life))
            assert.isTrue(Exit.hasInterrupts(exit))
            assert.isFalse(Exit.hasDies(exit))
          }), { concurrency: 10, discard: true })
      )
      yield* until(Effect.map(server.connz, (connections) => connections.length === 0))
    }))
})
