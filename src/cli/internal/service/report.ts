/**
 * What services answer, in lines for people. Every text of theirs is printable and bounded.
 */
import type { EndpointStats, InfoResponse, PingResponse, StatsResponse } from "../../../service/ServiceDiscovery.ts"
import { shown, table } from "../output.ts"

const longestName = 64

const longestText = 200

const name = (text: string): string => shown(text, longestName)

/** So many rows are shown of what has more, and the rest is counted. */
const mostRows = 1000

const bounded = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length <= mostRows ? lines : [...lines.slice(0, mostRows), `… and ${lines.length - mostRows} more`]

const none = ["No service answers."]

/** A row for each service and version, or for each instance. */
export const listRows = (found: ReadonlyArray<PingResponse>, each: boolean): ReadonlyArray<string> => {
  if (found.length === 0) return none
  if (each) {
    const rows = found.map(({ id, name: service, version }) => [name(service), name(version), name(id)])
    return bounded(table([["NAME", "VERSION", "ID"], ...rows]))
  }
  const counts = new Map<string, { readonly name: string; readonly version: string; count: number }>()
  for (const { name: service, version } of found) {
    const key = JSON.stringify([service, version])
    const row = counts.get(key) ?? { name: service, version, count: 0 }
    row.count += 1
    counts.set(key, row)
  }
  const rows = [...counts.values()].map((row) => [name(row.name), name(row.version), String(row.count)])
  return bounded(table([["NAME", "VERSION", "INSTANCES"], ...rows]))
}

const metadataLines = (metadata: Readonly<Record<string, string>>, indent: string): ReadonlyArray<string> =>
  table(Object.entries(metadata).slice(0, 32).map(([key, value]) => [name(key), shown(value, longestText)]), indent)

export const infoLines = (found: ReadonlyArray<InfoResponse>): ReadonlyArray<string> =>
  bounded(found.flatMap((service, index) => [
    ...(index === 0 ? [] : [""]),
    [name(service.name), name(service.version), name(service.id)].filter((text) => text !== "").join("  "),
    ...(service.description === "" ? [] : [`  ${shown(service.description, longestText)}`]),
    ...metadataLines(service.metadata, "  "),
    ...table(
      [
        ["ENDPOINT", "SUBJECT", "QUEUE GROUP"],
        ...service.endpoints.slice(0, 256).map((each) => [
          name(each.name),
          name(each.subject),
          each.queue_group === "" ? "-" : name(each.queue_group)
        ])
      ],
      "  "
    )
  ]))

/** Nanoseconds as people read them. */
export const nanosText = (nanos: number): string => {
  if (nanos < 1e3) return `${Math.round(nanos)} ns`
  if (nanos < 1e6) return `${(nanos / 1e3).toFixed(1)} µs`
  if (nanos < 1e9) return `${(nanos / 1e6).toFixed(1)} ms`
  return `${(nanos / 1e9).toFixed(1)} s`
}

const statsRow = (each: EndpointStats): ReadonlyArray<string> => [
  name(each.name),
  String(each.num_requests),
  String(each.num_errors),
  nanosText(each.average_processing_time),
  nanosText(each.processing_time),
  shown(each.last_error, longestText)
]

export const statsLines = (found: ReadonlyArray<StatsResponse>): ReadonlyArray<string> =>
  found.length === 0 ? none : bounded(found.flatMap((service, index) => [
    ...(index === 0 ? [] : [""]),
    [
      ...[name(service.name), name(service.version), name(service.id)].filter((text) => text !== ""),
      ...(service.started === "" ? [] : [`started ${name(service.started)}`])
    ].join("  "),
    ...table(
      [
        ["ENDPOINT", "REQUESTS", "ERRORS", "AVERAGE", "TOTAL", "LAST ERROR"],
        ...service.endpoints.slice(0, 256).map(statsRow)
      ],
      "  "
    )
  ]))
