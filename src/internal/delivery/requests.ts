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

/**
 * What waits for replies to many messages under numbers of its own, counted from 1: no entry, no token and no deadline is
 * made for each. A reply subject is `replies` of `addNumbered` and the number.
 */
export interface Numbered {
  /**
   * The reply to the message of this number came, or to one that there is not. The offsets are those of `MessageTarget`.
   * Called from the read loop; `true` asks for `answer` after it.
   */
  take(number: number, chunk: Buffer, headerStart: number, payloadStart: number, payloadEnd: number): boolean
  /** Called after the read loop. */
  answer(): void
  /** None of those that have no reply yet gets one. */
  fail(error: PendingError): void
  /** Of those that have no reply yet, some were refused: those to whose subject there is an error. */
  failEach(errorFor: (subject: string) => PendingError | undefined): void
}

/** Whose requests they are. */
export interface RequestOwner extends Responder {
  /** Changes with everything that comes from the server. */
  readonly heard: number
  /** Nothing has come in a time in which something should have. */
  suspect(): void
}

/** The server's word that nobody is subscribed to a request's subject, where it lies in a chunk. */
export const isNoResponders = (
  chunk: Buffer,
  headerStart: number,
  payloadStart: number,
  payloadEnd: number
): boolean =>
  headerStart < payloadStart && payloadStart === payloadEnd && statusOf(chunk, headerStart, payloadStart) === 503

/** The same of a reply. */
export const saysNoResponders = ({ chunk, headerStart, payloadEnd, payloadStart }: Message): boolean =>
  isNoResponders(chunk, headerStart, payloadStart, payloadEnd)

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

const DASH = 0x2d

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
  private readonly numbered = new Map<number, Numbered>()
  private answered: Array<Pending | Numbered> = []
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

  /** Registers what numbers its messages itself: gives what its reply subjects begin with, and what lets go of it. */
  addNumbered(numbered: Numbered): { readonly replies: string; readonly forget: () => void } {
    const token = this.nextToken++
    this.numbered.set(token, numbered)
    return { replies: `${this.prefix}${token}-`, forget: () => this.numbered.delete(token) }
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
    const numbered = [...this.numbered.values()]
    queueMicrotask(() => {
      for (const pending of failing) pending.fail(error)
      for (const each of numbered) each.fail(error)
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
    const numbered = Array.from(this.numbered.values())
    // A caller that is told may send the same again at once.
    for (const [pending, error] of failing) pending.fail(error)
    for (const each of numbered) each.failEach(errorFor)
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
    const tokenStart = subjectStart + this.prefixLength
    const token = digits(chunk, tokenStart, subjectEnd)
    if (token < 0) {
      if (this.numbered.size > 0) {
        this.acceptNumbered(chunk, tokenStart, subjectEnd, headerStart, payloadStart, payloadEnd)
      }
      return
    }
    const pending = this.pending.get(token)
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

  private acceptNumbered(
    chunk: Buffer,
    tokenStart: number,
    tokenEnd: number,
    headerStart: number,
    payloadStart: number,
    payloadEnd: number
  ): void {
    let dash = tokenStart
    while (dash < tokenEnd && chunk[dash] !== DASH) dash++
    const numbered = this.numbered.get(digits(chunk, tokenStart, dash))
    const number = digits(chunk, dash + 1, tokenEnd)
    if (numbered === undefined || number <= 0) return
    if (numbered.take(number, chunk, headerStart, payloadStart, payloadEnd)) this.answered.push(numbered)
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
