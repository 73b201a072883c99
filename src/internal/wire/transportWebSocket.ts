/**
 * NATS inside WebSocket frames (RFC 6455), over a connection that exists already.
 *
 * Node's own `WebSocket` takes no TLS material, does not tell why it failed, and keeps the socket of a server that does
 * not answer a close. Here the connection below is the same as for `nats://`, with its stages, causes and release.
 */
import { lazyCrypto } from "../identity/lazyBuiltins.ts"
import type { ServerAddress } from "../protocol/serverAddress.ts"
import { frame, FrameReader, type FrameSink, opcodes } from "../protocol/webSocketFrame.ts"
import type { Transport, TransportListener } from "./transport.ts"

const maxResponse = 16 * 1024

// Fixed by RFC 6455.
const acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

export class WebSocketTransport implements Transport, FrameSink {
  listener: TransportListener
  private readonly inner: Transport
  private readonly reader: FrameReader
  private readonly key: string = lazyCrypto().randomBytes(16).toString("base64")
  private readonly refused: (firstLine: string) => void
  private response: Buffer | undefined = Buffer.alloc(0)
  private over = false

  /** `refused` is called with the first line of an answer that does not open a WebSocket, which is then over. */
  constructor(
    inner: Transport,
    address: ServerAddress,
    listener: TransportListener,
    refused: (firstLine: string) => void
  ) {
    this.listener = listener
    this.inner = inner
    this.refused = refused
    this.reader = new FrameReader(this)
    inner.listener = {
      data: (chunk) => this.received(chunk),
      drained: () => this.listener.drained(),
      ended: (error) => this.end(error)
    }
    const host = address.host.includes(":") ? `[${address.host}]` : address.host
    inner.write(Buffer.from(
      `GET ${
        address.path === "" ? "/" : address.path
      } HTTP/1.1\r\nHost: ${host}:${address.port}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${this.key}\r\n\r\n`
    ))
  }

  get backlog(): number {
    return this.inner.backlog
  }

  write(bytes: Uint8Array): void {
    if (!this.over) {
      this.inner.write(frame(opcodes.binary, bytes, lazyCrypto().randomBytes(4)))
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
      this.inner.write(frame(opcodes.pong, payload, lazyCrypto().randomBytes(4)))
    } else if (opcode === opcodes.close) {
      this.end(undefined)
    }
  }

  private received(chunk: Buffer): void {
    if (this.over) return
    const rest = this.response === undefined ? chunk : this.opening(Buffer.concat([this.response, chunk]))
    if (rest !== undefined && rest.length > 0) {
      const fault = this.reader.push(rest)
      if (fault !== undefined) {
        this.end(new Error(fault))
      }
    }
  }

  /** Reads the answer to the request to open. Gives what follows it. */
  private opening(response: Buffer): Buffer | undefined {
    const text = response.toString("latin1", 0, maxResponse)
    const end = text.indexOf("\r\n\r\n")
    const isHttp = text.startsWith("HTTP/1.1 101".slice(0, text.length))
    if (isHttp && end < 0 && response.length < maxResponse) {
      this.response = response
      return undefined
    }
    if (!isHttp || end < 0 || !this.accepts(text.slice(0, end))) {
      // One line is enough, but it may still be on its way.
      if (!text.includes("\n") && response.length < 64) {
        this.response = response
        return undefined
      }
      this.destroy()
      this.refused(text.split(/\r?\n/, 1)[0])
      return undefined
    }
    this.response = undefined
    return response.subarray(end + 4)
  }

  private accepts(head: string): boolean {
    const expected = lazyCrypto().createHash("sha1").update(this.key + acceptSuffix).digest("base64")
    const given = /\r\nsec-websocket-accept:[ \t]*([^\r\n]*?)[ \t]*(\r\n|$)/i.exec(head)
    return given !== null && given[1] === expected
  }

  private end(error: Error | undefined): void {
    if (!this.over) {
      this.destroy()
      this.listener.ended(error)
    }
  }
}
