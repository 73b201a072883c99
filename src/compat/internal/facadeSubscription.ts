/**
 * A subscription of nats-core whose messages come from the client's wire.
 *
 * The read loop puts messages down; a microtask behind it gives them to the callback or to the iterator.
 */
import type { MsgCallback, SubscriptionOptions } from "@nats-io/nats-core"
import { errors } from "@nats-io/nats-core"
import { type Msg, type ProtocolHandler, type Publisher, SubscriptionImpl } from "@nats-io/nats-core/internal"
import * as Cause from "effect/Cause"
import type { Delivery, DeliveryOwner, End, SubscriptionSettings } from "../../internal/delivery/delivery.ts"
import { errorOf } from "./errors.ts"
import { received } from "./messages.ts"

/** What a subscription needs of its connection. */
export interface Wire {
  readonly isClosed: boolean
  readonly publisher: Publisher
  /** Opens a delivery for it. */
  open(subscription: FacadeSubscription): WireDelivery
  /** Takes no more from the server. */
  leave(delivery: WireDelivery): void
  /** Takes what the server sent before it handled that, and then ends. */
  drain(delivery: WireDelivery): Promise<void>
  /** Tells the server to end it after so many messages of the session. */
  limit(delivery: WireDelivery, messages: number): void
  closed(subscription: FacadeSubscription): void
  /** A callback has thrown. */
  threw(subscription: FacadeSubscription, error: unknown): void
}

const inspect = Symbol.for("nodejs.util.inspect.custom")

export class WireDelivery implements Delivery {
  touched = false
  confirmed = false
  left: number
  readonly dropped = 0
  /** Messages of the current session. */
  ofSession = 0
  /** Nothing of it is handed over any more. */
  isOver = false
  private arrived: Array<Msg> = []
  private arrivedBytes = 0
  private ended: End | undefined
  private isScheduled = false
  private isFinished = false
  private finishers: Array<() => void> = []

  readonly sid: number
  readonly settings: SubscriptionSettings
  private readonly owner: DeliveryOwner
  private readonly subscription: FacadeSubscription
  private readonly publisher: Publisher

  constructor(sid: number, owner: DeliveryOwner, subscription: FacadeSubscription) {
    this.sid = sid
    this.owner = owner
    this.subscription = subscription
    this.publisher = subscription.wire.publisher
    // Of a subscription that goes on under another subject, what is left.
    this.left = subscription.max === undefined ? 0 : Math.max(1, subscription.max - subscription.received)
    this.settings = {
      subject: subscription.subject,
      queue: subscription.queue,
      capacity: Infinity,
      capacityBytes: Infinity,
      overflow: "fail",
      onReplay: () => {
        this.ofSession = 0
      }
    }
  }

  get pending(): number {
    return this.arrived.length + (this.subscription.noIterator ? 0 : this.subscription.getPending())
  }

  get pendingBytes(): number {
    return this.arrivedBytes
  }

