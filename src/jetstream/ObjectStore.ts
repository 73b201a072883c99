/**
 * Object stores: files and other byte streams of any size in a stream, each under a name (ADR-20).
 *
 * An object is put as a `Stream` of bytes and read as one, in memory that does not grow with its size. It is there as a
 * whole or not at all: a put that fails leaves the former object of that name as it was, and what is read is checked by
 * digest and size.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ObjectStore } from "effect-nats/jetstream"
 *
 * const program = Effect.gen(function*() {
 *   const reports = yield* ObjectStore.create("reports", { storage: "file" })
 *   const { digest, size } = yield* reports.put("2026/july.csv", Stream.make("a;b\n", "1;2\n").pipe(Stream.encodeText))
 *   yield* Effect.log(size, digest)
 *   yield* reports.get("2026/july.csv").pipe(Stream.decodeText(), Stream.runForEach((text) => Effect.log(text)))
 * })
 * ```
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ConnectionLost, RequestTimedOut } from "../NatsError.ts"
import { handleOf } from "./internal/objectHandle.ts"
import { createStore, deleteStore, listStores, openStore } from "./internal/objectStores.ts"
import type {
  ListOptions,
  ObjectInfo,
  ObjectLink,
  PutOptions,
  StoreOptions,
  StoreStatus,
  UpdateOptions,
  WatchEvent,
  WatchOptions
} from "./internal/objectTypes.ts"
import { withApi, withApiStream } from "./internal/withApi.ts"
import type { JetStream } from "./JetStream.ts"
import type {
  ApiError,
  CreateStreamError,
  InvalidName,
  InvalidObjectInfo,
  InvalidObjectLink,
  InvalidObjectName,
  MessageRefused,
  NoStreamForSubject,
  NotPublished,
  ObjectChanged,
  ObjectDigestMismatch,
  ObjectExists,
  ObjectNotFound,
  ObjectNotStored,
  ObjectStoreAmbiguous,
  ObjectStoreExists,
  ObjectStoreNotFound,
  ObjectStoreSealed,
  PublishOutcomeUnknown,
  ResourcesExceeded,
  StreamExists,
  StreamFull,
  StreamRefused,
  UnsupportedByServer
} from "./JetStreamError.ts"

export type {
  InitialDone,
  ListOptions,
  ObjectInfo,
  ObjectLink,
  PutOptions,
  StoreOptions,
  StoreStatus,
  UpdateOptions,
  WatchEvent,
  WatchOptions
} from "./internal/objectTypes.ts"

/**
 * An object that is there to be read.
 *
 * @category models
 * @since 0.2.0
 */
export interface StoredObject {
  /** Of a link, that of the object that it leads to. */
  readonly info: ObjectInfo
  /** Its bytes, as `get` gives them. */
  readonly stream: Stream.Stream<Uint8Array, GetError>
}

// Failures of the operations

/**
 * What every operation on a store can fail with.
 *
 * @category unions
 * @since 0.2.0
 */
export type ObjectStoreError = ApiError | ObjectStoreNotFound

/**
 * What can fail of the creation of a store.
 *
 * @category unions
 * @since 0.2.0
 */
export type CreateStoreError = Exclude<CreateStreamError, StreamExists> | ObjectStoreExists

/**
 * What can fail of sealing a store.
 *
 * @category unions
 * @since 0.2.0
 */
export type SealError = ObjectStoreError | ResourcesExceeded | StreamRefused

/**
 * @category unions
 * @since 0.2.0
 */
export type InfoError = ObjectStoreError | InvalidObjectName | InvalidObjectInfo | ObjectNotFound

/**
 * What can fail of a put. After any of them nothing of the object is there and the former one is as it was, but after
 * `PublishOutcomeUnknown` and `InvalidAnswer`: the last step may have been done, so look at `info`.
 *
 * @category unions
 * @since 0.2.0
 */
export type PutError =
  | Exclude<ObjectStoreError, RequestTimedOut | ConnectionLost>
  | InvalidObjectName
  | ObjectNotStored
  | ObjectStoreSealed
  | ObjectStoreAmbiguous
  | StreamFull
  | MessageRefused
  | UnsupportedByServer
  | PublishOutcomeUnknown

/**
 * @category unions
 * @since 0.2.0
 */
export type GetError = InfoError | InvalidObjectLink | ObjectDigestMismatch | ObjectChanged

/**
 * What can fail of a list and of a watch.
 *
 * @category unions
 * @since 0.2.0
 */
export type WatchError = ObjectStoreError

/**
 * What can fail of a change of what is told of an object. `PublishOutcomeUnknown`: it may have been changed.
 *
 * @category unions
 * @since 0.2.0
 */
export type DeleteError =
  | Exclude<PutError, ObjectNotStored | UnsupportedByServer>
  | RequestTimedOut
  | ConnectionLost
  | NotPublished
  | NoStreamForSubject

/**
 * @category unions
 * @since 0.2.0
 */
export type UpdateError = DeleteError | InvalidObjectInfo | ObjectNotFound | ObjectExists | ObjectChanged

/**
 * @category unions
 * @since 0.2.0
 */
export type LinkError =
  | DeleteError
  | InvalidObjectInfo
  | ObjectNotFound
  | ObjectExists
  | InvalidObjectLink
  | InvalidName

// The store

/**
 * A store that is open. It has no state: a copy of it serves as many fibers as want it.
 *
 * @category models
 * @since 0.2.0
 */
export interface ObjectStore {
  readonly name: string

