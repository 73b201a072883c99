/**
 * What is published to an object store: chunks, and what is told of an object, which is changed only from what it was
 * (compare and set), so that of two writers each knows what it replaced.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { quoted } from "../../internal/protocol/shown.ts"
import type { HeadersNotSupported, InvalidHeader, InvalidPayload, InvalidSubject } from "../../NatsError.ts"
import type { PubAck, PublishOptions } from "../JetStream.ts"
import {
  type InvalidAnswer,
  type ObjectStoreAmbiguous,
  ObjectStoreNotFound,
  ObjectStoreSealed,
  type PublishOutcomeUnknown,
  UnsupportedByServer,
  type WrongLastMessageId,
  type WrongStream
} from "../JetStreamError.ts"
import type { ObjectInfo, ObjectStoreError } from "../ObjectStore.ts"
import type { Last, ObjectAccess } from "./objectAccess.ts"
import { infoSubject, recordOf } from "./objectWire.ts"
import type { AnyPublishError } from "./outcome.ts"
import { publish } from "./publish.ts"

/** Subjects and headers are made here, and a server with JetStream takes headers. */
type Impossible =
  | InvalidSubject
  | InvalidPayload
  | InvalidHeader
  | HeadersNotSupported
  | WrongLastMessageId
  | WrongStream

export type StoredError =
  | Exclude<AnyPublishError, Impossible>
  | ObjectStoreNotFound
  | ObjectStoreSealed
  | ObjectStoreAmbiguous

const sealed = 10109

const isImpossible = (error: AnyPublishError): error is Impossible => impossible.has(error._tag)
const impossible = new Set<AnyPublishError["_tag"]>([
  "InvalidSubject",
  "InvalidPayload",
  "InvalidHeader",
  "HeadersNotSupported",
  "WrongLastMessageId",
  "WrongStream"
])

/** Publishes to the store, and waits until it is there. */
export const stored = (
  access: ObjectAccess,
  subject: string,
  payload: string | Uint8Array,
  options?: PublishOptions
): Effect.Effect<PubAck, StoredError> =>
  Effect.matchEffect(publish(access.api, access.published(subject), payload, options), {
    onSuccess: (ack): Effect.Effect<PubAck, StoredError> =>
      access.isElsewhere(ack.domain) ? Effect.fail(access.ambiguous) : Effect.succeed(ack),
    onFailure: (error) => Effect.flatMap(storedError(access, error), Effect.fail)
  })

/** What a failure is for a store. */
export const storedError = (access: ObjectAccess, error: AnyPublishError): Effect.Effect<StoredError> => {
  if (isImpossible(error)) return Effect.die(error)
  if (error._tag === "MessageRefused" && error.errCode === sealed) {
    return Effect.succeed(new ObjectStoreSealed({ store: access.store }))
  }
  return error._tag === "NoStreamForSubject" ? whyNobody(access, error) : Effect.succeed(error)
}

/** The store was deleted, or it is without a leader. */
const whyNobody = <E>(access: ObjectAccess, error: E): Effect.Effect<E | ObjectStoreNotFound> =>
  Effect.match(
    access.api.call(`STREAM.INFO.${access.stream}`, undefined, {
      timeout: access.api.patienceMillis,
      errors: access.notFound
    }),
    {
      onSuccess: () => error,
      onFailure: (found) => found instanceof ObjectStoreNotFound ? found : error
    }
  )

/** What came of a change. */
export interface Changed {
  readonly former: Last
  readonly info: ObjectInfo
}

export type ChangeError = Exclude<StoredError, { readonly _tag: "WrongLastSequence" }> | ObjectStoreError

/** How often it is tried although an earlier try may have been stored. */
const unclearTries = 3

/**
 * Changes what is told of an object to what `make` makes of it. Another writer that was faster is seen, and the change is
 * made anew from there. A try whose answer did not come is made again: it is stored once, and found where it was the first
 * one. `idle` is what may be interrupted.
 */
export const tellInfo = <E>(
  access: ObjectAccess,
  name: string,
  make: (former: Last) => Effect.Effect<ObjectInfo, E>,
  options: Pick<PublishOptions, "ttl"> = {},
  idle: Effect.Effect<void> = Effect.void
): Effect.Effect<Changed, E | ChangeError> =>
  Effect.gen(function*() {
    const subject = infoSubject(access.store, name)
    const now = yield* Clock.currentTimeMillis
    let unclear:
      | { readonly error: PublishOutcomeUnknown | InvalidAnswer; readonly text: string; readonly by: Changed }
      | undefined
    for (let tries = 0;;) {
      const found = yield* Effect.result(access.last(name))
      if (found._tag === "Failure") return yield* (unclear?.error ?? found.failure)
      const former = found.success
      if (unclear !== undefined) {
        const { by, error, text } = unclear
        if (former.text === text) return { ...by, info: { ...by.info, revision: former.revision } }
        // Another one is there now: it came in place of this one, or before it, and then this one never comes.
        if (former.revision !== by.former.revision) return yield* error
      }
      const info = yield* make(former)
      const text = JSON.stringify(recordOf(info, now))
      const result = yield* Effect.result(stored(access, subject, text, {
        ...options,
        headers: rollup,
        expect: { lastSubjectSequence: former.revision }
      }))
      if (result._tag === "Success") {
        return { former, info: { ...info, revision: result.success.sequence, modifiedMillis: now } }
      }
      const error = result.failure
      if (error._tag === "PublishOutcomeUnknown" || error._tag === "InvalidAnswer") {
        if (++tries === unclearTries) return yield* error
        unclear = { error, text, by: { former, info: { ...info, modifiedMillis: now } } }
      } else if (error._tag === "WrongLastSequence") {
        if (unclear === undefined) yield* idle
      } else {
        return yield* (unclear?.error ?? error)
      }
    }
  })

/** Changes what is told of an object that lives as long as the store says. */
export const changeInfo = <E>(
  access: ObjectAccess,
  name: string,
  make: (former: Last) => Effect.Effect<ObjectInfo, E>
): Effect.Effect<Changed, E | Exclude<ChangeError, UnsupportedByServer>> =>
  Effect.catchIf(
    tellInfo(access, name, make),
    // Nothing is asked for that a server could lack.
    (error): error is Extract<E | ChangeError, UnsupportedByServer> => error instanceof UnsupportedByServer,
    Effect.die
  )

/** What was told before goes with it. */
const rollup = { "Nats-Rollup": "sub" }

/**
 * Purges chunks that belong to nothing any more. What cannot be done now, as the connection or the store's leader is away,
 * goes on in the background for as long as the client is there; what cannot be done at all is logged, since the object
 * itself is as it should be.
 */
export const tidy = (access: ObjectAccess, subject: string): Effect.Effect<void> => {
  const purge = access.purge(subject)
  const finished = (tried: typeof purge): Effect.Effect<void> =>
    Effect.catch(tried, (error) =>
      error._tag === "ObjectStoreNotFound"
        ? Effect.void
        : Effect.logWarning(
          `Chunks of no object are left in the object store ${quoted(access.store)}, purge ${quoted(subject)}`,
          error
        ))
  const later = Effect.retry(purge, { while: isTransient, schedule: Schedule.spaced("1 second") })
  return finished(
    Effect.catchIf(
      Effect.retry(access.purge(subject, access.api.patienceMillis), {
        while: isTransient,
        times: 1,
        schedule: Schedule.spaced("50 millis")
      }),
      isTransient,
      () => Effect.sync(() => access.api.connection.settings.fork(finished(later)))
    )
  )
}

const isTransient = (error: { readonly isRetryable: boolean }): boolean => error.isRetryable
