/** The fields of a stream: see `fields.ts`. Versions and changes as nats-server 2.9 to 2.15 have them. */
import type { Wire, WireObject } from "./exactJson.ts"
import { type ChangeKind, type Field, field, type Fields, type Judged, objectOf, struct } from "./fields.ts"
import {
  choice,
  count,
  destination,
  duration,
  flag,
  type Kind,
  limitOf,
  list,
  metadata,
  name,
  pattern,
  sequence,
  size,
  text,
  time,
  type Words
} from "./kinds.ts"
import { misfit } from "./misfit.ts"
import type { StreamOptions } from "./streamTypes.ts"

/** A limit that is lowered takes the messages above it away in the same answer. */
const lowered = (wire: string) => ({ from, to }: Judged): ChangeKind =>
  limitOf(to[wire]) < limitOf(from[wire]) ? "losesMessages" : "inPlace"

/** Once on, it stays on. */
const forEver = ({ from, to }: Judged, wire: string): ChangeKind => {
  if (to[wire] === true) return "irreversible"
  return from[wire] === true ? "needsNew" : "inPlace"
}

const forEverIn = (wire: string): Field["change"] => (change) => forEver(change, wire)

const retention = ({ from, isBefore, to }: Judged): ChangeKind => {
  if (from.retention === "workqueue" || to.retention === "workqueue" || isBefore("2.10")) return "needsNew"
  // What no consumer waits for is deleted.
  return to.retention === "interest" ? "losesMessages" : "inPlace"
}

const marker = ({ from, to }: Judged): ChangeKind =>
  to.subject_delete_marker_ttl !== undefined && from.allow_msg_ttl !== true ? "irreversible" : "inPlace"

const promoted = ({ isBefore, to }: Judged): ChangeKind =>
  to.mirror === undefined && !isBefore("2.12") ? "irreversible" : "needsNew"

const transform = struct({ source: field("src", pattern), destination: field("dest", destination) }, [
  "source",
  "destination"
])

/** `{ sequence }` or `{ time }`. */
const start: Field = {
  wires: ["opt_start_seq", "opt_start_time"],
  encode: (value, at) => {
    const given = objectOf(value as Wire)
    if (given?.["sequence"] !== undefined) {
      return { opt_start_seq: sequence.encode(given["sequence"], `${at}.sequence`) }
    }
    if (given?.["time"] !== undefined) return { opt_start_time: time.encode(given["time"], `${at}.time`) }
    return misfit(at, "it is neither { sequence } nor { time }")
  },
  decode: (config) => {
    if (config.opt_start_seq) return { sequence: config.opt_start_seq }
    const at = time.decode(config.opt_start_time)
    return at === undefined ? undefined : { time: at }
  },
  words: (config) => {
    if (config.opt_start_seq) return { sequence: sequence.words(config.opt_start_seq) }
    const at = time.words(config.opt_start_time)
    return at === null ? null : { time: at }
  },
  change: "inPlace"
}

const external = struct({ apiPrefix: field("api", pattern), deliverPrefix: field("deliver", text) }, ["apiPrefix"])

/** A domain is a short form of where its API is. */
const domain: Field = {
  wires: ["external"],
  encode: (value, at) => ({ external: { api: `$JS.${String(name.encode(value, at))}.API`, deliver: "" } }),
  decode: () => undefined,
  words: () => null,
  change: "inPlace"
}

const origin = struct({
  name: field("name", name),
  from: start,
  filter: field("filter_subject", pattern),
  transforms: field("subject_transforms", list(transform, { ordered: true })),
  external: field("external", external),
  domain,
  consumer: field(
    "consumer",
    struct({ name: field("name", name), deliverSubject: field("deliver_subject", pattern) }, ["name", "deliverSubject"])
  )
}, ["name"])

/** Old servers drop the fields of an origin that they do not know. */
const originNeeds = (words: Words): string | undefined => {
  const said = JSON.stringify(words)
  if (said.includes("\"consumer\":{")) return "2.14"
  return said.includes("\"transforms\":[") ? "2.10" : undefined
}

const optional = (kind: Kind): Kind => ({
  ...kind,
  encode: (value, at) => value === "none" ? undefined : kind.encode(value, at)
})

/** A republish or a transform without a source is one of everything. */
const everything: Kind = { ...pattern, words: (wire) => wire === undefined || wire === "" ? ">" : pattern.words(wire) }

const replicas = count({ most: 5 })

