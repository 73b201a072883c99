/**
 * The session of one connection, from CONNECT to its end.
 *
 * Everything here runs in the read loop, synchronously. There are no timers: whether the other side still lives is for
 * the owner to find out with `ping`.
 */
import * as ConnectError from "../../ConnectError.ts"
import type { ServerInfo } from "../protocol/info.ts"
import { Parser } from "../protocol/parser.ts"
import { isDenial, saysTooManySubscriptions, serverErrorKind, serverErrorText } from "../protocol/serverError.ts"
import { BufferedWriter } from "../protocol/writer.ts"
import { fromEnd, fromServerText, type Peer, rejected, type TlsState } from "./connectFailure.ts"
import type { Opening, Session, SessionOwner } from "./session.ts"
import type { Transport, TransportListener } from "./transport.ts"

export interface WireSessionOptions {
  readonly transport: Transport
  readonly peer: Peer
  readonly info: ServerInfo
  /** `info` came inside TLS. */
  readonly infoInsideTls: boolean
  /** So many PONGs answer what is sent first. */
  readonly pings: number
  /** What is known of TLS, for judging an end that no `-ERR` explains. Absent when the wire is in clear. */
  readonly tls: (() => TlsState) | undefined
  readonly owner: SessionOwner
  /** Called once: without a reason right after `owner.opened`, with one when it ended before. */
  readonly settled: (reason?: ConnectError.ConnectError) => void
}

// PONGs that may wait for a server that reads none of them. A further one waits until those are gone, and answers all.
const mostPongs = 1024

type Resume = (reason?: ConnectError.ConnectError) => void

/** So many different complaints of one chunk are looked at. */
const mostComplaints = 64

/** How long after its word that there are too many subscriptions a server closes, at most. It means to wait for 20 ms. */
const limitMillis = 1_000
const tooManySubscriptions = "maximum subscriptions exceeded"

const inspect = Symbol.for("nodejs.util.inspect.custom")

export class WireSession implements Session {
  private readonly options: WireSessionOptions
  private readonly transport: Transport
  private readonly owner: SessionOwner
  readonly writer: BufferedWriter
  private readonly parser: Parser
  info: ServerInfo
  infoInsideTls: boolean
  /** As it said before CONNECT, which told it the same. */
  readonly takesHeaders: boolean
  private stage: "connect" | "up" | "ended" = "connect"
  /** The owner has taken it: from here on an end is told to the owner, before that to the dial. */
  private owned = false
  /** The owner was told of it, whatever it made of that. */
  offered = false
  private reason: ConnectError.ConnectError | undefined
  private greetings = 0
  /** An `-ERR` of unknown meaning: the cause, if the connection ends next. Of several the first and the last. */
  private suspect: string | undefined
  private lastSuspect: string | undefined
  /** Since the chunk began, or our last PONG in it: what was said last, and how many complaints there were. */
  private said: string | undefined
  private complaints = 0
  /** When the server said, of no SUB of ours, that there are too many subscriptions. */
  private overLimitAt = -Infinity
  /** The server sent a PING before its PONG, or more than it reads answers to: the answer waits. */
  private owesPong = false
  /** Written since nothing was unsent. */
  private pongs = 0
  heard = 0
  private sent = 0
  /** Whose PONGs are to come, in order. Those before `nextPing` are done: `shift` would move the others for each. */
  private pings: Array<Resume | Opening> = []
  private nextPing = 0
  private waiting: Array<() => void> = []

  constructor(options: WireSessionOptions) {
    this.options = options
    this.transport = options.transport
    this.owner = options.owner
    this.info = options.info
    this.infoInsideTls = options.infoInsideTls
    this.takesHeaders = options.info.headers === true
    this.writer = new BufferedWriter((bytes) => {
      this.sent += bytes.length
      this.transport.write(bytes)
    })
    this.parser = new Parser({
      target: (sid) => this.owner.target(sid),
      info: (info) => {
        this.info = info
        this.infoInsideTls = this.encrypted
        if (this.stage === "up") {
          this.owner.info(info)
        }
      },
      ping: () => this.pinged(),
      pong: () => this.ponged(),
      error: (text) => this.refused(text)
    })
  }

  get server(): string {
    return this.options.peer.server
  }

  get isOpen(): boolean {
    return this.stage === "up"
  }

  get encrypted(): boolean {
    return this.options.tls !== undefined
  }

  get bytesIn(): number {
    return this.parser.bytesIn
  }

  get messagesIn(): number {
    return this.parser.messagesIn
  }

  get backlog(): number {
    return this.isOpen ? this.writer.bytesOut - this.sent + this.transport.backlog : 0
  }

  get isFull(): boolean {
    return this.transport.backlog > 0
  }

  get writing(): number {
    return this.transport.writing
  }

  drained(resume: () => void): void {
    if (this.backlog === 0) {
      resume()
    } else {
      this.waiting.push(resume)
    }
  }

  ping(resume: Resume): void {
    if (this.isOpen) {
      this.pings.push(resume)
      this.writer.ping()
    } else {
      resume(this.reason ?? this.closedReason())
    }
  }

  subscribe(opening: Opening, subject: string, queue: string | undefined, max: number): void {
    if (!this.isOpen) return
    this.writer.subscribe(opening.sid, subject, queue)
    if (max > 0) this.writer.unsubscribe(opening.sid, max)
    this.pings.push(opening)
    this.writer.ping()
  }

  fail(reason: ConnectError.ConnectError): void {
    this.end(reason, true)
  }

  close(): void {
    this.end(this.closedReason(), false)
  }

