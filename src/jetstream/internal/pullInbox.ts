/**
 * Where pulled messages come in: one subscription with an inbox that is new on every session, as the server would go on
 * serving the pulls of the session before on the same one. The last token of a reply subject is the number of the pull.
 *
 * `accept` and `commit` are called in the read loop; readers are resumed behind it.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { afterReadLoop } from "../../internal/delivery/afterReadLoop.ts"
import type { Delivery, DeliveryOwner, End, SubscriptionSettings } from "../../internal/delivery/delivery.ts"
import type { Connection, DeniedListener } from "../../internal/operations/connectionOf.ts"
import { decodeHeaders } from "../../internal/protocol/headers.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import type { SlowConsumer } from "../../NatsError.ts"
import type { Api } from "./api.ts"
import { type MessageSource, PulledMessage } from "./message.ts"
import { encodePull, type PullRequest } from "./pullStatus.ts"
import type { Tally } from "./tally.ts"

export type Batch = Arr.NonEmptyReadonlyArray<PulledMessage>

/** What an end of the subscription means. Its buffer has no bound of its own. */
export const endOf = (end: End): Exclude<End, SlowConsumer> => {
  if (Cause.isDone(end) || end._tag !== "SlowConsumer") return end
  throw new Error("a pull has no bound of its own", { cause: end })
}

/** A status of the server, in place of a message. */
export interface Status {
  /** The number of the pull that it is about. */
  readonly pull: number
  readonly status: number
  readonly description: string
  /** What was left of the pull, where that is told. */
  readonly leftMessages: number | undefined
}

interface Waiting<E> {
  readonly limit: number
  /** Ends the wait without messages. */
  readonly isDue: (() => boolean) | undefined
  readonly resume: (exit: Exit.Exit<Batch | undefined, E | Cause.Done>) => void
}

export interface InboxOptions<E> {
  readonly api: Api
  readonly stream: string
  readonly consumer: string
  /** A new inbox of the client: each session has one that begins with it. */
  readonly inbox: string
  readonly tally?: Tally | undefined
  /** A drain of the client is out of time: what handlers are busy with goes to others. */
  readonly onLate?: (() => void) | undefined
  /** What an end that the connection tells means here. */
  readonly ofConnection: (end: End) => E | Cause.Done
}

export abstract class PullInbox<E> implements Delivery, MessageSource {
  touched = false
  readonly dropped = 0
  readonly left = 0
  confirmed = false
  lastAck: PulledMessage | undefined = undefined
  readonly settings: SubscriptionSettings
  readonly api: Api
  readonly connection: Connection
  readonly stream: string
  consumer: string
  readonly tally: Tally | undefined
  private readonly onLate: (() => void) | undefined

  /** Asked for by the pull that is out, and not there yet. 0: none is out. */
  protected asked = 0
  /** The number of the pull that was written last. */
  protected pull = 0
  /** When something came of the server last, or was asked of it. */
  protected heardAt = 0
  /** No more is begun here. */
  protected stopping = false
  protected ended: E | Cause.Done | undefined
  private failure: Exit.Exit<never, E | Cause.Done> | undefined

  private buffer: Array<PulledMessage | undefined> = []
  private head = 0
  /** What a reader had in its hands when it ended, and had not read. */
  private unread: ReadonlyArray<PulledMessage> = []
  private bytes = 0
  private inChunk = false
  private waking = false
  private readonly waiting: Array<Waiting<E>> = []
  private confirmers: Array<(error: E | Cause.Done | undefined) => void> = []
  private finishers: Array<() => void> = []
  private finished = false
  private renewals = 0
  private inboxNow: string
  private inboxBytes: Buffer
  private signal: (() => void) | undefined
  private signalled = false

  readonly sid: number
  private readonly owner: DeliveryOwner
  private readonly inbox: string
  private readonly ofConnection: (end: End) => E | Cause.Done

