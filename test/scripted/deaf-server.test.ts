/** A server that reads nothing any more and goes on talking. A real one is not made to do that. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { NatsClient } from "effect-nats"
import { TestFakeServer } from "effect-nats/testing"
import type * as net from "node:net"
import { listen } from "../../src/testing/internal/loopback.ts"
import { dialTo } from "../fixtures/dialling.ts"
import { follow, until } from "../fixtures/following.ts"

/** Lets everybody in, and reads nothing after that. `resume` reads on and gives what comes from then on. */
const deafServer = Effect.gen(function*() {
  const sockets = new Set<net.Socket>()
  yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
  const { port } = yield* listen((socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.write(TestFakeServer.info())
    socket.once("data", () => {
      socket.pause()
      socket.write("PONG\r\n")
    })
  }, { allowHalfOpen: false })
  const say = (text: string) => Effect.sync(() => sockets.forEach((socket) => socket.write(text)))
  const heard = { text: "" }
  const resume = Effect.sync(() =>
    sockets.forEach((socket) =>
      socket.on("data", (chunk) => {
        heard.text += chunk.toString("latin1")
      }).resume()
    )
  )
  return { heard, port, resume, say, url: `nats://127.0.0.1:${port}` }
})

describe("a server that sends and does not read", () => {
  it.live("PING after PING: the PONGs that wait are bounded, and one answers them all when it reads again", () =>
    Effect.gen(function*() {
      const server = yield* deafServer
      const session = yield* dialTo(server.url)
      const pings = "PING\r\n".repeat(100_000)
      for (let i = 1; i <= 16; i++) {
        yield* server.say(pings)
        yield* until(Effect.sync(() => session.bytesIn >= i * pings.length))
        assert.isBelow(session.backlog, 64 * 1024)
      }
      yield* server.resume
      yield* until(Effect.sync(() => session.backlog === 0))
      session.writer.publish("last", "", undefined, "")
      yield* until(Effect.sync(() => server.heard.text.includes("PUB last")))
      assert.isAbove(server.heard.text.split("PONG\r\n").length, 1)
      yield* server.say("PING\r\n")
      yield* until(Effect.sync(() => /PUB last[^]*PONG\r\n/.test(server.heard.text)))
    }))

  it.live("PONG after PONG: they do not answer pings that have not left, and the session is stale", () =>
    Effect.gen(function*() {
      const server = yield* deafServer
      const nats = yield* NatsClient.make({
        servers: server.url,
        pingInterval: "200 millis",
        maxPingOut: 1,
        drainTimeout: "100 millis",
        reconnect: false
      })
      const status = yield* follow(nats)
      // More than the system takes for a socket that nobody reads.
      yield* Effect.forkScoped(
        Effect.ignore(Effect.forEach(Array.from({ length: 40 }), () => nats.publish("x", "x".repeat(1_000_000))))
      )
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(server.say("PONG\r\n"), Effect.sleep("10 millis"))))
      const found = yield* Effect.timeoutOption(status.seen("Disconnected"), "10 seconds")
      assert.isTrue(Option.isSome(found))
      assert.deepStrictEqual(status.losses, ["StaleConnection"])
    }))
})
