/** The fields of a consumer: see `fields.ts`. Versions and changes as nats-server 2.9 to 2.15 have them. */
import type { ConsumerOptions } from "./consumerTypes.ts"
import type { Wire, WireObject } from "./exactJson.ts"
import { type ChangeKind, type Field, field, type Fields, objectOf } from "./fields.ts"
import {
  choice,
  count,
  duration,
  flag,
  type Kind,
  list,
  metadata,
  pattern,
  sequence,
  size,
  text,
  time,
  type Words
} from "./kinds.ts"
import { misfit } from "./misfit.ts"

/** One subject or several: two fields of the wire. */
const filter: Field = {
  wires: ["filter_subject", "filter_subjects"],
  encode: (value, at) => {
    const filters: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
    const [first, ...others] = filters.map((each, index) =>
      pattern.encode(each, Array.isArray(value) ? `${at}[${index}]` : at)
    )
    if (others.length > 0) return { filter_subject: undefined, filter_subjects: [first, ...others] }
    return { filter_subject: first, filter_subjects: undefined }
  },
  decode: (config) => {
    const filters = filtersOf(config)
    if (filters.length === 0) return undefined
    return filters.length === 1 ? filters[0] : filters
  },
  words: (config) => filtersOf(config).toSorted(),
  since: (words) => Array.isArray(words) && words.length > 1 ? "2.10" : undefined,
  change: "inPlace"
}

const filtersOf = (config: WireObject): ReadonlyArray<string> => {
  const { filter_subject: one, filter_subjects: several } = config
  if (Array.isArray(several) && several.length > 0) return several as ReadonlyArray<string>
  return typeof one === "string" && one !== "" ? [one] : []
}

const starts: Readonly<Record<string, string>> = {
  all: "all",
  new: "new",
  last: "last",
  lastPerSubject: "last_per_subject"
}

const startWords = choice(starts, "all")

/** Where it begins: a word, `{ sequence }` or `{ time }`. Three fields of the wire. */
const from: Field = {
  wires: ["deliver_policy", "opt_start_seq", "opt_start_time"],
  encode: (value, at) => {
    const none = { opt_start_seq: undefined, opt_start_time: undefined }
    if (typeof value === "string") return { ...none, deliver_policy: startWords.encode(value, at) }
    const given = objectOf(value as Wire)
    if (given?.["sequence"] !== undefined) {
      const at1 = sequence.encode(given["sequence"], `${at}.sequence`)
      return { ...none, deliver_policy: "by_start_sequence", opt_start_seq: at1 }
    }
    if (given?.["time"] !== undefined) {
      return { ...none, deliver_policy: "by_start_time", opt_start_time: time.encode(given["time"], `${at}.time`) }
    }
    return misfit(at, "it is none of \"all\", \"new\", \"last\", \"lastPerSubject\", { sequence } and { time }")
  },
  decode: (config) => {
    if (config.deliver_policy === "by_start_sequence") return { sequence: sequence.decode(config.opt_start_seq) }
    if (config.deliver_policy === "by_start_time") return { time: time.decode(config.opt_start_time) }
    return startWords.decode(config.deliver_policy)
  },
  words: (config) => {
    if (config.deliver_policy === "by_start_sequence") return { sequence: sequence.words(config.opt_start_seq) }
    if (config.deliver_policy === "by_start_time") return { time: time.words(config.opt_start_time) }
    return startWords.words(config.deliver_policy)
  },
  change: "needsNew"
}

/** Percent as text, with the sign or without. */
const percent: Kind = {
  encode: (value, at) =>
    typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 100
      ? String(value)
      : misfit(at, "it is no whole number from 0 to 100"),
  decode: (wire) => typeof wire === "string" && wire !== "" ? Number.parseInt(wire, 10) : undefined,
  words: (wire) => typeof wire === "string" && wire !== "" ? Number.parseInt(wire, 10) : 0
}

