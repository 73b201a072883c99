/**
 * Messages of a consumer that is there before and after: one pull at a time over a window of messages that nobody has
 * handled yet, which survives everything that is not its end. One fiber for each source watches it; a message has none.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { DeliveryOwner, End } from "../../internal/delivery/delivery.ts"
import { leave } from "../../internal/operations/closing.ts"
import { sleep } from "../../internal/operations/sending.ts"
import type { ConnectionClosed } from "../../NatsError.ts"
import { ConsumerDeleted, type MessagesError, PullRefused, type StreamNotFound } from "../JetStreamError.ts"
import { awaitConsumer, makeAgain } from "./absentConsumer.ts"
import type { Api } from "./api.ts"
import { backoffMillis } from "./backoff.ts"
import { ackWaitOf, type ConsumerFacts, look, type Seen } from "./consumerFacts.ts"
import { createName, limitIn } from "./consumerRequests.ts"
import type { PulledMessage } from "./message.ts"
import { type Batch, endOf, PullInbox, type Status } from "./pullInbox.ts"
import type { PullOptions, PullSource, PullTarget } from "./pullSource.ts"
import { type Meaning, meaningOf, type PullRequest } from "./pullStatus.ts"

/** How long a pull waits for messages. */
const expiresMillis = 30_000

/** Servers take a heartbeat of at most half of that. */
const leastHeartbeatMillis = 100

/** What was lost as nobody leads is asked for again so soon: the server at hand says at once that there is nobody still. */
const mostRetryMillis = 400

/** Of a consumer with less, what waits is delivered again. */
const leastWaitMillis = 80

// Parts of `ack_wait`: what is looked after that often, and what is told to take longer when it is that old.
const freshPart = 1 / 8
const keptPart = 1 / 4

/** A consumer that was changed is not looked at more often. */
const reviewMillis = 1_000

/** A consumer that has too many pulls waiting is asked again so soon. */
const busyMillis = 500

/** So often a pull that is over a limit is corrected, in a row. */
const mostCorrections = 3

export class Pull extends PullInbox<MessagesError> implements PullSource {
  facts: ConsumerFacts
  private readonly options: PullOptions
  /** Messages that are here and not handled. */
  unhandled = 0
  private unhandledBytes = 0
  /** What the last pull asked for. */
  private request: PullRequest | undefined
  /** The next message is larger than what was asked for: the whole window is asked for next. */
  private needsAll = false
  /** It is larger than that: it comes alone. */
  private alone = false
  /** Nothing is asked for until the driver has seen to what happened. */
  private held = false
  private isOpen = false
  private trouble: { readonly meaning: Meaning; readonly status: Status } | undefined
  private failures = 0
  /** When a pull that was lost is written again. */
  private retryAt: number | undefined
  /** A look at the server is on its way, which may take long: pulls do not wait for it. */
  private isLooking = false
  private looked: Exit.Exit<Seen, ConnectionClosed> | undefined
  private corrections = 0
  private busySince: number | undefined
  private pinId: string | undefined
  private collecting = false
  private heard = 0
  private reviewedAt = -Infinity
  private reviews = false
  /** When a reader was last done with something. */
  private progressAt: number
  /** The array that a reader has. What it has not looked at yet waits. */
  handed: ReadonlyArray<PulledMessage> = []

  constructor(
    sid: number,
    owner: DeliveryOwner,
    api: Api,
    target: PullTarget,
    inbox: string,
    facts: ConsumerFacts,
    options: PullOptions
  ) {
    super(sid, owner, {
      api,
      ...target,
      inbox,
      tally: options.tally,
      onLate: options.onLate,
      ofConnection: endOf
    })
    this.facts = facts
    this.options = options
    this.progressAt = this.now
  }

  get takesAcks(): boolean {
    return this.facts.ackPolicy !== "none"
  }

  ackWaitMillis(deliveries: number): number {
    return ackWaitOf(this.facts, deliveries)
  }

  /** The first pull is written. */
  start(): void {
    this.isOpen = true
    this.refill()
  }

  handled(messages: number, bytes: number): void {
    this.unhandled -= messages
    this.unhandledBytes -= bytes
    if (this.keepsAlive) this.progressAt = this.now
    this.refill()
  }

