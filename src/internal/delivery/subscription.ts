/**
 * One subscription: from the parser's chunks to the reader's arrays, over a bounded buffer.
 *
 * The read loop calls `accept` and `commit`; the reader's fiber calls `pull`. No user code runs inside the read loop: a
 * waiting reader is resumed, and runs when its fiber is scheduled.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { SlowConsumer, type SubscriptionError } from "../../NatsError.ts"
import type { Delivery, DeliveryOwner, End, SubscriptionSettings } from "./delivery.ts"
import { Message } from "./message.ts"

export type Batch = Arr.NonEmptyReadonlyArray<Message>

// A message keeps the memory that it came in. This share of it at least has to be the subscription's own.
const leastShare = 1 / 4

// A reader gets at most this many at once, so that what it holds and what is buffered meanwhile stay near the bound.
export const maxBatch = 4096

/** Who takes arrays. */
export interface Reader {
  /** At most so many messages at once. */
  readonly limit: number
  /** Is told of each array that it is given. */
  readonly took?: ((batch: Batch) => void) | undefined
}

interface Waiting {
  readonly reader: Reader
  readonly resume: (exit: Exit.Exit<Batch, End>) => void
}

export class Subscription implements Delivery {
  touched = false
  dropped = 0
  /** The server has the SUB of the current session. */
  confirmed = false
  /** Messages that may still come, those that are dropped included. 0 without a `max`. */
  left: number

  private buffer: Array<Message | undefined> = []
  /** Messages before this index were taken or dropped. */
  private head = 0
  private bytes = 0
  /** `bytes` when the last chunk was done. */
  private settledBytes = 0
  private full = false
  private ended: End | undefined
  private discarded = false
  private readonly waiting: Array<Waiting> = []
  private waking = false
  /** Streams over this subscription that are being run. */
  private readers = 0
  private confirmers: Array<(error: SubscriptionError | undefined) => void> = []
  private finishers: Array<() => void> = []

  readonly sid: number
  readonly settings: SubscriptionSettings
  private readonly owner: DeliveryOwner

  constructor(sid: number, settings: SubscriptionSettings, owner: DeliveryOwner) {
    this.sid = sid
    this.settings = settings
    this.left = settings.max ?? 0
    this.owner = owner
  }

  get pending(): number {
    return this.buffer.length - this.head
  }

