/**
 * Advisories as values: by their `type`, read with a schema. What does not fit is a value, too: a reader that dies of one
 * would miss all that follow.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { About, Filter, JetStreamAdvisory, Replica, UnknownAdvisory } from "../JetStreamAdvisory.ts"
import type { AdvisoryError } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { invalidName } from "./names.ts"

type Known = Exclude<JetStreamAdvisory, UnknownAdvisory>

const anyAbout = { id: Schema.String, timestamp: Schema.String, domain: Schema.optionalKey(Schema.String) }
const anyStream = { ...anyAbout, stream: Schema.String }
const anyConsumer = { ...anyStream, consumer: Schema.String }
const anyMessage = { ...anyConsumer, stream_seq: Schema.Number, deliveries: Schema.Number }
const reason = Schema.optionalKey(Schema.String)
const actions = Schema.Literals(["create", "modify", "delete"])
const replicas = Schema.optionalKey(
  Schema.NullOr(Schema.Array(Schema.Struct({
    name: Schema.String,
    current: Schema.optionalKey(Schema.Boolean),
    offline: Schema.optionalKey(Schema.Boolean)
  })))
)

interface WireAbout {
  readonly id: string
  readonly timestamp: string
  readonly domain?: string
}

const about = ({ domain, id, timestamp }: WireAbout): About => ({
  id,
  timestampMillis: Date.parse(timestamp),
  domain
})

interface WireMessage extends WireAbout {
  readonly stream: string
  readonly consumer: string
  readonly stream_seq: number
  readonly deliveries: number
}

const aboutStream = (wire: WireAbout & { readonly stream: string }) => ({ ...about(wire), stream: wire.stream })

const aboutConsumer = (wire: WireAbout & { readonly stream: string; readonly consumer: string }) => ({
  ...aboutStream(wire),
  consumer: wire.consumer
})

const aboutMessage = (wire: WireMessage) => ({
  ...aboutConsumer(wire),
  sequence: wire.stream_seq,
  deliveries: wire.deliveries
})

type WireReplicas =
  | ReadonlyArray<{ readonly name: string; readonly current?: boolean; readonly offline?: boolean }>
  | null
  | undefined

const readReplicas = (wire: WireReplicas): ReadonlyArray<Replica> =>
  (wire ?? []).map(({ current, name, offline }) => ({ name, current: current === true, offline: offline === true }))

type Read = (json: unknown) => Known | undefined

const kind = <S extends Schema.ConstraintDecoder<unknown>>(schema: S, make: (wire: S["Type"]) => Known): Read => {
  const decode = Schema.decodeUnknownOption(schema)
  return (json) => Option.getOrUndefined(Option.map(decode(json), make))
}

/** By the last part of their type. */
const kinds: Readonly<Record<string, Read>> = {
  max_deliver: kind(Schema.Struct(anyMessage), (wire) => ({ _tag: "MaxDeliveries", ...aboutMessage(wire) })),
  nak: kind(
    Schema.Struct({ ...anyMessage, consumer_seq: Schema.Number }),
    (wire) => ({ _tag: "MessageNaked", ...aboutMessage(wire), consumerSequence: wire.consumer_seq })
  ),
  terminated: kind(
    Schema.Struct({ ...anyMessage, consumer_seq: Schema.Number, reason }),
    (wire) => ({
      _tag: "MessageTerminated",
      ...aboutMessage(wire),
      consumerSequence: wire.consumer_seq,
      reason: wire.reason
    })
  ),
  stream_action: kind(
    Schema.Struct({ ...anyStream, action: actions }),
    (wire) => ({ _tag: "StreamAction", ...aboutStream(wire), action: wire.action })
  ),
  consumer_action: kind(
    Schema.Struct({ ...anyConsumer, action: actions }),
    (wire) => ({ _tag: "ConsumerAction", ...aboutConsumer(wire), action: wire.action })
  ),
  consumer_pause: kind(
    Schema.Struct({ ...anyConsumer, paused: Schema.Boolean, pause_until: Schema.optionalKey(Schema.String) }),
    (wire) => ({
      _tag: "ConsumerPaused",
      ...aboutConsumer(wire),
      paused: wire.paused,
      untilMillis: wire.pause_until === undefined ? undefined : Date.parse(wire.pause_until)
    })
  ),
  consumer_group_pinned: kind(
    Schema.Struct({ ...anyConsumer, group: Schema.String, pinned_id: Schema.String }),
    (wire) => ({ _tag: "ConsumerPinned", ...aboutConsumer(wire), group: wire.group, pinnedId: wire.pinned_id })
  ),
  consumer_group_unpinned: kind(
    Schema.Struct({ ...anyConsumer, group: Schema.String, reason }),
    (wire) => ({ _tag: "ConsumerUnpinned", ...aboutConsumer(wire), group: wire.group, reason: wire.reason ?? "" })
  ),
  stream_batch_abandoned: kind(
    Schema.Struct({ ...anyStream, batch: Schema.String, reason }),
    (wire) => ({ _tag: "BatchAbandoned", ...aboutStream(wire), batch: wire.batch, reason: wire.reason ?? "" })
  ),
  stream_leader_elected: kind(
    Schema.Struct({ ...anyStream, leader: Schema.String, replicas }),
    (wire) => ({
      _tag: "StreamLeaderElected",
      ...aboutStream(wire),
      leader: wire.leader,
      replicas: readReplicas(wire.replicas)
    })
  ),
  consumer_leader_elected: kind(
    Schema.Struct({ ...anyConsumer, leader: Schema.String, replicas }),
    (wire) => ({
      _tag: "ConsumerLeaderElected",
      ...aboutConsumer(wire),
      leader: wire.leader,
      replicas: readReplicas(wire.replicas)
    })
  ),
  stream_quorum_lost: kind(
    Schema.Struct({ ...anyStream, replicas }),
    (wire) => ({ _tag: "StreamQuorumLost", ...aboutStream(wire), replicas: readReplicas(wire.replicas) })
  ),
  consumer_quorum_lost: kind(
    Schema.Struct({ ...anyConsumer, replicas }),
    (wire) => ({ _tag: "ConsumerQuorumLost", ...aboutConsumer(wire), replicas: readReplicas(wire.replicas) })
  ),
  snapshot_create: kind(Schema.Struct(anyStream), (wire) => ({ _tag: "SnapshotStarted", ...aboutStream(wire) })),
  snapshot_complete: kind(Schema.Struct(anyStream), (wire) => ({ _tag: "SnapshotCompleted", ...aboutStream(wire) })),
  restore_create: kind(Schema.Struct(anyStream), (wire) => ({ _tag: "RestoreStarted", ...aboutStream(wire) })),
  restore_complete: kind(
    Schema.Struct({ ...anyStream, bytes: Schema.Number }),
    (wire) => ({ _tag: "RestoreCompleted", ...aboutStream(wire), bytes: wire.bytes })
  ),
  api_audit: kind(
    Schema.Struct({
      ...anyAbout,
      server: Schema.String,
      subject: Schema.String,
      request: Schema.optionalKey(Schema.String),
      response: Schema.String
    }),
    (wire) => ({
      _tag: "ApiAudit",
      ...about(wire),
      server: wire.server,
      subject: wire.subject,
      request: wire.request ?? "",
      response: wire.response
    })
  ),
  api_limit_reached: kind(
    Schema.Struct({ ...anyAbout, server: Schema.String, dropped: Schema.Number }),
    (wire) => ({ _tag: "ApiLimitReached", ...about(wire), server: wire.server, dropped: wire.dropped })
  )
}

