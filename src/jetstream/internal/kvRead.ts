/**
 * One message of a bucket: the last one of a key, or that of a revision.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { decodeHeaders } from "../../internal/protocol/headers.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { type ApiError, type BucketNotFound, InvalidAnswer, JetStreamUnavailable } from "../JetStreamError.ts"
import { away } from "./direct.ts"
import { type Bucket, type Located, streamNotFound } from "./kvBucket.ts"
import { reasonOf, sequenceHeader, type Stored, subjectHeader, timeHeader } from "./kvEntry.ts"

export type ReadFailure = ApiError | BucketNotFound

/** What is looked for: the last message of a key, as it stands in the bucket, or that of a revision. */
export type Wanted = { readonly key: string } | { readonly revision: number }

const none: Effect.Effect<Stored | undefined> = Effect.succeed(undefined)

/** From whoever answers first: a follower or a mirror, which may not have the last one yet. */
export const readStored = (bucket: Bucket, wanted: Wanted): Effect.Effect<Stored | undefined, ReadFailure> =>
  bucket.located.isDirect ? readDirect(bucket, wanted) : readConsistent(bucket, wanted, bucket.located)

const readDirect = (bucket: Bucket, wanted: Wanted): Effect.Effect<Stored | undefined, ReadFailure> => {
  const { api, located, stream } = bucket
  // With the subject in the request, permissions can be given by key.
  const asked = "key" in wanted
    ? api.ask(`DIRECT.GET.${stream}.${located.readPrefix}${wanted.key}`, "", "DIRECT.GET")
    : api.ask(`DIRECT.GET.${stream}`, JSON.stringify({ seq: wanted.revision }), "DIRECT.GET")
  return Effect.matchEffect(asked, {
    onSuccess: storedIn,
    onFailure: (error): Effect.Effect<Stored | undefined, ReadFailure> => {
      // Nobody answers direct gets: the bucket is gone, or has none any more (2.9 is silent then), or its servers are away.
      if (error._tag !== "NoResponders" && error._tag !== "RequestTimedOut") return Effect.fail(error)
      const failure = error._tag === "NoResponders" ? new JetStreamUnavailable(away) : error
      return Effect.matchEffect(bucket.look, {
        onSuccess: (now) =>
          now.isDirect && error._tag === "RequestTimedOut"
            ? Effect.fail(failure)
            : readConsistent(bucket, wanted, now),
        onFailure: (looked) => Effect.fail(looked._tag === "RequestTimedOut" ? failure : looked)
      })
    }
  })
}

const millisLength = "2026-01-01T00:00:00.000".length

/** Nanoseconds take the slow way through the parser of dates, and are left out. */
const millisOf = (time: string): number =>
  Date.parse(time.length > millisLength + 1 && time.endsWith("Z") ? `${time.slice(0, millisLength)}Z` : time)

const storedIn = (reply: NatsMessage): Effect.Effect<Stored | undefined, InvalidAnswer> => {
  const { status } = reply
  if (status === 404) return none
  // Read once: each look at a message reads them anew.
  const { headers } = reply
  const header = (name: string): string | undefined => headers[name]?.[0]
  const revision = Number(header(sequenceHeader))
  const subject = header(subjectHeader)
  if (status !== undefined || !(revision > 0) || subject === undefined) {
    const problem = status === undefined ? "it has no sequence" : `it has the status ${status}`
    return Effect.fail(new InvalidAnswer({ request: "DIRECT.GET", problem }))
  }
  return Effect.succeed({
    subject,
    revision,
    timestampMillis: millisOf(header(timeHeader) ?? ""),
    data: reply.data,
    reason: reasonOf(header)
  })
}

/** No message of that sequence, none of that subject. */
const noMessage = 10037

/** From the leader of the stream; of a mirror, from that of its origin: every write that was answered is seen. */
export const readConsistent = (
  bucket: Bucket,
  wanted: Wanted,
  located: Located = bucket.located
): Effect.Effect<Stored | undefined, ReadFailure> => {
  const { origin, originKeyPrefix, originStream } = located
  const body = "key" in wanted ? { last_by_subj: `${originKeyPrefix}${wanted.key}` } : { seq: wanted.revision }
  const answered = origin.call<"none" | BucketNotFound>(`STREAM.MSG.GET.${originStream}`, body, {
    errors: { [noMessage]: () => "none", [streamNotFound]: () => bucket.notFound }
  })
  return Effect.matchEffect(answered, {
    onSuccess: ({ message }) => {
      const stored = storedOf(message, located)
      return stored === undefined
        ? Effect.fail(new InvalidAnswer({ request: "STREAM.MSG.GET", problem: "it has no message" }))
        : Effect.succeed(stored)
    },
    onFailure: (error): Effect.Effect<Stored | undefined, ReadFailure> => error === "none" ? none : Effect.fail(error)
  })
}

const fieldOf = (message: unknown, name: string): unknown => hasProperty(message, name) ? message[name] : undefined

const storedOf = (message: unknown, located: Located): Stored | undefined => {
  const subject = fieldOf(message, "subject")
  const revision = fieldOf(message, "seq")
  if (typeof subject !== "string" || typeof revision !== "number") return undefined
  const bytesIn = (name: string): Buffer | undefined => {
    const text = fieldOf(message, name)
    return typeof text === "string" ? Buffer.from(text, "base64") : undefined
  }
  const block = bytesIn("hdrs")
  const headers = block === undefined ? undefined : decodeHeaders(block).headers
  const time = fieldOf(message, "time")
  const { originKeyPrefix, readPrefix } = located
  return {
    // A mirror can have it under another prefix than its origin.
    subject: subject.startsWith(originKeyPrefix) ? `${readPrefix}${subject.slice(originKeyPrefix.length)}` : subject,
    revision,
    timestampMillis: millisOf(typeof time === "string" ? time : ""),
    data: bytesIn("data") ?? new Uint8Array(0),
    reason: headers === undefined ? undefined : reasonOf((name) => headers[name]?.[0])
  }
}
