/**
 * What a bucket is configured to, as the definition of its stream (ADR-8), and what a stream tells of its bucket.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import {
  type ApiError,
  BucketExists,
  BucketNotFound,
  type CreateBucketError,
  InvalidDefinition,
  type InvalidName,
  type ProvisionBucketError,
  type ProvisionError
} from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { makeStream } from "./definition.ts"
import { Bucket, infoOf, invalidBucket, streamPrefix } from "./kvBucket.ts"
import type { BucketConfig, BucketOrigin, BucketStatus } from "./kvBucketTypes.ts"
import { ensureStream } from "./provision.ts"
import * as Streams from "./streams.ts"
import type { Apply, Origin, StreamDefinition, StreamInfo, StreamOptions } from "./streamTypes.ts"

const mostHistory = 64
const defaultDuplicateWindow = Duration.minutes(2)

const originOf = (bucket: string, origin: string | BucketOrigin): Origin => {
  const { bucket: name, ...rest } = typeof origin === "string" ? { bucket: origin } : origin
  // A source that is another bucket of this side has its keys under another name.
  const isOther = name !== bucket && rest.external === undefined && rest.domain === undefined
  return {
    ...rest,
    name: `${streamPrefix}${name}`,
    ...(isOther ? { transforms: [{ source: `$KV.${name}.>`, destination: `$KV.${bucket}.>` }] } : {})
  }
}

/** What is no duration is refused by its own name. */
const windowOf = (ttl: Duration.Input): Duration.Duration | undefined => {
  const duration = Duration.fromInput(ttl)
  return Option.isSome(duration) && Duration.isPositive(duration.value)
    ? Duration.min(duration.value, defaultDuplicateWindow)
    : undefined
}

