/**
 * One value for each registry of metrics and set of attributes: a second one of a name would take the first one's place in
 * the registry.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"

/** Gives the value for what is in force in a context. `make` gets no more of the context than metrics need. */
export const perRegistry = <A>(): (
  context: Context.Context<never>,
  make: (context: Context.Context<never>) => A
) => A => {
  const made = new WeakMap<Map<string, unknown>, Map<string, A>>()
  return (context, make) => {
    const registry = Context.get(context, Metric.MetricRegistry)
    const attributes = Context.get(context, Metric.CurrentMetricAttributes)
    const key = JSON.stringify(Object.entries(attributes).toSorted(([a], [b]) => a < b ? -1 : 1))
    let known = made.get(registry)
    if (known === undefined) made.set(registry, known = new Map())
    let value = known.get(key)
    if (value === undefined) {
      const needed = Context.make(Metric.MetricRegistry, registry).pipe(
        Context.add(Metric.CurrentMetricAttributes, attributes)
      )
      known.set(key, value = make(needed))
    }
    return value
  }
}