const policies = { none: "none", pinnedClient: "pinned_client", overflow: "overflow", prioritized: "prioritized" }

const policyNeeds = (words: Words): string | undefined => {
  if (words === "prioritized") return "2.12"
  return words === "none" ? undefined : "2.11"
}

const isGroup = /^[A-Za-z0-9\-_/=)+]{1,16}$/

const group: Kind = {
  ...text,
  encode: (value, at) =>
    typeof value === "string" && isGroup.test(value)
      ? value
      : misfit(at, "it is no name of a group: those are at most 16 letters, digits and -_/=)+")
}

const int32 = 2 ** 31 - 1

const unset = (wire: Wire): Words => typeof wire === "number" && wire > 0 ? wire : null

export const consumerFields = {
  description: field("description", text),
  filter,
  from,
  ackPolicy: field("ack_policy", choice({ explicit: "explicit", all: "all", none: "none" }, "none"), "needsNew"),
  ackWait: field("ack_wait", duration()),
  maxAckPending: field("max_ack_pending", count({ unlimited: true, most: int32 })),
  maxDeliver: field("max_deliver", count({ unlimited: true, most: int32 })),
  backoff: field("backoff", list(duration(), { ordered: true })),
  replayPolicy: field("replay_policy", choice({ instant: "instant", original: "original" }, "instant"), "needsNew"),
  headersOnly: field("headers_only", flag),
  sampleFrequency: field("sample_freq", percent),
  inactiveThreshold: field("inactive_threshold", duration()),
  maxWaiting: field("max_waiting", count({ most: int32 }), "needsNew"),
  maxBatch: field("max_batch", { ...count({ most: int32 }), words: unset }),
  maxExpires: field("max_expires", duration()),
  maxBytes: field("max_bytes", size({ most: BigInt(int32) })),
  replicas: field("num_replicas", { ...count({ most: 5 }), words: unset }),
  memoryStorage: field("mem_storage", flag, "needsNew"),
  pauseUntil: field("pause_until", time, "inPlace", "2.11"),
  priorityPolicy: field("priority_policy", choice(policies, "none"), "inPlace", policyNeeds),
  priorityGroups: field("priority_groups", list(group), "inPlace", "2.11"),
  pinnedTtl: field("priority_timeout", duration(), "inPlace", "2.11"),
  metadata: field("metadata", metadata, "inPlace", "2.10")
} as const satisfies Record<keyof ConsumerOptions, Field>

export const consumerTable: Fields = consumerFields

/** Fields that cannot be together, whatever a server would make of them. */
export const checkConsumer = (config: WireObject): void => {
  const { ack_wait: ackWait, backoff } = config
  if (ackWait === undefined || !Array.isArray(backoff) || backoff.length === 0) return
  if (ackWait !== backoff[0]) misfit("ackWait", "it must be the first of `backoff`, or left out")
}

/** A change of the filter takes away what nobody else waits for, where messages are kept for those who wait. */
export const filterChange = (retention: string | undefined, kind: ChangeKind): ChangeKind =>
  kind === "inPlace" && retention === "interest" ? "losesMessages" : kind

/** The fields that change along with declared ones, and are not declared themselves. */
export const impliedOfConsumer = (actual: WireObject, declared: WireObject): WireObject => {
  const implied: Record<string, Wire> = {}
  // A server takes the first of `backoff` in place of `ack_wait`.
  if (
    "ack_wait" in declared && !("backoff" in declared) && Array.isArray(actual.backoff) && actual.backoff.length > 0
  ) {
    if (actual.ack_wait !== declared.ack_wait) implied["backoff"] = undefined
  }
  if (Array.isArray(declared.backoff) && declared.backoff.length === 0 && !("ack_wait" in declared)) return implied
  if (declared.priority_policy === "none") {
    if (!("priority_groups" in declared)) implied["priority_groups"] = undefined
    if (!("priority_timeout" in declared)) implied["priority_timeout"] = undefined
  }
  return implied
}
