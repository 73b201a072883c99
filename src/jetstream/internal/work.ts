/**
 * What becomes of the messages of one consumer: each is handled, and what its handler comes to decides. Success acknowledges
 * it, a failure gives it back for a while, and what has failed too often is copied to the dead letter and then ended.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Tracer from "effect/Tracer"
import { effectOf, type Settle, settled } from "../../internal/operations/worker.ts"
import { shownName } from "../../internal/protocol/shown.ts"
import { noCounts } from "../../internal/telemetry/consumerMetrics.ts"
import type { Durations } from "../../internal/telemetry/durations.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import { isTraced, type ReceiverOptions, relationOf } from "../../internal/telemetry/tracing.ts"
import type { AckError } from "../JetStreamError.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import type { Api } from "./api.ts"
import { type Reason, reasonOf, tooOften } from "./deadLetter.ts"
import type { PulledMessage } from "./message.ts"
import type { PullSource } from "./pullSource.ts"
import { type Retry, retryDelay } from "./retryDelay.ts"

/** A message that was given back this often beyond `maxDeliver` without a failure has a handler that ends its process. */
const crashAllowance = 10

export interface WorkSettings<E, R> {
  readonly api: Api
  readonly stream: string
  readonly consumer: string
  /** Names the spans. Absent: each subject does. */
  readonly template: string | undefined
  readonly handler: (message: JetStreamMessage) => Effect.Effect<unknown, E, R>
  readonly retry: Retry
  /** With so many deliveries a failure is the last one. Absent: none is. */
  readonly maxDeliver: number | undefined
  /** Publishes the copy, and is done when a stream has it. `false`: what is given up has none. */
  readonly copy: ((message: PulledMessage, reason: Reason) => Effect.Effect<unknown, unknown>) | false
  /** What another try does not make better. Absent: nothing is. */
  readonly hopeless?: Hopeless | undefined
}

export interface Hopeless {
  readonly includes: (failure: unknown) => boolean
  /** Whether it is ended without a copy. */
  readonly isDropped: boolean
}

/** How what concerns a message is logged. */
export const annotationsOf =
  ({ consumer, stream }: { readonly stream: string; readonly consumer: string }) =>
  (message: PulledMessage | undefined): Record<string, unknown> => {
    const where = { stream: shownName(stream), consumer: shownName(consumer) }
    return message === undefined
      ? where
      : { subject: shownName(message.subject), ...where, sequence: message.sequence, deliveries: message.deliveries }
  }

const acknowledged = { ack: "acks", nak: "naks", term: "terms" } as const

export class Work<E, R> implements Settle<PulledMessage> {
  readonly counts = noCounts()
  private latest: PulledMessage | undefined
  private latestAt = 0
  /** Takes the time of each handler. Absent when nobody asked for times. */
  durations: Durations | undefined
  /** What handlers are busy with. */
  readonly inHand = new Set<PulledMessage>()
  /** A message was handled, or given back. */
  done: (message: PulledMessage) => void = () => {}
  /** A message came once more: the server may wait for a shorter time than before. */
  redelivered: () => void = () => {}
  private readonly settings: WorkSettings<E, R>
  private readonly annotations: (message: PulledMessage) => Record<string, unknown>
  private isTraced = false
  private receiving: ReceiverOptions | undefined

  constructor(settings: WorkSettings<E, R>) {
    this.settings = settings
    this.annotations = annotationsOf(settings)
  }

  /** Looks once whether handlers are traced. */
  readonly observe: Effect.Effect<void> = Effect.withFiber((fiber) => {
    this.isTraced = this.tracing !== undefined && isTraced(fiber)
    this.receiving = {
      template: this.settings.template,
      queue: this.settings.consumer,
      relation: relationOf(fiber)
    }
    return Effect.void
  })

  /** Messages that the consumer had not delivered yet when it delivered the latest one here. */
  get pending(): number {
    return this.latest?.pending ?? 0
  }

  /** How old that one was, in seconds. */
  get lag(): number {
    return this.latest === undefined ? 0 : Math.max(0, this.latestAt - this.latest.timestampMillis) / 1000
  }

  readonly handle = (message: PulledMessage): Effect.Effect<unknown, unknown, R> => {
    this.inHand.add(message)
    this.count(message)
    // What comes of it is inside the span, too.
    return this.isTraced
      ? this.tracing!.receive(
        message,
        this.receiving!,
        () => settled(this.tried(message), this, message),
        (span) => describe(span, message)
      )
      : this.tried(message)
  }

  // For nearly every message this is all there is to do, and it is done at once.
  readonly succeeded = (message: PulledMessage): Effect.Effect<void> | undefined => {
    if (!this.inHand.has(message)) return undefined
    if (message.settled === undefined && !message.ackAtOnce()) {
      return this.ending(message, this.sent(message, message.ack))
    }
    this.left(message)
    return undefined
  }