  get pendingBytes(): number {
    return this.bytes
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
    if (this.ended !== undefined) return
    const size = payloadEnd - subjectStart
    if (
      this.buffer.length - this.head >= this.settings.capacity ||
      (this.bytes + size > this.settings.capacityBytes && this.buffer.length > this.head)
    ) {
      if (!this.makeRoom(size)) return this.counted()
    }
    this.bytes += size
    this.buffer.push(
      new Message(
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
    )
    this.counted()
  }

  private counted(): void {
    if (this.left > 0 && --this.left === 0) {
      this.owner.completed(this)
      this.end(Cause.Done())
    }
  }

  commit(): void {
    if (this.waiting.length === 0) return this.settle()
    if (this.waking) return
    this.waking = true
    // A resumed fiber runs at once, so it is resumed when the read loop has finished with the chunk.
    queueMicrotask(this.wake)
  }

  private readonly wake = (): void => {
    this.waking = false
    while (this.waiting.length > 0 && (this.buffer.length > this.head || this.ended !== undefined)) {
      const { reader, resume } = this.waiting.shift()!
      resume(this.buffer.length > this.head ? Exit.succeed(this.take(reader)) : Exit.fail(this.ended!))
    }
    // What they left.
    this.settle()
  }

  /** The next array for a reader that `read` counts. Waits while there is none; ends or fails after the last. */
  next(reader: Reader): Effect.Effect<Batch, End> {
    if (this.buffer.length > this.head) return Exit.succeed(this.take(reader))
    if (this.ended !== undefined) return Exit.fail(this.ended)
    return Effect.callback<Batch, End>((resume) => {
      const waiting: Waiting = { reader, resume }
      this.waiting.push(waiting)
      return Effect.sync(() => {
        const index = this.waiting.indexOf(waiting)
        if (index >= 0) this.waiting.splice(index, 1)
      })
    })
  }

  /**
   * Begins to read, at most `limit` messages at once. The reader is counted until the scope closes, which is when
   * everything it took is handled.
   */
  read(limit: number = maxBatch): Effect.Effect<Effect.Effect<Batch, End>, never, Scope.Scope> {
    const reader: Reader = { limit }
    return Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => {
          this.readers++
        }),
        () =>
          Effect.sync(() => {
            this.readers--
            this.settleFinishers()
          })
      ),
      Effect.suspend(() => this.next(reader))
    )
  }

  /** The next message for a reader that shares them with others, without an array for it. */
  takeOne(): Message | undefined {
    if (this.head === this.buffer.length) return undefined
    const message = this.buffer[this.head]!
    this.buffer[this.head++] = undefined
    this.released(message.size)
    this.cutFront()
    if (this.buffer.length === 0) this.full = false
    return message
  }

  /** Takes back what a reader took and did not hand on: it is read next. */
  giveBack(messages: ReadonlyArray<Message>): void {
    if (this.discarded) return
    this.buffer = [...messages, ...this.buffer.slice(this.head)]
    this.head = 0
    for (const { size } of messages) {
      this.bytes += size
      this.settledBytes += size
    }
    if (this.waiting.length > 0) this.commit()
  }

  /** Takes everything that nobody has read. */
  rest(): ReadonlyArray<Message> {
    return this.buffer.length > this.head ? this.take({ limit: Infinity }) : []
  }

  /** Calls back when the server has the SUB, or with the error when it refused or the subscription ended first. */
  onConfirmed(resume: (error: SubscriptionError | undefined) => void): void {
    if (this.ended !== undefined || this.confirmed) resume(this.failure)
    else this.confirmers.push(resume)
  }

  confirm(): void {
    this.confirmed = true
    this.settleConfirmers()
  }

  /** Calls back when everything was handled, or when nobody reads. */
  onFinished(resume: () => void): void {
    this.finishers.push(resume)
    this.settleFinishers()
  }

  /** Takes no more messages. What is buffered is still read; then the reader sees `end`. */
  end(end: End): void {
    if (this.ended !== undefined) return
    this.ended = end
    this.settleConfirmers()
    this.commit()
  }

  /** Drops what is buffered: nobody reads it any more. */
  discard(): void {
    this.discarded = true
    this.buffer = []
    this.head = 0
    this.bytes = this.settledBytes = 0
  }

  // What has to wait and is a small part of its chunk moves to memory of its own: few messages among many of other
  // subscriptions would keep all of those alive, far beyond `capacityBytes`.
  private settle(): void {
    const size = this.bytes - this.settledBytes
    this.settledBytes = this.bytes
    let index = this.buffer.length - 1
    const chunk = this.buffer[index]?.chunk
    if (chunk === undefined || size === 0 || size >= chunk.buffer.byteLength * leastShare) return
    const own = Buffer.allocUnsafeSlow(size)
    let end = size
    for (; index >= this.head; index--) {
      const message = this.buffer[index]!
      if (message.chunk !== chunk || message.size > end) break
      end -= message.size
      message.moveTo(own, end)
    }
  }

  private get failure(): SubscriptionError | undefined {
    return this.ended === undefined || Cause.isDone(this.ended) ? undefined : this.ended
  }

  private settleConfirmers(): void {
    const confirmers = this.confirmers
    this.confirmers = []
    for (const resume of confirmers) resume(this.failure)
  }

  private settleFinishers(): void {
    if (this.readers > 0) return
    const finishers = this.finishers
    this.finishers = []
    for (const resume of finishers) resume()
  }

  private take({ limit, took }: Reader): Batch {
    let batch: Array<Message | undefined>
    if (this.head === 0 && this.buffer.length <= limit) {
      batch = this.buffer
      this.buffer = []
      this.bytes = this.settledBytes = 0
    } else {
      const end = Math.min(this.head + limit, this.buffer.length)
      batch = this.buffer.slice(this.head, end)
      for (const message of batch) this.released(message!.size)
      this.buffer.fill(undefined, this.head, end)
      this.head = end
      this.cutFront()
    }
    if (this.buffer.length === 0) this.full = false
    took?.(batch as [Message, ...Array<Message>])
    return batch as [Message, ...Array<Message>]
  }

  // Messages of chunks before come first. Those of the current chunk are not settled.
  private released(size: number): void {
    this.bytes -= size
    this.settledBytes = Math.max(0, this.settledBytes - size)
  }

  // The empty front is cut off in blocks: moving the array for each message would be quadratic.
  private cutFront(): void {
    if (this.head === this.buffer.length || (this.head > 64 && this.head * 2 > this.buffer.length)) {
      this.buffer = this.buffer.slice(this.head)
      this.head = 0
    }
  }

  private makeRoom(size: number): boolean {
    if (!this.full) {
      this.full = true
      this.owner.overflowed(this)
    }
    switch (this.settings.overflow) {
      case "fail": {
        this.owner.unsubscribe(this)
        this.end(new SlowConsumer({ subject: this.settings.subject, messages: this.pending, bytes: this.bytes }))
        return false
      }
      case "dropNewest": {
        this.dropped++
        return false
      }
      case "dropOldest": {
        while (
          this.head < this.buffer.length &&
          (this.pending >= this.settings.capacity || this.bytes + size > this.settings.capacityBytes)
        ) {
          this.released(this.buffer[this.head]!.size)
          this.buffer[this.head] = undefined
          this.head++
          this.dropped++
        }
        this.cutFront()
        return true
      }
    }
  }
}
