/**
 * A bucket: where it is read, where it is written, and what its stream is configured to.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { type ApiError, BucketNotFound, InvalidName } from "../JetStreamError.ts"
import type { Answer, Api } from "./api.ts"
import { namedAs, nameProblem } from "./names.ts"

export const streamPrefix = "KV_"

/** The names that all clients take (ADR-8); those of streams are wider. */
const validBucket = /^[-_a-zA-Z0-9]+$/

export const invalidBucket = (bucket: string): InvalidName | undefined => {
  const problem = nameProblem(bucket) ??
    (validBucket.test(bucket)
      ? bucket.length > longestBucket ? `it is longer than ${longestBucket} characters` : undefined
      : "it has a character other than a-z, A-Z, 0-9, \"-\" and \"_\"")
  return problem === undefined
    ? undefined
    : new InvalidName({ what: "bucket", name: namedAs(bucket, longestBucket), problem })
}

/** That of a stream, without the prefix. */
const longestBucket = 252

/** What an operation needs to know of the bucket's stream. */
export interface Located {
  /** In front of the keys of what is read. That of another bucket in a mirror. */
  readonly readPrefix: string
  /** In front of the keys of what is written: with a domain, the server maps it to the other side. */
  readonly writePrefix: string
  /** Whether it answers direct gets. */
  readonly isDirect: boolean
  /** Where the last word is: for a mirror the stream that it mirrors. */
  readonly origin: Api
  readonly originStream: string
  readonly originKeyPrefix: string
  /** Values kept for each key. */
  readonly history: number
  /** How long values live, in milliseconds. `undefined` for ever. */
  readonly maxAgeMillis: number | undefined
  /** Whether keys can have times of their own. */
  readonly hasKeyTtl: boolean
}

const field = (of: unknown, name: string): unknown => hasProperty(of, name) ? of[name] : undefined

const textIn = (of: unknown, name: string): string | undefined => {
  const value = field(of, name)
  return typeof value === "string" && value !== "" ? value : undefined
}

const numberIn = (of: unknown, name: string): number => {
  const value = field(of, name)
  return typeof value === "number" ? value : 0
}

/** Where a bucket is, from the configuration of its stream. */
export const locate = (bucket: string, config: unknown, api: Api): Located => {
  const own = `$KV.${bucket}.`
  const mirror = field(config, "mirror")
  const maxAge = numberIn(config, "max_age")
  const common = {
    isDirect: field(config, "allow_direct") === true || field(config, "mirror_direct") === true,
    history: numberIn(config, "max_msgs_per_subject"),
    maxAgeMillis: maxAge > 0 ? maxAge / 1e6 : undefined,
    hasKeyTtl: field(config, "allow_msg_ttl") === true
  }
  const throughApi = api.isElsewhere ? `${api.prefix}.` : ""
  if (mirror === undefined || mirror === null) {
    return {
      ...common,
      readPrefix: own,
      writePrefix: `${throughApi}${own}`,
      origin: api,
      originStream: `${streamPrefix}${bucket}`,
      originKeyPrefix: own
    }
  }
  const originStream = textIn(mirror, "name") ?? `${streamPrefix}${bucket}`
  const origin = originStream.startsWith(streamPrefix) ? originStream.slice(streamPrefix.length) : originStream
  const external = textIn(field(mirror, "external"), "api")
  const write = `$KV.${origin}.`
  return {
    ...common,
    readPrefix: transformed(field(mirror, "subject_transforms")) ?? write,
    writePrefix: external === undefined ? `${throughApi}${write}` : `${external}.${write}`,
    origin: api.under(external ?? api.prefix),
    originStream,
    originKeyPrefix: write
  }
}

/** A mirror can give its keys another prefix. */
const transformed = (transforms: unknown): string | undefined => {
  if (!Array.isArray(transforms) || transforms.length !== 1) return undefined
  const target = textIn(transforms[0], "dest")
  return target?.endsWith(".>") === true ? target.slice(0, -1) : undefined
}

/** A bucket that was found once. What is known of it is looked at again where the server behaves otherwise. */
export class Bucket {
  readonly api: Api
  readonly name: string
  readonly stream: string
  /** Names the spans of writes: keys are of any number. */
  readonly template: string
  located: Located

  constructor(api: Api, name: string, config: unknown) {
    this.api = api
    this.name = name
    this.stream = `${streamPrefix}${name}`
    this.template = `$KV.${name}.{key}`
    this.located = locate(name, config, api)
  }

  /** Looks, after a failure, whether it is still there, and how it is configured now. Its leader can be away: not for long. */
  get look(): Effect.Effect<Located, ApiError | BucketNotFound> {
    return Effect.map(infoOf(this.api, this.name, this.api.patienceMillis), (answer) => {
      this.located = locate(this.name, answer["config"], this.api)
      return this.located
    })
  }

  get notFound(): BucketNotFound {
    return new BucketNotFound({ bucket: this.name })
  }
}

/** `stream not found`. */
export const streamNotFound = 10059

/** The bucket's stream, as the API tells of it. */
export const infoOf = (
  api: Api,
  bucket: string,
  timeoutMillis?: number
): Effect.Effect<Answer, ApiError | BucketNotFound> =>
  api.call(`STREAM.INFO.${streamPrefix}${bucket}`, undefined, {
    timeout: timeoutMillis,
    errors: { [streamNotFound]: () => new BucketNotFound({ bucket }) }
  })

export const openBucket = (
  api: Api,
  bucket: string
): Effect.Effect<Bucket, ApiError | BucketNotFound | InvalidName> => {
  const invalid = invalidBucket(bucket)
  return invalid === undefined
    ? Effect.map(infoOf(api, bucket), (answer) => new Bucket(api, bucket, answer["config"]))
    : Effect.fail(invalid)
}
