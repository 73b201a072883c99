/**
 * Effect's `KeyValueStore` in a bucket of NATS.
 *
 * Any text is a key and any bytes are a value, and text is told apart from bytes, as in the stores of effect. Beyond them
 * `modify` compares: of any number of processes that modify one key none loses what another wrote.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { JetStream } from "effect-nats/jetstream"
 * import { NatsKeyValueStore } from "effect-nats/persistence"
 * import { KeyValueStore } from "effect/persistence"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* KeyValueStore.KeyValueStore
 *   yield* store.set("greeting", "hello")
 *   yield* store.modify("greeting", (text) => `${text}, world`)
 *   yield* Effect.log(yield* store.get("greeting"))
 * })
 *
 * const Live = NatsKeyValueStore.layer({ bucket: "state" }).pipe(
 *   Layer.provide(JetStream.layer()),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * const main = Effect.provide(program, Live)
 * ```
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import type * as Scope from "effect/Scope"
import { quoted } from "../internal/protocol/shown.ts"
import type { JetStream } from "../jetstream/JetStream.ts"
import { type BucketEntries, openEntries, type Stored, type Writing } from "./internal/bucketEntries.ts"
import type { BucketOptions } from "./internal/bucketOptions.ts"
import { decodeBytes, decodeValue, encodeValue, keyIn } from "./internal/keyedValue.ts"
import { isHashed, textOf, tokenOf } from "./internal/textToken.ts"
import type { BucketStoreError } from "./NatsPersistenceError.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options extends BucketOptions {
  /** The store in the bucket, any text: stores of one bucket see nothing of each other. Default `"default"`. */
  readonly storeId?: string | undefined
}

