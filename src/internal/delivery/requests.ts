/**
 * Requests in flight: one inbox for all of them, a number as the last token of each reply subject, no timer and no
 * promise for each.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { NoResponders, type RequestError, RequestTimedOut } from "../../NatsError.ts"
import { statusOf } from "../protocol/headers.ts"
import type { MessageTarget } from "../protocol/target.ts"
import type { DeadlineList, Deadlines, Expiring } from "./deadlines.ts"
import { Message, type Responder } from "./message.ts"

export type Resume = (exit: Exit.Exit<Message, RequestError>) => void

/** What can end the wait for a reply, besides the time. */
export type PendingError = Exclude<RequestError, RequestTimedOut>

/** What waits for replies under one token. */
export interface Pending extends Expiring {
  readonly token: number
  readonly subject: string
  /** A reply came. Called from the read loop; `true` asks for `answer` after it. */
  take(reply: Message): boolean
  /** Whether there is something to answer with, so that the end of the session does not matter any more. */
  readonly isAnswered: boolean
  /** Gives the caller what was taken. Called after the read loop. */
  answer(): void
  fail(error: PendingError): void
}

/** Whose requests they are. */
export interface RequestOwner extends Responder {
  /** Changes with everything that comes from the server. */
  readonly heard: number
  /** Nothing has come in a time in which something should have. */
  suspect(): void
}

/** The server's word that nobody is subscribed to a request's subject. */
export const saysNoResponders = (reply: Message): boolean =>
  reply.headerStart < reply.payloadStart && reply.payloadStart === reply.payloadEnd &&
  statusOf(reply.headerBytes) === 503

/** One request that waits for its reply. */
class PendingRequest implements Pending {
  deadline = 0
  list: DeadlineList | undefined = undefined
  previous: Expiring | undefined = undefined
  next: Expiring | undefined = undefined
  private reply: Message | undefined = undefined
  private readonly heard: number

  readonly token: number
  readonly subject: string
  private readonly timeoutMillis: number
  private readonly resume: Resume
  private readonly mux: RequestMux

  constructor(mux: RequestMux, token: number, subject: string, timeoutMillis: number, resume: Resume) {
    this.mux = mux
    this.heard = mux.owner.heard
    this.token = token
    this.subject = subject
    this.timeoutMillis = timeoutMillis
    this.resume = resume
  }

  get isAnswered(): boolean {
    return this.reply !== undefined
  }

  take(reply: Message): boolean {
    if (this.reply !== undefined) return false
    this.reply = reply
    return true
  }

  answer(): void {
    const reply = this.reply!
    this.settle(
      saysNoResponders(reply) ? Exit.fail(new NoResponders({ subject: this.subject })) : Exit.succeed(reply)
    )
  }

  expire(): void {
    this.mux.unanswered(this.heard)
    this.settle(Exit.fail(new RequestTimedOut({ subject: this.subject, timeoutMillis: this.timeoutMillis })))
  }

  fail(error: PendingError): void {
    this.settle(Exit.fail(error))
  }

  private settle(exit: Exit.Exit<Message, RequestError>): void {
    if (this.mux.forget(this)) this.resume(exit)
  }
}

/** As it was written here, and in no other way. */
const digits = (chunk: Buffer, start: number, end: number): number => {
  if (chunk[start] === 0x30) return -1
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
  private readonly pending = new Map<number, Pending>()
  private nextToken = 1
  private answered: Array<Pending> = []
  private waking = false
  private readonly deadlines: Deadlines
  readonly owner: RequestOwner

  constructor(sid: number, inbox: string, deadlines: Deadlines, owner: RequestOwner) {
    this.sid = sid
    this.prefix = `${inbox}.`
    this.pattern = `${inbox}.*`
    this.prefixLength = Buffer.byteLength(this.prefix)
    this.deadlines = deadlines
    this.owner = owner
  }

  get size(): number {
    return this.pending.size
  }

  /** A token for replies. */
  token(): number {
    return this.nextToken++
  }

  /** Registers what waits for replies, before the request is sent. */
  add(pending: Pending, timeoutMillis: number): void {
    this.pending.set(pending.token, pending)
    this.deadlines.add(pending, timeoutMillis)
  }

  /** Something was not answered in its time. `heard` is the owner's from when it was sent. */
  unanswered(heard: number): void {
    if (this.owner.heard === heard) this.owner.suspect()
  }

  /** Replies that come later are ignored. `false` when it was forgotten before. */
  forget(pending: Pending): boolean {
    if (!this.pending.delete(pending.token)) return false
    this.deadlines.remove(pending)
    return true
  }

  /** Fails those that have no reply yet. */
  failAll(error: PendingError): void {
    const failing = [...this.pending.values()].filter((pending) => !pending.isAnswered)
    queueMicrotask(() => {
      for (const pending of failing) pending.fail(error)
    })
  }

  /** Fails those to whose subject or reply subject there is an error, and that have no reply yet. */
  failEach(errorFor: (subject: string) => PendingError | undefined): void {
    const failing: Array<readonly [Pending, PendingError]> = []
    for (const pending of this.pending.values()) {
      if (pending.isAnswered) continue
      const error = errorFor(pending.subject) ?? errorFor(`${this.prefix}${pending.token}`)
      if (error !== undefined) failing.push([pending, error])
    }
    // A caller that is told may send the same again at once.
    for (const [pending, error] of failing) pending.fail(error)
  }

  /** The server has the SUB of the inbox. Its requests do not wait for that. */
  confirm(): void {}

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
    const pending = this.pending.get(digits(chunk, subjectStart + this.prefixLength, subjectEnd))
    if (pending === undefined) return
    const reply = new Message(
      this.owner,
      chunk,
      subjectStart,
      subjectEnd,
      replyStart,
      replyEnd,
      headerStart,
      payloadStart,
      payloadEnd
    )
    if (pending.take(reply)) this.answered.push(pending)
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
    for (const pending of answered) pending.answer()
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
    const request = new PendingRequest(mux, mux.token(), subject, timeoutMillis, resume)
    mux.add(request, timeoutMillis)
    send(`${mux.prefix}${request.token}`)
    return Effect.sync(() => mux.forget(request))
  })
