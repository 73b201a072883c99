/**
 * Scripted: a dial is interrupted while it waits at each of its stages, which takes servers that stop exactly there.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestFakeServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as net from "node:net"
import { Worker } from "node:worker_threads"
import { atOnce, type DialTestOptions, dialTo, Recorder } from "../fixtures/dialling.ts"
import { oneTurn, until } from "../fixtures/following.ts"

const interruptedAt = (
  script: TestFakeServer.Script,
  reached: (received: string) => boolean,
  options?: DialTestOptions,
  url = (server: TestFakeServer.TestFakeServer): string => server.url
) =>
  Effect.gen(function*() {
    const server = yield* TestFakeServer.make(script)
    for (let i = 1; i <= 20; i++) {
      const owner = new Recorder()
      const fiber = yield* Effect.forkChild(atOnce(Effect.exit(dialTo(url(server), { ...options, owner }))))
      yield* until(Effect.map(server.accepted, (accepted) => accepted === i))
      yield* until(Effect.map(server.received(i - 1), reached))
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      yield* until(Effect.map(server.connections, (open) => open === 0))
      assert.deepStrictEqual([owner.openedWith, owner.ends, owner.errors], [[], [], []])
    }
  })

const anything = (received: string): boolean => received.length > 0

// The dials are by a clock that stands still: nothing is let go by a timeout.
describe("interruption of a dial leaves no socket", () => {
  it.live("while waiting for INFO", () => interruptedAt([], () => true))

  it.live("in the middle of INFO", () => interruptedAt([{ send: TestFakeServer.info().slice(0, 40) }], () => true))

  it.live("between INFO and the TLS handshake, and in it", () =>
    Effect.gen(function*() {
      const script = [{ send: TestFakeServer.info({ tls_required: true }) }]
      yield* interruptedAt(script, () => true)
      yield* interruptedAt(script, anything)
    }))

  it.live("in a TLS handshake before INFO", () => interruptedAt([], anything, { tls: { handshakeFirst: true } }))

  it.live("while waiting for the answer to CONNECT", () =>
    interruptedAt([{ send: TestFakeServer.info() }], (received) => received.includes("PING")))

  it.live("while a WebSocket is opened", () =>
    interruptedAt(
      [],
      (received) => received.startsWith("GET"),
      undefined,
      (server) => server.url.replace("nats:", "ws:")
    ))

  it.live("while the connection is not even accepted", () =>
    Effect.gen(function*() {
      // A thread that listens with the shortest queue and never accepts; when the queue is full, a SYN gets no answer.
      const worker = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new Worker(
            `const { parentPort } = require("node:worker_threads")
             const server = require("node:net").createServer().listen(0, "127.0.0.1", 1, () => {
               parentPort.postMessage(server.address().port)
               setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
             })`,
            { eval: true }
          )
        ),
        (made) => Effect.promise(() => made.terminate())
      )
      const port = yield* Effect.callback<number>((resume) => {
        worker.once("message", (given: number) => resume(Effect.succeed(given)))
      })
      const fillers = yield* Effect.acquireRelease(
        Effect.sync(() => Array.from({ length: 8 }, () => net.connect(port, "127.0.0.1").on("error", () => {}))),
        (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
      )
      yield* until(Effect.sync(() => fillers.some((socket) => !socket.connecting)))
      const connecting = (): number => process.getActiveResourcesInfo().filter((name) => name === "ConnectWrap").length
      const before = connecting()
      const fiber = yield* Effect.forkChild(atOnce(Effect.exit(dialTo(`nats://127.0.0.1:${port}`))))
      yield* until(Effect.sync(() => connecting() > before))
      yield* Fiber.interrupt(fiber)
      yield* until(Effect.sync(() => connecting() === before))
      const timedOut = yield* Effect.flip(dialTo(`nats://127.0.0.1:${port}`, { connectTimeout: 100 }))
      assert(timedOut._tag === "ConnectTimedOut", timedOut._tag)
      assert.strictEqual(timedOut.stage, "tcp")
    }))

  it.live("at any moment of a dial that would succeed: a session is either the owner's or gone", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make(TestFakeServer.handshake())
      const outcomes = new Set<boolean>()
      for (let i = 0; i < 100; i++) {
        const owner = new Recorder()
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(atOnce(dialTo(server.url, { owner })), Effect.never))
        )
        // A moment is a turn of the event loop, of which a dial takes several.
        for (let turns = i % 20; turns > 0; turns--) yield* oneTurn
        yield* Fiber.interrupt(fiber)
        outcomes.add(owner.openedWith.length > 0)
        for (const session of owner.openedWith) {
          session.close()
        }
      }
      assert.strictEqual(outcomes.size, 2, "some were interrupted before they had a session, and some after")
      yield* until(Effect.map(server.connections, (open) => open === 0))
    }))
})