/**
 * A store in a bucket, which is made where there is none. One that is there is taken if it is as `options` say, and is never
 * changed: else it fails with `BucketExists`, as it does for one whose values have an age. Fails with `UnsupportedEffect` where
 * another minor version of effect runs than the one that this store is for. Needs nats-server 2.9.
 *
 * Where the client connects in the background and has no session yet it succeeds at once. Operations wait for the first session
 * then, no longer than for the answer to a request: `RequestTimedOut`.
 *
 * Operations fail with `KeyValueStoreError`, whose `cause` is a `JetStreamError`. They wait and fail as those of `KeyValue` do;
 * interruption ends the wait, and a write that was sent may have been done. Reads ask the leader of the bucket's stream, so that
 * what was confirmed before is seen.
 *
 * - `get` of bytes gives base64, and `getUint8Array` of text its UTF-8.
 * - `set` fails at once, with the size and the limit, where a message would be larger than the server's `max_payload`: text has
 *   all of it, and bytes that could be text 36 bytes less, for the header that tells them apart.
 * - `modify` and `modifyUint8Array` read, and write if nobody else has meanwhile, until they succeed: `f` can be run several
 *   times.
 * - `remove`, `clear` and `clearPrefix` leave nothing in the place of what they remove. `clear` is one request, and `clearPrefix`
 *   one for each key.
 * - `keys`, `size`, `isEmpty` and `clearPrefix` read the names of all keys of the store. What is deleted by other means, such as
 *   `KeyValue.delete`, leaves a mark, which they count as a key until it is purged (`KeyValue.purgeDeletes`).
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: (
  options: Options
) => Effect.Effect<KeyValueStore.KeyValueStore, BucketStoreError, JetStream | Scope.Scope> = Effect.fnUntraced(
  function*({ storeId = "default", ...options }: Options) {
    return storeOf((yield* openEntries(options)).inTime, options.bucket, storeId)
  }
)

/**
 * A layer of `make`.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options: Options): Layer.Layer<KeyValueStore.KeyValueStore, BucketStoreError, JetStream> =>
  Layer.effect(KeyValueStore.KeyValueStore, make(options))

// internal

type Failure = { readonly message: string }

const storeOf = (
  ready: Effect.Effect<BucketEntries, Failure>,
  bucket: string,
  storeId: string
): KeyValueStore.KeyValueStore => {
  const root = `k.${tokenOf(storeId)}.`

  const failed = (method: string, doing: string, cause: Failure, key?: string) =>
    new KeyValueStore.KeyValueStoreError({
      method,
      ...(key === undefined ? {} : { key }),
      message: `Could not ${doing} of the store ${quoted(storeId)} in the bucket ${quoted(bucket)}. ${cause.message}`,
      cause
    })

  const withAll = <A>(
    method: string,
    doing: string,
    use: (entries: BucketEntries) => Effect.Effect<A, Failure>
  ): Effect.Effect<A, KeyValueStore.KeyValueStoreError> =>
    Effect.mapError(Effect.flatMap(ready, use), (cause) => failed(method, doing, cause))

  const withKey = <A>(
    method: string,
    verb: string,
    key: string,
    use: (entries: BucketEntries, token: string) => Effect.Effect<A, Failure>
  ): Effect.Effect<A, KeyValueStore.KeyValueStoreError> =>
    Effect.mapError(
      Effect.flatMap(ready, (entries) => use(entries, tokenOf(key))),
      (cause) => failed(method, `${verb} the key ${quoted(key)}`, cause, key)
    )

  const read = <A>(method: string, key: string, decode: (stored: Stored) => A): Effect.Effect<
    A | undefined,
    KeyValueStore.KeyValueStoreError
  > =>
    Effect.map(
      withKey(method, "read", key, (entries, token) => entries.read(`${root}${token}`)),
      (stored) => stored && decode(stored)
    )

  const modify = <A extends string | Uint8Array>(
    method: string,
    key: string,
    decode: (stored: Stored) => A,
    f: (value: A) => A
  ): Effect.Effect<A | undefined, KeyValueStore.KeyValueStoreError> =>
    withKey(method, "modify", key, (entries, token) => {
      const attempt = (lost: number): Effect.Effect<A | undefined, Failure> =>
        Effect.flatMap(entries.read(`${root}${token}`), (stored) => {
          if (stored === undefined) return Effect.undefined
          const value = f(decode(stored))
          return entries.write({ ...writingOf(key, token, value), expected: stored.sequence }).pipe(
            Effect.as(value as A | undefined),
            Effect.catchTag("WrongLastSequence", () => Effect.andThen(entries.pause(lost), attempt(lost + 1)))
          )
        })
      return attempt(0)
    })

  const writingOf = (key: string, token: string, value: string | Uint8Array): Writing => ({
    key: `${root}${token}`,
    ...encodeValue(key, token, value)
  })

  /** Keys that this store has written, and their tokens. */
  const listed = (entries: BucketEntries): Effect.Effect<ReadonlyArray<Listed>, Failure> =>
    Effect.flatMap(entries.keys(root), (tokens) =>
      Effect.map(
        Effect.forEach(tokens, (token) =>
          isHashed(token)
            ? Effect.map(entries.read(`${root}${token}`), (stored) => ({ token, key: stored && keyIn(stored) }))
            : Effect.succeed({ token, key: textOf(token) }), { concurrency: 16 }),
        (found) => found.filter((each): each is Listed => each.key !== undefined)
      ))

  const keys = (method: string) =>
    withAll(method, "list the keys", (entries) => Effect.map(listed(entries), (found) => found.map(({ key }) => key)))

  const clear = withAll("clear", "remove all keys", (entries) => entries.purge(`${root}>`))

  return KeyValueStore.make({
    get: (key) => read("get", key, decodeText),
    getUint8Array: (key) => read("getUint8Array", key, decodeBytes),
    has: (key) => Effect.map(read("has", key, () => true), (found) => found === true),
    set: (key, value) =>
      withKey("set", "write", key, (entries, token) => Effect.asVoid(entries.write(writingOf(key, token, value)))),
    remove: (key) => withKey("remove", "remove", key, (entries, token) => entries.purge(`${root}${token}`)),
    clear,
    clearPrefix: (prefix) =>
      prefix === "" ?
        clear :
        withAll("clearPrefix", `remove the keys that begin with ${quoted(prefix)}`, (entries) =>
          Effect.flatMap(listed(entries), (found) =>
            entries.purgeAll(
              found.filter(({ key }) =>
                key.startsWith(prefix)
              ).map(({ token }) => `${root}${token}`)
            ))),
    keys: keys("keys"),
    size: Effect.map(keys("size"), ({ length }) => length),
    modify: (key, f) => modify("modify", key, decodeText, f),
    modifyUint8Array: (key, f) => modify("modifyUint8Array", key, decodeBytes, f)
  })
}

interface Listed {
  readonly token: string
  readonly key: string
}

const decodeText = (stored: Stored): string => {
  const value = decodeValue(stored)
  return typeof value === "string" ? value : Base64.encode(value)
}