  review(): void {
    const { now } = this
    if (now - this.reviewedAt < reviewMillis) return
    this.reviewedAt = now
    this.reviews = true
    this.wakeDriver()
  }

  next(limit: number): Effect.Effect<Batch, MessagesError | Cause.Done> {
    const batch = this.receive(limit)
    return this.keepsAlive ? Effect.map(batch, this.refreshed) : batch
  }

  override takeOne(): PulledMessage | undefined {
    const message = super.takeOne()
    if (message !== undefined && this.keepsAlive) this.refresh(message, this.now)
    return message
  }

  override end(end: End): void {
    // A stop gives what came to who stops.
    if (this.collecting) this.finish(endOf(end))
    else super.end(end)
  }

  override giveBackRest(): void {
    if (this.facts.ackPolicy === "explicit") super.giveBackRest()
    else this.rest()
  }

  readonly stop: Effect.Effect<ReadonlyArray<PulledMessage>> = Effect.suspend(() => {
    this.halt()
    this.collecting = true
    return Effect.map(leave(this.connection, this), () => {
      this.collecting = false
      return this.rest()
    })
  })

  protected admits(message: PulledMessage): boolean {
    this.unhandled++
    this.unhandledBytes += message.size
    this.failures = this.corrections = 0
    this.busySince = undefined
    this.alone = this.needsAll = false
    if (this.options.group !== undefined) this.pinId = message.header("Nats-Pin-Id") ?? this.pinId
    if (this.asked > 0 && --this.asked === 0) this.refill()
    return true
  }

  protected told(status: Status): void {
    const meaning = meaningOf(status.status, status.description)
    if (meaning === "alive") {
      this.failures = 0
      return
    }
    // What is said of a pull before is no news.
    if (status.pull !== this.pull) return
    const coming = this.comingAfter(status)
    const gaveNone = this.asked === this.request?.batch && coming === 0
    this.asked = 0
    if (meaning === "over") {
      this.asked = coming
      this.failures = 0
      return this.refill()
    }
    if (meaning === "tooLarge") {
      this.asked = coming
      if (this.enlarge(gaveNone)) return this.refill()
    }
    this.held = true
    this.trouble = { meaning, status }
    this.wakeDriver()
  }

  protected reopened(): void {
    this.trouble = undefined
    this.failures = 0
    this.release()
  }

  // What is asked for

  private get heartbeat(): number {
    return Math.max(leastHeartbeatMillis, Math.min(this.options.heartbeatMillis, this.expires / 2))
  }

  private get expires(): number {
    return Math.min(Math.max(expiresMillis, 2 * this.options.heartbeatMillis), this.facts.maxExpiresMillis)
  }

  private refill(): void {
    if (this.asked > 0 || this.held || !this.isOpen || this.stopping || this.isOver) return
    if (this.connection.session === undefined) return
    const { options } = this
    const free = options.window - this.unhandled
    const freeBytes = options.windowBytes - this.unhandledBytes
    // Small pulls are not worth their requests.
    const isSmall = free < options.window / 2 || freeBytes < options.windowBytes / 2
    if (this.unhandled > 0 && (this.needsAll || this.alone || isSmall)) return
    this.request = {
      batch: this.alone ? 1 : Math.min(free, this.facts.maxBatch),
      maxBytes: this.alone ? undefined : Math.min(freeBytes, this.facts.maxBytes),
      expiresMillis: this.expires,
      heartbeatMillis: this.heartbeat,
      group: options.group,
      pinId: this.pinId,
      priority: options.priority,
      minPending: options.minPending,
      minAckPending: options.minAckPending
    }
    this.write(this.request)
  }

  /**
   * A message was larger than what was left of the bytes that were asked for. Whether more can be asked for: a pull that gave
   * some before, however long ago, says nothing of the size of one.
   */
  private enlarge(gaveNone: boolean): boolean {
    const { facts, options, request } = this
    const isAll = request?.maxBytes !== undefined && request.maxBytes >= Math.min(options.windowBytes, facts.maxBytes)
    if (!isAll || !gaveNone || this.unhandled > 0) {
      this.needsAll = true
      return true
    }
    // Who limits the bytes of a pull lets none be without a bound.
    if (facts.maxBytes < Infinity) return false
    this.alone = true
    return true
  }

