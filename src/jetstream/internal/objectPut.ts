/**
 * Puts an object: its chunks under a name of chance, then in one message what is told of it, which makes it the object of
 * its name. Until then the former one is there, and after it its chunks are purged.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { wholeNumber } from "../../internal/operations/ranges.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import { ObjectNotStored, ObjectStoreSealed } from "../JetStreamError.ts"
import type { PutError } from "../ObjectStore.ts"
import { Chunker } from "./chunks.ts"
import type { ObjectAccess } from "./objectAccess.ts"
import { tidyFormer } from "./objectInfo.ts"
import { type ChangeError, tellInfo, tidy } from "./objectPublish.ts"
import type { ObjectInfo, PutOptions } from "./objectTypes.ts"
import { chunkSubject, digestPrefix, emptyInfo, headersOf, idBytes } from "./objectWire.ts"
import { lost, openUpload, type UploadError } from "./upload.ts"

const defaultChunkSize = 128 * 1024
export const putObject = <E, R>(
  access: ObjectAccess,
  name: string,
  data: Stream.Stream<Uint8Array, E, R>,
  options: PutOptions
): Effect.Effect<ObjectInfo, PutError | E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.scopedWith((scope) =>
      Effect.gen(function*() {
        const { connection } = access.api
        const chunkSize = options.chunkSize ?? Math.min(defaultChunkSize, connection.maxPayload)
        wholeNumber("chunkSize", chunkSize)
        const { chunkTtl, toldTtl } = times(options.ttl)
        yield* restore(access.unambiguous)
        const began = monotonicMillis(connection.settings.clock)
        const id = randomToken(idBytes)
        const subject = chunkSubject(access.store, id)
        const chunker = new Chunker(chunkSize)
        const upload = yield* openUpload(access, scope, { subject: access.published(subject), ttl: chunkTtl })
        // A store that was sealed before the first of them has none, and can be purged of none.
        const leave = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
          upload.count === 0 || (upload.sequence === 0 && Cause.squash(cause) instanceof ObjectStoreSealed)
            ? Effect.void
            : tidy(access, subject)
        const sending = Effect.gen(function*() {
          yield* Stream.runForEach(data, (piece) => Effect.forEach(chunker.take(piece), upload.send, { discard: true }))
          const last = chunker.last()
          if (last !== undefined) yield* upload.send(last)
        })
        const notStored = Effect.mapError(upload.failed, (error) => putError(access, name, error))
        const sent = yield* Effect.exit(restore(Effect.raceFirst(sending, notStored)))
        // What is still on its way would come behind the purge.
        const settled = yield* Effect.exit(Effect.mapError(upload.settled, (error) => putError(access, name, error)))
        const failed = Exit.isFailure(sent) ? sent.cause : Exit.isFailure(settled) ? settled.cause : undefined
        if (failed !== undefined) {
          yield* leave(failed)
          return yield* Effect.failCause<PutError | E>(failed)
        }

        const info: ObjectInfo = {
          ...emptyInfo(access.store, name),
          ...(options.description === undefined ? {} : { description: options.description }),
          headers: headersOf(options.headers),
          metadata: options.metadata ?? {},
          id,
          size: chunker.size,
          chunks: chunker.chunks,
          chunkSize,
          digest: `${digestPrefix}${chunker.end()}`
        }
        const ttl = toldTtl(monotonicMillis(connection.settings.clock) - began)
        const told = yield* Effect.exit(
          tellInfo(access, name, () => Effect.succeed(info), { ttl }, restore(Effect.yieldNow))
        )
        if (Exit.isFailure(told)) {
          if (!mayBeTold(told)) yield* leave(told.cause)
          return yield* Effect.failCause(Cause.map(told.cause, (error) => notTold(access, name, error)))
        }
        yield* tidyFormer(access, told.value)
        return told.value.info
      })
    )
  )

/** A failure of a chunk. It is known what came of the object: nothing. */
const putError = (access: ObjectAccess, name: string, error: UploadError | ChangeError): PutError => {
  const { store } = access
  if (error === lost) return new ObjectNotStored({ store, name, reason: lost })
  switch (error._tag) {
    case "RequestTimedOut":
    case "ConnectionLost":
      return new ObjectNotStored({ store, name, reason: error })
    case "NotPublished":
      return new ObjectNotStored({ store, name, reason: error.reason })
    case "NoStreamForSubject":
      return new ObjectNotStored({ store, name, reason: error })
    case "PublishOutcomeUnknown": {
      const { reason } = error
      return reason._tag === "RequestTimedOut" || reason._tag === "ConnectionLost"
        ? new ObjectNotStored({ store, name, reason })
        : reason
    }
    case "WrongLastSequence":
      throw new Error("a chunk expects nothing", { cause: error })
    default:
      return error
  }
}

/** A failure of the last step. */
const notTold = (access: ObjectAccess, name: string, error: ChangeError): PutError =>
  error._tag === "PublishOutcomeUnknown" ? error : putError(access, name, error)

/** Whether it may be the object now, although the put fails. */
const mayBeTold = ({ cause }: Exit.Failure<unknown, ChangeError>): boolean => {
  const error = Cause.findErrorOption(cause)
  return error._tag === "Some" && (error.value._tag === "PublishOutcomeUnknown" || error.value._tag === "InvalidAnswer")
}

/**
 * How long chunks live, and what is told of them: a second longer, and counted from the beginning of the put, so that no
 * object is told of that has expired in part.
 */
const times = (ttl: Duration.Input | undefined): {
  readonly chunkTtl: Duration.Duration | undefined
  readonly toldTtl: (elapsedMillis: number) => Duration.Duration | undefined
} => {
  if (ttl === undefined) return { chunkTtl: undefined, toldTtl: () => undefined }
  const millis = Duration.toMillis(Duration.fromInputUnsafe(ttl))
  if (!(millis >= 1000 && millis < Infinity)) throw new RangeError("`ttl` must be a second or more, and have an end")
  return {
    chunkTtl: Duration.millis(millis + 1000),
    toldTtl: (elapsedMillis) => Duration.millis(Math.max(1000, millis - elapsedMillis))
  }
}
