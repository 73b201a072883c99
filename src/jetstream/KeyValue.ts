/**
 * Key-value buckets over JetStream (ADR-8): the last value of each key, its history, and every change as it comes.
 *
 * A bucket is a stream, and a key is a subject of it. Each write has a revision, its sequence in that stream, which only
 * grows; `create` and `update` compare it, so that no write of another is lost. Values are bytes (`open`) or those of a schema
 * (`schema`).
 *
 * It is for state that many read and somebody changes: configuration, flags, sessions, locks. It is no place for large
 * values (see `ObjectStore`) nor for a queue of work (see `JetStreamConsumer`).
 *
 * ```ts
 * import { Effect, Option, Schema } from "effect"
 * import { KeyValue } from "effect-nats/jetstream"
 *
 * const Limits = Schema.Struct({ perMinute: Schema.Number })
 *
 * const program = Effect.gen(function*() {
 *   yield* KeyValue.provision("limits", { history: 5 })
 *   const limits = yield* KeyValue.schema("limits", Limits)
 *   yield* limits.put("free", { perMinute: 10 })
 *   yield* limits.modify("free", (current) => ({ perMinute: Option.isSome(current) ? current.value.value.perMinute * 2 : 10 }))
 *   const free = yield* limits.get("free")
 *   if (Option.isSome(free)) yield* Effect.log(free.value.value.perMinute, free.value.revision)
 * })
 * ```
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { apiOf } from "./internal/api.ts"
import { type Bucket, openBucket } from "./internal/kvBucket.ts"
import type { BucketConfig, BucketStatus } from "./internal/kvBucketTypes.ts"
import * as Config from "./internal/kvConfig.ts"
import type { WatchEvent } from "./internal/kvEntryTypes.ts"
import { decodeEvents, filtersOf } from "./internal/kvEvents.ts"
import { decodeEscaped, encodeEscaped } from "./internal/kvKeys.ts"
import * as Locks from "./internal/kvLock.ts"
import { makeStore, openedOf } from "./internal/kvStore.ts"
import {
  type AnyStore,
  type Holder,
  type KeyCodec,
  type KeyValue,
  type Lock,
  type LockOptions,
  type OpenOptions,
  type Policy,
  type PolicyError,
  type SchemaOptions,
  type Store,
  type TypedKeyValue,
  TypeId as KeyValueTypeId,
  type View,
  type ViewOptions
} from "./internal/kvTypes.ts"
import { rawFormat, schemaFormat } from "./internal/kvValue.ts"
import { makeView } from "./internal/kvView.ts"
import { watchStored } from "./internal/kvWatch.ts"
import { withApi, withApiStream } from "./internal/withApi.ts"
import { JetStream } from "./JetStream.ts"
import type {
  ApiError,
  BucketNotFound,
  CreateBucketError,
  InvalidKey,
  InvalidName,
  KeyReadError,
  LockError,
  LockLost,
  LockNotFree,
  ProvisionBucketError,
  ViewClosed,
  WatchError
} from "./JetStreamError.ts"

/**
 * @category type IDs
 * @since 0.2.0
 */
export const TypeId: "~effect-nats/KeyValue" = KeyValueTypeId

export type { BucketConfig, BucketOrigin, BucketStatus } from "./internal/kvBucketTypes.ts"

export type { Change, Deletion, Entry, InitialDone, WatchEvent } from "./internal/kvEntryTypes.ts"

export type {
  AnyStore,
  DeleteOptions,
  GetOptions,
  Holder,
  KeyCodec,
  KeyValue,
  Lock,
  LockOptions,
  ModifyOptions,
  OpenOptions,
  OptionError,
  Policy,
  PolicyError,
  PurgeOptions,
  SchemaOptions,
  Store,
  TypedKeyValue,
  View,
  ViewOptions,
  WatchOptions,
  WriteOptions
} from "./internal/kvTypes.ts"

/**
 * Any text as a key: `=` and two hexadecimal digits for each byte of what no bucket takes, and `=` alone for an empty token.
 * Ordinary keys stay as they are, and filters work on the rest.
 *
 * @category key codecs
 * @since 0.2.0
 */
