/**
 * Scripted: what the other side of a WebSocket does against the rules, how it closes, and pings that outrun its reading. A
 * real server does none of that on demand.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestFakeServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as net from "node:net"
import { type DialTestOptions, dialTo, Recorder, refusal } from "../fixtures/dialling.ts"
import { until } from "../fixtures/following.ts"
import { listenAt } from "../fixtures/names.ts"

/** A frame as servers send it, of at most 65,535 bytes. */
const fromServer = (first: number, payload: Uint8Array | string, mask = 0): Buffer => {
  const bytes = Buffer.from(payload)
  const size = bytes.length <= 125 ? [mask | bytes.length] : [mask | 126, bytes.length >> 8, bytes.length & 0xff]
  return Buffer.concat([Buffer.from([first, ...size]), bytes])
}

const binary = (text: string): Buffer => fromServer(0x82, text)

const close = (status: number, reason: string): Buffer =>
  fromServer(0x88, Buffer.from([status >> 8, status & 0xff, ...Buffer.from(reason)]))

/** The payloads of what a client sent, each with its opcode. */
const framesOf = (bytes: Buffer): ReadonlyArray<{ readonly opcode: number; readonly payload: string }> => {
  const frames: Array<{ readonly opcode: number; readonly payload: string }> = []
  for (let at = 0; at + 6 <= bytes.length;) {
    const short = bytes[at + 1] & 0x7f
    const size = short === 126 ? 4 : 2
    const length = short === 126 ? bytes.readUInt16BE(at + 2) : short
    const start = at + size + 4
    if (start + length > bytes.length) break
    const mask = bytes.subarray(at + size, start)
    const payload = bytes.subarray(start, start + length).map((byte, i) => byte ^ mask[i & 3])
    frames.push({ opcode: bytes[at] & 0x0f, payload: Buffer.from(payload).toString() })
    at = start + length
  }
  return frames
}

/** Opens every WebSocket and sends INFO, then what `greeted` says; PONG to the CONNECT, and what `up` says. */
const serving = (script: { readonly greeted?: Buffer; readonly up?: (socket: net.Socket) => void }) =>
  Effect.gen(function*() {
    const received: Array<Buffer> = []
    const server = yield* Effect.acquireRelease(
      Effect.callback<net.Server>((resume) => {
        const made = net.createServer((socket) => {
          let state: "opening" | "greeted" | "up" = "opening"
          socket.on("error", () => {}).on("data", (chunk) => {
            const key = /Sec-WebSocket-Key: (\S+)/.exec(chunk.toString("latin1"))
            if (state === "opening" && key !== null) {
              state = "greeted"
              const accept = createHash("sha1").update(`${key[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
              socket.write(`HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
              socket.write(Buffer.concat([script.greeted ?? Buffer.alloc(0), binary(TestFakeServer.info())]))
              return
            }
            received.push(chunk)
            if (state === "greeted") {
              state = "up"
              socket.write(binary("PONG\r\n"))
              script.up?.(socket)
            }
          })
        })
        made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
      }),
      (made) => Effect.sync(() => made.close())
    )
    const { port } = server.address() as net.AddressInfo
    return { url: `ws://127.0.0.1:${port}`, received: () => framesOf(Buffer.concat(received)) }
  })

/** The reason with which a session ends when these bytes come. */
const endBy = (bytes: Buffer, options?: DialTestOptions) =>
  Effect.gen(function*() {
    const owner = new Recorder()
    const { url } = yield* serving({ up: (socket) => socket.write(bytes) })
    yield* dialTo(url, { ...options, owner })
    return yield* owner.end
  })

describe("a frame that breaks the rules", () => {
  const faults: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
    ["with a mask", fromServer(0x82, "xxxxabc", 0x80), /masked/],
    ["that is compressed", fromServer(0xc2, "abc"), /compressed/],
    ["of an unknown kind", fromServer(0x85, "abc"), /opcode 5/],
    ["of control that is too long", fromServer(0x89, "x".repeat(126)), /control frame of more than 125 bytes/],
    ["of control in parts", fromServer(0x09, "x"), /control frame in parts/]
  ]
  for (const [name, bytes, expected] of faults) {
    it.live(`${name} ends the session, and the dial, as ServerRejected that says so`, () =>
      Effect.gen(function*() {
        const ended = yield* endBy(bytes)
        assert(ended._tag === "ServerRejected", ended._tag)
        assert.match(ended.message, expected)
        const { url } = yield* serving({ greeted: bytes })
        const failed = yield* refusal(url)
        assert(failed._tag === "ServerRejected", failed._tag)
        assert.match(failed.message, expected)
      }))
  }
})

