import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const readLoop = /src\/internal\/(wire\/(?:wireSession|transport\w*|dial)|protocol\/parser)\.ts/

describe("nothing of the user's runs inside the read loop", () => {
  it.live("not the program after connecting, not a handler, not a listener, not the Effect for credentials", () =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const limit = Error.stackTraceLimit
          Error.stackTraceLimit = Infinity
          return limit
        }),
        (limit) =>
          Effect.sync(() => {
            Error.stackTraceLimit = limit
          })
      )
      const seen = new Set<string>()
      const inside = new Set<string>()
      const here = (where: string): void => {
        seen.add(where)
        const frame = readLoop.exec(new Error().stack ?? "")
        if (frame !== null) inside.add(`${where} in ${frame[1]}`)
      }
      const note = (where: string) => Effect.sync(() => here(where))
      const server = yield* TestNatsServer.make({
        users: [{
          user: "john",
          password: "pw",
          permissions: { publish: { deny: "denied" }, subscribe: { deny: "denied" } }
        }]
      })
      const nats = yield* NatsClient.make({
        servers: ["nats://127.0.0.1:1", server.url],
        randomizeServers: false,
        auth: Effect.sync(() => {
          here("auth")
          return { user: "john", password: "pw" }
        }),
        reconnect: { initialDelay: 1, maxDelay: 1, maxAttempts: 4 }
      })
      here("make")
      const listening = yield* Effect.forkChild(
        Stream.runForEach(nats.status, ({ _tag }) => note(`status ${_tag}`)),
        { startImmediately: true }
      )
      const { stream } = yield* nats.subscription("in", { capacity: 1 })
      here("subscription")
      const handling = yield* Effect.forkChild(
        Stream.runForEach(stream, (message) => Effect.andThen(note("handler"), Effect.ignore(message.respond("ok"))))
          .pipe(
            Effect.onExit(() => note("stream ended"))
          ),
        { startImmediately: true }
      )
      yield* nats.flush
      here("flush")
      yield* nats.rtt
      here("rtt")
      yield* nats.request("in")
      here("reply")
      yield* Effect.flip(nats.request("nobody"))
      here("no responders")
      yield* Effect.flip(nats.publish("denied", "", { confirm: true }))
      here("denied publish")
      yield* Effect.flip(Effect.scoped(nats.subscription("denied")))
      here("denied subscription")
      yield* nats.subscription("deaf")
      yield* Effect.flip(nats.request("deaf", "", { timeout: "50 millis" }))
      here("timeout")
      const lost = yield* Effect.forkChild(
        Effect.andThen(Effect.flip(nats.request("deaf", "", { timeout: "1 minute" })), note("lost request")),
        { startImmediately: true }
      )
      yield* nats.reconnect
      here("reconnect")
      yield* Fiber.join(lost)
      const flushing = yield* Effect.forkChild(
        Effect.andThen(Effect.flip(Effect.forever(nats.flush)), note("lost flush")),
        { startImmediately: true }
      )
      const ending = yield* Effect.forkChild(Effect.andThen(Effect.exit(nats.closed), note("closed")), {
        startImmediately: true
      })
      yield* server.kill
      yield* Fiber.join(ending)
      yield* Fiber.join(flushing)
      yield* Fiber.await(handling)
      yield* Fiber.join(listening)
      assert.deepStrictEqual([...inside], [])
      assert.deepStrictEqual([...seen].toSorted(), [
        "auth",
        "closed",
        "denied publish",
        "denied subscription",
        "flush",
        "handler",
        "lost flush",
        "lost request",
        "make",
        "no responders",
        "reconnect",
        "reply",
        "rtt",
        "status Closed",
        "status Connected",
        "status Disconnected",
        "status PermissionDenied",
        "status Reconnecting",
        "stream ended",
        "subscription",
        "timeout"
      ])
    }))
})
