/**
 * Scripted: protocol that no real server sends, and owners with a bug. A session must end with a reason, not go deaf.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestFakeServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as util from "node:util"
import { connectAndPing, firstPings } from "../../src/internal/protocol/connectLine.ts"
import type { MessageTarget } from "../../src/internal/protocol/target.ts"
import { SecretFilter } from "../../src/internal/wire/secretFilter.ts"
import type { Transport } from "../../src/internal/wire/transport.ts"
import { WireSession } from "../../src/internal/wire/wireSession.ts"
import { dialTo, pinged, Recorder } from "../fixtures/dialling.ts"

const afterHandshake = (...steps: TestFakeServer.Script): TestFakeServer.Script => [
  { send: TestFakeServer.info() },
  { expect: "PING" },
  { send: "PONG\r\n" },
  { expect: "PING" },
  ...steps
]

/** Opens a session, pings once so that the script goes on, and waits for the end. */
const endAfter = (owner: Recorder, ...steps: TestFakeServer.Script) =>
  Effect.gen(function*() {
    const server = yield* TestFakeServer.make(afterHandshake(...steps))
    const session = yield* dialTo(server.url, { owner })
    const ping = yield* Effect.flip(pinged(session))
    const end = yield* owner.end
    assert.strictEqual(ping, end)
    assert.isFalse(session.isOpen)
    return end
  })

class Failing implements MessageTarget {
  touched = false
  accept(): void {
    throw new Error("bug")
  }
  commit(): void {}
}

describe("the first write", () => {
  it("is CONNECT and PING in one, and nothing follows it before the PONG", () => {
    const writes: Array<string> = []
    const transport: Transport = {
      listener: { data: () => {}, drained: () => {}, ended: () => {} },
      backlog: 0,
      writing: 0,
      write: (bytes) => writes.push(Buffer.from(bytes).toString()),
      destroy: () => {}
    }
    const owner = new Recorder()
    const session = new WireSession({
      transport,
      peer: { server: "nats://test:4222", hosts: [], method: "Anonymous", filter: new SecretFilter() },
      info: { server_id: "S", version: "2.10.27", max_payload: 1000 },
      infoInsideTls: false,
      pings: 1,
      tls: undefined,
      owner,
      settled: () => {}
    })
    session.start(
      Buffer.alloc(0),
      connectAndPing({ noEcho: false }, { version: "1", tlsRequired: false, headers: true }, {})
    )
    transport.listener.data(Buffer.from("PING\r\n"))
    session.writer.flush()
    assert.strictEqual(writes.length, 1)
    assert.match(writes[0], /^CONNECT \{.*\}\r\nPING\r\n$/)
    transport.listener.data(Buffer.from("PONG\r\n"))
    session.writer.flush()
    assert.deepStrictEqual(writes.slice(1), ["PONG\r\n"])
    assert.strictEqual(owner.openedWith.length, 1)
    // A user by JWT can have limits, which come behind the first PONG.
    const withJwt = connectAndPing({ noEcho: false }, { version: "1", tlsRequired: false, headers: true }, { jwt: "j" })
    assert.match(Buffer.from(withJwt).toString(), /^CONNECT \{.*\}\r\nPING\r\nPING\r\n$/)
    assert.strictEqual(firstPings({ jwt: "j" }), 2)
  })
})

describe("protocol that is broken", () => {
  for (
    const [what, bytes] of [
      ["an operation that is none", "CANARY operation\r\n"],
      ["a malformed INFO", "INFO {\"canary\":\r\n"],
      ["a size that is none", "MSG subject 1 canary\r\n"],
      ["a payload without its end", "MSG subject 1 2\r\ncanary\r\n"]
    ] as const
  ) {
    it.live(`${what} ends the session as ServerRejected, without the bytes`, () =>
      Effect.gen(function*() {
        const end = yield* endAfter(new Recorder(), { send: bytes })
        assert.strictEqual(end._tag, "ServerRejected")
        assert.notMatch(util.inspect(end, { depth: 8, showHidden: true }), /canary/i)
      }))
  }
})

