/**
 * What an account has of JetStream, and what it may have.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { AccountInfo, AccountLimits, AccountUsage } from "../JetStream.ts"
import { type ApiError, InvalidAnswer } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { noteLevel } from "./level.ts"

/** What does not fit a number is a `bigint` here. */
const count = Schema.optionalKey(Schema.Union([Schema.Number, Schema.BigInt]))

const wireUsage = {
  memory: count,
  storage: count,
  reserved_memory: count,
  reserved_storage: count,
  streams: count,
  consumers: count
}

const WireLimits = Schema.Struct({
  max_memory: count,
  max_storage: count,
  max_streams: count,
  max_consumers: count,
  max_ack_pending: count,
  memory_max_stream_bytes: count,
  storage_max_stream_bytes: count,
  max_bytes_required: Schema.optionalKey(Schema.Boolean)
})

const WireAccount = Schema.Struct({
  ...wireUsage,
  domain: Schema.optionalKey(Schema.String),
  limits: WireLimits,
  tiers: Schema.optionalKey(
    Schema.NullOr(Schema.Record(Schema.String, Schema.Struct({ ...wireUsage, limits: WireLimits })))
  ),
  api: Schema.Struct({ level: count, total: count, errors: count })
})

const decode = Schema.decodeUnknownOption(WireAccount)

type Count = number | bigint | undefined
type Usage = Readonly<Partial<Record<keyof typeof wireUsage, Count>>>

/** 2.10 counts -1 as reserved for each stream without a limit, which it says as 2^64 - 1: nothing is reserved. */
const used = (value: Count): number => {
  if (typeof value !== "bigint") return value ?? 0
  return Math.max(0, Number(BigInt.asIntN(64, value)))
}

const usageOf = (wire: Usage): AccountUsage => ({
  memory: used(wire.memory),
  storage: used(wire.storage),
  reservedMemory: used(wire.reserved_memory),
  reservedStorage: used(wire.reserved_storage),
  streams: used(wire.streams),
  consumers: used(wire.consumers)
})

/** A server has -1 for no limit, and 0 where it knows of none. */
const limit = (value: Count): number | undefined => value === undefined || value < 0 ? undefined : Number(value)
const positive = (value: Count): number | undefined => limit(value) || undefined

const limitsOf = (wire: typeof WireLimits.Type): AccountLimits => ({
  memory: limit(wire.max_memory),
  storage: limit(wire.max_storage),
  streams: limit(wire.max_streams),
  consumers: limit(wire.max_consumers),
  ackPending: positive(wire.max_ack_pending),
  memoryStreamBytes: positive(wire.memory_max_stream_bytes),
  storageStreamBytes: positive(wire.storage_max_stream_bytes),
  maxBytesRequired: wire.max_bytes_required === true
})

export const account = (api: Api): Effect.Effect<AccountInfo, ApiError> =>
  Effect.flatMap(api.call("INFO"), (answer) => {
    noteLevel(api, answer)
    const read = decode(answer)
    if (Option.isNone(read)) {
      return Effect.fail(new InvalidAnswer({ request: "INFO", problem: "it has no limits or no counts of the API" }))
    }
    const { api: counts, domain, limits, tiers, ...usage } = read.value
    return Effect.succeed({
      ...usageOf(usage),
      domain,
      limits: limitsOf(limits),
      tiers: Object.fromEntries(
        Object.entries(tiers ?? {}).map((
          [tier, { limits: own, ...usage }]
        ) => [tier, { ...usageOf(usage), limits: limitsOf(own) }])
      ),
      api: { level: used(counts.level), total: used(counts.total), errors: used(counts.errors) }
    })
  })
