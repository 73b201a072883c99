/**
 * What is counted of the messages that a stream of them gives to its reader. Messages count as delivered once the reader is
 * done with them: what it was handed and never had goes to others, and is counted there.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { collectingOf } from "../../internal/telemetry/collector.ts"
import { type Counts, meterReader, noCounts, type ShownConsumer } from "../../internal/telemetry/consumerMetrics.ts"
import type { Api } from "./api.ts"
import type { PulledMessage, Settled } from "./message.ts"
import type { PullTarget } from "./pullSource.ts"

/** What has the messages. */
interface Holder {
  readonly unhandled: number
}

export class Tally implements ShownConsumer {
  counts: Counts = noCounts()
  holder: Holder | undefined
  private latest: PulledMessage | undefined
  private latestAt = 0
  /** Where in the reply subjects the number of the delivery stands. */
  private numberAt: number | undefined
  private readonly api: Api
  private readonly target: PullTarget

  constructor(api: Api, target: PullTarget) {
    this.api = api
    this.target = target
  }

  get held(): number {
    return this.holder?.unhandled ?? 0
  }

  get pending(): number {
    return this.latest?.pending ?? 0
  }

  get lag(): number {
    return this.latest === undefined ? 0 : Math.max(0, this.latestAt - this.latest.timestampMillis) / 1000
  }

  /** The reader was handed these. */
  handed(messages: ReadonlyArray<PulledMessage>): void {
    this.latest = messages[messages.length - 1]
    this.latestAt = this.api.connection.settings.clock.currentTimeMillisUnsafe()
  }

  /** The reader is done with so many of the first of these. */
  read(messages: ReadonlyArray<PulledMessage>, count: number): void {
    if (count === 0) return
    this.numberAt ??= this.find(messages[0])
    let redelivered = 0
    for (let i = 0; i < count; i++) if (messages[i].isRedelivered(this.numberAt)) redelivered++
    this.counts.delivered += count
    this.counts.redelivered += redelivered
  }

  // What is answered to the server. Throws nothing.

  settled(by: Settled): void {
    if (by === "ack") this.counts.acks++
    else if (by === "nak") this.counts.naks++
    else this.counts.terms++
  }

  returned(): void {
    this.counts.naks++
  }

  extended(): void {
    this.counts.extended++
  }

  private find(message: PulledMessage): number {
    const { consumer, stream } = this.target
    return message.ackPrefix(Buffer.from(`.${stream}.${consumer}.`))?.length ?? 0
  }
}

/** Opens what is counted where metrics are collected, and is shown for as long as the scope is open. */
export const tallied = <A extends Holder, E>(
  api: Api,
  target: PullTarget,
  open: (tally: Tally | undefined) => Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.flatMap(Effect.context<never>(), (context) => {
    if (collectingOf(context, api.connection.settings.metrics) === "nothing") return open(undefined)
    const tally = new Tally(api, target)
    return Effect.tap(open(tally), (holder) => {
      tally.holder = holder
      const { counts, leave } = meterReader(context, target.stream, target.consumer, tally)
      tally.counts = counts
      return Effect.addFinalizer(() => Effect.sync(leave))
    })
  })
