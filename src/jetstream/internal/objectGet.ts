/** Reads an object: its chunks in their order, counted and digested on their way. */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { sha256 } from "../../internal/identity/digest.ts"
import { ConnectionClosed } from "../../NatsError.ts"
import { InvalidObjectLink, ObjectChanged, ObjectDigestMismatch } from "../JetStreamError.ts"
import type { GetError, StoredObject } from "../ObjectStore.ts"
import { ObjectAccess } from "./objectAccess.ts"
import { presentInfo } from "./objectInfo.ts"
import { heartbeatMillis, inactiveMillis, storeError } from "./objectReading.ts"
import type { ObjectInfo } from "./objectTypes.ts"
import { chunkSubject, digestPrefix, invalidStore } from "./objectWire.ts"
import { openOrdered, type Ordered } from "./ordered.ts"

/** What has come and was not taken: so much waits here for a slow reader. */
const window = 256
const windowBytes = 4 * 1024 * 1024

/** Another client can make more links in a row. */
const mostLinks = 16

/** The object of a name, behind its links. */
export const openObject = (access: ObjectAccess, name: string): Effect.Effect<StoredObject, GetError> =>
  Effect.gen(function*() {
    const { store } = access
    const unfit = (problem: string) => new InvalidObjectLink({ store, name, problem })
    let [at, info] = [access, yield* presentInfo(access, name)]
    for (let links = 0; info.link !== undefined; links++) {
      const { link } = info
      if (link.name === undefined) return yield* unfit(`it leads to the store ${JSON.stringify(link.store)} as a whole`)
      if (invalidStore(link.store) !== undefined) return yield* unfit("it leads to a store that cannot be")
      if (links === mostLinks) return yield* unfit(`it leads to more than ${mostLinks} others`)
      if (link.store !== at.store) at = new ObjectAccess(access.api, link.store, "plain")
      info = yield* presentInfo(at, link.name)
    }
    return { info, stream: bytesOf(at, info) }
  })

/** The bytes of an object that is no link. */
const bytesOf = (access: ObjectAccess, info: ObjectInfo): Stream.Stream<Uint8Array, GetError> =>
  Stream.unwrap(
    Effect.map(
      info.size === 0 ? Effect.succeed(undefined) : openChunks(access, info),
      (chunks) => Stream.fromPull(Effect.sync(() => new Reading(access, info, chunks).pull))
    )
  )

const openChunks = (access: ObjectAccess, info: ObjectInfo): Effect.Effect<Ordered, GetError, Scope.Scope> =>
  Effect.catch(
    openOrdered(access.api, {
      stream: access.stream,
      filters: [chunkSubject(access.store, info.id)],
      from: "all",
      window,
      windowBytes,
      heartbeatMillis,
      inactiveMillis
    }),
    (error) => storeError(access, error)
  )

/** One run of the stream. */
class Reading {
  private read = 0
  private readonly digest = sha256()
  private readonly access: ObjectAccess
  private readonly info: ObjectInfo
  private readonly chunks: Ordered | undefined

  constructor(access: ObjectAccess, info: ObjectInfo, chunks: Ordered | undefined) {
    this.access = access
    this.info = info
    this.chunks = chunks
  }

  readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>, GetError> = Effect.suspend(() => {
    if (this.chunks === undefined || this.read >= this.info.size) return this.end()
    return Effect.matchEffect(this.chunks.nextOrInitial, {
      // All that was there has been given, and no more come.
      onSuccess: (batch) => batch === undefined ? this.tooFew() : Exit.succeed(this.take(batch)),
      onFailure: (error) => Cause.isDone(error) ? this.cut() : storeError(this.access, error)
    })
  })

  private take(batch: Arr.NonEmptyReadonlyArray<{ readonly data: Uint8Array }>): Arr.NonEmptyReadonlyArray<Uint8Array> {
    return batch.map(({ data }) => {
      this.digest.update(data)
      this.read += data.length
      return data
    }) as [Uint8Array, ...Array<Uint8Array>]
  }

  private end(): Effect.Effect<never, GetError | Cause.Done> {
    const { digest: expected, size } = this.info
    const actual = `${digestPrefix}${this.digest.end()}`
    return this.read === size && (expected === undefined || sameDigest(expected, actual))
      ? Exit.fail(Cause.Done())
      : Exit.fail(this.mismatch(actual))
  }

  private mismatch(actual: string): ObjectDigestMismatch {
    const { digest = "", name, size, store } = this.info
    return new ObjectDigestMismatch({ store, name, size, read: this.read, expected: digest, actual })
  }

  /** The client is drained. A part of an object is no object. */
  private cut(): Effect.Effect<never, ConnectionClosed> {
    return Effect.fail(this.access.api.connection.ended ?? new ConnectionClosed({}))
  }

  /** Chunks are missing: they were purged, as the object was replaced, or lost. */
  private tooFew(): Effect.Effect<never, GetError> {
    const { access, info } = this
    return Effect.flatMap(
      access.last(info.name),
      ({ info: now }): Effect.Effect<never, GetError> =>
        now === undefined || now.deleted || now.id !== info.id
          ? Effect.fail(new ObjectChanged({ store: info.store, name: info.name }))
          : Effect.fail(this.mismatch(`${digestPrefix}${this.digest.end()}`))
    )
  }
}

/** Padded or not, in either alphabet of base64: other clients have written each of them. */
const sameDigest = (expected: string, actual: string): boolean =>
  expected === actual ||
  (expected.startsWith(digestPrefix) &&
    Buffer.from(expected.slice(digestPrefix.length), "base64").equals(
      Buffer.from(actual.slice(digestPrefix.length), "base64url")
    ))