  /**
   * Takes the connection over. `rest` is what came after INFO and may already hold a refusal; otherwise `connect`, the
   * CONNECT and PING lines, is sent.
   */
  start(rest: Buffer, connect: Uint8Array): void {
    const listener: TransportListener = {
      data: (chunk) => this.received(chunk),
      drained: () => this.emptied(),
      ended: (error) => this.transportEnded(error)
    }
    this.transport.listener = listener
    if (rest.length > 0) {
      this.received(rest)
    }
    this.transport.write(connect)
  }

  /** The reason to give when time is up at stage `connect`. */
  get suspicion(): ConnectError.ConnectError | undefined {
    if (this.suspect === undefined) return undefined
    const { filter } = this.options.peer
    const text = filter.shown(this.suspect, serverErrorText)
    const last = filter.shown(this.lastSuspect ?? this.suspect, serverErrorText)
    return this.rejected(text === last ? text : `${text}; ${last}`)
  }

  private received(chunk: Buffer): void {
    if (this.stage === "ended") return
    this.said = undefined
    this.complaints = 0
    this.heard++
    let fault: string | undefined
    try {
      fault = this.parser.push(chunk)
    } catch (cause) {
      // A reader that stops without a word (messages end, `flush` hangs) is worse than a session that ends.
      return this.end(this.rejected("a handler failed on what it sent", cause), true)
    }
    if (fault !== undefined) {
      this.end(this.rejected(`sent ${fault}`), true)
    }
  }

  private pinged(): void {
    if (this.stage === "up" && this.pongs < mostPongs) {
      this.pongs++
      this.writer.pong()
    } else {
      this.owesPong = true
    }
  }

  private ponged(): void {
    // It went on after what it said.
    this.suspect = this.lastSuspect = undefined
    if (this.stage === "connect") {
      if (++this.greetings < this.options.pings) return
      this.stage = "up"
      this.offered = true
      this.owner.opened(this)
      if (!this.isOpen) return
      this.owned = true
      this.answerOwed()
      this.options.settled()
    } else {
      const answered = this.takePing()
      if (answered === undefined) return
      // What it says from here on is about something else.
      this.said = undefined
      this.complaints = 0
      if (typeof answered === "function") answered()
      else answered.confirm()
    }
  }

  private takePing(): Resume | Opening | undefined {
    if (this.nextPing === this.pings.length) return undefined
    const ping = this.pings[this.nextPing++]
    if (this.nextPing === this.pings.length || (this.nextPing > 1024 && this.nextPing * 2 > this.pings.length)) {
      this.pings = this.pings.slice(this.nextPing)
      this.nextPing = 0
    }
    return ping
  }

  private refused(raw: string): void {
    // A server that does nothing but complain must not keep this client busy.
    if (raw === this.said) return
    this.said = raw
    const next = this.pings[this.nextPing]
    const opening = typeof next === "function" ? undefined : next
    // However many there are: whom a denial is for must not wait in vain.
    if (!isDenial(raw) && !this.outlives(raw, opening)) return
    if (this.stage === "up") {
      this.owner.serverError(raw, opening)
    }
  }

  /** Whether the connection goes on after it, as far as is known, and it is to be told. */
  private outlives(raw: string, opening: Opening | undefined): boolean {
    if (++this.complaints > mostComplaints) {
      this.lastSuspect = raw
      return false
    }
    const kind = serverErrorKind(raw)
    if (kind === "ServerRejected") {
      this.suspect ??= raw
      this.lastSuspect = raw
    } else if (kind !== "open") {
      const reason = fromServerText(this.options.peer, raw)
      // The first refusal is the cause, whatever the closing socket says after it.
      if (reason !== undefined) {
        this.end(reason, true)
        return false
      }
    } else if (opening === undefined && saysTooManySubscriptions(raw)) {
      this.overLimitAt = performance.now()
    }
    return true
  }

  private answerOwed(): void {
    if (this.owesPong) {
      this.owesPong = false
      this.writer.pong()
    }
  }

  private emptied(): void {
    if (this.pongs > 0) {
      this.pongs = 0
      this.answerOwed()
    }
    if (this.waiting.length > 0 && this.backlog === 0) {
      const waiting = this.waiting
      this.waiting = []
      for (const resume of waiting) {
        resume()
      }
    }
  }

  private transportEnded(error: Error | undefined): void {
    const stage = this.stage === "connect" ? "connect" : "up"
    const overLimit = performance.now() - this.overLimitAt < limitMillis
    const said = this.suspicion ?? (overLimit ? this.rejected(tooManySubscriptions) : undefined)
    this.end(said ?? fromEnd(this.options.peer, stage, error, this.options.tls?.()), true)
  }

  private end(reason: ConnectError.ConnectError, tell: boolean): void {
    if (this.stage === "ended") return
    this.stage = "ended"
    this.reason = reason
    this.parser.stop()
    this.writer.detach()
    this.transport.destroy()
    const waiting = this.waiting
    this.waiting = []
    for (const ping of this.pings.slice(this.nextPing)) {
      if (typeof ping === "function") ping(reason)
    }
    for (const resume of waiting) {
      resume()
    }
    if (!this.owned) {
      this.options.settled(reason)
    } else if (tell) {
      this.owner.closed(reason)
    }
  }

  /** It holds a socket, and a socket of TLS its key: no inspection goes into it. */
  toJSON(): unknown {
    return { _id: "Session", server: this.server, isOpen: this.isOpen }
  }

  [inspect](): unknown {
    return this.toJSON()
  }

  private closedReason(): ConnectError.ConnectError {
    return new ConnectError.ConnectionReset({ server: this.server, stage: "up" })
  }

  private rejected(text: string, cause?: unknown): ConnectError.ConnectError {
    return rejected(this.options.peer, text, cause)
  }
}
