/**
 * A histogram of times that is cheap to add to: what Effect's own histogram holds, without a look into the registry for
 * each value.
 */
import type * as Metric from "effect/Metric"
import { timeBoundaries } from "../../NatsMetrics.ts"

export class Durations {
  private readonly counts = new Float64Array(timeBoundaries.length + 1)
  private count = 0
  private sum = 0
  private min = Number.MAX_VALUE
  private max = -Number.MAX_VALUE

  add(seconds: number): void {
    let i = 0
    while (i < timeBoundaries.length && seconds > timeBoundaries[i]) i++
    this.counts[i]++
    this.count++
    this.sum += seconds
    if (seconds < this.min) this.min = seconds
    if (seconds > this.max) this.max = seconds
  }

  get state(): Metric.HistogramState {
    let below = 0
    const buckets = timeBoundaries.map((boundary, i): [number, number] => [boundary, below += this.counts[i]])
    return { buckets, count: this.count, min: this.min, max: this.max, sum: this.sum }
  }
}
