/**
 * A few messages, asked for once: they come within a time, or there are none.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { DeliveryOwner } from "../../internal/delivery/delivery.ts"
import { finalizing, leave } from "../../internal/operations/closing.ts"
import { sleep } from "../../internal/operations/sending.ts"
import { ConsumerDeleted, ConsumerIsPush, type FetchError, PullRefused } from "../JetStreamError.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import type { Api } from "./api.ts"
import { backoffMillis } from "./backoff.ts"
import { ackWaitOf, askFactsIfAllowed, type ConsumerFacts, look, unknownFacts } from "./consumerFacts.ts"
import { giving } from "./giving.ts"
import type { PulledMessage } from "./message.ts"
import { type Batch, endOf, PullInbox, type Status } from "./pullInbox.ts"
import { checkTarget, type PullTarget } from "./pullSource.ts"
import { meaningOf } from "./pullStatus.ts"

export interface FetchOptions {
  readonly count: number
  readonly maxWaitMillis: number
  readonly group?: string | undefined
  readonly priority?: number | undefined
}

type Ended = FetchError | Cause.Done

/** The server's word that the time is over, behind the time. */
const graceMillis = 250
/** Messages that the server says it has given, behind the time, or has where nobody waits for others. */
const comingMillis = 2_000
/** A pull of a shorter time needs no sign of life. */
const heartbeatFrom = 10_000
const heartbeatMillis = 5_000
/** A silence of less is none, however short the pulls of the consumer may be. */
const leastSilenceMillis = 2_000

const mostAtOnce = 256

class Fetch extends PullInbox<FetchError> {
  facts: ConsumerFacts
  handed: ReadonlyArray<PulledMessage> = []
  private readonly options: FetchOptions
  private wanted: number
  private readonly until: number
  private failures = 0
  private trouble: Status | undefined
  /** How the pull that is out has ended, while messages of it still come. */
  private over: Status | undefined
  private batch = 0
  private heard = 0
  /** So long a silence says that the pull that is out is lost. */
  private silenceMillis = Infinity
  private pinId: string | undefined

  constructor(
    sid: number,
    owner: DeliveryOwner,
    api: Api,
    target: PullTarget,
    inbox: string,
    facts: ConsumerFacts,
    options: FetchOptions
  ) {
    super(sid, owner, { api, ...target, inbox, ofConnection: endOf })
    this.facts = facts
    this.options = options
    this.wanted = options.count
    this.until = this.now + options.maxWaitMillis
  }

  get takesAcks(): boolean {
    return this.facts.ackPolicy !== "none"
  }

  ackWaitMillis(deliveries: number): number {
    return ackWaitOf(this.facts, deliveries)
  }

  next(limit: number): Effect.Effect<Batch, Ended> {
    return this.receive(limit)
  }

  /** What was asked for once is all. */
  handled(): void {}

  ask(): void {
    if (this.asked > 0 || this.wanted <= 0 || this.isOver || this.stopping) return
    const left = this.until - this.now
    const isOnce = this.options.maxWaitMillis <= 0
    if (left <= 0 && !isOnce) return this.finish(Cause.Done())
    const { group, priority } = this.options
    this.batch = Math.min(this.wanted, this.facts.maxBatch)
    const heartbeat = left >= heartbeatFrom ? Math.min(heartbeatMillis, this.facts.maxExpiresMillis / 2) : undefined
    this.silenceMillis = heartbeat === undefined ? Infinity : Math.max(leastSilenceMillis, 2 * heartbeat)
    this.write({
      batch: this.batch,
      ...(isOnce ? { noWait: true } : { expiresMillis: Math.min(left, this.facts.maxExpiresMillis) }),
      ...(heartbeat === undefined ? {} : { heartbeatMillis: heartbeat }),
      ...(Number.isFinite(this.facts.maxBytes) ? { maxBytes: this.facts.maxBytes } : {}),
      group,
      priority,
      pinId: this.pinId
    })
  }

  protected admits(message: PulledMessage): boolean {
    this.wanted--
    this.failures = 0
    if (this.options.group !== undefined) this.pinId = message.header("Nats-Pin-Id") ?? this.pinId
    if (this.wanted === 0) this.finish(Cause.Done())
    else if (this.asked > 0 && --this.asked === 0) this.followOn()
    return true
  }

  protected told(status: Status): void {
    const meaning = meaningOf(status.status, status.description)
    if (meaning === "alive" || status.pull !== this.pull) return
    const isOver = meaning === "over" || meaning === "tooLarge"
    this.asked = isOver ? this.comingAfter(status) : 0
    if (isOver) {
      this.over = status
      if (this.asked === 0) this.followOn()
      return
    }
    if (meaning === "refused") return this.refuse(status)
    this.trouble = status
    this.wakeDriver()
  }

  /** Everything of a pull has come. */
  private followOn(): void {
    const { over, options } = this
    this.over = undefined
    if (over === undefined || over.leftMessages === 0) return this.ask()
    if (meaningOf(over.status, over.description) === "tooLarge") {
      // What it gave were all the bytes that it may ask for. One message that is larger than these never comes.
      return over.leftMessages !== undefined && over.leftMessages < this.batch ? this.ask() : this.refuse(over)
    }
    // Earlier than asked for it is the consumer's own limit, or the bytes.
    if (over.status === 404 || options.maxWaitMillis <= 0 || this.now >= this.until - 1) {
      return this.finish(Cause.Done())
    }
    this.ask()
  }