const typePrefix = "io.nats.jetstream.advisory.v1."

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** What a message on the subject of advisories says. */
export const readAdvisory = (subject: string, text: string): JetStreamAdvisory => {
  const json = parse(text)
  const type = hasProperty(json, "type") && typeof json.type === "string" ? json.type : undefined
  const read = type?.startsWith(typePrefix) === true && Object.hasOwn(kinds, type.slice(typePrefix.length))
    ? kinds[type.slice(typePrefix.length)]
    : undefined
  const known = read?.(json)
  return known === undefined || Number.isNaN(known.timestampMillis)
    ? { _tag: "UnknownAdvisory", subject, type, json }
    : known
}

/** Where they come: the event, and how many of stream and consumer stand behind it. */
const places: Readonly<Record<Known["_tag"], readonly [event: string, names: 0 | 1 | 2]>> = {
  MaxDeliveries: ["CONSUMER.MAX_DELIVERIES", 2],
  MessageNaked: ["CONSUMER.MSG_NAKED", 2],
  MessageTerminated: ["CONSUMER.MSG_TERMINATED", 2],
  StreamAction: ["STREAM.*", 1],
  ConsumerAction: ["CONSUMER.*", 2],
  ConsumerPaused: ["CONSUMER.PAUSE", 2],
  ConsumerPinned: ["CONSUMER.PINNED", 2],
  ConsumerUnpinned: ["CONSUMER.UNPINNED", 2],
  BatchAbandoned: ["STREAM.BATCH_ABANDONED", 1],
  StreamLeaderElected: ["STREAM.LEADER_ELECTED", 1],
  ConsumerLeaderElected: ["CONSUMER.LEADER_ELECTED", 2],
  StreamQuorumLost: ["STREAM.QUORUM_LOST", 1],
  ConsumerQuorumLost: ["CONSUMER.QUORUM_LOST", 2],
  SnapshotStarted: ["STREAM.SNAPSHOT_CREATE", 1],
  SnapshotCompleted: ["STREAM.SNAPSHOT_COMPLETE", 1],
  RestoreStarted: ["STREAM.RESTORE_CREATE", 1],
  RestoreCompleted: ["STREAM.RESTORE_COMPLETE", 1],
  ApiAudit: ["API", 0],
  ApiLimitReached: ["API.LIMIT_REACHED", 0]
}