  readonly failed = (message: PulledMessage, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    this.inHand.has(message)
      ? this.ending(message, Effect.suspend(() => this.refuse(message, cause)))
      : Effect.void

  /** Begins anew the ack wait of everything that began it `millis` ago or earlier. */
  extend(waiting: Pick<PullSource, "forEachWaiting">, millis: number): void {
    const now = monotonicMillis(this.clock)
    const extend = (message: PulledMessage): void => {
      if (now - message.at >= millis && message.keep(now)) this.counts.extended++
    }
    this.inHand.forEach(extend)
    waiting.forEachWaiting(extend)
  }

  /** Another instance has them at once. */
  readonly giveBack = (messages: Iterable<PulledMessage>): void => {
    for (const message of messages) {
      message.giveBack()
      // What a handler is busy with is counted when that ends.
      if (message.returned && !this.inHand.has(message)) this.counts.naks++
    }
  }

  private get clock() {
    return this.settings.api.connection.settings.clock
  }

  private get tracing() {
    return this.settings.api.connection.settings.tracing
  }

  private count(message: PulledMessage): void {
    const { counts } = this
    counts.delivered++
    if (message.deliveries > 1) {
      counts.redelivered++
      this.redelivered()
    }
    this.latest = message
    this.latestAt = this.clock.currentTimeMillisUnsafe()
  }

  private tried(message: PulledMessage): Effect.Effect<unknown, unknown, R> {
    const { maxDeliver } = this.settings
    return maxDeliver !== undefined && message.deliveries > maxDeliver + crashAllowance
      ? this.giveUp(message, tooOften(message.deliveries), undefined)
      : this.handled(message)
  }

  private handled(message: PulledMessage): Effect.Effect<unknown, E, R> {
    const { handler } = this.settings
    if (this.durations !== undefined) {
      return this.timed(
        this.durations,
        Effect.suspend(() => effectOf(handler(message)))
      )
    }
    try {
      return effectOf(handler(message))
    } catch (defect) {
      return Effect.die(defect)
    }
  }

  private timed(durations: Durations, handled: Effect.Effect<unknown, E, R>): Effect.Effect<unknown, E, R> {
    return Effect.suspend(() => {
      const started = this.clock.monotonicTimeNanosUnsafe()
      return Effect.onExit(handled, () => {
        durations.add(Number(this.clock.monotonicTimeNanosUnsafe() - started) / 1e9)
        return Effect.void
      })
    })
  }

  // The end of a handler is uninterruptible; what is waited for then is not. What has no end by then was interrupted: another
  // instance has it at once.
  private ending(message: PulledMessage, effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.onExit(Effect.interruptible(effect), (exit) => {
      if (Exit.isFailure(exit)) message.giveBack()
      this.left(message)
      return Effect.void
    })
  }

  /** It has failed. */
  private refuse(message: PulledMessage, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    if (message.settled !== undefined) return Effect.void
    const { api, copy, hopeless, maxDeliver } = this.settings
    const failure = Cause.squash(cause)
    const isHopeless = hopeless?.includes(failure) ?? false
    if (!isHopeless && (maxDeliver === undefined || message.deliveries < maxDeliver)) {
      return this.giveBackLater(message, failure)
    }
    const isDropped = isHopeless && hopeless!.isDropped
    return this.giveUp(message, reasonOf(cause, (text) => api.shown(text)), failure, isDropped ? false : copy)
  }

  private giveBackLater(message: PulledMessage, failure: unknown): Effect.Effect<void> {
    return Effect.flatMap(
      retryDelay(this.settings.retry, message.deliveries, failure),
      (delay) => this.sent(message, message.nak(delay))
    )
  }

  /** Ends it once its copy is stored. What cannot be copied is not lost: it is tried again later. */
  private giveUp(
    message: PulledMessage,
    reason: Reason,
    failure: unknown,
    copy = this.settings.copy
  ): Effect.Effect<void> {
    const term = Effect.suspend(() => this.sent(message, message.term(reason.error)))
    if (copy === false) return Effect.andThen(this.log("A message was given up, and has no copy", message), term)
    return Effect.matchCauseEffect(copy(message, reason), {
      onSuccess: () => {
        this.counts.deadLettered++
        return Effect.andThen(this.log("A message was given up: the dead letter has it", message), term)
      },
      onFailure: (cause) =>
        Effect.andThen(
          this.log("A dead letter cannot be published: the message is tried again", message, cause),
          this.giveBackLater(message, failure)
        )
    })
  }

  private log(text: string, message: PulledMessage, cause?: Cause.Cause<unknown>): Effect.Effect<void> {
    const logged = cause === undefined ? Effect.logError(text) : Effect.logError(text, cause)
    return Effect.annotateLogs(logged, this.annotations(message))
  }

  /** An acknowledgement that comes too late is no failure of the handler. */
  private sent(message: PulledMessage, effect: Effect.Effect<void, AckError>): Effect.Effect<void> {
    return Effect.catch(effect, (error) =>
      error._tag === "AckLate"
        ? Effect.annotateLogs(Effect.logWarning(error.message), this.annotations(message))
        // The handler has settled it itself, or the client has ended, which ends this, too.
        : Effect.void)
  }

  private left(message: PulledMessage): void {
    this.inHand.delete(message)
    if (message.settled !== undefined) this.counts[acknowledged[message.settled]]++
    else if (message.returned) this.counts.naks++
    this.done(message)
  }
}

const describe = (span: Tracer.Span, message: PulledMessage): void => {
  span.attribute("messaging.nats.stream", shownName(message.stream))
  span.attribute("messaging.nats.consumer", shownName(message.consumer))
  span.attribute("messaging.nats.sequence", message.sequence)
  span.attribute("messaging.nats.deliveries", message.deliveries)
}
