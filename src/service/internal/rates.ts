/**
 * What services have done between two looks at them: the differences of what they have counted.
 */
import type { EndpointStats, StatsResponse } from "../ServiceDiscovery.ts"

/** What was counted at a moment, in milliseconds. */
export interface Counted {
  readonly at: number
  readonly services: ReadonlyArray<StatsResponse>
}

/** What an endpoint of an instance has done since. */
export interface Growth {
  readonly requests: number
  readonly errors: number
  /** In nanoseconds. */
  readonly time: number
}

const keyOf = ({ id, started }: StatsResponse, { name, subject }: EndpointStats): string =>
  JSON.stringify([id, started, name, subject])

/**
 * Tells it of each endpoint: `undefined` of an instance that is new or was started anew, and where its counters began anew. It
 * counts from the next time on.
 */
export const growthSince = (
  before: Counted | undefined
): (service: StatsResponse, endpoint: EndpointStats) => Growth | undefined => {
  const earlier = new Map(
    before?.services.flatMap((service) =>
      service.endpoints.map((endpoint) => [keyOf(service, endpoint), endpoint] as const)
    )
  )
  return (service, endpoint) => {
    const last = earlier.get(keyOf(service, endpoint))
    if (last === undefined || last.num_requests > endpoint.num_requests || last.num_errors > endpoint.num_errors) {
      return undefined
    }
    return {
      requests: endpoint.num_requests - last.num_requests,
      errors: endpoint.num_errors - last.num_errors,
      time: Math.max(0, endpoint.processing_time - last.processing_time)
    }
  }
}

/** An endpoint of all instances of a service together. */
export interface Rate {
  readonly service: string
  readonly endpoint: string
  readonly instances: number
  readonly requests: number
  readonly errors: number
  readonly requestsPerSecond: number
  readonly errorsPerSecond: number
  /** Of the requests since the time before, in nanoseconds: `undefined` where there were none. */
  readonly average: number | undefined
  /** The last error of any instance. */
  readonly lastError: string
}

const nothing: Growth = { requests: 0, errors: 0, time: 0 }

/**
 * The rates of `now`, the busiest first. An instance that is new, or whose counters began anew, counts from the next time
 * on; one that has gone is not there.
 */
export const ratesOf = (before: Counted | undefined, now: Counted): ReadonlyArray<Rate> => {
  const growthOf = growthSince(before)
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1000
  const perSecond = (count: number): number => seconds > 0 ? count / seconds : 0
  const rows = new Map<string, { readonly rate: Rate; readonly time: number; readonly done: number }>()
  for (const service of now.services) {
    const { endpoints, name } = service
    for (const each of endpoints) {
      const { errors, requests, time } = growthOf(service, each) ?? nothing
      const key = JSON.stringify([name, each.name])
      const row = rows.get(key)
      const done = (row?.done ?? 0) + requests
      const allTime = (row?.time ?? 0) + time
      const rate: Rate = {
        service: name,
        endpoint: each.name,
        instances: (row?.rate.instances ?? 0) + 1,
        requests: (row?.rate.requests ?? 0) + each.num_requests,
        errors: (row?.rate.errors ?? 0) + each.num_errors,
        requestsPerSecond: perSecond(done),
        errorsPerSecond: (row?.rate.errorsPerSecond ?? 0) + perSecond(errors),
        average: done === 0 ? undefined : allTime / done,
        lastError: row?.rate.lastError ? row.rate.lastError : each.last_error
      }
      rows.set(key, { rate, done, time: allTime })
    }
  }
  return [...rows.values()].map(({ rate }) => rate).toSorted((a, b) =>
    b.requestsPerSecond - a.requestsPerSecond || a.service.localeCompare(b.service, "en") ||
    a.endpoint.localeCompare(b.endpoint, "en")
  )
}
