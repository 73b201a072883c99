/**
 * A read of a stream in its order, each message once: over short-lived consumers of its own, which the server keeps in memory.
 * A session, a heartbeat or a message that is missing is the end of such a consumer: the next one begins behind the message
 * that was seen last.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DeliveryOwner } from "../../internal/delivery/delivery.ts"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { finalizing } from "../../internal/operations/closing.ts"
import { sleep } from "../../internal/operations/sending.ts"
import {
  type InvalidName,
  type JetStreamApiError,
  type OpenOrderedError,
  type OrderedError,
  type StreamNotFound,
  UnsupportedByServer
} from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { backoffMillis } from "./backoff.ts"
import { overSessions } from "./consumerFacts.ts"
import { type Failed, insist, patienceMillis } from "./insisting.ts"
import { LeftBehind } from "./leftBehind.ts"
import type { PulledMessage } from "./message.ts"
import { invalidName } from "./names.ts"
import { filtersPath, orderedConfig, type OrderedOptions } from "./orderedConfig.ts"
import { type Batch, endOf, PullInbox, type Status } from "./pullInbox.ts"
import { meaningOf } from "./pullStatus.ts"
import { noStream } from "./refusals.ts"

export interface OrderedSource {
  /** Waits for messages, which count as handled when the next ones are asked for. */
  readonly next: Effect.Effect<Batch, OrderedError | Cause.Done>
  /**
   * As `next`, but `undefined` once all messages that were there at the start have been given, or the server has none of them
   * any more: then go on with `next`.
   */
  readonly nextOrInitial: Effect.Effect<Batch | undefined, OrderedError | Cause.Done>
}

const expiresMillis = 30_000
/** What was not made because nobody leads is asked for again so soon. */
const mostRetryMillis = 400
/** A refusal that lasts so long is the end. */
const refusedMillis = 30_000

type CreateError = StreamNotFound | JetStreamApiError | UnsupportedByServer

export class Ordered extends PullInbox<OrderedError> implements OrderedSource {
  readonly takesAcks = false
  private readonly options: OrderedOptions
  private readonly names: string
  private made = 0
  /** The name of the consumer whose messages are wanted, as bytes between two dots. */
  private nameBytes: Buffer | undefined
  /** What the reply subjects of its messages begin with, known from the first one. */
  private prefix: Buffer | undefined
  private consumerSequence = 0
  /** The stream sequence of the message that came last. */
  private last = 0
  /** Where the first consumer began, where that is known: a later one that has seen nothing begins there, too. */
  private start: number | undefined
  /** All that was there has been asked for: what the server has none of any more is not waited for. */
  private initial = true
  private initialDone = false
  private initialLeft = Infinity
  private exhausted = false
  private unhandled = 0
  private unhandledBytes = 0
  private givenMessages = 0
  private givenBytes = 0
  private needsAll = false
  private alone = false
  /** Why another consumer is needed. */
  private broken: "session" | "gap" | "lost" | undefined
  /** Creates that failed, and consumers that broke off before they gave anything, in a row. */
  private failures = 0
  private breaks = 0
  private refusedSince: number | undefined
  private readonly leftBehind: LeftBehind
  /** Whatever comes of the requests for them, they may be there. */
  private readonly asking = new Set<string>()
  private heard = 0

  constructor(sid: number, owner: DeliveryOwner, api: Api, inbox: string, options: OrderedOptions) {
    super(sid, owner, { api, stream: options.stream, consumer: "", inbox, ofConnection: endOf })
    this.options = options
    this.leftBehind = new LeftBehind(api, options.stream, () => this.isOver || this.stopping)
    this.names = randomToken(8)
    // Servers before 2.11 begin sooner where the stream has not come that far.
    if (typeof options.from === "object" && "sequence" in options.from) this.last = options.from.sequence - 1
  }

  ackWaitMillis(): number {
    return Infinity
  }

  readonly next: Effect.Effect<Batch, OrderedError | Cause.Done> = Effect.suspend(() => {
    this.handledGiven()
    return Effect.map(this.receive(this.mostAtOnce), (batch) => {
      this.gave(batch)
      return batch
    })
  })

  readonly nextOrInitial: Effect.Effect<Batch | undefined, OrderedError | Cause.Done> = Effect.suspend(() => {
    this.handledGiven()
    if (this.initialDone) return Effect.undefined
    const isDue = (): boolean => this.initialDone
    return Effect.map(this.receiveUnless(this.mostAtOnce, isDue), (batch) => {
      if (batch !== undefined) this.gave(batch)
      return batch
    })
  })

  private get mostAtOnce(): number {
    return Math.max(1, Math.floor(this.options.window / 2))
  }