  /**
   * Puts an object. It is there when this succeeds, in place of the former one of that name, whose chunks are then purged:
   * who is reading it gets `ObjectChanged`.
   *
   * The bytes are taken from the stream as the server takes them: no more than 4 MiB and 64 chunks are on their way. Their
   * pieces may be of any size, and are not kept once the next one is asked for.
   *
   * A put that fails or is interrupted leaves nothing, and the former object as it was; it ends when what was on its way is
   * answered and purged. Where that cannot be, as the connection is away, it goes on in the background for as long as the
   * client is there; a program that is killed leaves chunks that no object has. An interruption during the last step waits
   * for its end.
   */
  put<E = never, R = never>(
    name: string,
    data: Stream.Stream<Uint8Array, E, R> | Uint8Array | string,
    options?: PutOptions
  ): Effect.Effect<ObjectInfo, PutError | E, R>

  /**
   * The object as it is now: what is told of it, and its bytes. Links are followed. Nothing is read before the stream is run,
   * and each run reads it anew.
   */
  open(name: string): Effect.Effect<StoredObject, GetError>

  /**
   * The bytes of an object. A slow reader holds no more than 4 MiB here. The stream survives restarts of servers and lost
   * connections, and goes on where it was.
   *
   * It ends with success only if digest and size are those of what was put; until then what was read is not checked, so do not
   * act on it before the end. Fails with `ObjectChanged` when the object is replaced or deleted meanwhile, and with
   * `ObjectDigestMismatch` when it is damaged.
   */
  get(name: string): Stream.Stream<Uint8Array, GetError>

  /** The bytes of an object as one array, checked. For objects that fit the memory. */
  getBytes(name: string): Effect.Effect<Uint8Array, GetError>

  /** An object as UTF-8 text, checked. Bytes that are no UTF-8 become U+FFFD. */
  getText(name: string): Effect.Effect<string, GetError>

  /** What is told of an object, by the stream's leader: what was put is seen. Of a link, what is told of the link. */
  info(name: string): Effect.Effect<ObjectInfo, InfoError>

  /**
   * Changes what is told of an object, and not its bytes; what is not given stays. With a `name` the object has another one
   * from then on: fails with `ObjectExists` where that one is taken.
   */
  updateMeta(name: string, options: UpdateOptions): Effect.Effect<ObjectInfo, UpdateError>

  /**
   * Makes a name lead to an object of this store or of another one of the account, or, without a `name`, to a store as a
   * whole. It leads to the name: what is put under that one later is what is read. An `ObjectInfo` will do for `to`. Fails
   * with `ObjectExists` where an object that is no link has the name, and with `InvalidObjectLink` for a link to a link.
   */
  link(name: string, to: ObjectLink): Effect.Effect<ObjectInfo, LinkError>

  /**
   * The objects that are there, in the order of their last change, each once: links, too. What cannot be read is left out
   * with a warning.
   */
  list(options?: ListOptions): Stream.Stream<ObjectInfo, WatchError>

  /**
   * What is told of each object now, then exactly one `InitialDone`, then each change as it comes. Never ends by itself:
   * restarts and lost connections are survived, without a gap; of an object that changed often meanwhile the last change may
   * be the only one that is told. A deletion comes as an info with `deleted`; expiry by `ttl` is told only where the server
   * places markers. Fails with `ObjectStoreNotFound` when the store is deleted.
   */
  watch(options?: WatchOptions): Stream.Stream<WatchEvent, WatchError>

  /**
   * Deletes an object: `true` if there was one. That it was there stays known, for watches. Of a link, the link is deleted and
   * not the object that it leads to.
   */
  delete(name: string): Effect.Effect<boolean, DeleteError>

  /** What the store is and how much is in it. */
  readonly status: Effect.Effect<StoreStatus, ObjectStoreError>

  /**
   * Nothing in the store can be changed from then on, for ever. The `ttl` of the store is over with that, and its objects stay;
   * one that was put with a `ttl` goes when that is over. Sealed again, it stays so. Open it by `open`: to `create` it is
   * another store than the one that was made.
   */
  readonly seal: Effect.Effect<void, SealError>
}

/**
 * Opens a store. Asks once whether it is there.
 *
 * @category constructors
 * @since 0.2.0
 */
export const open = (name: string): Effect.Effect<ObjectStore, ObjectStoreError | InvalidName, JetStream> =>
  withApi((api) => Effect.map(openStore(api, name), handleOf))

/**
 * Creates a store and opens it. One that is there with the same options is opened; with others it is `ObjectStoreExists`.
 * Fails with `UnsupportedByServer`, and leaves no store, where the server does not know an option.
 *
 * @category constructors
 * @since 0.2.0
 */
export const create = (
  name: string,
  options: StoreOptions = {}
): Effect.Effect<ObjectStore, CreateStoreError, JetStream> =>
  withApi((api) => Effect.map(createStore(api, name, options), handleOf))

/**
 * All stores of the account, each once, read page by page. Fails where a page does.
 *
 * @category operations
 * @since 0.2.0
 */
export const list: Stream.Stream<StoreStatus, ApiError, JetStream> = withApiStream(listStores)

export {
  /**
   * Deletes a store with everything in it. Who reads or watches it fails with `ObjectStoreNotFound`.
   *
   * @category operations
   * @since 0.2.0
   */
  remove as delete
}

const remove = (name: string): Effect.Effect<void, ObjectStoreError | InvalidName, JetStream> =>
  withApi((api) => deleteStore(api, name))