  private release(): void {
    this.held = false
    this.retryAt = undefined
    this.refill()
  }

  // What the driver does

  protected get pause(): Effect.Effect<void> {
    const whole = 2 * this.heartbeat
    const isDue = this.asked > 0 && this.connection.session !== undefined
    const dueAt = this.retryAt ?? (isDue ? this.heardAt + whole : undefined)
    const due = dueAt === undefined ? whole : Math.max(1, dueAt - this.now)
    return sleep(this.connection, this.keepsAlive ? Math.min(due, this.shortestWait * freshPart) : due)
  }

  protected readonly see: Effect.Effect<void> = Effect.suspend(() => {
    const { connection, looked, now, retryAt, trouble } = this
    this.trouble = this.looked = undefined
    if (this.stopping || this.isOver) return Effect.void
    if (this.keepsAlive) this.keepWaiting()
    const { heard } = this
    this.heard = connection.heard
    if (trouble !== undefined) {
      if (looked !== undefined) {
        this.looked = looked
        this.wakeDriver()
      }
      return this.mend(trouble.meaning, trouble.status)
    }
    if (looked !== undefined) return this.unlessClosed(Effect.flatMap(looked, this.meanwhile))
    if (this.reviews) {
      this.reviews = false
      return this.lookMeanwhile
    }
    if (retryAt !== undefined) {
      if (retryAt > now) return Effect.void
      this.release()
      return this.lookMeanwhile
    }
    if (this.asked === 0 || connection.session === undefined) return Effect.void
    if (this.heardAt + 2 * this.heartbeat > now) return Effect.void
    if (heard === connection.heard) connection.suspect()
    this.moveInbox()
    this.release()
    return this.lookMeanwhile
  })

  private get keepsAlive(): boolean {
    return this.options.keepsAlive === true && this.facts.ackPolicy === "explicit"
  }

  private get shortestWait(): number {
    return Math.max(leastWaitMillis, Math.min(...this.facts.ackWaitsMillis))
  }

  private readonly refreshed = (batch: Batch): Batch => {
    const { now } = this
    for (const message of batch) this.refresh(message, now)
    return batch
  }

  /** Whoever gets one that has waited has the whole of `ack_wait` for it. */
  private refresh(message: PulledMessage, now: number): void {
    if (now - message.at > this.shortestWait * freshPart) message.keep(now)
  }

  /** As long as the reader goes on: one that is stuck leaves what waits to others. */
  private keepWaiting(): void {
    const { handed, now } = this
    const wait = this.shortestWait
    const isAlive = ({ at, settled }: PulledMessage): boolean => settled === undefined && now - at < wait
    if (now - this.progressAt >= wait && !handed.some(isAlive)) return
    const keep = (message: PulledMessage): void => {
      if (now - message.at >= wait * keptPart) message.keep(now)
    }
    this.forEachWaiting(keep)
    for (let i = 1; i < handed.length; i++) if (!handed[i].seen) keep(handed[i])
  }

  private mend(meaning: Meaning, status: Status): Effect.Effect<void> {
    switch (meaning) {
      case "lost":
        return this.again
      case "deleted":
        return this.lookNow
      case "overLimit":
        return this.correct(status)
      case "busy":
        return this.whileBusy(status)
      case "unpinned":
        this.pinId = undefined
        return Effect.sync(() => this.release())
      case "tooLarge":
        return this.refuse(status, ` (max_bytes of the consumer is ${this.facts.maxBytes})`)
      default:
        return this.refuse(status)
    }
  }

  /** Pulls again at once, as that costs nothing; from the second time on a little later, and with a look at the server. */
  private readonly again: Effect.Effect<void> = Effect.sync(() => {
    const failures = ++this.failures
    if (failures === 1) return this.release()
    this.retryAt = this.now + backoffMillis(failures - 2, mostRetryMillis)
  })