/** What was said, in the words of streams. */
const declared = (bucket: string, config: BucketConfig): StreamOptions => {
  const { deleteMarkers, keyTtl, mirror, sources, ttl } = config
  const { transforms: _, ...mirrored } = mirror === undefined ? {} as Origin : originOf(bucket, mirror)
  const given: Record<string, unknown> = {
    description: config.description,
    storage: config.storage,
    replicas: config.replicas,
    maxMessagesPerSubject: config.history,
    maxAge: ttl,
    // No window may be longer than messages live.
    duplicateWindow: ttl === undefined ? undefined : windowOf(ttl),
    maxMessageSize: config.maxValueSize,
    maxBytes: config.maxBytes,
    compression: config.compression === undefined ? undefined : config.compression ? "s2" : "none",
    placement: config.placement,
    republish: config.republish,
    metadata: config.metadata,
    ttl: keyTtl ?? (deleteMarkers === undefined ? undefined : true),
    deleteMarkerTtl: deleteMarkers,
    mirror: mirror === undefined ? undefined : mirrored,
    mirrorDirect: mirror === undefined ? undefined : true,
    sources: sources?.map((source) => originOf(bucket, source)),
    subjects: mirror === undefined ? [`$KV.${bucket}.>`] : undefined
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** What every bucket has that is made here. Those of others can differ in it, and are left so. */
const made = (config: BucketConfig): StreamOptions => ({
  maxMessagesPerSubject: 1,
  discard: "new",
  allowRollup: config.mirror === undefined,
  denyDelete: config.mirror === undefined,
  allowDirect: true
})

const definition = (bucket: string, options: StreamOptions): StreamDefinition =>
  makeStream(`${streamPrefix}${bucket}`, options)

const problemOf = (bucket: string, { history }: BucketConfig): InvalidName | InvalidDefinition | undefined => {
  const invalid = invalidBucket(bucket)
  if (invalid !== undefined) return invalid
  return history === undefined || (Number.isInteger(history) && history >= 1 && history <= mostHistory)
    ? undefined
    : new InvalidDefinition({
      of: "stream",
      name: `${streamPrefix}${bucket}`,
      field: "history",
      problem: `it must be a whole number from 1 to ${mostHistory}`
    })
}

const opened = (api: Api, bucket: string): Effect.Effect<Bucket, ApiError | BucketNotFound> =>
  Effect.map(infoOf(api, bucket), (answer) => new Bucket(api, bucket, answer["config"]))

/** The stream of a bucket that is made. */
export const bucketDefinition = (
  bucket: string,
  config: BucketConfig
): Effect.Effect<StreamDefinition, InvalidName | InvalidDefinition> =>
  Effect.suspend(() => {
    const problem = problemOf(bucket, config)
    return problem === undefined
      ? Effect.succeed(definition(bucket, { ...made(config), ...declared(bucket, config) }))
      : Effect.fail(problem)
  })

export const createBucket = (
  api: Api,
  bucket: string,
  config: BucketConfig
): Effect.Effect<Bucket, CreateBucketError> =>
  Effect.flatMap(bucketDefinition(bucket, config), (of) => Streams.create(api, of)).pipe(
    Effect.catchTag(
      "StreamExists",
      ({ differences }) => Effect.fail(new BucketExists({ bucket, differences: [...differences] }))
    ),
    Effect.andThen(opened(api, bucket))
  )

export const provisionBucket = (
  api: Api,
  bucket: string,
  config: BucketConfig,
  apply: Exclude<Apply, "nothing"> | undefined
): Effect.Effect<Bucket, ProvisionBucketError> =>
  Effect.suspend((): Effect.Effect<Bucket, ProvisionBucketError> => {
    const problem = problemOf(bucket, config)
    if (problem !== undefined) return Effect.fail(problem)
    const ensured = ensureStream(api, definition(bucket, declared(bucket, config)), { apply }).pipe(
      // A stream is asked for, and no consumer.
      Effect.catchTag(["ConsumerIsPush", "ConsumerRefused", "StreamNotFound"], Effect.die)
    ) as Effect.Effect<StreamInfo, Exclude<ProvisionError, NeverOfStreams>>
    return Effect.catchTag(opened(api, bucket), "BucketNotFound", () =>
      // Another can create it meanwhile.
      Effect.catchTag(createBucket(api, bucket, config), "BucketExists", () => opened(api, bucket))).pipe(
        Effect.andThen(ensured),
        Effect.andThen(opened(api, bucket))
      )
  })

type NeverOfStreams = { readonly _tag: "ConsumerIsPush" | "ConsumerRefused" | "StreamNotFound" }

export const statusOf = (info: StreamInfo): BucketStatus => {
  const { config, state } = info
  return {
    bucket: info.name.slice(streamPrefix.length),
    values: state.messages,
    bytes: state.bytes,
    lastRevision: state.lastSequence,
    history: config.maxMessagesPerSubject,
    ttl: Duration.isZero(config.maxAge) ? undefined : config.maxAge,
    keyTtl: config.ttl === true,
    deleteMarkers: config.deleteMarkerTtl === undefined || Duration.isZero(config.deleteMarkerTtl)
      ? undefined
      : config.deleteMarkerTtl,
    storage: config.storage,
    replicas: config.replicas,
    isCompressed: config.compression === "s2",
    description: config.description,
    metadata: config.metadata,
    stream: info
  }
}

export const status = (
  api: Api,
  bucket: string
): Effect.Effect<BucketStatus, ApiError | BucketNotFound | InvalidName> =>
  Effect.suspend((): Effect.Effect<BucketStatus, ApiError | BucketNotFound | InvalidName> => {
    const invalid = invalidBucket(bucket)
    if (invalid !== undefined) return Effect.fail(invalid)
    return Streams.info(api, `${streamPrefix}${bucket}`).pipe(
      Effect.catchTag("StreamNotFound", () => Effect.fail(new BucketNotFound({ bucket }))),
      // There is no pattern in it.
      Effect.catchTag("InvalidSubject", Effect.die),
      Effect.map(statusOf)
    )
  })

export const buckets = (api: Api): Stream.Stream<BucketStatus, ApiError> =>
  Streams.list(api).pipe(
    // There is no pattern in it.
    Stream.catchTag("InvalidSubject", Stream.die),
    Stream.filter(({ name }) => name.startsWith(streamPrefix)),
    Stream.map(statusOf)
  )

export const deleteBucket = (api: Api, bucket: string): Effect.Effect<void, ApiError | BucketNotFound | InvalidName> =>
  Effect.suspend((): Effect.Effect<void, ApiError | BucketNotFound | InvalidName> => {
    const invalid = invalidBucket(bucket)
    if (invalid !== undefined) return Effect.fail(invalid)
    return Effect.catchTag(
      Streams.remove(api, `${streamPrefix}${bucket}`),
      "StreamNotFound",
      () => Effect.fail(new BucketNotFound({ bucket }))
    )
  })
