/**
 * Requests in flight: one inbox for all of them, a number as the last token of each reply subject, no timer and no
 * promise for each.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { NoResponders, type RequestError, RequestTimedOut } from "../../NatsError.ts"
import { afterReadLoop } from "../afterReadLoop.ts"
import { statusOf } from "../protocol/headers.ts"
import type { MessageTarget } from "../protocol/target.ts"
import type { DeadlineList, Deadlines, Expiring } from "./deadlines.ts"
import { Message, type Responder } from "./message.ts"

export type Resume = (exit: Exit.Exit<Message, RequestError>) => void

/** One request that waits for its reply. */
export class PendingRequest implements Expiring {
  deadline = 0
  list: DeadlineList | undefined = undefined
  previous: Expiring | undefined = undefined
  next: Expiring | undefined = undefined
  reply: Message | undefined = undefined

  readonly token: number
  readonly subject: string
  readonly timeoutMillis: number
  readonly resume: Resume
  private readonly mux: RequestMux

  constructor(mux: RequestMux, token: number, subject: string, timeoutMillis: number, resume: Resume) {
    this.mux = mux
    this.token = token
    this.subject = subject
    this.timeoutMillis = timeoutMillis
    this.resume = resume
  }

  expire(): void {
    this.mux.settle(
      this,
      Exit.fail(new RequestTimedOut({ subject: this.subject, timeoutMillis: this.timeoutMillis }))
    )
  }
}

const digits = (chunk: Buffer, start: number, end: number): number => {
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = chunk[i] - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

export class RequestMux implements MessageTarget {
  touched = false
  /** The subscription's id; its SUB has been sent on the current session when `subscribed`. */
  readonly sid: number
  subscribed = false
  /** `prefix` and a token make a reply subject. */
  readonly prefix: string
  readonly pattern: string

  private readonly prefixLength: number
  private readonly pending = new Map<number, PendingRequest>()
  private nextToken = 1
  private answered: Array<PendingRequest> = []
  private waking = false
  private readonly deadlines: Deadlines
  private readonly responder: Responder

  constructor(sid: number, inbox: string, deadlines: Deadlines, responder: Responder) {
    this.sid = sid
    this.prefix = `${inbox}.`
    this.pattern = `${inbox}.*`
    this.prefixLength = Buffer.byteLength(this.prefix)
    this.deadlines = deadlines
    this.responder = responder
  }

  get size(): number {
    return this.pending.size
  }

  /** Registers a request before it is sent. */
  add(subject: string, timeoutMillis: number, resume: Resume): PendingRequest {
    const request = new PendingRequest(this, this.nextToken++, subject, timeoutMillis, resume)
    this.pending.set(request.token, request)
    this.deadlines.add(request, timeoutMillis)
    return request
  }

  /** Forgets a request whose caller was interrupted. A late reply is ignored. */
  forget(request: PendingRequest): void {
    this.pending.delete(request.token)
    this.deadlines.remove(request)
  }

  settle(request: PendingRequest, exit: Exit.Exit<Message, RequestError>): void {
    if (!this.pending.delete(request.token)) return
    this.deadlines.remove(request)
    request.resume(exit)
  }

  /** Fails the requests that `which` selects and that have no reply yet. */
  failAll(error: RequestError, which: (request: PendingRequest) => boolean = () => true): void {
    for (const request of [...this.pending.values()]) {
      if (request.reply !== undefined || !which(request)) continue
      this.forget(request)
      afterReadLoop(request.resume)(Exit.fail(error))
    }
  }

  accept(
    chunk: Buffer,
    subjectStart: number,
    subjectEnd: number,
    replyStart: number,
    replyEnd: number,
    headerStart: number,
    payloadStart: number,
    payloadEnd: number
  ): void {
    const request = this.pending.get(digits(chunk, subjectStart + this.prefixLength, subjectEnd))
    if (request === undefined || request.reply !== undefined) return
    request.reply = new Message(
      this.responder,
      chunk,
      subjectStart,
      subjectEnd,
      replyStart,
      replyEnd,
      headerStart,
      payloadStart,
      payloadEnd
    )
    this.answered.push(request)
  }

  commit(): void {
    if (this.waking || this.answered.length === 0) return
    this.waking = true
    // A resumed fiber runs at once, so it is resumed when the read loop has finished with the chunk.
    queueMicrotask(this.wake)
  }

  private readonly wake = (): void => {
    this.waking = false
    const answered = this.answered
    this.answered = []
    for (const request of answered) {
      const reply = request.reply!
      this.settle(
        request,
        reply.headerStart < reply.payloadStart && reply.payloadStart === reply.payloadEnd &&
          statusOf(reply.headerBytes) === 503
          ? Exit.fail(new NoResponders({ subject: request.subject }))
          : Exit.succeed(reply)
      )
    }
  }
}

/** Waits for the reply to a request that `send` puts on the wire. */
export const awaitReply = (
  mux: RequestMux,
  subject: string,
  timeoutMillis: number,
  send: (reply: string) => void
): Effect.Effect<Message, RequestError> =>
  Effect.callback((resume) => {
    const request = mux.add(subject, timeoutMillis, resume)
    send(`${mux.prefix}${request.token}`)
    return Effect.sync(() => mux.forget(request))
  })
