/**
 * Dials over WebSocket. Two servers are scripted: one that answers the upgrade with a wrong key, and one that says
 * nothing; a real one does neither.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestFakeServer, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import type { MessageTarget } from "../../src/internal/protocol/target.ts"
import { dialTo, password, pinged, Recorder, refusal } from "../fixtures/dialling.ts"

class Bytes implements MessageTarget {
  touched = false
  messages = 0
  readonly parts: Array<Buffer> = []
  accept(chunk: Buffer, ...at: [number, number, number, number, number, number, number]): void {
    this.messages += 1
    this.parts.push(Buffer.from(chunk.subarray(at[5], at[6])))
  }
  commit(): void {}
}

describe("WebSocket", () => {
  it.live("carries messages of every length in both directions", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ websocket: true })
      const owner = new Recorder()
      const session = yield* dialTo(server.websocketUrl!, { owner })
      assert.isFalse(session.encrypted)
      const target = new Bytes()
      owner.targets.set(1, target)
      session.writer.subscribe(1, "echo", undefined)
      const sizes = [0, 1, 100, 125, 126, 127, 1000, 65_000, 65_535, 65_536, 70_000, 1_000_000]
      const sent = sizes.map((size) => Buffer.alloc(size, `${size}.`))
      for (const payload of sent) {
        session.writer.publish("echo", "", undefined, payload)
      }
      yield* pinged(session)
      assert.strictEqual(target.messages, sizes.length)
      assert.isTrue(Buffer.concat(target.parts).equals(Buffer.concat(sent)))
      yield* Effect.callback<void>((resume) => session.drained(() => resume(Effect.void)))
      assert.strictEqual(session.backlog, 0)
    }))

  it.live("with TLS verifies what was dialled, against the given authority", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const tls = yield* authority.issue({ commonName: "server", names: ["127.0.0.1"] })
      const server = yield* TestNatsServer.make({ websocket: { tls } })
      const url = server.websocketUrl!
      const session = yield* dialTo(url, { tls: { ca: authority.cert } })
      yield* pinged(session)
      assert.isTrue(session.encrypted)
      assert.strictEqual((yield* refusal(url))._tag, "TlsCertificateInvalid")
      const name = url.replace("127.0.0.1", "localhost")
      assert.strictEqual((yield* refusal(name, { tls: { ca: authority.cert } }))._tag, "TlsCertificateInvalid")
      // The listener takes no clear text.
      const clear = yield* refusal(url.replace("wss:", "ws:"))
      assert.strictEqual(clear._tag, "WebSocketRefused")
    }))

  it.live("refused credentials are an AuthorizationViolation, every time", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ websocket: true, users: [{ user: "john", password: "p" }] })
      for (let i = 0; i < 20; i++) {
        const error = yield* refusal(server.websocketUrl!, { credentials: password("john", "q") })
        assert.strictEqual(error._tag, "AuthorizationViolation")
      }
    }))

  it.live("a kick and a killed server end the session with what the server said", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ websocket: true, users: [{ user: "john", password: "p" }] })
      const kicked = new Recorder()
      yield* dialTo(server.websocketUrl!, { credentials: password("john", "p"), owner: kicked })
      yield* server.reload({ users: [{ user: "john", password: "q" }] })
      assert.strictEqual((yield* kicked.end)._tag, "AuthorizationViolation")
      const lost = new Recorder()
      yield* dialTo(server.websocketUrl!, { credentials: password("john", "q"), owner: lost })
      yield* server.kill
      assert.strictEqual((yield* lost.end)._tag, "ConnectionReset")
    }))

  it.live("and TCP dialled at the same time each stay what they are", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ websocket: true })
      const urls = Array.from({ length: 40 }, (_, i) => i % 2 === 0 ? server.url : server.websocketUrl!)
      const sessions = yield* Effect.forEach(urls, (url) => dialTo(url), { concurrency: "unbounded" })
      yield* Effect.forEach(sessions, pinged, { discard: true, concurrency: "unbounded" })
      assert.deepStrictEqual(sessions.map((session) => session.server.replace(/\/$/, "")), urls)
    }))

  it.live("an answer that does not open a WebSocket is refused", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([
        { expect: "GET / HTTP/1.1" },
        { send: "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n" }
      ])
      const error = yield* refusal(server.url.replace("nats:", "ws:"))
      assert(error._tag === "NotANatsServer", error._tag)
      assert.strictEqual(error.banner, "HTTP/1.1 101 Switching Protocols")
      assert.include(error.message, "without the right Sec-WebSocket-Accept")
    }))

  it.live("to a port that speaks something else has a name", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const plain = yield* refusal(server.url.replace("nats:", "ws:"))
      assert.strictEqual(plain._tag, "WrongPort")
      const http = yield* refusal(`ws://127.0.0.1:${server.monitoringPort}`)
      assert(http._tag === "WebSocketRefused", http._tag)
      assert.strictEqual(http.status, 200)
      const silent = yield* TestFakeServer.make([])
      const nothing = yield* refusal(silent.url.replace("nats:", "ws:"), { connectTimeout: 100 })
      assert(nothing._tag === "ConnectTimedOut", nothing._tag)
      assert.strictEqual(nothing.stage, "info")
      const required = yield* refusal(silent.url.replace("nats:", "ws:"), { tls: { mode: "require" } })
      assert.strictEqual(required._tag, "TlsUnavailable")
      assert.strictEqual(yield* silent.accepted, 1)
    }))
})
