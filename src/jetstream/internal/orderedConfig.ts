/**
 * The consumers behind an ordered read, as the wire has them. Pure.
 */
import type { OrderedOptions as Given } from "./consumingTypes.ts"
import { filterPath } from "./filterPath.ts"

/** Where a read begins. */
export type From = NonNullable<Given["from"]>

export interface OrderedOptions {
  readonly stream: string
  /** Of the messages of the stream, those on these subjects. None: all. */
  readonly filters: ReadonlyArray<string>
  readonly from: From
  readonly headersOnly?: boolean | undefined
  readonly window: number
  readonly windowBytes: number
  readonly heartbeatMillis: number
  /** How long the server keeps a consumer that nobody pulls from. */
  readonly inactiveMillis: number
}

/** Where the request tells the filter: one that it has may be what permissions are given by. */
export const filtersPath = ([filter, ...others]: ReadonlyArray<string>): string =>
  others.length > 0 ? "" : filterPath(filter)

/** `next`: the sequence to go on with. Absent: it begins as it was asked for. */
export const orderedConfig = (options: OrderedOptions, name: string, next: number | undefined): object => {
  const { filters, from } = options
  const begin = next === undefined ? beginOf(from) : { deliver_policy: "by_start_sequence", opt_start_seq: next }
  // A server wants a filter with the last one of each subject.
  const filter = filters[0] ?? (next === undefined && from === "lastPerSubject" ? ">" : undefined)
  return {
    name,
    ...begin,
    ...(filters.length > 1
      ? { filter_subjects: filters }
      : filter === undefined
      ? {}
      : { filter_subject: filter }),
    ack_policy: "none",
    max_deliver: 1,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: options.inactiveMillis * 1e6,
    ...(options.headersOnly === true ? { headers_only: true } : {})
  }
}

const beginOf = (from: From): object => {
  switch (from) {
    case "all":
      return { deliver_policy: "all" }
    case "new":
      return { deliver_policy: "new" }
    case "last":
      return { deliver_policy: "last" }
    case "lastPerSubject":
      return { deliver_policy: "last_per_subject" }
  }
  return "sequence" in from
    ? { deliver_policy: "by_start_sequence", opt_start_seq: from.sequence }
    : { deliver_policy: "by_start_time", opt_start_time: from.time.toISOString() }
}