  constructor(sid: number, owner: DeliveryOwner, options: InboxOptions<E>) {
    this.sid = sid
    this.owner = owner
    this.inbox = options.inbox
    this.ofConnection = options.ofConnection
    this.api = options.api
    this.connection = options.api.connection
    this.stream = options.stream
    this.consumer = options.consumer
    this.tally = options.tally
    this.onLate = options.onLate
    this.inboxNow = options.inbox
    this.inboxBytes = Buffer.from(`${options.inbox}.`)
    // oxlint-disable-next-line typescript/no-this-alias
    const self = this
    this.settings = {
      get subject() {
        return `${self.inboxNow}.*`
      },
      queue: undefined,
      capacity: Infinity,
      capacityBytes: Infinity,
      overflow: "fail",
      onReplay: () => this.reopened()
    }
    this.heardAt = this.now
    this.connection.refusals.listeners.add(this.denied)
  }

  abstract readonly takesAcks: boolean
  abstract ackWaitMillis(deliveries: number): number
  /** In the read loop, and a sign of life of the server: a status came. */
  protected abstract told(status: Status): void
  /** In the read loop: the message is kept when it is wanted. */
  protected abstract admits(message: PulledMessage): boolean
  /** In the read loop: a new session has the SUB. */
  protected abstract reopened(): void

  get pending(): number {
    return this.buffer.length - this.head
  }

  get pendingBytes(): number {
    return this.bytes
  }

  get now(): number {
    return monotonicMillis(this.connection.settings.clock)
  }

  get isOver(): boolean {
    return this.ended !== undefined
  }