  /** A look at a server that has said that the consumer is gone. */
  private readonly lookNow: Effect.Effect<void> = Effect.suspend(() =>
    this.stopping || this.isOver ? Effect.void : this.unlessClosed(
      Effect.flatMap(look(this.api, this.stream, this.consumer), (seen): Effect.Effect<void> => {
        switch (seen._tag) {
          case "there":
            this.takeFacts(seen.facts)
            return Effect.sync(() => this.release())
          case "missing":
          case "denied":
            return this.missing(seen)
          case "unknown":
            return this.again
        }
      })
    )
  )

  /** A look that nothing waits for: without a leader nobody answers it. */
  private readonly lookMeanwhile: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isLooking) return Effect.void
    this.isLooking = true
    return Effect.asVoid(Effect.forkChild(
      Effect.map(Effect.exit(look(this.api, this.stream, this.consumer)), (looked) => {
        this.isLooking = false
        this.looked = looked
        this.wakeDriver()
      })
    ))
  })

  private readonly meanwhile = (seen: Seen): Effect.Effect<void> => {
    if (seen._tag === "missing") return this.lookAgain
    // Some servers say so of one that nobody leads: no pull is written for it.
    if (seen._tag === "there") this.takeFacts(seen.facts)
    return Effect.void
  }

  private takeFacts(facts: ConsumerFacts): void {
    this.facts = facts
    this.options.onLooked?.()
  }

  // A server that has just come back may not know yet.
  private readonly lookAgain: Effect.Effect<void> = Effect.suspend(() =>
    this.unlessClosed(
      Effect.flatMap(
        Effect.andThen(sleep(this.connection, secondLookMillis), look(this.api, this.stream, this.consumer)),
        (seen) => seen._tag === "missing" ? this.missing(seen) : Effect.void
      )
    )
  )

  private missing(seen: Extract<Seen, { _tag: "missing" | "denied" }>): Effect.Effect<void> {
    const { consumer, options, stream } = this
    const error: StreamNotFound | ConsumerDeleted = seen._tag === "missing" && seen.error._tag === "StreamNotFound"
      ? seen.error
      : new ConsumerDeleted({ stream, consumer })
    if (options.onMissing === "fail" || (options.onMissing === "recreate" && error._tag === "StreamNotFound")) {
      return Effect.sync(() => this.finish(error))
    }
    this.held = true
    this.asked = 0
    const absent = { api: this.api, stream, consumer, isWanted: () => !this.isOver && !this.stopping }
    if (options.onMissing === "wait") {
      return this.unlessClosed(Effect.map(awaitConsumer(absent), (facts) => {
        if (facts === undefined) return
        this.facts = facts
        this.release()
      }))
    }
    const { config } = this.facts
    if (options.recreate === undefined && config === undefined) return Effect.sync(() => this.finish(error))
    const create = options.recreate ??
      this.api.call(createName(stream, consumer, config!), { stream_name: stream, config })
    return this.unlessClosed(Effect.andThen(makeAgain(absent, create), this.lookNow))
  }

  private correct(status: Status): Effect.Effect<void> {
    if (++this.corrections > mostCorrections) return this.refuse(status)
    const { api, consumer, stream } = this
    return this.unlessClosed(
      Effect.flatMap(look(api, stream, consumer), (seen) =>
        Effect.sync(() => {
          if (seen._tag === "there") this.facts = seen.facts
          else this.facts = { ...this.facts, ...limitIn(status.description) }
          this.release()
        }))
    )
  }

  private whileBusy(status: Status): Effect.Effect<void> {
    this.busySince ??= this.now
    if (this.now - this.busySince > 2 * this.heartbeat) return this.refuse(status)
    return Effect.andThen(
      sleep(this.connection, busyMillis),
      Effect.sync(() => this.release())
    )
  }

  private refuse({ description, status }: Status, more = ""): Effect.Effect<void> {
    return Effect.sync(() =>
      this.finish(
        new PullRefused({
          stream: this.stream,
          consumer: this.consumer,
          code: status,
          description: `${this.api.shown(description)}${more}`
        })
      )
    )
  }

  /** The client has ended. */
  private unlessClosed(effect: Effect.Effect<void, MessagesError>): Effect.Effect<void> {
    return Effect.catch(effect, (error) => Effect.sync(() => this.finish(error)))
  }
}

const secondLookMillis = 250
