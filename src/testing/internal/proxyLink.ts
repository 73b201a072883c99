/**
 * One client's connection through the proxy.
 */
import * as net from "node:net"
import type { CutPoint, Direction, Ending } from "../TestNatsProxy.ts"
import { endSocket } from "./loopback.ts"

/** What is done to all connections at this moment. The proxy changes it in place. */
export interface Faults {
  readonly delay: Record<Direction, number>
  readonly swallow: Record<Direction, boolean>
  readonly corrupt: Record<Direction, number | undefined>
  cut: { readonly point: CutPoint; readonly how: Ending; readonly take: () => boolean } | undefined
}

export const noFaults = (): Faults => ({
  delay: { toServer: 0, toClient: 0 },
  swallow: { toServer: false, toClient: false },
  corrupt: { toServer: undefined, toClient: undefined },
  cut: undefined
})

export interface ProxyLinkOptions {
  readonly client: net.Socket
  readonly host: string
  readonly port: number
  readonly faults: Faults
  readonly onData: (direction: Direction, chunk: Buffer) => void
  readonly onEnd: () => void
}

export class ProxyLink {
  private readonly client: net.Socket
  private readonly server: net.Socket
  private readonly options: ProxyLinkOptions
  private readonly timers = new Set<NodeJS.Timeout>()
  private ended = false

  constructor(options: ProxyLinkOptions) {
    this.options = options
    this.client = options.client
    this.server = net.connect({ host: options.host, port: options.port, allowHalfOpen: true, noDelay: true })
    this.pipe("toServer", this.client, this.server)
    this.pipe("toClient", this.server, this.client)
  }

  end(how: Ending): void {
    if (this.ended) return
    this.ended = true
    for (const timer of this.timers) clearTimeout(timer)
    endSocket(this.client, how)
    endSocket(this.server, how)
    this.options.onEnd()
  }

  private pipe(direction: Direction, from: net.Socket, to: net.Socket): void {
    const { faults } = this.options
    let seen = 0
    let infoSeen = false
    let due = 0

    /** In order, and as late as the delay wants. */
    const later = (action: () => void): void => {
      const now = performance.now()
      due = Math.max(due, now + faults.delay[direction])
      if (due <= now) return action()
      const timer = setTimeout(() => {
        this.timers.delete(timer)
        if (!this.ended) action()
      }, due - now)
      this.timers.add(timer)
    }

    const write = (chunk: Buffer): void => {
      if (chunk.length === 0 || to.destroyed) return
      if (!to.write(chunk)) {
        from.pause()
        to.once("drain", () => from.resume())
      }
    }

    /** How much of a chunk still passes, when the connection is to be cut in or before it. */
    const passes = (chunk: Buffer): number | undefined => {
      const point = faults.cut?.point
      if (point === undefined || point === "accept") return undefined
      if (typeof point === "object") {
        return point.direction === direction && seen + chunk.length >= point.bytes
          ? Math.max(0, point.bytes - seen)
          : undefined
      }
      if (direction === "toClient") {
        if (infoSeen || point === "onConnect") return undefined
        if (point === "beforeInfo") return 0
        const end = chunk.indexOf("\n")
        return end < 0 ? undefined : end + 1
      }
      return point === "onConnect" && chunk.includes("CONNECT ") ? 0 : undefined
    }

    from.on("data", (given: Buffer) => {
      this.options.onData(direction, given)
      if (this.ended || faults.swallow[direction]) {
        seen += given.length
        return
      }
      const left = passes(given)
      if (left !== undefined && faults.cut!.take()) {
        const { how } = faults.cut!
        const rest = given.subarray(0, left)
        return later(() => {
          write(rest)
          this.end(how)
        })
      }
      const at = faults.corrupt[direction]
      let chunk = given
      if (at !== undefined && at >= seen && at < seen + given.length) {
        chunk = Buffer.from(given)
        chunk[at - seen] = chunk[at - seen]! ^ 0xff
      }
      seen += given.length
      if (given.includes("\n")) infoSeen = true
      later(() => write(chunk))
    })
    from.on("end", () =>
      later(() => {
        // A swallowed direction keeps the end to itself too.
        if (!faults.swallow[direction]) to.end()
      }))
    from.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET") later(() => this.end("RST"))
    })
    from.on("close", () => {
      if (to.destroyed) {
        this.end("FIN")
      } else {
        later(() => {
          if (!faults.swallow[direction]) this.end(from.errored === null ? "FIN" : "RST")
        })
      }
    })
  }
}
