/** A WebSocket over a connection that a test holds: answers in pieces, and pongs behind what has not been taken. */
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import type { Transport } from "../src/internal/wire/transport.ts"
import { type NoWebSocket, WebSocketTransport } from "../src/internal/wire/transportWebSocket.ts"

/** Gives what the WebSocket writes, one after the other, and the answer that refuses it. */
const held = () => {
  const written: Array<Buffer> = []
  const refusals: Array<NoWebSocket> = []
  const ends: Array<Error | undefined> = []
  let backlog = 0
  const inner: Transport = {
    listener: { data: () => {}, drained: () => {}, ended: () => {} },
    get backlog() {
      return backlog
    },
    write: (bytes) => {
      written.push(Buffer.from(bytes))
      backlog += bytes.length
    },
    destroy: () => {},
    writing: 0
  }
  const webSocket = new WebSocketTransport(
    inner,
    { data: () => {}, drained: () => {}, ended: (error) => ends.push(error) },
    {
      address: { scheme: "ws", host: "::1", port: 80, path: "" },
      headers: undefined,
      refused: (answer) => refusals.push(answer)
    }
  )
  /** The system takes all but so many bytes. */
  const take = (left = 0): void => {
    backlog = left
    if (left === 0) inner.listener.drained()
  }
  const receive = (bytes: Buffer | string): void => inner.listener.data(Buffer.from(bytes as string))
  const open = (): void => {
    const key = /Sec-WebSocket-Key: (\S+)/.exec(String(written[0]))?.[1]
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
    take()
    receive(`HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
    written.length = 0
  }
  /** What was written, masks taken off. */
  const frames = (): ReadonlyArray<string> =>
    written.map((bytes) => {
      const kind = (bytes[0] & 0x0f) === 10 ? "pong" : "data"
      return `${kind} ${bytes.subarray(6).map((byte, i) => byte ^ bytes[2 + (i & 3)]).toString()}`
    })
  return { ends, frames, inner, open, receive, refusals, take, webSocket, written }
}

const ping = (text: string): Buffer => Buffer.concat([Buffer.from([0x89, text.length]), Buffer.from(text)])

describe("the request for a WebSocket", () => {
  it("names an IPv6 host in brackets", () => {
    assert.include(String(held().written[0]), "\r\nHost: [::1]:80\r\n")
  })
})

describe("an answer that comes byte by byte", () => {
  const pieces = (text: string) => {
    const wire = held()
    for (const each of text) wire.receive(each)
    return wire
  }

  it("is judged by its whole first line", () => {
    for (const status of [200, 302, 503]) {
      const firstLine = `HTTP/1.1 ${status} Some Words`
      assert.deepStrictEqual(pieces(`${firstLine}\r\n`).refusals, [{ firstLine, status }])
    }
    assert.deepStrictEqual(pieces("INFO {}\r\n").refusals, [{ firstLine: "INFO {}", status: undefined }])
  })

  it("and without an end is judged by what is there", () => {
    assert.lengthOf(pieces("x".repeat(64)).refusals, 1)
    assert.lengthOf(pieces("x".repeat(63)).refusals, 0)
    assert.lengthOf(pieces(`HTTP/1.1 101 ${"x".repeat(20_000)}`).refusals, 1)
  })

  it("and ends before its status is whole is an end without a word", () => {
    const cut = pieces("HTTP/1.1 50")
    cut.inner.listener.ended(undefined)
    assert.deepStrictEqual([cut.refusals, cut.ends], [[], [undefined]])
  })
})

describe("the pong of a WebSocket", () => {
  it("waits until the one before is taken, is the latest then, and goes out with the next message or before it", () => {
    const { frames, open, receive, take, webSocket } = held()
    open()
    receive(Buffer.concat(["1", "2", "3"].map(ping)))
    assert.deepStrictEqual(frames(), ["pong 1"])
    webSocket.write(Buffer.from("a"))
    take(7)
    receive(ping("4"))
    assert.deepStrictEqual(frames(), ["pong 1", "data a", "pong 4"])
    receive(ping("5"))
    take(5)
    webSocket.write(Buffer.from("b"))
    assert.deepStrictEqual(frames().slice(3), ["data b"])
    take(7)
    webSocket.write(Buffer.from("c"))
    assert.deepStrictEqual(frames().slice(4), ["pong 5", "data c"])
    receive(ping("6"))
    take()
    assert.deepStrictEqual(frames().slice(6), ["pong 6"])
  })

  it("has the payload of its ping also when the chunk that had it is overwritten", () => {
    const { frames, inner, open, receive, take } = held()
    open()
    receive(ping("1"))
    const chunk = ping("2")
    inner.listener.data(chunk)
    chunk.fill(0)
    take()
    assert.deepStrictEqual(frames(), ["pong 1", "pong 2"])
  })
})
