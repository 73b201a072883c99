/**
 * What services do in a second: the differences of what they have counted.
 */
import type { StatsResponse } from "../../../service/ServiceDiscovery.ts"

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

/** What was counted at a moment, in milliseconds. */
export interface Snapshot {
  readonly at: number
  readonly services: ReadonlyArray<StatsResponse>
}

interface Counted {
  readonly requests: number
  readonly errors: number
  readonly time: number
}

const keyOf = (id: string, endpoint: string): string => JSON.stringify([id, endpoint])

const counted = (snapshot: Snapshot | undefined): ReadonlyMap<string, Counted> =>
  new Map(
    (snapshot?.services ?? []).flatMap(({ endpoints, id }) =>
      endpoints.map((each): [string, Counted] => [
        keyOf(id, each.name),
        { requests: each.num_requests, errors: each.num_errors, time: each.processing_time }
      ])
    )
  )

/**
 * The rates of `now`, the busiest first. An instance that is new, or whose counters began anew, counts from the next time
 * on; one that has gone is not there.
 */
export const ratesOf = (before: Snapshot | undefined, now: Snapshot): ReadonlyArray<Rate> => {
  const earlier = counted(before)
  const seconds = before === undefined ? 0 : (now.at - before.at) / 1000
  const perSecond = (count: number): number => seconds > 0 ? count / seconds : 0
  const rows = new Map<string, { readonly rate: Rate; readonly time: number; readonly done: number }>()
  for (const { endpoints, id, name } of now.services) {
    for (const each of endpoints) {
      const last = earlier.get(keyOf(id, each.name))
      const isNew = last === undefined || last.requests > each.num_requests || last.errors > each.num_errors
      const requests = isNew ? 0 : each.num_requests - last.requests
      const errors = isNew ? 0 : each.num_errors - last.errors
      const time = isNew ? 0 : Math.max(0, each.processing_time - last.time)
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