  private handledGiven(): void {
    if (this.givenMessages === 0) return
    this.unhandled -= this.givenMessages
    this.unhandledBytes -= this.givenBytes
    this.givenMessages = this.givenBytes = 0
    this.refill()
  }

  // Made anew

  /** Makes the first consumer. */
  readonly open: Effect.Effect<void, CreateError | OpenOrderedError> = Effect.suspend(() =>
    Effect.suspend(() => {
      const name = this.nextName()
      return Effect.map(overSessions(this.api, this.create(name)), (pending) => {
        this.initialLeft = pending
        this.begin(name)
      })
    })
  )

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.halt()
    this.connection.unsubscribe(this)
    this.leftBehind.add([this.consumer, ...this.asking])
    return this.leftBehind.removed
  })

  protected admits(message: PulledMessage): boolean {
    const sequence = this.check(message)
    if (sequence < 0) return false
    this.breaks = 0
    this.alone = this.needsAll = false
    if (this.asked > 0) this.asked--
    // Of a second look at the last ones of each subject.
    if (sequence <= this.last) {
      this.initialLeft--
      if (this.asked === 0) this.refill()
      return false
    }
    this.last = sequence
    this.unhandled++
    this.unhandledBytes += message.size
    if (this.asked === 0) this.refill()
    return true
  }

  protected told(status: Status): void {
    const meaning = meaningOf(status.status, status.description)
    if (meaning === "alive") {
      this.breaks = 0
      return
    }
    if (status.pull !== this.pull || this.nameBytes === undefined) return
    this.asked = 0
    if (meaning === "over") {
      this.breaks = 0
      if (this.initial && (status.status === 404 || status.status === 408)) this.exhaust()
      return this.refill()
    }
    if (meaning === "tooLarge") {
      if (this.unhandled === 0 && !this.needsAll) this.alone = true
      this.needsAll = this.unhandled > 0
      return this.refill()
    }
    this.breakOff("lost")
  }

  protected reopened(): void {
    this.breakOff("session")
  }

  private breakOff(why: "session" | "gap" | "lost"): void {
    this.broken = why
    this.nameBytes = this.prefix = undefined
    this.asked = 0
    this.wakeDriver()
  }

  private begin(name: string): void {
    this.consumer = name
    this.asking.clear()
    this.nameBytes = Buffer.from(`.${this.consumer}.`)
    this.consumerSequence = 0
    this.asked = 0
    if (this.initialLeft <= 0) this.exhaust()
    this.refill()
  }

  private refill(): void {
    if (this.asked > 0 || this.nameBytes === undefined || this.stopping || this.isOver) return
    const { heartbeatMillis, window, windowBytes } = this.options
    const free = window - this.unhandled
    const freeBytes = windowBytes - this.unhandledBytes
    if (this.unhandled > 0 && (this.alone || this.needsAll || free < window / 2 || freeBytes < windowBytes / 2)) return
    const batch = this.alone ? 1 : free
    const maxBytes = this.alone ? undefined : freeBytes
    // At first what is there, up to the server's word that there is no more: values can go before they are read.
    if (this.initial) return this.write({ batch, maxBytes, noWait: true })
    const expires = Math.max(expiresMillis, 2 * heartbeatMillis)
    this.write({ batch, maxBytes, expiresMillis: expires, heartbeatMillis })
  }

  /** The server has none of those any more that were there at the start. */
  private exhaust(): void {
    this.initial = false
    this.exhausted = true
    if (this.unhandled > this.givenMessages) return
    this.initialDone = true
    this.wakeReaders()
  }

  private gave(batch: Batch): void {
    this.givenMessages = batch.length
    for (const { size } of batch) this.givenBytes += size
    if (this.initialLeft === -Infinity) return
    this.initialLeft -= batch.length
    if (this.initialLeft > 0 && !(this.exhausted && this.unhandled === this.givenMessages)) return
    this.initial = false
    this.initialLeft = -Infinity
    this.initialDone = true
  }

  /**
   * The stream sequence of a message that is the next one of the consumer. -1 of one that a consumer before still sends, and
   * where one is missing.
   */
  private check(message: PulledMessage): number {
    const { nameBytes } = this
    if (nameBytes === undefined) return -1
    this.prefix ??= message.ackPrefix(nameBytes)
    const delivery = this.prefix === undefined ? -1 : message.follows(this.prefix)
    if (delivery < 0) return -1
    if (delivery !== this.consumerSequence + 1) {
      this.breakOff("gap")
      return -1
    }
    this.consumerSequence = delivery
    return message.streamSequence
  }

  protected get pause(): Effect.Effect<void> {
    const whole = 2 * this.options.heartbeatMillis
    const isDue = this.asked > 0 && this.connection.session !== undefined
    return sleep(this.connection, isDue ? Math.max(1, this.heardAt + whole - this.now) : whole)
  }

  protected readonly see: Effect.Effect<void> = Effect.suspend(() => {
    const { connection, heard } = this
    this.heard = connection.heard
    if (this.stopping || this.isOver) return Effect.void
    if (this.broken === undefined) {
      if (this.asked === 0 || connection.session === undefined) return Effect.void
      if (this.heardAt + 2 * this.options.heartbeatMillis > this.now) return Effect.void
      if (heard === connection.heard) connection.suspect()
      this.moveInbox()
      this.breakOff("gap")
    }
    return this.renewed
  })

  /** Another consumer in place of the one before, however often it takes. */
  private readonly renewed: Effect.Effect<void> = Effect.suspend(() => {
    const before = this.consumer
    const breaks = this.breaks++
    return Effect.flatMap(
      insist({
        ask: (name) => this.create(name),
        nextName: () => this.nextName(),
        now: () => this.now,
        sleep: (millis) => sleep(this.connection, millis),
        woken: this.woken,
        isOver: () => this.isOver || this.stopping,
        hasSession: () => this.connection.session !== undefined,
        failed: (error) => this.unmade(error),
        heartbeatMillis: this.options.heartbeatMillis,
        delay: breaks === 0 ? 0 : backoffMillis(breaks - 1)
      }),
      (renewed) => {
        if (renewed === undefined) return Effect.void
        const { left, made, name } = renewed
        // Nothing was pulled from it before: whatever happened meanwhile is no matter.
        this.broken = undefined
        this.failures = 0
        this.refusedSince = undefined
        if (this.initialLeft > -Infinity) this.initialLeft = this.pending + made
        this.begin(name)
        this.leftBehind.add([before, ...left])
        return this.leftBehind.tidy
      }
    )
  })

  private unmade(error: CreateError | OpenOrderedError): Failed {
    switch (error._tag) {
      case "StreamNotFound":
      case "PermissionsViolation":
      case "SubscriptionLimitExceeded":
      case "ConnectionClosed":
        this.finish(error)
        break
      case "RequestTimedOut":
        return { pause: Infinity, isAnswer: false }
      case "ConnectionLost":
        return { pause: backoffMillis(0), isAnswer: false }
      case "JetStreamApiError": {
        this.refusedSince ??= this.now
        if (this.now - this.refusedSince > refusedMillis) this.finish(error)
      }
    }
    return { pause: Math.min(mostRetryMillis, backoffMillis(this.failures++)), isAnswer: true }
  }

  private nextName(): string {
    return `${this.names}_${++this.made}`
  }

  private create(name: string): Effect.Effect<number, CreateError | OpenOrderedError> {
    const { api, options, stream } = this
    this.asking.add(name)
    // As long as not all of the last ones have come, they are asked for again: those that have come are left out.
    const isLastPerSubject = options.from === "lastPerSubject" && this.initial
    const next = this.last > 0 ? this.last + 1 : this.start
    const config = orderedConfig(options, name, isLastPerSubject ? undefined : next)
    return Effect.flatMap(
      api.call<StreamNotFound>(`CONSUMER.CREATE.${stream}.${name}${filtersPath(options.filters)}`, {
        stream_name: stream,
        config
      }, {
        timeout: patienceMillis,
        errors: noStream(stream)
      }),
      (info) => {
        const made = info["config"] as { readonly filter_subjects?: ReadonlyArray<string> } | undefined
        if (options.filters.length > 1 && made?.filter_subjects === undefined) {
          return Effect.fail(new UnsupportedByServer({ feature: "filters", needs: "2.10" }))
        }
        const delivered = info["delivered"] as { readonly stream_seq?: number } | undefined
        const at = delivered?.stream_seq
        if (typeof at === "number") this.start ??= at + 1
        return Effect.succeed(typeof info["num_pending"] === "number" ? info["num_pending"] : 0)
      }
    )
  }
}

const checkOrdered = ({ stream }: OrderedOptions): InvalidName | undefined => invalidName("stream", stream)

/** Begins to read. The scope ends it. */
export const openOrdered = (
  api: Api,
  options: OrderedOptions
): Effect.Effect<Ordered, OpenOrderedError | OrderedError, Scope.Scope> =>
  Effect.gen(function*() {
    const problem = checkOrdered(options)
    if (problem !== undefined) return yield* problem
    const { connection } = api
    const inbox = yield* api.nats.inbox
    const ordered = yield* Effect.acquireRelease(
      Effect.sync(() => connection.subscribe((sid, owner) => new Ordered(sid, owner, api, inbox, options))),
      (ordered) =>
        Effect.andThen(
          finalizing(connection, undefined, (patience) => Effect.asVoid(patience.wait(ordered.close))),
          Effect.sync(() => ordered.done())
        )
    )
    yield* ordered.open
    yield* Effect.forkScoped(ordered.drive)
    return ordered
  })
