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
import { type BucketEntries, openEntries } from "./internal/bucketEntries.ts"
import type { BucketOptions } from "./internal/bucketOptions.ts"
import { decodeBytes, decodeValue, encodeValue, keyIn } from "./internal/keyedValue.ts"
import { isHashed, textOf, tokenOf } from "./internal/keyToken.ts"
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
 * changed: else it fails with `BucketExists`. Fails with `UnsupportedEffect` where another minor version of effect runs than
 * the one that this store is for. Needs nats-server 2.9.
 *
 * Where the client connects in the background and has no session yet it succeeds at once, and operations wait.
 *
 * Operations fail with `KeyValueStoreError`, whose `cause` is a `JetStreamError`. They wait and fail as those of `KeyValue` do;
 * interruption ends the wait, and a write that was sent may have been done. Reads ask the leader of the bucket's stream, so that
 * what was confirmed before is seen.
 *
 * - `get` of bytes gives base64, `getUint8Array` of text its UTF-8.
 * - `set` fails at once with the size and the limit for what is larger than the server's `max_payload`, in which bytes that
 *   could be text need 31 bytes for a header.
 * - `modify` and `modifyUint8Array` read, and write if nobody else has meanwhile, until they succeed. So `f` can be run several
 *   times.
 * - `size`, `isEmpty`, `keys` and `clearPrefix` read the names of all keys. `clear` and `clearPrefix` leave nothing in their
 *   place.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: (
  options: Options
) => Effect.Effect<KeyValueStore.KeyValueStore, BucketStoreError, JetStream | Scope.Scope> = Effect.fnUntraced(
  function*({ storeId = "default", ...options }: Options) {
    const root = `k.${tokenOf(storeId)}.`
    const ready = yield* openEntries(options)

    const run = <A, E extends { readonly message: string }>(
      method: string,
      doing: string,
      key: string | undefined,
      use: (entries: BucketEntries, token: string) => Effect.Effect<A, E>
    ): Effect.Effect<A, KeyValueStore.KeyValueStoreError> =>
      Effect.mapError(
        Effect.flatMap(ready, (entries) => use(entries, `${root}${key === undefined ? "" : tokenOf(key)}`)),
        (cause) => {
          const what = key === undefined ? "" : ` ${quoted(key)}`
          return new KeyValueStore.KeyValueStoreError({
            method,
            ...(key === undefined ? {} : { key }),
            message: `Could not ${doing}${what} in the bucket ${quoted(options.bucket)}. ${cause.message}`,
            cause
          })
        }
      )

    const modify = <A extends string | Uint8Array>(
      method: string,
      decode: (stored: Parameters<typeof decodeValue>[0]) => A,
      key: string,
      f: (value: A) => A
    ): Effect.Effect<A | undefined, KeyValueStore.KeyValueStoreError> =>
      run(method, "modify", key, (entries, at) => {
        const attempt = (lost: number): Effect.Effect<A | undefined, ModifyError> =>
          Effect.flatMap(entries.read(at), (stored) => {
            if (stored === undefined) return Effect.undefined
            const value = f(decode(stored))
            const written = entries.write({
              key: at,
              ...encodeValue(key, tokenOf(key), value),
              expected: stored.sequence
            })
            return Effect.as(written, value as A | undefined).pipe(
              Effect.catchTag(
                "WrongLastSequence",
                () => Effect.andThen(entries.pause(lost), attempt(lost + 1))
              )
            )
          })
        return attempt(0)
      })

    /** Those that this store has written, with what they stand under. */
    const listed = (entries: BucketEntries) =>
      Effect.flatMap(entries.keys(root), (tokens) =>
        Effect.map(
          Effect.forEach(tokens, (token) =>
            isHashed(token)
              ? Effect.map(entries.read(`${root}${token}`), (stored) => ({ token, key: stored && keyIn(stored) }))
              : Effect.succeed({ token, key: textOf(token) }), { concurrency: 16 }),
          (found) => found.filter((entry): entry is { token: string; key: string } => entry.key !== undefined)
        ))

    const keys = run(
      "keys",
      "list the keys",
      undefined,
      (entries) => Effect.map(listed(entries), (found) => found.map(({ key }) => key))
    )

    const clear = run("clear", "clear the store", undefined, (entries, at) => entries.purge(`${at}>`))

    return KeyValueStore.make({
      get: (key) =>
        Effect.map(
          run("get", "read", key, (entries, at) => entries.read(at)),
          (stored) => stored && textOfValue(decodeValue(stored))
        ),
      getUint8Array: (key) =>
        Effect.map(
          run("getUint8Array", "read", key, (entries, at) => entries.read(at)),
          (stored) => stored && decodeBytes(stored)
        ),
      set: (key, value) =>
        run(
          "set",
          "write",
          key,
          (entries, at) => Effect.asVoid(entries.write({ key: at, ...encodeValue(key, tokenOf(key), value) }))
        ),
      remove: (key) => run("remove", "remove", key, (entries, at) => entries.purge(at)),
      clear,
      clearPrefix: (prefix) =>
        prefix === "" ?
          clear :
          run("clearPrefix", "clear the prefix", prefix, (entries) =>
            Effect.flatMap(listed(entries), (found) =>
              entries.purgeAll(
                found.flatMap(({ key, token }) =>
                  key.startsWith(prefix) ? [`${root}${token}`] : []
                )
              ))),
      keys,
      size: Effect.map(keys, ({ length }) => length),
      has: (key) =>
        Effect.map(run("has", "read", key, (entries, at) => entries.read(at)), (stored) => stored !== undefined),
      modify: (key, f) => modify("modify", (stored) => textOfValue(decodeValue(stored)), key, f),
      modifyUint8Array: (key, f) => modify("modifyUint8Array", decodeBytes, key, f)
    })
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

type ModifyError = Effect.Error<ReturnType<BucketEntries["read"]>> | Effect.Error<ReturnType<BucketEntries["write"]>>

const textOfValue = (value: string | Uint8Array): string => typeof value === "string" ? value : Base64.encode(value)