  protected reopened(): void {
    this.trouble = this.over = undefined
    this.ask()
  }

  private get isOut(): boolean {
    return this.asked > 0 && this.connection.session !== undefined
  }

  protected get pause(): Effect.Effect<void> {
    const { now, silenceMillis } = this
    const due = this.isOut ? this.heardAt + silenceMillis - now : silenceMillis
    return sleep(this.connection, Math.max(1, Math.min(this.lastAt - now, due)))
  }

  protected readonly see: Effect.Effect<void> = Effect.suspend(() => {
    const { connection, heard, trouble } = this
    this.trouble = undefined
    this.heard = connection.heard
    if (this.isOver || this.stopping) return Effect.void
    if (trouble !== undefined) return this.mend(trouble)
    if (this.now >= this.lastAt) return this.outOfTime
    if (this.isOut && this.now >= this.heardAt + this.silenceMillis) {
      if (heard === connection.heard) connection.suspect()
      this.moveInbox()
      this.ask()
    }
    return Effect.void
  })

  private get lastAt(): number {
    // Who does not wait has the server's word behind what it gives, which replicas may take their time to agree on.
    if (this.options.maxWaitMillis <= 0) return this.heardAt + comingMillis
    return this.until + (this.over === undefined ? graceMillis : comingMillis)
  }

  /** The server did not say that the time is over: 2.9 says nothing where there is no such consumer. */
  private readonly outOfTime: Effect.Effect<void> = Effect.suspend(() => this.lookThen(() => this.finish(Cause.Done())))

  private mend(status: Status): Effect.Effect<void> {
    switch (meaningOf(status.status, status.description)) {
      case "deleted":
      case "overLimit":
        return this.lookThen(() => {
          if (++this.failures > 3) this.refuse(status)
          else this.ask()
        })
      case "unpinned":
        this.pinId = undefined
        this.ask()
        return Effect.void
      default: {
        const backoff = backoffMillis(this.failures++)
        const left = Math.max(0, this.until - this.now)
        return Effect.andThen(
          sleep(this.connection, Math.min(backoff, left)),
          this.lookThen(() => this.ask())
        )
      }
    }
  }

  private lookThen(go: () => void): Effect.Effect<void> {
    return look(this.api, this.stream, this.consumer).pipe(
      Effect.map((seen) => {
        if (seen._tag === "there") this.facts = seen.facts
        if (seen._tag !== "missing") return go()
        const { stream } = this
        this.finish(
          seen.error._tag === "StreamNotFound"
            ? seen.error
            : new ConsumerDeleted({ stream, consumer: this.consumer })
        )
      }),
      Effect.catch((error) => Effect.sync(() => this.finish(error)))
    )
  }

  private refuse({ description, status }: Status): void {
    this.finish(
      new PullRefused({
        stream: this.stream,
        consumer: this.consumer,
        code: status,
        description: this.api.shown(description)
      })
    )
  }

  /** What came and nobody has goes to others, in a round trip where something may still come. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const back = (): void => {
      for (const message of this.facts.ackPolicy === "explicit" ? this.rest() : []) message.giveBack()
    }
    // A pull that is over sends nothing more.
    const isOut = this.asked > 0
    this.halt()
    if (isOut) return Effect.map(leave(this.connection, this), back)
    this.connection.unsubscribe(this)
    back()
    return Effect.void
  })
}

const openFetch = (
  api: Api,
  target: PullTarget,
  options: FetchOptions,
  known?: ConsumerFacts | undefined
): Effect.Effect<Fetch, FetchError, Scope.Scope> =>
  Effect.gen(function*() {
    const problem = checkTarget(target)
    if (problem !== undefined) return yield* problem
    const { connection } = api
    const facts = known ?? (yield* askFactsIfAllowed(api, target.stream, target.consumer))
    if (facts.isPush) return yield* new ConsumerIsPush({ stream: target.stream, consumer: target.consumer })
    const inbox = yield* api.nats.inbox
    const fetch = yield* Effect.acquireRelease(
      Effect.sync(() =>
        connection.subscribe((sid, owner) => new Fetch(sid, owner, api, target, inbox, facts, options))
      ),
      (fetch) =>
        Effect.andThen(
          finalizing(connection, undefined, (patience) => Effect.asVoid(patience.wait(fetch.close))),
          Effect.sync(() => fetch.done())
        )
    )
    fetch.ask()
    yield* Effect.forkScoped(fetch.drive)
    return fetch
  })

/** The messages, as they come. */
export const fetching = (
  api: Api,
  target: PullTarget,
  options: FetchOptions
): Stream.Stream<JetStreamMessage, FetchError> => giving(openFetch(api, target, options), 2 * mostAtOnce)

export type { PulledMessage }

/**
 * Asks for one message of a consumer with explicit acknowledgements whose `ack_wait` is known, so that nothing is asked of
 * it before. `next(1)` waits for it and can be interrupted without a loss: what came and nobody has goes back when the scope
 * closes.
 */
export const openNext = (
  api: Api,
  target: PullTarget,
  { ackWaitMillis, maxWaitMillis }: { readonly ackWaitMillis: number; readonly maxWaitMillis: number }
): Effect.Effect<{ next(limit: 1): Effect.Effect<Batch, Ended> }, FetchError, Scope.Scope> =>
  openFetch(api, target, { count: 1, maxWaitMillis }, { ...unknownFacts, ackWaitsMillis: [ackWaitMillis] })
