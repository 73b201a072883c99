/**
 * What services answer of themselves, as tables.
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { growthSince, type Rate, ratesOf } from "../../service/internal/rates.ts"
import * as ServiceDiscovery from "../../service/ServiceDiscovery.ts"
import { Problem } from "./asking.ts"
import { type Column, type Past, type Seen, sum, tableOf } from "./table.ts"

type Services = ReadonlyArray<ServiceDiscovery.StatsResponse>

/** That nobody is there is an answer, too. One that cannot be read would be in the log with each look. */
export const askServices = Stream.runCollect(ServiceDiscovery.stats({ timeout: "1 second" })).pipe(
  Effect.catchTag("NoResponders", () => Effect.succeed<Services>([])),
  Effect.map((found) => found.toSorted((a, b) => compared([a.name, a.version, a.id], [b.name, b.version, b.id]))),
  Effect.provideService(References.MinimumLogLevel, "None")
)

const compared = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): number => {
  const at = one.findIndex((text, index) => text !== other[index])
  return at < 0 ? 0 : one[at] < other[at] ? -1 : 1
}

const rates: ReadonlyArray<Column> = [
  { title: "Requests/s", unit: "rate", isDrawn: true },
  { title: "Errors/s", unit: "rate", isTrouble: true, isDrawn: true },
  { title: "Requests" },
  { title: "Errors" }
]

const serviceColumns = [
  { title: "Service" },
  { title: "Endpoint" },
  { title: "Instances" },
  ...rates,
  { title: "Time", unit: "nanos" }
] as const

const instanceColumns = [
  { title: "Service" },
  { title: "Version" },
  { title: "Instance" },
  { title: "Up", unit: "seconds" },
  ...rates
] as const

const seconds = (started: string, millis: number): number | null => {
  const since = Date.parse(started)
  return Number.isNaN(since) ? null : Math.max(0, (millis - since) / 1000)
}

export const ofServices = (found: Services | Problem, before: Past | undefined, now: Past, millis: number): Seen => {
  const { services } = now
  // Nothing is known of a second before there are two looks.
  const rate = (perSecond: number): number | null => before === undefined ? null : perSecond
  const all: ReadonlyArray<Rate> = ratesOf(before, now).toSorted((a, b) =>
    compared([a.service, a.endpoint], [b.service, b.endpoint])
  )
  const growthOf = growthSince(before)
  const perSecond = (count: number): number => before === undefined ? 0 : count * 1000 / (now.at - before.at)
  const instances = services.map((service) => {
    const { endpoints, id, name, started, version } = service
    const grown = endpoints.flatMap((endpoint) => growthOf(service, endpoint) ?? [])
    const known = grown.length > 0 || (before !== undefined && endpoints.length === 0)
    return [
      name,
      version,
      id,
      seconds(started, millis),
      known ? perSecond(sum(grown.map(({ requests }) => requests))) : null,
      known ? perSecond(sum(grown.map(({ errors }) => errors))) : null,
      sum(endpoints.map((each) => each.num_requests)),
      sum(endpoints.map((each) => each.num_errors))
    ]
  })
  const isKnown = !(found instanceof Problem)
  return {
    tiles: [
      { title: "Services", value: isKnown ? new Set(services.map(({ name }) => name)).size : null },
      { title: "Instances", value: isKnown ? services.length : null },
      { ...rates[0], value: rate(sum(all.map((each) => each.requestsPerSecond))) },
      { ...rates[1], value: rate(sum(all.map((each) => each.errorsPerSecond))) }
    ],
    tables: [
      tableOf(
        "Services",
        serviceColumns,
        all.map((each) => [
          each.service,
          each.endpoint,
          each.instances,
          rate(each.requestsPerSecond),
          rate(each.errorsPerSecond),
          each.requests,
          each.errors,
          each.average ?? null
        ]),
        found
      ),
      ...(isKnown ? [tableOf("Instances", instanceColumns, instances)] : [])
    ]
  }
}
