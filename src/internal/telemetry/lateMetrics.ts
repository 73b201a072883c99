/**
 * The metric of results that came too late: one count for all stores of a kind that share a registry and attributes, which is
 * read when somebody asks.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as NatsMetrics from "../../NatsMetrics.ts"
import { collectingOf } from "./collector.ts"
import { perRegistry } from "./perRegistry.ts"

const stores = ["queue", "cluster"] as const
export type LateStore = (typeof stores)[number]

const ignored = (): void => {}

class Series {
  readonly counts: Record<LateStore, number> = { queue: 0, cluster: 0 }

  constructor(context: Context.Context<never>) {
    for (const store of stores) {
      Metric.registerUnsafe(Metric.withAttributes(NatsMetrics.lateResults, { store }), context, {
        get: () => ({ count: this.counts[store], incremental: true }),
        update: ignored,
        modify: ignored
      })
    }
  }
}

const allSeries = perRegistry<Series>()

/** Counts one more. `isAsked`: whether the configuration of the client asks for metrics. */
export const lateMeter = (context: Context.Context<never>, store: LateStore, isAsked: boolean): () => void => {
  if (collectingOf(context, isAsked) === "nothing") return ignored
  const series = allSeries(context, (needed) => new Series(needed))
  return () => {
    series.counts[store]++
  }
}
