/**
 * The metrics of publishes into streams: one set of counts for all clients that share a registry and attributes, which is
 * read when somebody asks.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as NatsMetrics from "../../NatsMetrics.ts"
import { Durations } from "./durations.ts"
import { perRegistry } from "./perRegistry.ts"

const ignored = (): void => {}

/** What all of them count together. */
class Series {
  readonly counts: Record<string, number> = {}
  inFlight = 0
  private times: Readonly<Record<string, Durations>> | undefined
  private readonly outcomes: ReadonlyArray<string>
  private readonly context: Context.Context<never>

  constructor(context: Context.Context<never>, outcomes: ReadonlyArray<string>) {
    this.context = context
    this.outcomes = outcomes
    for (const outcome of outcomes) {
      this.counts[outcome] = 0
      Metric.registerUnsafe(Metric.withAttributes(NatsMetrics.jetStreamPublishes, { outcome }), context, {
        get: () => ({ count: this.counts[outcome], incremental: true }),
        update: ignored,
        modify: ignored
      })
    }
    Metric.registerUnsafe(NatsMetrics.jetStreamPublishesInFlight, context, {
      get: () => ({ value: this.inFlight }),
      update: ignored,
      modify: ignored
    })
  }

  /** The histograms, which are there once somebody wants them. */
  get durations(): Readonly<Record<string, Durations>> {
    return this.times ??= Object.fromEntries(this.outcomes.map((outcome) => {
      const durations = new Durations()
      Metric.registerUnsafe(Metric.withAttributes(NatsMetrics.jetStreamPublishTime, { outcome }), this.context, {
        get: () => durations.state,
        update: ignored,
        modify: ignored
      })
      return [outcome, durations]
    }))
  }
}

const nanosPerSecond = 1_000_000_000

/** What one client counts of its publishes. */
export class PublishMeter {
  private readonly series: Series
  private readonly times: Readonly<Record<string, Durations>> | undefined
  private readonly clock: Clock.Clock

  constructor(series: Series, timed: boolean, clock: Clock.Clock) {
    this.series = series
    this.times = timed ? series.durations : undefined
    this.clock = clock
  }

  /** So many more have been written and wait for their answers, or fewer. */
  flying(by: number): void {
    this.series.inFlight += by
  }

  /** The time, where somebody wants to know how long it takes. */
  now(): bigint | undefined {
    return this.times === undefined ? undefined : this.clock.monotonicTimeNanosUnsafe()
  }

  /** One has come to its end. `since` is from `now`. */
  done(outcome: string, since: bigint | undefined): void {
    this.series.counts[outcome]++
    if (since === undefined || this.times === undefined) return
    this.times[outcome].add(Number(this.clock.monotonicTimeNanosUnsafe() - since) / nanosPerSecond)
  }
}

export type { Series }

const allSeries = perRegistry<Series>()

/** `outcomes` is every label that `done` is called with. */
export const publishMeter = (
  context: Context.Context<never>,
  outcomes: ReadonlyArray<string>,
  timed: boolean,
  clock: Clock.Clock
): PublishMeter => new PublishMeter(allSeries(context, (needed) => new Series(needed, outcomes)), timed, clock)
