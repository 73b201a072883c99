/**
 * Many replies to one request, gathered until a count, a silence, an empty reply or a time ends them.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { NoResponders, SlowConsumer } from "../../NatsError.ts"
import type { DeadlineList, Expiring } from "./deadlines.ts"
import type { Message } from "./message.ts"
import { type Pending, type PendingError, type RequestMux, saysNoResponders } from "./requests.ts"

/** What ends the replies, besides the time. */
export interface RepliesLimit {
  readonly count: number
  /** The silence that ends them: a sleep. */
  readonly stall: Effect.Effect<void> | undefined
  readonly sentinel: boolean
  /** So much may wait unread. */
  readonly capacity: number
  readonly capacityBytes: number
}

type Batch = Arr.NonEmptyReadonlyArray<Message>

type End = PendingError | SlowConsumer | Cause.Done

class PendingReplies implements Pending {
  deadline = 0
  list: DeadlineList | undefined = undefined
  previous: Expiring | undefined = undefined
  next: Expiring | undefined = undefined

  private buffer: Array<Message> = []
  private bytes = 0
  private left: number
  private readonly heard: number
  private end: End | undefined = undefined
  private waiting: ((exit: Exit.Exit<Batch, End>) => void) | undefined = undefined

  readonly token: number
  readonly subject: string
  private readonly limit: RepliesLimit
  private readonly mux: RequestMux

  constructor(mux: RequestMux, subject: string, limit: RepliesLimit) {
    this.mux = mux
    this.heard = mux.owner.heard
    this.token = mux.token()
    this.subject = subject
    this.left = limit.count
    this.limit = limit
  }

  get isAnswered(): boolean {
    return this.end !== undefined
  }

  take(reply: Message): boolean {
    if (this.end !== undefined) return false
    const isEmpty = reply.payloadStart === reply.payloadEnd
    if (isEmpty && saysNoResponders(reply)) this.end = new NoResponders({ subject: this.subject })
    else if (isEmpty && this.limit.sentinel) this.end = Cause.Done()
    else if (this.isFull(reply)) {
      this.end = new SlowConsumer({ subject: this.subject, messages: this.buffer.length, bytes: this.bytes })
    } else {
      this.buffer.push(reply)
      this.bytes += reply.size
      this.left--
      if (this.left === 0) this.end = Cause.Done()
    }
    return true
  }

  private isFull({ size }: Message): boolean {
    const { capacity, capacityBytes } = this.limit
    const waiting = this.buffer.length
    return waiting > 0 && (waiting >= capacity || this.bytes + size > capacityBytes)
  }

  answer(): void {
    if (this.end !== undefined) this.mux.forget(this)
    const resume = this.waiting
    if (resume === undefined) return
    if (this.buffer.length > 0) {
      this.waiting = undefined
      resume(Exit.succeed(this.drain()))
    } else if (this.end !== undefined) {
      this.waiting = undefined
      resume(Exit.fail(this.end))
    }
  }

  expire(): void {
    this.mux.unanswered(this.heard)
    this.fail(Cause.Done())
  }

  fail(end: End): void {
    this.end ??= end
    this.answer()
  }

  readonly pull: Effect.Effect<Batch, End> = Effect.suspend(() => {
    if (this.buffer.length > 0) return Exit.succeed(this.drain())
    if (this.end !== undefined) return Exit.fail(this.end)
    return Effect.callback<Batch, End>((resume) => {
      this.waiting = resume
      return Effect.sync(() => {
        this.waiting = undefined
      })
    })
  })

  private drain(): Batch {
    const batch = this.buffer
    this.buffer = []
    this.bytes = 0
    return batch as [Message, ...Array<Message>]
  }
}

/** A pull of the replies to a request that `send` puts on the wire. Closing the scope forgets it. */
export const pullReplies = (
  mux: RequestMux,
  subject: string,
  timeoutMillis: number,
  limit: RepliesLimit,
  send: (reply: string) => void
): Effect.Effect<Effect.Effect<Batch, End>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const replies = new PendingReplies(mux, subject, limit)
        mux.add(replies, timeoutMillis)
        send(`${mux.prefix}${replies.token}`)
        return replies
      }),
      (replies) => Effect.sync(() => mux.forget(replies))
    ),
    (replies) => {
      const { stall } = limit
      if (stall === undefined) return replies.pull
      let isFirst = true
      // The silence counts from the first reply on: before it, the whole time is given.
      return Effect.suspend(() => {
        if (!isFirst) return Effect.raceFirst(replies.pull, Effect.flatMap(stall, () => Cause.done()))
        return Effect.tap(replies.pull, () => {
          isFirst = false
          return Effect.void
        })
      })
    }
  )