  confirm(): void {
    this.confirmed = true
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
    if (this.isOver || this.ended !== undefined) return
    this.ofSession++
    this.arrivedBytes += payloadEnd - subjectStart
    this.arrived.push(
      received(
        this.sid,
        this.publisher,
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
    if (this.left > 0 && --this.left === 0) {
      this.owner.completed(this)
      this.end(Cause.Done())
    }
  }

  commit(): void {
    this.schedule()
  }

  end(end: End): void {
    if (this.ended !== undefined || this.isOver) return
    this.ended = end
    this.schedule()
  }

  onFinished(resume: () => void): void {
    if (this.isFinished) resume()
    else this.finishers.push(resume)
  }

  /** Lets go of the subscription: what has arrived is not handed over. */
  detach(): void {
    this.isOver = true
    this.arrived = []
    this.arrivedBytes = 0
  }

  /** Takes so many more than what was handed over, and ends. */
  limit(messages: number): void {
    const more = messages - this.arrived.length
    if (more > 0) {
      this.left = more
      this.subscription.wire.limit(this, this.ofSession + more)
      return
    }
    this.arrived.length = messages
    this.subscription.wire.leave(this)
    this.end(Cause.Done())
  }

  /** Everything is handled when who reads it is done. */
  settle(): void {
    if (this.subscription.isRead) this.subscription.iterClosed.then(() => this.finish())
    else this.finish()
  }

  finish(): void {
    const finishers = this.finishers
    this.isFinished = true
    this.finishers = []
    for (const resume of finishers) resume()
  }

  // Its owner knows secrets.
  [inspect](): unknown {
    return { sid: this.sid, subject: this.settings.subject, pending: this.pending }
  }

  /** Hands over what has arrived, and the end behind it. */
  readonly dispatch = (): void => {
    this.isScheduled = false
    const messages = this.arrived
    this.arrived = []
    this.arrivedBytes = 0
    for (const message of messages) {
      // The one before may have let go of it.
      if (this.isOver) return
      this.subscription.take(message)
    }
    if (this.ended === undefined || this.isOver) return
    this.isOver = true
    this.subscription.finish(this.ended)
    this.settle()
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(this.dispatch)
  }
}

/** What nats-core's own constructor and `asyncDispose` read of a protocol. The rest is overridden. */
const protocolOf = (wire: Wire): ProtocolHandler =>
  ({ options: { noAsyncTraces: true }, isClosed: () => wire.isClosed }) as unknown as ProtocolHandler

export class FacadeSubscription extends SubscriptionImpl {
  declare callback: MsgCallback<Msg>
  readonly wire: Wire
  private delivery: WireDelivery

  constructor(wire: Wire, subject: string, options: SubscriptionOptions) {
    super(protocolOf(wire), subject, options)
    this.wire = wire
    this.delivery = wire.open(this)
    this.sid = this.delivery.sid
  }

  /** Somebody goes through its messages, and is not done with them. */
  get isRead(): boolean {
    return !this.noIterator && this.yielding && !this.didBreak
  }

  /** Goes on under another subject, and forgets what came under the one before. */
  resubscribe(subject: string, max: number | undefined): void {
    const before = this.delivery
    before.detach()
    before.finish()
    this.wire.leave(before)
    this.subject = subject
    if (max === undefined) delete this.max
    else this.max = max + this.received
    this.delivery = this.wire.open(this)
    this.sid = this.delivery.sid
  }

  /** Hands over what has come, now. */
  dispatch(): void {
    this.delivery.dispatch()
  }

  take(message: Msg): void {
    this.received++
    try {
      this.callback(null, message)
    } catch (error) {
      this.wire.threw(this, error)
    }
  }

  /** The end of its delivery, behind the last message. */
  finish(end: End): void {
    if (this.isClosed()) return this.wire.closed(this)
    if (Cause.isDone(end)) this.close()
    else this.fail(errorOf(end))
    this.wire.closed(this)
  }

  /** Tells an error that ends it. */
  private fail(error: Error): void {
    this.cancelTimeout()
    if (this.noIterator) {
      try {
        this.callback(error, {} as Msg)
      } catch (thrown) {
        this.wire.threw(this, thrown)
      }
      this.close(error)
    } else if (this.getPending() === 0) {
      this.stop(error)
    } else {
      // Behind what is there to be read.
      this.push((() => this.stop(error)) as unknown as Msg)
      this.closed.resolve(error)
    }
  }

  override unsubscribe(max?: number): void {
    const { delivery } = this
    if (max !== undefined && max > 0) {
      this.max = max
      const left = max - this.received
      if (left > 0) {
        delivery.limit(left)
        return
      }
    }
    // What an iterator has not read yet it reads.
    if (!this.noIterator) delivery.dispatch()
    delivery.detach()
    this.wire.leave(delivery)
    this.close()
    delivery.settle()
    this.wire.closed(this)
  }

  override drain(): Promise<void> {
    if (this.wire.isClosed) return Promise.reject(new errors.ClosedConnectionError())
    if (this.isClosed()) return Promise.reject(new errors.InvalidOperationError("subscription is already closed"))
    this.draining = true
    this.drained ??= this.wire.drain(this.delivery)
    return this.drained
  }

  /** Resolves when what it has received is handled, or nobody reads it. */
  whenHandled(): Promise<void> {
    return new Promise((resolve) => this.delivery.onFinished(resolve))
  }
}
