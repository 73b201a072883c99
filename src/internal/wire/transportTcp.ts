/**
 * TCP and TLS, by `node:net` and `node:tls`.
 */
import type * as Net from "node:net"
import type * as Tls from "node:tls"
import { lazyNet } from "../identity/lazyBuiltins.ts"
import { peersOf, type TlsPeers } from "./dialTracing.ts"
import { lazyTls } from "./lazyTls.ts"
import type { Transport, TransportListener } from "./transport.ts"
import { afterLastWord, watchWrites } from "./transportLastWord.ts"

/** Of Node's sockets: by this they tell for their own timeouts whether a long write moves. TLS has that of TCP below it. */
interface Handle {
  readonly writeQueueSize?: number
  readonly _parent?: Handle | null
}

export class TcpTransport implements Transport {
  listener: TransportListener
  private socket: Net.Socket
  private detach: () => void = () => {}
  private over = false
  private received = 0

  /** Throws when the port is impossible. `connected` is called once the other side has accepted. */
  constructor(host: string, port: number, listener: TransportListener, connected: () => void) {
    this.listener = listener
    this.socket = lazyNet().connect({ host, port, noDelay: true })
    this.socket.once("connect", () => {
      if (!this.over) {
        connected()
      }
    })
    this.attach(this.socket, false)
  }

  /** The address of this side. */
  get localAddress(): string | undefined {
    return this.socket.localAddress
  }

  /** Why the other side's certificate was not accepted. */
  get certificateFault(): string | undefined {
    const fault: unknown = "authorizationError" in this.socket ? this.socket.authorizationError : undefined
    return fault === undefined || fault === null ? undefined : String(fault)
  }

  /**
   * TLS on this connection from here on. Bytes that come before `secured` are handed to no one. `shookHands` is called before
   * the certificate is judged.
   */
  secure(options: Tls.ConnectionOptions, secured: () => void, shookHands?: (peers: TlsPeers) => void): void {
    const raw = this.socket
    // The raw socket stays below the TLS one, and an 'error' event without a listener would end the process.
    raw.on("error", () => {})
    raw.pause()
    this.detach()
    const socket = lazyTls().connect({ ...options, socket: raw })
    this.socket = socket
    // Before the library's own listener, which ends a socket whose certificate it does not accept: then nothing is left to see.
    if (shookHands !== undefined) socket.prependOnceListener("secure", () => shookHands(peersOf(socket)))
    socket.once("secureConnect", () => {
      if (!this.over) {
        secured()
      }
    })
    this.attach(socket, true)
  }

  get backlog(): number {
    return this.over ? 0 : this.socket.writableLength
  }

  get writing(): number {
    const { _handle } = this.socket as { readonly _handle?: Handle | null }
    return (_handle?._parent ?? _handle)?.writeQueueSize ?? 0
  }

  write(bytes: Uint8Array): void {
    if (!this.over) {
      this.socket.write(bytes)
    }
  }

  destroy(): void {
    this.over = true
    this.socket.destroy()
  }

  private attach(socket: Net.Socket, sequential: boolean): void {
    const data = (chunk: Buffer): void => {
      if (!this.over) {
        this.received += 1
        this.listener.data(chunk)
      }
    }
    const failed = (error: Error): void => this.end(error)
    const ended = (): void => this.end(undefined)
    socket.on("data", data).on("error", failed).on("end", ended).on("close", ended)
    this.detach = () => socket.off("data", data).off("error", failed).off("end", ended).off("close", ended)
    watchWrites(socket, {
      sequential,
      failed: (error) => {
        if (!this.over) {
          afterLastWord(() => this.received, () => this.end(error))
        }
      },
      taken: () => {
        if (!this.over && socket.writableLength === 0) {
          this.listener.drained()
        }
      }
    })
  }

  private end(error: Error | undefined): void {
    if (!this.over) {
      this.over = true
      this.socket.destroy()
      this.listener.ended(error)
    }
  }
}
