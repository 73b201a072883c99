/**
 * An open bucket: keys are checked and encoded, values are encoded and decoded.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import { sequenceFrom } from "../../internal/operations/ranges.ts"
import type { InvalidKey, KeyReadError } from "../JetStreamError.ts"
import type { Bucket } from "./kvBucket.ts"
import type { Stored } from "./kvEntry.ts"
import type { Entry } from "./kvEntryTypes.ts"
import { history, keysIn, purgeDeletes, watch } from "./kvEvents.ts"
import { type Keys, keysOf } from "./kvKeys.ts"
import { readConsistent, readStored } from "./kvRead.ts"
import {
  type DeleteOptions,
  type GetOptions,
  type KeyCodec,
  type ModifyOptions,
  type PurgeOptions,
  type Store,
  TypeId,
  type WatchOptions,
  type WriteOptions
} from "./kvTypes.ts"
import type { Format } from "./kvValue.ts"
import { type AnyWriteError, create, deleteKey, pause, purgeKey, write } from "./kvWrite.ts"

/** What stands behind an open bucket, for views and locks. */
export interface Opened<A, I, DE, EE, RD, RE> {
  readonly bucket: Bucket
  readonly keys: Keys
  readonly format: Format<A, I, DE, EE, RD, RE>
}

/** A function and not the bucket itself, so that no inspection of a store goes into the client. */
const OpenedKey: unique symbol = Symbol.for("effect-nats/jetstream/bucket")

/** Throws for what is no store of ours. */
export const openedOf = <A, I, DE, EE, RD, RE>(
  store: Store<A, I, DE, EE, RD, RE>
): Opened<A, I, DE, EE, RD, RE> => {
  if (hasProperty(store, OpenedKey) && typeof store[OpenedKey] === "function") {
    return store[OpenedKey]() as Opened<A, I, DE, EE, RD, RE>
  }
  throw new TypeError("this is no open bucket: open one with KeyValue.open or KeyValue.schema, or copy such a one")
}

type Filter = string | ReadonlyArray<string>

const defaultTimes = 32

/** A mistake in the program: without types, a write that compares with nothing would be one that does not compare. */
const outOfRange = (least: 0 | 1, option: string, value: number): Effect.Effect<never> | undefined => {
  try {
    sequenceFrom(least, option, value)
    return undefined
  } catch (error) {
    return Effect.die(error)
  }
}

const made = <I, E, R>(value: I | Effect.Effect<I, E, R>): Effect.Effect<I, E, R> =>
  Effect.isEffect(value) ? value as Effect.Effect<I, E, R> : Effect.succeed(value)

