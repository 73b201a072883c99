/**
 * The metrics of services: sums over the endpoints of one service and name, made when they are read. The labels are those
 * of the contracts that a program serves: a closed set.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as NatsMetrics from "../../NatsMetrics.ts"
import { collectingOf } from "./collector.ts"
import { Durations } from "./durations.ts"
import { perRegistry } from "./perRegistry.ts"

/** What is read of one endpoint. Both only grow. */
export interface CountedEndpoint {
  readonly totalRequests: number
  readonly totalErrors: number
}

/** An endpoint that is counted. */
export interface EndpointMeter {
  /** Absent when nobody asked for times. */
  readonly durations: Durations | undefined
  /** It has gone. What it had counted stays. */
  readonly leave: () => void
}

const ignored = (): void => {}

class Series {
  readonly members = new Set<CountedEndpoint>()
  private goneRequests = 0
  private goneErrors = 0
  private times: Durations | undefined
  private readonly context: Context.Context<never>
  private readonly labels: { readonly service: string; readonly endpoint: string }

  constructor(context: Context.Context<never>, service: string, endpoint: string) {
    this.context = context
    this.labels = { service, endpoint }
    this.count(NatsMetrics.serviceRequests, () => this.goneRequests + this.sum((it) => it.totalRequests))
    this.count(NatsMetrics.serviceErrors, () => this.goneErrors + this.sum((it) => it.totalErrors))
  }

  get durations(): Durations {
    if (this.times !== undefined) return this.times
    const durations = new Durations()
    Metric.registerUnsafe(Metric.withAttributes(NatsMetrics.serviceTime, this.labels), this.context, {
      get: () => durations.state,
      update: ignored,
      modify: ignored
    })
    return this.times = durations
  }

  leave(endpoint: CountedEndpoint): void {
    if (!this.members.delete(endpoint)) return
    this.goneRequests += endpoint.totalRequests
    this.goneErrors += endpoint.totalErrors
  }

  private count(metric: Metric.Counter<number>, read: () => number): void {
    Metric.registerUnsafe(Metric.withAttributes(metric, this.labels), this.context, {
      get: () => ({ count: read(), incremental: true }),
      update: ignored,
      modify: ignored
    })
  }

  private sum(read: (endpoint: CountedEndpoint) => number): number {
    let sum = 0
    for (const endpoint of this.members) sum += read(endpoint)
    return sum
  }
}

const seriesOfAll = perRegistry<(service: string, endpoint: string) => Series>()

const makeSeries = (context: Context.Context<never>): (service: string, endpoint: string) => Series => {
  const known = new Map<string, Series>()
  return (service, endpoint) => {
    const key = `${service}.${endpoint}`
    let series = known.get(key)
    if (series === undefined) known.set(key, series = new Series(context, service, endpoint))
    return series
  }
}

/** Counts an endpoint where metrics are collected. */
export const meterEndpoint = (
  context: Context.Context<never>,
  service: string,
  endpoint: string,
  counted: CountedEndpoint,
  isAsked: boolean
): EndpointMeter => {
  const collecting = collectingOf(context, isAsked)
  if (collecting === "nothing") return { durations: undefined, leave: ignored }
  const series = seriesOfAll(context, makeSeries)(service, endpoint)
  series.members.add(counted)
  return {
    durations: collecting === "everything" ? series.durations : undefined,
    leave: () => series.leave(counted)
  }
}
