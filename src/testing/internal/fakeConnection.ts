/**
 * One client's connection to the fake server.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as net from "node:net"

export class FakeConnection {
  readonly socket: net.Socket
  /** Everything the client sent, one character per byte. */
  text = ""
  isClosed = false
  private answering = false
  private isFinished = false
  /** Where the next expected line is looked for, and where the next PING is. */
  private position = 0
  private pingPosition = 0
  private onText: (() => void) | undefined
  private readonly closeListeners = new Set<() => void>()
  private readonly finishedListeners = new Set<() => void>()

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.setEncoding("latin1")
    socket.on("data", (text: string) => {
      this.text += text
      this.pongs()
      this.onText?.()
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      this.isClosed = true
      for (const listener of this.closeListeners) listener()
    })
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  answerPings(): void {
    this.answering = true
    this.pingPosition = this.position
    this.pongs()
  }

  onClose(listener: () => void): void {
    this.closeListeners.add(listener)
  }

  finished(): void {
    this.isFinished = true
    for (const listener of this.finishedListeners) listener()
  }

  onFinished(listener: () => void): void {
    if (this.isFinished) return listener()
    this.finishedListeners.add(listener)
  }

  stop(): void {
    this.socket.resetAndDestroy()
  }

  /** Waits for a line, behind the one that was found before. */
  line(pattern: string | RegExp): Effect.Effect<void> {
    return this.until(() => {
      let end = this.text.indexOf("\r\n", this.position)
      while (end >= 0) {
        const line = this.text.slice(this.position, end)
        this.position = end + 2
        if (typeof pattern === "string" ? line.startsWith(pattern) : line.search(pattern) >= 0) return true
        end = this.text.indexOf("\r\n", this.position)
      }
      return false
    })
  }

  lines(count: number): Effect.Effect<void> {
    let left = count
    return this.until(() => {
      let end = this.text.indexOf("\r\n", this.position)
      while (end >= 0 && left > 0) {
        this.position = end + 2
        left -= 1
        end = this.text.indexOf("\r\n", this.position)
      }
      return left === 0
    })
  }

  /** The client runs in real time, so a script's waits do too. */
  realTime(duration: Duration.Input): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const timer = setTimeout(() => resume(Effect.void), Duration.toMillis(duration))
      return Effect.sync(() => clearTimeout(timer))
    })
  }

  private until(condition: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = (): void => {
        if (condition()) {
          this.onText = undefined
          resume(Effect.void)
        }
      }
      this.onText = look
      look()
      return Effect.sync(() => {
        this.onText = undefined
      })
    })
  }

  private pongs(): void {
    if (!this.answering) return
    let end = this.text.indexOf("\r\n", this.pingPosition)
    while (end >= 0) {
      if (this.text.slice(this.pingPosition, end) === "PING") this.socket.write("PONG\r\n")
      this.pingPosition = end + 2
      end = this.text.indexOf("\r\n", this.pingPosition)
    }
  }
}
