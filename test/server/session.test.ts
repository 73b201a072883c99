import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ConnectionReset, StaleConnection } from "../../src/ConnectError.ts"
import type { MessageTarget } from "../../src/internal/protocol/target.ts"
import type { Session } from "../../src/internal/wire/session.ts"
import { dialTo, pinged, Recorder } from "../fixtures/dialling.ts"
import { until } from "../fixtures/following.ts"

/** Keeps the texts of its messages. */
class Texts implements MessageTarget {
  touched = false
  readonly texts: Array<string> = []
  accept(chunk: Buffer, ...at: [number, number, number, number, number, number, number]): void {
    this.texts.push(chunk.toString("utf8", at[5], at[6]))
  }
  commit(): void {}
}

const drained = (session: Session): Effect.Effect<void> =>
  Effect.callback<void>((resume) => session.drained(() => resume(Effect.void)))

describe("a session", () => {
  it.live("delivers what was sent before a ping before the ping is answered", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const owner = new Recorder()
      const session = yield* dialTo(server.url, { owner })
      const target = new Texts()
      owner.targets.set(7, target)
      session.writer.subscribe(7, "greet", undefined)
      for (let i = 0; i < 1000; i++) {
        session.writer.publish("greet", "", undefined, `hello ${i}`)
      }
      yield* pinged(session)
      assert.deepStrictEqual(target.texts, Array.from({ length: 1000 }, (_, i) => `hello ${i}`))
      assert.strictEqual(session.messagesIn, 1000)
      assert.isAbove(session.bytesIn, 1000 * "hello 0".length)
    }))

  it.live("answers pings in their order", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const session = yield* dialTo(server.url)
      const order: Array<number> = []
      for (let i = 0; i < 100; i++) {
        session.ping(() => order.push(i))
      }
      yield* pinged(session)
      assert.deepStrictEqual(order, Array.from({ length: 100 }, (_, i) => i))
    }))

  it.live("answers the server's pings", () =>
    Effect.gen(function*() {
      // A busy machine must not make the client late: the server gives it some minutes.
      const server = yield* TestNatsServer.make({ pingInterval: "20 millis", maxPingOut: 10_000, trace: true })
      const session = yield* dialTo(server.url)
      for (let i = 0; i < 3; i++) {
        const from = (yield* server.logs).length
        yield* server.awaitLog("[PONG]", { from })
      }
      yield* pinged(session)
      assert.isTrue(session.isOpen)
    }))

  it.live("counts what the server has not taken, and says when it has", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxPayload: 8 * 1024 * 1024 })
      const session = yield* dialTo(server.url)
      yield* drained(session)
      assert.strictEqual(session.backlog, 0)
      yield* server.pause
      const payload = new Uint8Array(4 * 1024 * 1024)
      for (let i = 0; i < 8; i++) {
        session.writer.publish("large", "", undefined, payload)
      }
      assert.isAbove(session.backlog, 16 * 1024 * 1024)
      let resumed = false
      const waiting = drained(session).pipe(Effect.andThen(Effect.sync(() => assert.isTrue(resumed))))
      const fiber = yield* Effect.forkChild(waiting, { startImmediately: true })
      resumed = true
      yield* server.resume
      yield* Fiber.join(fiber)
      assert.strictEqual(session.backlog, 0)
      yield* pinged(session)
    }))

  it.live("tells how much is left of a long write, with TLS too", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const certificate = yield* authority.issue({ names: ["localhost"] })
      const payload = new Uint8Array(32 * 1024 * 1024)
      const tcp = yield* TestNatsServer.make({ maxPayload: payload.length })
      const tls = yield* TestNatsServer.make({ maxPayload: payload.length, tls: certificate })
      const ca = { tls: { ca: authority.cert } }
      for (
        const [server, url, options] of [[tcp, tcp.url, {}], [tls, `tls://localhost:${tls.port}`, ca]] as const
      ) {
        const session = yield* dialTo(url, options)
        yield* drained(session)
        assert.isFalse(session.isFull)
        yield* server.pause
        session.writer.publish("large", "", undefined, payload)
        // Past the small write before it.
        yield* until(Effect.sync(() => session.writing > payload.length / 2))
        assert.isTrue(session.isFull)
        // The system has taken a part of it, and the backlog has all of it.
        assert.isBelow(session.writing, payload.length)
        assert.isAbove(session.backlog, payload.length)
        yield* server.resume
        yield* drained(session)
        assert.strictEqual(session.writing, 0)
      }
    }))

  it.live("a small write that is all taken calls back too", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const session = yield* dialTo(server.url)
      session.writer.publish("small", "", undefined, "x")
      assert.isAbove(session.backlog, 0)
      yield* drained(session)
      assert.strictEqual(session.backlog, 0)
    }))

  it.live("that is made to fail tells its owner once, and every ping and waiter with it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const owner = new Recorder()
      const session = yield* dialTo(server.url, { owner })
      yield* server.pause
      const reasons: Array<string | undefined> = []
      session.ping((reason) => reasons.push(reason?._tag))
      session.ping((reason) => reasons.push(reason?._tag))
      session.drained(() => reasons.push("drained"))
      session.fail(new StaleConnection({ server: session.server }))
      session.fail(new ConnectionReset({ server: session.server, stage: "up" }))
      session.close()
      assert.deepStrictEqual(reasons, ["StaleConnection", "StaleConnection", "drained"])
      assert.deepStrictEqual(owner.ends.map((end) => end._tag), ["StaleConnection"])
      const late = yield* Effect.flip(pinged(session))
      assert.strictEqual(late._tag, "StaleConnection")
      session.writer.publish("after", "", undefined, "the end")
      assert.strictEqual(session.backlog, 0)
    }))
})
