/**
 * What a client remembers of its calls and of the servers that have them.
 */
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { Frames } from "./rpcFrames.ts"
import type { Count } from "./rpcWire.ts"

/** A call that waits for its answer. */
export class Call {
  readonly number: number
  /** The generated client that made it. */
  readonly client: number
  readonly requestId: string | number
  /** The round of beats in which it was sent. */
  readonly round: number
  link: Link | undefined
  /** Chunks received. */
  chunks = 0
  /** Acks sent. */
  acks = 0
  isSent = false
  /** Nobody waits for it, and its server is not yet known: it is told as soon as it is. */
  isInterrupted = false
  private failure: RpcClientError | undefined
  private isOver = false
  private resume: ((failure: RpcClientError | undefined) => void) | undefined

  constructor(number: number, client: number, requestId: string | number, round: number) {
    this.number = number
    this.client = client
    this.requestId = requestId
    this.round = round
  }

  /** Ends the wait of whoever sent it: with the failure, or since the answer has come. */
  end(failure?: RpcClientError): void {
    if (this.isOver) return
    this.isOver = true
    this.failure = failure
    this.resume?.(failure)
  }

  onEnd(resume: (failure: RpcClientError | undefined) => void): void {
    if (this.isOver) return resume(this.failure)
    this.resume = resume
  }
}

/** A server that has, or had, calls of this client. */
export class Link {
  readonly number: number
  /** The subject that only this server has, for this client. */
  readonly subject: string
  readonly frames: Frames
  readonly calls = new Set<Call>()
  /** Pings without a word since. */
  unanswered = 0
  /** The calls of the pings that have no pong, by the ping's sequence. */
  readonly pinged = new Map<number, ReadonlyArray<Call>>()

  constructor(number: number, subject: string, frames: Frames) {
    this.number = number
    this.subject = subject
    this.frames = frames
  }
}

export class Calls {
  readonly byNumber = new Map<number, Call>()
  private readonly byRequest = new Map<string | number, Call>()
  private readonly links = new Map<string, Link>()
  private readonly linksByNumber = new Map<number, Link>()
  private nextCall = 1
  private nextLink = 1
  round = 0
  private readonly makeFrames: () => Frames

  constructor(makeFrames: () => Frames) {
    this.makeFrames = makeFrames
  }

  open(client: number, requestId: string | number): Call {
    const call = new Call(this.nextCall++, client, requestId, this.round)
    this.byNumber.set(call.number, call)
    this.byRequest.set(requestId, call)
    return call
  }

  of(requestId: string | number): Call | undefined {
    return this.byRequest.get(requestId)
  }

  remove(call: Call): void {
    this.byNumber.delete(call.number)
    if (this.byRequest.get(call.requestId) === call) this.byRequest.delete(call.requestId)
    call.link?.calls.delete(call)
  }

  attach(call: Call, link: Link): void {
    if (call.link === link) return
    call.link?.calls.delete(call)
    call.link = link
    link.calls.add(call)
  }

  linkOf(subject: string): Link {
    let link = this.links.get(subject)
    if (link === undefined) {
      link = new Link(this.nextLink++, subject, this.makeFrames())
      this.links.set(subject, link)
      this.linksByNumber.set(link.number, link)
    }
    link.unanswered = 0
    return link
  }

  linkNumbered(number: number): Link | undefined {
    return this.linksByNumber.get(number)
  }

  get all(): ReadonlyArray<Call> {
    return [...this.byNumber.values()]
  }

  get allLinks(): ReadonlyArray<Link> {
    return [...this.links.values()]
  }

  unlink(link: Link): void {
    this.links.delete(link.subject)
    this.linksByNumber.delete(link.number)
  }

  /** The calls that a pong says are lost: those it does not name, and those of which it has sent more than came. */
  lostBy(pinged: ReadonlyArray<Call>, pong: ReadonlyArray<Count>): ReadonlyArray<Call> {
    const sent = new Map(pong)
    return pinged.filter((call) => {
      const chunks = sent.get(call.number)
      return this.byNumber.get(call.number) === call && (chunks === undefined || chunks > call.chunks)
    })
  }
}