describe("a bug in an owner", () => {
  it.live("ends the session as ServerRejected with the bug as cause, where it is in a subscription", () =>
    Effect.gen(function*() {
      const owner = new Recorder()
      owner.targets.set(1, new Failing())
      const end = yield* endAfter(owner, { send: "MSG a 1 2\r\nhi\r\n" })
      assert(end._tag === "ServerRejected")
      assert.strictEqual((end.cause as Error).message, "bug")
    }))

  it.live("ends the session where it is in what hears of the status", () =>
    Effect.gen(function*() {
      class Broken extends Recorder {
        override serverError(): void {
          throw new Error("bug")
        }
      }
      const end = yield* endAfter(new Broken(), { send: "-ERR 'Invalid Subject'\r\n" })
      assert.strictEqual(end._tag, "ServerRejected")
    }))

  it.live("fails the dial where it is in `opened`, and leaves no connection", () =>
    Effect.gen(function*() {
      class Broken extends Recorder {
        override opened(): void {
          throw new Error("bug")
        }
      }
      const server = yield* TestFakeServer.make(TestFakeServer.handshake())
      const error = yield* Effect.flip(dialTo(server.url, { owner: new Broken() }))
      assert.strictEqual(error._tag, "ServerRejected")
      yield* server.scriptEnd()
    }))
})

describe("what the server says last", () => {
  it.live("of two refusals the first is the cause", () =>
    Effect.gen(function*() {
      const end = yield* endAfter(new Recorder(), {
        send: "-ERR 'User Authentication Expired'\r\n-ERR 'Authorization Violation'\r\n"
      }, { end: "RST" })
      assert.strictEqual(end._tag, "AuthenticationExpired")
    }))

  it.live("an unknown error is told, and is the cause if the connection ends next", () =>
    Effect.gen(function*() {
      const owner = new Recorder()
      const end = yield* endAfter(owner, { send: "-ERR 'something new'\r\n" }, { end: "FIN" })
      assert(end._tag === "ServerRejected")
      assert.strictEqual(end.text, "something new")
      assert.deepStrictEqual(owner.errors, ["something new"])
    }))

  it.live("an unknown error that the connection outlived is not the cause of a later end", () =>
    Effect.gen(function*() {
      const owner = new Recorder()
      const server = yield* TestFakeServer.make(
        afterHandshake({ send: "-ERR 'something new'\r\nPONG\r\n" }, { expect: "PING" }, { end: "FIN" })
      )
      const session = yield* dialTo(server.url, { owner })
      yield* pinged(session)
      assert.deepStrictEqual(owner.errors, ["something new"])
      const end = yield* Effect.flip(pinged(session))
      assert.strictEqual(end._tag, "ConnectionReset")
    }))

  it.live("a payload that looks like an error is a payload", () =>
    Effect.gen(function*() {
      const text = "-ERR 'Authorization Violation'"
      const end = yield* endAfter(new Recorder(), { send: `MSG a 1 ${text.length}\r\n${text}\r\n` }, { end: "FIN" })
      assert.strictEqual(end._tag, "ConnectionReset")
    }))

  it.live("nothing is told to the owner after close, though the chunk goes on", () =>
    Effect.gen(function*() {
      class Closing extends Recorder {
        override serverError(text: string): void {
          super.serverError(text)
          this.openedWith[0].close()
        }
      }
      const owner = new Closing()
      const server = yield* TestFakeServer.make(afterHandshake({
        send: `-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n${TestFakeServer.info()}-ERR 'Stale Connection'\r\n`
      }))
      const session = yield* dialTo(server.url, { owner })
      yield* Effect.flip(pinged(session))
      assert.deepStrictEqual([owner.errors.length, owner.infos.length, owner.ends.length], [1, 0, 0])
    }))
})