const all = "$JS.EVENT.ADVISORY"

/** One kind has a subject of its own, so that a user needs no right to all of them, and a server sends no more. */
export const advisorySubject = ({ consumer: ofConsumer, kinds: wanted, stream: ofStream }: Filter): string => {
  const [only] = wanted ?? []
  if (wanted?.length !== 1 || only === undefined || only === "UnknownAdvisory") return `${all}.>`
  const [event, names] = places[only]
  return [all, event, ...[ofStream ?? "*", ofConsumer ?? "*"].slice(0, names)].join(".")
}

/** Whether it is one of those that are wanted. */
export const isWanted =
  ({ consumer: ofConsumer, kinds: wanted, stream: ofStream }: Filter) => (advisory: JetStreamAdvisory): boolean =>
    (wanted === undefined || wanted.includes(advisory._tag)) &&
    (ofStream === undefined || (hasProperty(advisory, "stream") && advisory.stream === ofStream)) &&
    (ofConsumer === undefined || (hasProperty(advisory, "consumer") && advisory.consumer === ofConsumer))

export const advisories = (
  api: Api,
  filter: Filter = {}
): Stream.Stream<JetStreamAdvisory, AdvisoryError> =>
  Stream.unwrap(Effect.gen(function*() {
    for (const what of ["stream", "consumer"] as const) {
      const name = filter[what]
      const problem = name === undefined ? undefined : invalidName(what, name)
      if (problem !== undefined) return yield* problem
    }
    const { stream: messages } = yield* api.nats.subscription(advisorySubject(filter)).pipe(
      // It is made of checked names.
      Effect.catchTag("InvalidSubject", (error) => Effect.die(error))
    )
    return messages.pipe(
      Stream.map(({ subject, text }: NatsMessage) => readAdvisory(subject, text)),
      Stream.filter(isWanted(filter))
    )
  }))
