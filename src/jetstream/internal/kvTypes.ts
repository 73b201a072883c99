/**
 * What is done with a key-value bucket: stores, views and locks, and their options. Published by `KeyValue`.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { MessageDecodeError, MessageEncodeError } from "../../NatsError.ts"
import type { Codec } from "../../SubjectSchema.ts"
import type {
  ApiError,
  InvalidKey,
  KeyAlreadyExists,
  KeyReadError,
  KeyTtlDisabled,
  KeyWriteError,
  UnsupportedByServer,
  WatchError,
  WrongLastSequence
} from "../JetStreamError.ts"
import type { Change, Entry, WatchEvent } from "./kvEntryTypes.ts"

export const TypeId = "~effect-nats/KeyValue"

/**
 * How the tokens of keys (the parts between dots) are written in a bucket, where keys are to be texts that a bucket does not
 * take. What `encode` throws for is an `InvalidKey`; what `decode` throws for is no key of the codec. Both must be pure.
 *
 * @category models
 * @since 0.2.0
 */
export interface KeyCodec {
  readonly encode: (token: string) => string
  readonly decode: (token: string) => string
}

/**
 * @category options
 * @since 0.2.0
 */
export interface GetOptions {
  /** The value of this revision, if it is one of the key and still there. Default: the last one. */
  readonly revision?: number | undefined
  /**
   * Asks the leader of the stream, so that every write that was confirmed before is seen. Without it a replica or a mirror
   * may answer, with a value that is a moment old. It is slower, and all of it is one server's work. Default `false`.
   */
  readonly consistent?: boolean | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface WriteOptions {
  /**
   * How long the value lives, a second at least. Needs nats-server 2.11 and a bucket with `keyTtl`. A server rounds it up to
   * the bucket's `deleteMarkers`. Where the bucket keeps a history the value before it comes back. Default: for ever, or
   * the bucket's `ttl`, which is also the most.
   */
  readonly ttl?: Duration.Input | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface DeleteOptions {
  /** Only if this is the last revision of the key: else it fails with `WrongLastSequence`. */
  readonly revision?: number | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface PurgeOptions extends DeleteOptions {
  /** How long the mark of the purge itself stays, as `ttl` of a write. Default: until `purgeDeletes`. */
  readonly ttl?: Duration.Input | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface ModifyOptions extends WriteOptions {
  /** How often it tries before it fails with `WrongLastSequence`. Default 32. */
  readonly times?: number | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface WatchOptions<P extends Policy = Policy> {
  /** All that the bucket still has of each key, oldest first. Default: the last of each. */
  readonly history?: boolean | undefined
  /** Nothing of what is there: the marker comes at once. */
  readonly updatesOnly?: boolean | undefined
  /** Starts at this revision: to go on, give the last seen one plus 1. `history` and `updatesOnly` do not count then. */
  readonly from?: number | undefined
  /** Leaves deletions out. Default `false`. */
  readonly ignoreDeletes?: boolean | undefined
  /** Leaves values out: `value` is `undefined`, and nothing is decoded. Default `false`. */
  readonly headersOnly?: boolean | undefined
  /** What is done with a value that cannot be decoded. Default `"fail"`. */
  readonly onInvalid?: P | undefined
  /** Changes that the server may send ahead. Default 1,024. */
  readonly window?: number | undefined
}

/**
 * What is done with a value that cannot be decoded. `"fail"`: the stream fails, after what came before. `"skip"`: it is left
 * out, with a warning that names key and path.
 *
 * @category models
 * @since 0.2.0
 */
export type Policy = "fail" | "skip"

/**
 * What a stream fails with by its policy.
 *
 * @category models
 * @since 0.2.0
 */
export type PolicyError<P extends Policy, E> = P extends "fail" ? E : never

/**
 * What a write can fail with besides, by the options that it is given.
 *
 * @category models
 * @since 0.2.0
 */
export type OptionError<O> =
  | ("ttl" extends keyof O ? UnsupportedByServer | KeyTtlDisabled : never)
  | ("revision" extends keyof O ? WrongLastSequence : never)

/**
 * An open bucket. Its operations wait and fail as those of the client do, and fail with `BucketNotFound` when the bucket was
 * deleted. Interruption ends the wait; a write that was sent may have been done.
 *
 * @category models
 * @since 0.2.0
 */
export interface Store<out A, in I, out DecodeError, out EncodeError, out RD, out RE> {
  readonly [TypeId]: "~effect-nats/KeyValue"
  readonly bucket: string
  /** The value of a key. `None` where it has none: never written, deleted, purged or expired. */
  get(key: string, options?: GetOptions): Effect.Effect<Option.Option<Entry<A>>, KeyReadError | DecodeError, RD>
  /** Writes a value, whatever is there. Gives its revision. */
  put<const O extends WriteOptions = {}>(
    key: string,
    value: I,
    options?: O
  ): Effect.Effect<number, KeyWriteError | EncodeError | OptionError<O>, RE>
  /**
   * Writes a value where there is none: of a key that was never written, or was deleted, or has expired. Of any number that
   * do so at the same time one succeeds, and the others fail with `KeyAlreadyExists`. Gives the revision.
   */
  create<const O extends WriteOptions = {}>(
    key: string,
    value: I,
    options?: O
  ): Effect.Effect<number, KeyWriteError | ApiError | KeyAlreadyExists | EncodeError | OptionError<O>, RE>
  /**
   * Compare and swap: writes a value if `revision` is the last one of the key (also that of a deletion; 0 where it was never
   * written). Gives the new revision. Otherwise nothing is stored, and it fails with `WrongLastSequence`, whose `actual` is the
   * key's current revision and whose `subject` is what the write was published to: read the key, and decide anew, or
   * use `modify`, which does both.
   */
  update<const O extends WriteOptions = {}>(
    key: string,
    value: I,
    revision: number,
    options?: O
  ): Effect.Effect<number, KeyWriteError | WrongLastSequence | EncodeError | OptionError<O>, RE>
  /**
   * Reads, and writes what `f` makes of it (optimistic concurrency); where another has written in between, all of it again,
   * after a random time that grows. So `f` can be run several times. Gives the revision. After `times` tries (32) that all lost
   * it fails with the `WrongLastSequence` of the last one.
   */
  modify<E = never, R = never, const O extends ModifyOptions = {}>(
    key: string,
    f: (current: Option.Option<Entry<A>>) => I | Effect.Effect<I, E, R>,
    options?: O
  ): Effect.Effect<
    number,
    KeyWriteError | ApiError | WrongLastSequence | DecodeError | EncodeError | E | OptionError<O>,
    RD | RE | R
  >
  /** Deletes the value. Its history stays. Nothing fails where there is none. Gives the revision of the deletion. */
  delete<const O extends DeleteOptions = {}>(
    key: string,
    options?: O
  ): Effect.Effect<number, KeyWriteError | OptionError<O>>
  /** Deletes the value and its history. Nothing fails where there is none. Gives the revision of the deletion. */
  purge<const O extends PurgeOptions = {}>(
    key: string,
    options?: O
  ): Effect.Effect<number, KeyWriteError | OptionError<O>>
  /**
   * Removes the marks of deletions, and what is left behind them. Those younger than `olderThan` stay, so that watches which
   * were away learn of them; only what is behind them goes. Default 30 minutes. What is written meanwhile is never removed.
   * Gives the number of messages that went.
   */
  purgeDeletes(options?: { readonly olderThan?: Duration.Input | undefined }): Effect.Effect<number, WatchError>
  /**
   * The keys that have a value, each once, of those that a filter fits: `*` stands for one token, `>` at the end for one or
   * more. Several filters need nats-server 2.10. Ends when all are told.
   */
  keys(filter?: string | ReadonlyArray<string>): Stream.Stream<string, WatchError | InvalidKey>
  /** All that the bucket still has of a key, or of those that a filter fits, oldest first. Then it ends. */
  history<const P extends Policy = "fail">(
    filter: string | ReadonlyArray<string>,
    options?: { readonly onInvalid?: P | undefined }
  ): Stream.Stream<Change<A>, WatchError | InvalidKey | PolicyError<P, DecodeError>, RD>
  /**
   * What is there, then exactly one `InitialDone`, then every change as it comes, in the order of revisions. It never ends by
   * itself. It outlives reconnects, restarts and new leaders without a gap and without giving a revision twice. Fails with
   * `BucketNotFound` when the bucket is deleted.
   *
   * The marker comes also where nothing is there or everything is deleted, and never before a value that was there when the
   * watch began. Expiry is told only by buckets with `deleteMarkers`. A reader that is slow holds back no more than one
   * window. Interruption, and the scope of its run, end it at once and leave nothing behind.
   */
  watch(
    filter: string | ReadonlyArray<string> | undefined,
    options: WatchOptions<never> & { readonly headersOnly: true }
  ): Stream.Stream<WatchEvent<undefined>, WatchError | InvalidKey>
  watch<const P extends Policy = "fail">(
    filter?: string | ReadonlyArray<string>,
    options?: WatchOptions<P>
  ): Stream.Stream<WatchEvent<A>, WatchError | InvalidKey | PolicyError<P, DecodeError>, RD>
}

/**
 * Any open bucket.
 *
 * @category models
 * @since 0.2.0
 */
export type AnyStore = Store<unknown, never, unknown, unknown, unknown, unknown>

/**
 * A bucket of bytes. What is read is a view of what came over the wire: copy it (`slice`) to keep a little of much.
 *
 * @category models
 * @since 0.2.0
 */
export interface KeyValue extends Store<Uint8Array, string | Uint8Array, never, never, never, never> {}

/**
 * A bucket of values of a schema.
 *
 * @category models
 * @since 0.2.0
 */
export interface TypedKeyValue<S extends Schema.Constraint> extends
  Store<
    S["Type"],
    S["Type"],
    MessageDecodeError,
    MessageEncodeError,
    S["DecodingServices"],
    S["EncodingServices"]
  >
{}

/**
 * @category options
 * @since 0.2.0
 */
export interface OpenOptions {
  /** How texts become keys: `escapedKeys`, or one of your own. Default: keys stand as they are. */
  readonly keys?: KeyCodec | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface SchemaOptions<Encoded> extends OpenOptions {
  /** How values become bytes. Default JSON. */
  readonly codec?: Codec<Encoded> | undefined
}

/**
 * The values of a bucket in memory, as they are now: a `get` waits for nobody. When the watch behind it is over, everything
 * fails with its failure, and after its scope was closed with `ViewClosed`: what it has would be old.
 *
 * @category models
 * @since 0.2.0
 */
export interface View<out A, out E> {
  readonly bucket: string
  /** Succeeds when all that was there is in it. */
  readonly ready: Effect.Effect<void, E>
  /** The value of a key. Until the view is ready it waits for that; from then on it waits for nothing. */
  get(key: string): Effect.Effect<Option.Option<Entry<A>>, E>
  /** All values by key, as they are now. A copy. Until the view is ready it waits for that. */
  readonly entries: Effect.Effect<ReadonlyMap<string, Entry<A>>, E>
  /**
   * What changes from now on. A reader that is slow is given the last change of each key, so that it never holds more than
   * the view has keys. Never ends by itself.
   */
  readonly changes: Stream.Stream<Change<A>, E>
}

/**
 * @category options
 * @since 0.2.0
 */
export interface ViewOptions<P extends Policy = Policy> {
  /** The keys that it is of. Default: all of the bucket. */
  readonly filter?: string | ReadonlyArray<string> | undefined
  /**
   * What is done with a value that cannot be decoded. `"fail"`: the view is over. `"skip"`: it keeps the value before it, and
   * a warning is logged. Default `"fail"`.
   */
  readonly onInvalid?: P | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface LockOptions {
  /**
   * How long the lock outlives a holder that is not heard of, 2 seconds at least. It is refreshed about three times in this
   * time. Default 15 seconds. Where keys have no times of their own (before 2.11, or without `keyTtl`), it is the `ttl` of
   * the bucket whatever this says.
   */
  readonly ttl?: Duration.Input | undefined
  /** How long to wait for it; then it fails with `LockNotFree`. Default: no bound. */
  readonly wait?: Duration.Input | undefined
  /** Who holds it, for others to read: see `holder`. Default: empty. */
  readonly holder?: string | undefined
}

/**
 * A lock that is held.
 *
 * @category models
 * @since 0.2.0
 */
export interface Lock {
  readonly key: string
  /**
   * The fencing token: the revision that the lock was acquired with. That of each later holder is higher. What the lock
   * guards should refuse a token below one that it has seen.
   */
  readonly token: number
  /** How long it is held for sure if it is not refreshed any more. */
  readonly remaining: Effect.Effect<Duration.Duration>
}

/**
 * Who holds a lock.
 *
 * @category models
 * @since 0.2.0
 */
export interface Holder {
  /** As the holder calls itself. */
  readonly holder: string
  /** When it was refreshed last, by the clock of the server. */
  readonly refreshedMillis: number
}
