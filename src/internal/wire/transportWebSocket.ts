/**
 * NATS inside WebSocket frames (RFC 6455), over a connection that exists already.
 *
 * Node's own `WebSocket` takes no TLS material, does not tell why it failed, and keeps the socket of a server that does
 * not answer a close. Here the connection below is the same as for `nats://`, with its stages, causes and release.
 */
import * as Redacted from "effect/Redacted"
import { lazyCrypto } from "../identity/lazyBuiltins.ts"
import type { ServerAddress } from "../protocol/serverAddress.ts"
import { closeWord, frame, FrameReader, type FrameSink, opcodes } from "../protocol/webSocketFrame.ts"
import { ServerWord, type Transport, type TransportListener } from "./transport.ts"

const maxResponse = 16 * 1024

// Fixed by RFC 6455.
const acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/** An answer that does not open a WebSocket. */
export interface NoWebSocket {
  readonly firstLine: string
  /** Of an answer in HTTP. */
  readonly status: number | undefined
}

export interface WebSocketOptions {
  readonly address: ServerAddress
  readonly headers: Readonly<Record<string, Redacted.Redacted>> | undefined
  /** Called in place of all else, when the connection is over already. */
  readonly refused: (answer: NoWebSocket) => void
}

export class WebSocketTransport implements Transport, FrameSink {
  listener: TransportListener
  private readonly inner: Transport
  private readonly reader: FrameReader
  private readonly key: string = lazyCrypto().randomBytes(16).toString("base64")
  private readonly refused: (answer: NoWebSocket) => void
  private response: Buffer | undefined = Buffer.alloc(0)
  private sent = 0
  /** Where the latest pong ends, in what was sent. */
  private pongEnd = 0
  /** The payload of a ping that waits for its pong. */
  private owed: Buffer | undefined
  private over = false

  constructor(inner: Transport, listener: TransportListener, { address, headers = {}, refused }: WebSocketOptions) {
    this.listener = listener
    this.inner = inner
    this.refused = refused
    this.reader = new FrameReader(this)
    inner.listener = {
      data: (chunk) => this.received(chunk),
      drained: () => {
        this.payPong()
        this.listener.drained()
      },
      ended: (error) => this.innerEnded(error)
    }
    const host = address.host.includes(":") ? `[${address.host}]` : address.host
    const lines = [
      `GET ${address.path === "" ? "/" : address.path} HTTP/1.1`,
      `Host: ${host}:${address.port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${this.key}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${Redacted.value(value)}`)
    ]
    inner.write(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`))
  }

  get backlog(): number {
    return this.inner.backlog
  }

  get writing(): number {
    return this.inner.writing
  }

  write(bytes: Uint8Array): void {
    if (!this.over) {
      this.payPong()
      this.send(opcodes.binary, bytes)
    }
  }

  destroy(): void {
    this.over = true
    this.inner.destroy()
  }

  data(chunk: Buffer): void {
    if (!this.over) {
      this.listener.data(chunk)
    }
  }

  control(opcode: number, payload: Buffer): void {
    if (this.over) return
    if (opcode === opcodes.ping) {
      // A copy: a part of it would keep the whole chunk.
      this.owed = Buffer.from(payload)
      this.payPong()
    } else if (opcode === opcodes.close) {
      const word = closeWord(payload)
      this.end(word === undefined ? undefined : new ServerWord(word.status, word.reason))
    }
  }

  /**
   * A server that pings and does not read must not fill the memory: while a pong waits to be taken there is no second one,
   * and of the pings that came meanwhile only the latest is answered (RFC 6455, 5.5.3).
   */
  private payPong(): void {
    const payload = this.owed
    if (payload !== undefined && this.sent - this.inner.backlog >= this.pongEnd) {
      this.owed = undefined
      this.send(opcodes.pong, payload)
      this.pongEnd = this.sent
    }
  }

  private send(opcode: number, payload: Uint8Array): void {
    const bytes = frame(opcode, payload, lazyCrypto().randomBytes(4))
    this.sent += bytes.length
    this.inner.write(bytes)
  }

  private received(chunk: Buffer): void {
    if (this.over) return
    const rest = this.response === undefined ? chunk : this.opening(Buffer.concat([this.response, chunk]))
    if (rest !== undefined && rest.length > 0) {
      const fault = this.reader.push(rest)
      if (fault !== undefined) {
        this.end(new ServerWord(`sent ${fault}`))
      }
    }
  }

  /** Reads the answer to the request to open. Gives what follows it. */
  private opening(response: Buffer): Buffer | undefined {
    const text = response.toString("latin1", 0, maxResponse)
    const end = text.indexOf("\r\n\r\n")
    const opens = text.startsWith("HTTP/1.1 101".slice(0, text.length))
    if (opens && end < 0 && response.length < maxResponse) {
      this.response = response
      return undefined
    }
    if (!opens || end < 0 || !this.accepts(text.slice(0, end))) {
      this.response = response
      // One line is enough, but it may still be on its way.
      if (text.includes("\n") || response.length >= 64) {
        this.refuse(text)
      }
      return undefined
    }
    this.response = undefined
    return response.subarray(end + 4)
  }

  private refuse(text: string): void {
    this.destroy()
    const [firstLine] = text.split(/\r?\n/, 1)
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(firstLine)
    this.refused({ firstLine, status: status === null ? undefined : Number(status[1]) })
  }

  private accepts(head: string): boolean {
    const expected = lazyCrypto().createHash("sha1").update(this.key + acceptSuffix).digest("base64")
    const given = /\r\nsec-websocket-accept:[ \t]*([^\r\n]*?)[ \t]*(\r\n|$)/i.exec(head)
    return given !== null && given[1] === expected
  }

  private innerEnded(error: Error | undefined): void {
    const text = this.response?.toString("latin1") ?? ""
    if (!this.over && /^HTTP\/1\.[01] \d{3}/.test(text)) {
      this.refuse(text)
    } else {
      this.end(error)
    }
  }

  private end(error: Error | undefined): void {
    if (!this.over) {
      this.destroy()
      this.listener.ended(error)
    }
  }
}