export const escapedKeys: KeyCodec = { encode: encodeEscaped, decode: decodeEscaped }

/**
 * Opens a bucket of bytes. Asks once whether it is there.
 *
 * @category constructors
 * @since 0.2.0
 */
export const open = (
  bucket: string,
  options?: OpenOptions
): Effect.Effect<KeyValue, ApiError | BucketNotFound | InvalidName, JetStream> =>
  Effect.map(opened(bucket), (found) => makeStore(found, rawFormat, options?.keys))

/**
 * Opens a bucket whose values are those of a schema. Asks once whether it is there. What is in it and does not fit the schema
 * is a `MessageDecodeError` where it is read.
 *
 * @category constructors
 * @since 0.2.0
 */
export const schema = <S extends Schema.Constraint>(
  bucket: string,
  schema: S,
  options?: SchemaOptions<S["Encoded"]>
): Effect.Effect<TypedKeyValue<S>, ApiError | BucketNotFound | InvalidName, JetStream> =>
  Effect.map(opened(bucket), (found) => makeStore(found, schemaFormat(schema, options?.codec), options?.keys))

/**
 * Makes a bucket and opens it. Where there is one it is opened if it is configured so, and else it fails with `BucketExists`.
 *
 * @category buckets
 * @since 0.2.0
 */
export const create = (
  bucket: string,
  config: BucketConfig = {},
  options?: OpenOptions
): Effect.Effect<KeyValue, CreateBucketError, JetStream> =>
  withApi((api) =>
    Effect.map(Config.createBucket(api, bucket, config), (made) => makeStore(made, rawFormat, options?.keys))
  )

/**
 * Makes a bucket, or brings the one that is there to what `config` says, and opens it. What `config` does not name stays as it
 * is. Done twice it changes nothing. Without `apply: "lossy"` it changes only what loses nothing and can be taken back, and
 * fails with `ProvisionRefused` where more is needed: as `JetStreamStream.provision`.
 *
 * @category buckets
 * @since 0.2.0
 */
export const provision = (
  bucket: string,
  config: BucketConfig = {},
  options?: OpenOptions & { readonly apply?: "safe" | "lossy" | undefined }
): Effect.Effect<KeyValue, ProvisionBucketError, JetStream> =>
  withApi((api) =>
    Effect.map(
      Config.provisionBucket(api, bucket, config, options?.apply),
      (made) => makeStore(made, rawFormat, options?.keys)
    )
  )

/**
 * How a bucket is configured, and how much is in it.
 *
 * @category buckets
 * @since 0.2.0
 */
export const status = (
  bucket: string
): Effect.Effect<BucketStatus, ApiError | BucketNotFound | InvalidName, JetStream> =>
  withApi((api) => Config.status(api, bucket))

/**
 * All buckets of the account, each once.
 *
 * @category buckets
 * @since 0.2.0
 */
export const buckets: Stream.Stream<BucketStatus, ApiError, JetStream> = withApiStream(Config.buckets)

/**
 * Deletes a bucket with all that is in it. Watches, views and locks on it fail with `BucketNotFound`.
 *
 * @category buckets
 * @since 0.2.0
 */
export const deleteBucket = (
  bucket: string
): Effect.Effect<void, ApiError | BucketNotFound | InvalidName, JetStream> =>
  withApi((api) => Config.deleteBucket(api, bucket))

// Views

