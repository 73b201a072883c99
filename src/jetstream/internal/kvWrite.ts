/**
 * Writes to a bucket, as bytes and headers: a put, a write that compares, a deletion.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { payloadProblem } from "../../internal/operations/sending.ts"
import type { Input } from "../../NatsHeaders.ts"
import {
  type ApiError,
  KeyAlreadyExists,
  KeyTtlDisabled,
  type KeyWriteError,
  type UnsupportedByServer,
  type WrongLastSequence
} from "../JetStreamError.ts"
import type { Bucket } from "./kvBucket.ts"
import { operationHeader, rollupHeader } from "./kvEntry.ts"
import { readConsistent } from "./kvRead.ts"
import type { AnyPublishError } from "./outcome.ts"
import { publish } from "./publish.ts"

/** Everything that a write can fail with, whatever its options. */
export type AnyWriteError = KeyWriteError | WrongLastSequence | UnsupportedByServer | KeyTtlDisabled | ApiError

export interface Writing {
  readonly headers?: Input | undefined
  /** The last revision of the key, 0 for none. */
  readonly expected?: number | undefined
  readonly ttl?: Duration.Input | undefined
  readonly timeout?: Duration.Input | undefined
}

const ttlDisabled = 10166

/** Writes to a key as it stands in the bucket. Gives the revision. */
export const write = (
  bucket: Bucket,
  key: string,
  payload: string | Uint8Array,
  writing: Writing
): Effect.Effect<number, AnyWriteError> => {
  const { expected, headers, timeout, ttl } = writing
  // Of `publish`, nothing is an empty payload.
  if (payload === undefined) return Effect.fail(payloadProblem(key, payload)!)
  const published = publish(bucket.api, `${bucket.located.writePrefix}${key}`, payload, {
    headers,
    expect: expected === undefined ? undefined : { lastSubjectSequence: expected },
    ttl,
    timeout,
    subjectTemplate: bucket.template
  })
  return Effect.matchEffect(published, {
    onSuccess: ({ sequence }) => Effect.succeed(sequence),
    onFailure: (error) => failed(bucket, error)
  })
}

const failed = (bucket: Bucket, error: AnyPublishError): Effect.Effect<never, AnyWriteError> => {
  switch (error._tag) {
    // Nobody takes the subject: the bucket is gone, or its leader is away.
    case "NoStreamForSubject":
      return Effect.matchEffect(bucket.look, {
        onSuccess: () => Effect.fail(error),
        onFailure: (looked) => Effect.fail(looked._tag === "BucketNotFound" ? looked : error)
      })
    case "MessageRefused":
      return Effect.fail(error.errCode === ttlDisabled ? new KeyTtlDisabled({ bucket: bucket.name }) : error)
    // The key and the names have been checked, and nothing else is expected.
    case "InvalidSubject":
    case "InvalidHeader":
    case "WrongLastMessageId":
    case "WrongStream":
      return Effect.die(error)
    default:
      return Effect.fail(error)
  }
}

const longestPause = 100

/** So that those who have lost the same race do not meet again. */
export const pause = (lost: number): Effect.Effect<void> =>
  Effect.flatMap(
    Random.next,
    (chance) => Effect.sleep(Math.ceil(chance * Math.min(2 ** lost, longestPause)))
  )

type CreateError = Exclude<AnyWriteError, WrongLastSequence> | KeyAlreadyExists

/** Writes where there is no value. What is in its place then (a deletion, a marker) can change or expire meanwhile. */
export const create = (
  bucket: Bucket,
  key: string,
  shownKey: string,
  payload: string | Uint8Array,
  ttl: Duration.Input | undefined
): Effect.Effect<number, CreateError> => {
  const attempt = (expected: number, lost: number): Effect.Effect<number, CreateError> =>
    Effect.catchTag(
      write(bucket, key, payload, { expected, ttl }),
      "WrongLastSequence",
      () =>
        Effect.flatMap(readConsistent(bucket, { key }), (stored) => {
          if (stored !== undefined && stored.reason === undefined) {
            return Effect.fail(
              new KeyAlreadyExists({ bucket: bucket.name, key: shownKey, revision: stored.revision })
            )
          }
          const again = attempt(stored?.revision ?? 0, lost + 1)
          return lost === 0 ? again : Effect.andThen(pause(lost), again)
        })
    )
  return attempt(0, 0)
}

const deleteHeaders: Input = { [operationHeader]: "DEL" }
const purgeHeaders: Input = { [operationHeader]: "PURGE", [rollupHeader]: "sub" }

export const deleteKey = (bucket: Bucket, key: string, expected: number | undefined) =>
  write(bucket, key, "", { headers: deleteHeaders, expected })

export const purgeKey = (bucket: Bucket, key: string, expected: number | undefined, ttl: Duration.Input | undefined) =>
  write(bucket, key, "", { headers: purgeHeaders, expected, ttl })