export const makeStore = <A, I, DE, EE, RD, RE>(
  bucket: Bucket,
  format: Format<A, I, DE, EE, RD, RE>,
  codec: KeyCodec | undefined
): Store<A, I, DE, EE, RD, RE> => {
  const keys = keysOf(codec)
  const opened: Opened<A, I, DE, EE, RD, RE> = { bucket, keys, format }

  const withKey = <B, E, R>(
    key: string,
    run: (encoded: string) => Effect.Effect<B, E, R>
  ): Effect.Effect<B, E | InvalidKey, R> => {
    const encoded = keys.encode(key)
    return typeof encoded === "string" ? run(encoded) : Effect.fail(encoded)
  }

  const withValue = <E, R>(
    encoded: string,
    value: I,
    run: (payload: string | Uint8Array) => Effect.Effect<number, E, R>
  ): Effect.Effect<number, E | EE, R | RE> =>
    Effect.flatMapEager(format.encode(`${bucket.located.readPrefix}${encoded}`, value), run)

  const entryOf = (
    key: string,
    encoded: string,
    stored: Stored | undefined
  ): Effect.Effect<Option.Option<Entry<A>>, DE, RD> => {
    if (stored === undefined || stored.reason !== undefined) return Effect.succeedNone
    // A revision can be one of another key.
    if (stored.subject !== `${bucket.located.readPrefix}${encoded}`) return Effect.succeedNone
    const { data, revision, subject, timestampMillis } = stored
    return Effect.mapEager(
      format.decode(subject, data),
      (value) => Option.some({ _tag: "Entry", key, revision, value, timestampMillis })
    )
  }

  const get = (
    key: string,
    options?: GetOptions
  ): Effect.Effect<Option.Option<Entry<A>>, KeyReadError | DE, RD> =>
    withKey(key, (encoded) => {
      const { revision } = options ?? {}
      const unfit = revision === undefined ? undefined : outOfRange(1, "revision", revision)
      if (unfit !== undefined) return unfit
      const wanted = revision === undefined ? { key: encoded } : { revision }
      const read = options?.consistent === true ? readConsistent(bucket, wanted) : readStored(bucket, wanted)
      return Effect.flatMap(read, (stored) => entryOf(key, encoded, stored))
    })

  const modify = <E, R>(
    key: string,
    f: (current: Option.Option<Entry<A>>) => I | Effect.Effect<I, E, R>,
    options?: ModifyOptions
  ) =>
    withKey(key, (encoded) => {
      const { times = defaultTimes, ttl } = options ?? {}
      const unfit = outOfRange(1, "times", times)
      if (unfit !== undefined) return unfit
      type Failure = AnyWriteError | DE | EE | E
      const attempt = (lost: number): Effect.Effect<number, Failure, RD | RE | R> => {
        // Whoever has lost to another must see what that one wrote, and a replica may not have it yet.
        const read = lost === 0 ? readStored(bucket, { key: encoded }) : readConsistent(bucket, { key: encoded })
        return Effect.flatMap(read, (stored) => {
          const expected = stored?.revision ?? 0
          return Effect.flatMap(entryOf(key, encoded, stored), (current) =>
            Effect.flatMap(made(f(current)), (value) =>
              withValue(encoded, value, (payload): Effect.Effect<number, Failure, RD | RE | R> => {
                const written = write(bucket, encoded, payload, { expected, ttl })
                return lost + 1 >= times
                  ? written
                  : Effect.catchTag(
                    written,
                    "WrongLastSequence",
                    (): Effect.Effect<number, Failure, RD | RE | R> =>
                      Effect.andThen(pause(lost), attempt(lost + 1))
                  )
              })))
        })
      }
      return Effect.suspend(() =>
        attempt(0)
      )
    })

  // The types say which failures an option brings; here they are all of them.
  return {
    [TypeId]: TypeId,
    bucket: bucket.name,
    [OpenedKey]: () => opened,
    get,
    put: (key: string, value: I, options?: WriteOptions) =>
      withKey(
        key,
        (encoded) => withValue(encoded, value, (payload) => write(bucket, encoded, payload, { ttl: options?.ttl }))
      ),
    create: (key: string, value: I, options?: WriteOptions) =>
      withKey(
        key,
        (encoded) => withValue(encoded, value, (payload) => create(bucket, encoded, key, payload, options?.ttl))
      ),
    update: (key: string, value: I, revision: number, options?: WriteOptions) =>
      withKey(
        key,
        (encoded) =>
          outOfRange(0, "revision", revision) ??
            withValue(
              encoded,
              value,
              (payload) => write(bucket, encoded, payload, { expected: revision, ttl: options?.ttl })
            )
      ),
    modify,
    delete: (key: string, options?: DeleteOptions) =>
      withKey(key, (encoded) => deleteKey(bucket, encoded, options?.revision)),
    purge: (key: string, options?: PurgeOptions) =>
      withKey(key, (encoded) => purgeKey(bucket, encoded, options?.revision, options?.ttl)),
    purgeDeletes: (options?: { readonly olderThan?: Duration.Input | undefined }) =>
      purgeDeletes(bucket, options?.olderThan),
    keys: (filter?: Filter) => keysIn(opened, filter),
    history: (filter: Filter, options?: WatchOptions) => history(opened, filter, options),
    watch: (filter?: Filter, options?: WatchOptions) => watch(opened, filter, options)
  } as unknown as Store<A, I, DE, EE, RD, RE>
}
