/**
 * The metrics of what has the messages of JetStream's consumers: sums over what one stream and consumer name have here,
 * made when they are read. The labels are the names that a program works on: a closed set.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as NatsMetrics from "../../NatsMetrics.ts"
import { collectingOf } from "./collector.ts"
import { Durations } from "./durations.ts"
import { perRegistry } from "./perRegistry.ts"

/** What only grows. */
export interface ConsumerCounts {
  readonly delivered: number
  readonly redelivered: number
  readonly deadLettered: number
  readonly acks: number
  readonly naks: number
  readonly terms: number
  readonly extended: number
}

export type Counts = { -readonly [K in keyof ConsumerCounts]: number }

export const noCounts = (): Counts => ({
  delivered: 0,
  redelivered: 0,
  deadLettered: 0,
  acks: 0,
  naks: 0,
  terms: 0,
  extended: 0
})

/** What is read of what has messages of a consumer now. */
export interface ShownConsumer {
  /** Messages that are here and not handled. */
  readonly held: number
  /** Messages that the consumer had not delivered yet when it delivered one here. */
  readonly pending: number
  /** How old the message was that was delivered last, in seconds. */
  readonly lag: number
}

/** One that counts for itself for as long as it is there. */
export interface CountedConsumer extends ShownConsumer {
  readonly counts: ConsumerCounts
}

/** A consumer that is counted. */
export interface ConsumerMeter {
  /** Absent when nobody asked for times. */
  readonly durations: Durations | undefined
  /** It has gone. What it had counted stays. */
  readonly leave: () => void
}

const ignored = (): void => {}

const kinds: ReadonlyArray<readonly [string, keyof ConsumerCounts]> = [
  ["ack", "acks"],
  ["nak", "naks"],
  ["term", "terms"],
  ["in_progress", "extended"]
]

class Series {
  readonly shown = new Set<ShownConsumer>()
  private readonly counted = new Set<CountedConsumer>()
  /** What those had counted that have gone, and what readers count: their messages are acknowledged when they have gone, too. */
  readonly lasting = noCounts()
  private times: Durations | undefined
  private readonly context: Context.Context<never>
  private readonly labels: { readonly stream: string; readonly consumer: string }

  constructor(context: Context.Context<never>, stream: string, consumer: string) {
    this.context = context
    this.labels = { stream, consumer }
    this.count(NatsMetrics.consumerMessages, "delivered")
    this.count(NatsMetrics.consumerRedelivered, "redelivered")
    this.count(NatsMetrics.consumerDeadLetters, "deadLettered")
    for (const [kind, field] of kinds) {
      this.count(Metric.withAttributes(NatsMetrics.consumerAcks, { kind }), field)
    }
    this.show(NatsMetrics.consumerHeld, (values) => values.reduce((sum, { held }) => sum + held, 0))
    this.show(NatsMetrics.consumerPending, (values) => Math.max(0, ...values.map(({ pending }) => pending)))
    this.show(NatsMetrics.consumerLag, (values) => Math.max(0, ...values.map(({ lag }) => lag)))
  }

  get durations(): Durations {
    if (this.times !== undefined) return this.times
    const durations = new Durations()
    Metric.registerUnsafe(Metric.withAttributes(NatsMetrics.consumerTime, this.labels), this.context, {
      get: () => durations.state,
      update: ignored,
      modify: ignored
    })
    return this.times = durations
  }

  join(consumer: CountedConsumer): void {
    this.counted.add(consumer)
    this.shown.add(consumer)
  }

  leave(consumer: CountedConsumer): void {
    if (!this.counted.delete(consumer)) return
    this.shown.delete(consumer)
    for (const [field, value] of Object.entries(consumer.counts) as Array<[keyof ConsumerCounts, number]>) {
      this.lasting[field] += value
    }
  }

  private count(metric: Metric.Counter<number>, field: keyof ConsumerCounts): void {
    Metric.registerUnsafe(Metric.withAttributes(metric, this.labels), this.context, {
      get: () => {
        let count = this.lasting[field]
        for (const { counts } of this.counted) count += counts[field]
        return { count, incremental: true }
      },
      update: ignored,
      modify: ignored
    })
  }

  private show(metric: Metric.Gauge<number>, read: (values: ReadonlyArray<ShownConsumer>) => number): void {
    Metric.registerUnsafe(Metric.withAttributes(metric, this.labels), this.context, {
      get: () => ({ value: read([...this.shown]) }),
      update: ignored,
      modify: ignored
    })
  }
}

const seriesOfAll = perRegistry<(stream: string, consumer: string) => Series>()

const makeSeries = (context: Context.Context<never>): (stream: string, consumer: string) => Series => {
  const known = new Map<string, Series>()
  return (stream, consumer) => {
    // Neither name has a dot in it.
    const key = `${stream}.${consumer}`
    let series = known.get(key)
    if (series === undefined) known.set(key, series = new Series(context, stream, consumer))
    return series
  }
}

/** Counts what handles a consumer's messages where metrics are collected. */
export const meterConsumer = (
  context: Context.Context<never>,
  stream: string,
  consumer: string,
  counted: CountedConsumer,
  isAsked: boolean
): ConsumerMeter => {
  const collecting = collectingOf(context, isAsked)
  if (collecting === "nothing") return { durations: undefined, leave: ignored }
  const series = seriesOfAll(context, makeSeries)(stream, consumer)
  series.join(counted)
  return {
    durations: collecting === "everything" ? series.durations : undefined,
    leave: () => series.leave(counted)
  }
}

/** Shows what a reader of a consumer has until it leaves, and gives what it counts in. For where metrics are collected. */
export const meterReader = (
  context: Context.Context<never>,
  stream: string,
  consumer: string,
  reader: ShownConsumer
): { readonly counts: Counts; readonly leave: () => void } => {
  const series = seriesOfAll(context, makeSeries)(stream, consumer)
  series.shown.add(reader)
  return { counts: series.lasting, leave: () => series.shown.delete(reader) }
}