  // What the parser and the connection call

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
    if (!this.inChunk) {
      this.inChunk = true
      this.heardAt = this.now
    }
    if (replyStart === replyEnd) return this.acceptStatus(chunk, subjectStart, subjectEnd, headerStart, payloadStart)
    if (this.ended !== undefined) return
    const message = new PulledMessage(
      this,
      this.owner,
      this.heardAt,
      chunk,
      subjectStart,
      subjectEnd,
      replyStart,
      replyEnd,
      headerStart,
      payloadStart,
      payloadEnd
    )
    if (!this.admits(message)) return
    this.buffer.push(message)
    this.bytes += message.size
  }

  commit(): void {
    this.inChunk = false
    if (this.waiting.length > 0) this.wakeReaders()
  }

  confirm(): void {
    this.confirmed = true
    this.settleConfirmers()
  }

  /** Calls back when the server has the SUB, or when it refused it. */
  onConfirmed(resume: (error: E | Cause.Done | undefined) => void): void {
    if (this.ended !== undefined || this.confirmed) resume(this.ended)
    else this.confirmers.push(resume)
  }

  onFinished(resume: () => void): void {
    if (this.finished) resume()
    else this.finishers.push(resume)
  }

  renew(): void {
    this.inboxNow = `${this.inbox}${(++this.renewals).toString(36)}`
    this.inboxBytes = Buffer.from(`${this.inboxNow}.`)
    this.asked = 0
  }

  leaving(): void {
    this.halt()
  }

  late(): void {
    this.onLate?.()
  }

  end(end: End): void {
    if (Cause.isDone(end)) this.giveBackRest()
    this.finish(this.ofConnection(end))
  }

  // What readers call

  /** The next array of at most so many. Waits while there is none; ends or fails after the last. */
  protected receive(limit: number): Effect.Effect<Batch, E | Cause.Done> {
    return this.receiveUnless(limit, undefined) as Effect.Effect<Batch, E | Cause.Done>
  }

  /** `undefined` as soon as no message is there and `isDue`: `wakeReaders` looks again. A race could lose messages. */
  protected receiveUnless(
    limit: number,
    isDue: (() => boolean) | undefined
  ): Effect.Effect<Batch | undefined, E | Cause.Done> {
    return Effect.suspend(() => {
      if (this.stopping) return Exit.fail(Cause.Done())
      if (this.buffer.length > this.head) return Exit.succeed(this.take(limit))
      if (isDue?.() === true) return Exit.succeed(undefined)
      if (this.ended !== undefined) return Exit.fail(this.ended)
      return Effect.callback<Batch | undefined, E | Cause.Done>((resume) => {
        const waiting: Waiting<E> = { limit, isDue, resume }
        this.waiting.push(waiting)
        return Effect.sync(() => {
          const index = this.waiting.indexOf(waiting)
          if (index >= 0) this.waiting.splice(index, 1)
        })
      })
    })
  }

  takeOne(): PulledMessage | undefined {
    if (this.stopping || this.head === this.buffer.length) return undefined
    const message = this.buffer[this.head]!
    this.buffer[this.head++] = undefined
    this.bytes -= message.size
    this.cutFront()
    return message
  }

  /** A reader had these and has them no more. */
  leave(messages: ReadonlyArray<PulledMessage>): void {
    this.unread = messages
  }

  /** Takes everything that nobody has. */
  rest(): ReadonlyArray<PulledMessage> {
    const rest = [...this.unread, ...this.buffer.slice(this.head) as Array<PulledMessage>]
    this.unread = this.buffer = []
    this.head = this.bytes = 0
    return rest
  }

  /** Looks at everything that nobody has. */
  forEachWaiting(look: (message: PulledMessage) => void): void {
    for (let i = this.head; i < this.buffer.length; i++) look(this.buffer[i]!)
  }

  /** Gives out nothing more, and asks for nothing. */
  halt(): void {
    if (this.stopping) return
    this.stopping = true
    this.asked = 0
    this.wakeReaders()
    this.wakeDriver()
  }

  /** Nobody holds anything of it any more. */
  done(): void {
    if (this.finished) return
    this.finished = true
    this.connection.refusals.listeners.delete(this.denied)
    const finishers = this.finishers
    this.finishers = []
    for (const resume of finishers) resume()
  }

  /** Nothing more comes. What is there is still read, but for a stop. */
  finish(end: E | Cause.Done): void {
    if (this.ended !== undefined) return
    this.ended = end
    this.failure ??= Exit.fail(end)
    this.asked = 0
    this.settleConfirmers()
    this.wakeReaders()
    this.wakeDriver()
  }

  /** What came and nobody took goes to others. */
  giveBackRest(): void {
    for (const message of this.rest()) message.giveBack()
  }

  // For who drives it

  /** Writes a pull behind what was written before. There is a session. */
  protected write(request: PullRequest): void {
    const { connection } = this
    const { session } = connection
    if (session === undefined) return
    this.asked = request.batch
    this.pull++
    this.heardAt = this.now
    session.writer.publish(this.pullSubject, `${this.inboxNow}.${this.pull}`, undefined, encodePull(request))
    connection.messagesOut++
  }

  protected get pullSubject(): string {
    return `${this.api.prefix}.CONSUMER.MSG.NEXT.${this.stream}.${this.consumer}`
  }

  /** Another inbox on the same session: whatever the server still has for the one before is given up. */
  protected moveInbox(): void {
    const { connection, sid } = this
    const { session } = connection
    if (session === undefined || !connection.subscriptions.has(sid)) return
    session.writer.unsubscribe(sid, undefined)
    this.renew()
    session.subscribe(this, this.settings.subject, undefined, 0)
  }

  /**
   * Of the pull that is out, so many messages come behind a status that says that it is over: replicas agree on a delivery
   * before it is sent, and what newer servers than 2.10 say of a pull does not wait for that.
   */
  protected comingAfter({ leftMessages }: Status): number {
    return leftMessages === undefined ? 0 : Math.max(0, this.asked - leftMessages)
  }

  /** What the driver does when it is woken, or its pause is over. */
  protected abstract readonly see: Effect.Effect<void>
  protected abstract readonly pause: Effect.Effect<void>

  /** Watches over it until it is over. A defect in it is the readers' to see. */
  readonly drive: Effect.Effect<void> = Effect.suspend(() =>
    Effect.catchCause(
      Effect.whileLoop({
        while: () => !this.isOver && !this.stopping,
        body: () => Effect.andThen(Effect.raceFirst(this.woken, this.pause), this.see),
        step: () => {}
      }),
      (cause) =>
        Effect.sync(() => {
          if (Cause.hasInterruptsOnly(cause)) return
          this.failure ??= Exit.failCause(cause)
          this.finish(Cause.Done())
        })
    )
  )

  /** Resumes the fiber that drives it, behind the read loop. */
  protected wakeDriver(): void {
    this.signalled = true
    const { signal } = this
    this.signal = undefined
    if (signal !== undefined) queueMicrotask(signal)
  }

  /** Waits until the driver is woken. */
  protected readonly woken: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const signal = (): void => {
      this.signalled = false
      resume(Effect.void)
    }
    if (this.signalled) return signal()
    this.signal = signal
    return Effect.sync(() => {
      if (this.signal === signal) this.signal = undefined
    })
  })

  // internal

  // What it publishes has nobody who waits for an answer that could be a refusal.
  private readonly denied: DeniedListener = (errorFor) => {
    const error = errorFor(this.pullSubject) ??
      (this.lastAck === undefined ? undefined : errorFor(this.lastAck.ackSubject))
    if (error !== undefined) this.end(error)
  }

  private acceptStatus(chunk: Buffer, start: number, end: number, headerStart: number, payloadStart: number): void {
    const prefix = this.inboxBytes.length
    // What is not for the inbox of now is of a pull that was given up.
    if (headerStart === payloadStart || end - start <= prefix) return
    if (this.inboxBytes.compare(chunk, start, start + prefix) !== 0) return
    const { description = "", headers, status } = decodeHeaders(chunk.subarray(headerStart, payloadStart))
    if (status === undefined) return
    const told = headers["Nats-Pending-Messages"]
    this.told({
      pull: Number(chunk.toString("latin1", start + prefix, end)),
      status,
      description,
      leftMessages: told === undefined ? undefined : Number(told[0])
    })
  }

  private take(limit: number): Batch {
    let batch: Array<PulledMessage | undefined>
    if (this.head === 0 && this.buffer.length <= limit) {
      batch = this.buffer
      this.buffer = []
      this.bytes = 0
    } else {
      const end = Math.min(this.head + limit, this.buffer.length)
      batch = this.buffer.slice(this.head, end)
      for (const message of batch) this.bytes -= message!.size
      this.buffer.fill(undefined, this.head, end)
      this.head = end
      this.cutFront()
    }
    return batch as [PulledMessage, ...Array<PulledMessage>]
  }

  private cutFront(): void {
    if (this.head === this.buffer.length || (this.head > 64 && this.head * 2 > this.buffer.length)) {
      this.buffer = this.buffer.slice(this.head)
      this.head = 0
    }
  }

  protected wakeReaders(): void {
    if (this.waking) return
    this.waking = true
    queueMicrotask(this.wake)
  }

  private readonly wake = (): void => {
    this.waking = false
    while (this.waiting.length > 0) {
      const hasMore = !this.stopping && this.buffer.length > this.head
      const isDue = !hasMore && !this.stopping && this.waiting[0].isDue?.() === true
      if (!hasMore && !isDue && !this.stopping && this.ended === undefined) return
      const { limit, resume } = this.waiting.shift()!
      if (isDue) {
        resume(Exit.succeed(undefined))
        continue
      }
      resume(hasMore ? Exit.succeed(this.take(limit)) : this.stopping ? Exit.fail(Cause.Done()) : this.failure!)
    }
  }

  private settleConfirmers(): void {
    const confirmers = this.confirmers
    this.confirmers = []
    for (const resume of confirmers) afterReadLoop(resume)(this.ended)
  }
}
