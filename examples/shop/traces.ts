/**
 * Keeps the spans of the last traces in memory, for the gateway's page. In production an exporter takes its place, such as
 * that of `effect/observability`.
 */
import { Option, Tracer } from "effect"

const most = 100

const traces = new Map<string, Array<Tracer.Span>>()

export const tracer = Tracer.make({
  span: (options) => {
    const span = new Tracer.NativeSpan(options)
    const trace = traces.get(span.traceId)
    if (trace !== undefined) {
      trace.push(span)
    } else {
      traces.set(span.traceId, [span])
      const [oldest] = traces.keys()
      if (traces.size > most) traces.delete(oldest)
    }
    return span
  }
})

export const spansOf = (traceId: string): ReadonlyArray<Tracer.Span> => traces.get(traceId) ?? []

const millis = ({ status }: Tracer.Span): string =>
  status._tag === "Ended" ? `${(Number(status.endTime - status.startTime) / 1e6).toFixed(2)} ms` : "not ended"

/** A trace as lines, each span below its parent. */
export const linesOf = (traceId: string): ReadonlyArray<string> => {
  const spans = spansOf(traceId)
  const known = new Set(spans.map(({ spanId }) => spanId))
  const parentOf = (span: Tracer.Span) =>
    Option.getOrUndefined(Option.filter(span.parent, ({ spanId }) => known.has(spanId)))?.spanId
  const lines: Array<string> = []
  const add = (parent: string | undefined, indent: string): void => {
    for (const span of spans) {
      if (parentOf(span) !== parent) continue
      lines.push(`${indent}${span.name} (${span.kind}) ${millis(span)}`)
      add(span.spanId, `${indent}  `)
    }
  }
  add(undefined, "")
  return lines
}