/**
 * Keeps the values of a bucket in memory for as long as the scope. It begins at once and is complete when `ready` succeeds.
 *
 * ```ts
 * import { Effect, Option, Schema } from "effect"
 * import { KeyValue } from "effect-nats/jetstream"
 *
 * const program = Effect.gen(function*() {
 *   const flags = yield* KeyValue.view(yield* KeyValue.schema("flags", Schema.Boolean), { onInvalid: "skip" })
 *   yield* flags.ready
 *   const isOn = Option.exists(yield* flags.get("dark-mode"), ({ value }) => value)
 *   yield* Effect.log(isOn)
 * })
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const view = <A, DE, RD, const P extends Policy = "fail">(
  store: Store<A, never, DE, unknown, RD, unknown>,
  options?: ViewOptions<P>
): Effect.Effect<
  View<A, WatchError | PolicyError<P, DE> | ViewClosed>,
  InvalidKey,
  Scope.Scope | RD
> =>
  Effect.suspend(() => {
    const opened = openedOf(store)
    const filters = filtersOf(opened, options?.filter)
    if (!Array.isArray(filters)) return Effect.fail(filters as InvalidKey)
    const events = decodeEvents(watchStored(opened.bucket, filters, { from: "lastPerSubject" }), opened, options ?? {})
    return makeView(store.bucket, events as Stream.Stream<WatchEvent<A>, WatchError | PolicyError<P, DE>, RD>)
  })

// Locks

/**
 * Waits for a lock, does the work while it holds it, and lets go. Gives what the work gives.
 *
 * The lock is a key: who creates it holds it, refreshes it, and deletes it in the end. It counts as lost at the last confirmed
 * refresh plus `ttl` less one second, by the monotonic clock and counted from before the refresh was sent; the work and its
 * scope are then interrupted, and it fails with `LockLost`. So it ends before the server can give the lock to another, as long
 * as the work can be interrupted within that second and the clocks of the servers agree to it. A process that was stopped
 * (a pause of the machine) learns of it late: give `token` to what is guarded, and let it refuse older ones.
 *
 * Outages are waited through, before it is held and, within the time, while it is. Who waits is woken by a watch.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KeyValue } from "effect-nats/jetstream"
 *
 * const program = Effect.gen(function*() {
 *   const locks = yield* KeyValue.open("locks")
 *   yield* KeyValue.lock(locks, "nightly-report", { wait: "1 minute" }, ({ token }) => Effect.log(`alone, with token ${token}`))
 * })
 * ```
 *
 * @category locks
 * @since 0.2.0
 */
export const lock = <A, E, R>(
  store: AnyStore,
  key: string,
  options: LockOptions,
  use: (lock: Lock) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | LockError | LockNotFree | LockLost, Exclude<R, Scope.Scope>> =>
  withLockKey(store, key, (bucket, encoded) => Locks.lock(bucket, encoded, key, options, use))

/**
 * Takes part in an election: of all that do with this key one leads at a time. It waits until it is elected and runs `lead`;
 * when the leadership is lost `lead` is interrupted and it waits again. Ends as `lead` ends, and lets another lead then. See
 * `lock` for what holds.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KeyValue } from "effect-nats/jetstream"
 *
 * const program = Effect.gen(function*() {
 *   const locks = yield* KeyValue.open("locks")
 *   yield* KeyValue.leader(locks, "scheduler", { holder: "node-1" }, ({ token }) =>
 *     Effect.andThen(Effect.log(`leading, term ${token}`), Effect.never))
 * })
 * ```
 *
 * @category locks
 * @since 0.2.0
 */
export const leader = <A, E, R>(
  store: AnyStore,
  key: string,
  options: LockOptions,
  lead: (term: Lock) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | LockError | LockNotFree, Exclude<R, Scope.Scope>> =>
  withLockKey(store, key, (bucket, encoded) => Locks.lead(bucket, encoded, key, options, lead))

/**
 * Who holds a lock or leads, `None` where nobody does.
 *
 * @category locks
 * @since 0.2.0
 */
export const holder = (store: AnyStore, key: string): Effect.Effect<Option.Option<Holder>, KeyReadError> =>
  withLockKey(store, key, Locks.holder)

// internal

const opened = (bucket: string) => Effect.flatMap(JetStream, (js) => openBucket(apiOf(js), bucket))

const withLockKey = <A, E, R>(
  store: AnyStore,
  key: string,
  run: (bucket: Bucket, encoded: string) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | InvalidKey, R> =>
  Effect.suspend((): Effect.Effect<A, E | InvalidKey, R> => {
    const { bucket, keys } = openedOf(store)
    const encoded = keys.encode(key)
    return typeof encoded === "string" ? run(bucket, encoded) : Effect.fail(encoded)
  })