export const streamFields = {
  description: field("description", text),
  subjects: field("subjects", list(pattern)),
  storage: field("storage", choice({ file: "file", memory: "memory" }, "file"), "needsNew"),
  retention: field(
    "retention",
    choice({ limits: "limits", interest: "interest", workqueue: "workqueue" }, "limits"),
    retention
  ),
  discard: field("discard", choice({ old: "old", new: "new" }, "old")),
  discardNewPerSubject: field("discard_new_per_subject", flag),
  maxMessages: field("max_msgs", count({ unlimited: true }), lowered("max_msgs")),
  maxMessagesPerSubject: field("max_msgs_per_subject", count({ unlimited: true }), lowered("max_msgs_per_subject")),
  maxBytes: field("max_bytes", size({ unlimited: true }), lowered("max_bytes")),
  maxAge: field("max_age", duration({ unlimited: true }), lowered("max_age")),
  maxMessageSize: field("max_msg_size", size({ unlimited: true, most: 2n ** 31n - 1n })),
  maxConsumers: field(
    "max_consumers",
    count({ unlimited: true, most: 2 ** 31 - 1 }),
    ({ isBefore }) => isBefore("2.11") ? "needsNew" : "inPlace"
  ),
  noAck: field("no_ack", flag),
  duplicateWindow: field("duplicate_window", duration()),
  replicas: field("num_replicas", { ...replicas, words: (wire) => replicas.words(wire) ?? 1 }),
  placement: field(
    "placement",
    struct({ cluster: field("cluster", text), tags: field("tags", list(text)) }, [], { optional: true })
  ),
  mirror: field("mirror", optional(origin), promoted, originNeeds),
  sources: field("sources", list(origin), "inPlace", originNeeds),
  compression: field("compression", choice({ none: "none", s2: "s2" }, "none"), "inPlace", "2.10"),
  firstSequence: field("first_seq", sequence, "needsNew", "2.10"),
  subjectTransform: field("subject_transform", optional(transform), "inPlace", "2.10"),
  republish: field(
    "republish",
    optional(struct({
      source: field("src", everything),
      destination: field("dest", destination),
      headersOnly: field("headers_only", flag)
    }, ["destination"])),
    ({ isBefore }) => isBefore("2.10") ? "needsNew" : "inPlace"
  ),
  allowDirect: field("allow_direct", flag),
  mirrorDirect: field("mirror_direct", flag),
  sealed: field("sealed", flag, forEverIn("sealed")),
  denyDelete: field("deny_delete", flag, forEverIn("deny_delete")),
  denyPurge: field("deny_purge", flag, forEverIn("deny_purge")),
  allowRollup: field("allow_rollup_hdrs", flag),
  consumerLimits: field(
    "consumer_limits",
    struct(
      {
        inactiveThreshold: field("inactive_threshold", duration()),
        maxAckPending: field("max_ack_pending", count({ most: 2 ** 31 - 1 }))
      },
      [],
      { optional: true }
    ),
    "inPlace",
    "2.10"
  ),
  ttl: field("allow_msg_ttl", flag, forEverIn("allow_msg_ttl"), "2.11"),
  deleteMarkerTtl: field("subject_delete_marker_ttl", duration(), marker, "2.11"),
  counter: field("allow_msg_counter", flag, "needsNew", "2.12"),
  atomicBatch: field("allow_atomic", flag, "inPlace", "2.12"),
  schedules: field("allow_msg_schedules", flag, forEverIn("allow_msg_schedules"), "2.12"),
  persistMode: field("persist_mode", choice({ default: "default", async: "async" }, "default"), "needsNew", "2.12"),
  fastBatch: field("allow_batched", flag, "inPlace", "2.14"),
  metadata: field("metadata", metadata, "inPlace", "2.10")
} as const satisfies Record<keyof StreamOptions, Field>

export const streamTable: Fields = streamFields

/** Fields that cannot be together, whatever a server would make of them. */
export const checkStream = (options: StreamOptions): void => {
  const { allowRollup, deleteMarkerTtl, denyPurge, schedules, ttl } = options
  if (deleteMarkerTtl !== undefined && ttl === false) misfit("ttl", "delete markers (`deleteMarkerTtl`) need it")
  for (
    const [needing, given] of [["deleteMarkerTtl", deleteMarkerTtl !== undefined], ["schedules", schedules === true]]
  ) {
    if (given && allowRollup === false) misfit("allowRollup", `\`${needing}\` needs it`)
    if (given && denyPurge === true) misfit("denyPurge", `\`${needing}\` needs that messages can be purged`)
  }
}

/** What a server makes of the declared fields themselves, when it seals. */
export const settleStream = (config: WireObject): WireObject =>
  config.sealed === true
    ? { ...config, max_age: 0, discard: "new", deny_delete: true, deny_purge: true, allow_rollup_hdrs: false }
    : config

/** The fields that change along with declared ones, and are not declared themselves. */
export const impliedOfStream = (actual: WireObject, declared: WireObject): WireObject => {
  const implied: Record<string, Wire> = {}
  const age = declared.max_age
  if (age && !("duplicate_window" in declared) && limitOf(actual.duplicate_window) !== limitOf(undefined)) {
    if (limitOf(actual.duplicate_window) > limitOf(age)) implied["duplicate_window"] = age
  }
  if (declared.discard === "old" && actual.discard_new_per_subject === true) implied["discard_new_per_subject"] = false
  return implied
}