describe("a close frame", () => {
  it.live("is told with status and reason, at every stage", () =>
    Effect.gen(function*() {
      const ended = yield* endBy(close(1008, "Slow Consumer (Write Deadline)"))
      assert(ended._tag === "ServerRejected", ended._tag)
      assert.include(ended.message, "1008 (policy violation): Slow Consumer (Write Deadline)")
      const { url } = yield* serving({ greeted: close(1013, "no upstream") })
      const failed = yield* refusal(url)
      assert(failed._tag === "ServerRejected", failed._tag)
      assert.include(failed.message, "1013 (try again later): no upstream")
      assert.isTrue(failed.isRetryable)
    }))

  it.live("without a status is a ConnectionReset, and behind an -ERR it is not the reason", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* endBy(fromServer(0x88, "")))._tag, "ConnectionReset")
      const refused = Buffer.concat([
        binary("-ERR 'User Authentication Expired'\r\n"),
        close(1008, "Authentication Expired")
      ])
      assert.strictEqual((yield* endBy(refused))._tag, "AuthenticationExpired")
    }))
})

describe("pings of a WebSocket", () => {
  const ping = (number: number): Buffer => fromServer(0x89, String(number).padStart(125, "."))

  it.live("are answered with what they have", () =>
    Effect.gen(function*() {
      const { received, url } = yield* serving({ up: (socket) => socket.write(ping(1)) })
      yield* dialTo(url)
      yield* until(Effect.sync(() => received().some(({ opcode }) => opcode === 10)))
      assert.strictEqual(received().find(({ opcode }) => opcode === 10)?.payload, "1".padStart(125, "."))
    }))

  it.live("that come faster than their answers are read hold no memory, and the latest is answered", () =>
    Effect.gen(function*() {
      const many = 100_000
      let open: net.Socket | undefined
      const owner = new Recorder()
      const { received, url } = yield* serving({
        up: (socket) => {
          open = socket
          socket.pause()
          for (let sent = 1; sent <= many;) {
            const block: Array<Buffer> = []
            for (let i = 0; i < 1000; i++) block.push(ping(sent++))
            socket.write(Buffer.concat(block))
          }
          // What is recorded says that the client has come to the end.
          socket.write(binary(TestFakeServer.info()))
        }
      })
      const session = yield* dialTo(url, { owner })
      yield* owner.until(() => owner.infos.length === 1)
      assert.isBelow(session.backlog, 1000)
      open?.resume()
      const latest = String(many).padStart(125, ".")
      yield* until(Effect.sync(() => received().at(-1)?.payload === latest))
      const pongs = received().filter(({ opcode }) => opcode === 10)
      assert.isBelow(pongs.length, many)
    }))
})

describe("a listener that does not answer the request for a WebSocket", () => {
  it.live("is not spoken to besides, and is a ConnectTimedOut", () =>
    Effect.gen(function*() {
      const received: Array<Buffer> = []
      const { port } = yield* TestFakeServer.make([])
      yield* listenAt("127.0.0.2", port, (socket) => {
        socket.on("data", (chunk) => received.push(chunk))
      })
      const error = yield* refusal(`ws://127.0.0.2:${port}`, { connectTimeout: 400 })
      assert.deepInclude(error, { _tag: "ConnectTimedOut", stage: "info" })
      assert.match(Buffer.concat(received).toString("latin1"), /^GET [^]*\r\n\r\n$/)
    }))
})
