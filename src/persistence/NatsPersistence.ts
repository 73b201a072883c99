/**
 * Effect's `Persistence` in a bucket of NATS: results that are kept across restarts and shared by processes, each for its time.
 * `PersistedCache` and whatever else stands on `Persistence` needs nothing more.
 *
 * ```ts
 * import { Duration, Effect, Layer, Schema } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { JetStream } from "effect-nats/jetstream"
 * import { NatsPersistence } from "effect-nats/persistence"
 * import { Persistable, PersistedCache } from "effect/persistence"
 *
 * class UserName extends Persistable.Class<{ payload: { id: number } }>()("UserName", {
 *   primaryKey: ({ id }) => String(id),
 *   success: Schema.String
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   const names = yield* PersistedCache.make((key: UserName) => Effect.succeed(`user ${key.id}`), {
 *     storeId: "names",
 *     timeToLive: () => Duration.minutes(5)
 *   })
 *   yield* Effect.log(yield* names.get(new UserName({ id: 1 })))
 * }).pipe(Effect.scoped)
 *
 * const Live = NatsPersistence.layer({ bucket: "cache" }).pipe(
 *   Layer.provide(JetStream.layer()),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * const main = Effect.provide(program, Live)
 * ```
 *
 * @since 0.2.0
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/persistence/Persistence"
import type * as Scope from "effect/Scope"
import { quoted, shownProblem } from "../internal/protocol/shown.ts"
import type { JetStream } from "../jetstream/JetStream.ts"
import { type BucketEntries, grace, openEntries, type Stored, type Writing } from "./internal/bucketEntries.ts"
import type { BucketOptions } from "./internal/bucketOptions.ts"
import { isHashed, tokenOf } from "./internal/textToken.ts"
import type { BucketStoreError } from "./NatsPersistenceError.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options extends BucketOptions {}

/**
 * Stores in a bucket, by their `storeId`, which is any text: stores of one bucket see nothing of each other, nor of a
 * key-value store in it, and `clear` removes the entries of its own. The bucket is made where there is none. One that is there
 * is taken if it is as `options` say, and is never changed: else it fails with `BucketExists`, as it does for one whose values
 * have an age. Fails with `UnsupportedEffect` where another minor version of effect runs than the one that this is for.
 *
 * Where the client connects in the background and has no session yet it succeeds at once. Operations wait for the first session
 * then, no longer than for the answer to a request: `RequestTimedOut`.
 *
 * Operations fail with `PersistenceError`, whose `cause` is a `JetStreamError`. They wait and fail as those of `KeyValue` do;
 * interruption ends the wait, and a write that was sent may have been done.
 *
 * - A value ends by the clock of who reads it, to the millisecond: when it ends is in it. The clocks of processes that share a
 *   store have to agree as well as that matters. The server deletes it a minute later (nats-server 2.11, where the bucket has
 *   `keyTtl`, as one has that is made here then). Else who reads a value that has been over for a minute deletes it, and what is
 *   never read again stays.
 * - Reads ask the leader of the bucket's stream, so that what was confirmed before is seen, and what was removed is not.
 * - `getMany` asks for up to 1,024 keys at once, and is given up to 256 values by each request (nats-server 2.11, a bucket with one
 *   replica); else it is a request for each key. A replica that the bucket is given while the program runs, and a mirror with
 *   `mirrorDirect`, may answer it too, with what they have.
 * - `setMany` sends one message for each entry without waiting in between. When it fails, entries before the one that failed are
 *   written, and those behind it may be.
 * - `get` fails for what another program has written there; for `getMany` it is a miss.
 * - A value is a message of JSON: what is larger than the server's `max_payload` fails at once, with the size and the limit.
 * - Processes do not share a lookup: each that misses a value at the same time makes it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeBacking: (
  options: Options
) => Effect.Effect<Persistence.BackingPersistence["Service"], BucketStoreError, JetStream | Scope.Scope> = Effect
  .fnUntraced(function*(options: Options) {
    const { inTime } = yield* openEntries(options)
    return Persistence.BackingPersistence.of({
      make: (storeId) => Effect.succeed(storeOf(inTime, options.bucket, storeId))
    })
  })

/**
 * A layer of `makeBacking`, for `Persistence.layer` or what else stands on a `BackingPersistence`.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerBacking = (
  options: Options
): Layer.Layer<Persistence.BackingPersistence, BucketStoreError, JetStream> =>
  Layer.effect(Persistence.BackingPersistence, makeBacking(options))

/**
 * `Persistence` on `layerBacking`.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options: Options): Layer.Layer<Persistence.Persistence, BucketStoreError, JetStream> =>
  Layer.provide(Persistence.layer, layerBacking(options))

// internal

type Failure = { readonly message: string }

/** A value and when it ends, in milliseconds since 1970; `null` for never. Where the key is not in the subject, the key. */
type Entry = readonly [value: object, expires: number | null, key?: string]

const valueIn = ({ text }: Stored, now: number): object | "over" | "unreadable" => {
  try {
    const [value, expires] = JSON.parse(text) as Entry
    if (typeof value !== "object" || value === null) return "unreadable"
    return typeof expires === "number" && expires <= now ? "over" : value
  } catch {
    return "unreadable"
  }
}

const graceMillis = Duration.toMillis(grace)

const storeOf = (
  ready: Effect.Effect<BucketEntries, Failure>,
  bucket: string,
  storeId: string
): Persistence.BackingPersistenceStore => {
  const root = `p.${tokenOf(storeId)}.`
  const keyOf = (key: string): string => `${root}${tokenOf(key)}`

  const failed = (doing: string, why: string, cause?: unknown) =>
    new Persistence.PersistenceError({
      message: `Could not ${doing} in the store ${quoted(storeId)} of the bucket ${quoted(bucket)}. ${why}`,
      ...(cause === undefined ? {} : { cause })
    })

  const run = <A>(
    doing: string,
    use: (entries: BucketEntries, now: () => number) => Effect.Effect<A, Failure>
  ): Effect.Effect<A, Persistence.PersistenceError> =>
    Effect.clockWith((clock) =>
      Effect.mapError(
        Effect.flatMap(ready, (entries) => use(entries, () => clock.currentTimeMillisUnsafe())),
        (cause) => failed(doing, cause.message, cause)
      )
    )

  /** Throws for what is no JSON. */
  const writingOf = (
    now: number,
    key: string,
    value: object,
    ttl: Duration.Duration | undefined
  ): Writing => {
    const token = tokenOf(key)
    const expires = ttl === undefined ? null : now + Duration.toMillis(ttl)
    const payload = JSON.stringify(isHashed(token) ? [value, expires, key] : [value, expires])
    return { key: `${root}${token}`, payload, ttl }
  }

  /** Where the server deletes nothing by itself, who reads it does when it is long over. Not what was written since. */
  const forget = (entries: BucketEntries, read: Iterable<Stored>, at: number): Effect.Effect<void> =>
    entries.hasTtl
      ? Effect.void
      : Effect.ignore(
        entries.purgeRead(Array.from(read).filter((stored) => valueIn(stored, at - graceMillis) === "over"))
      )

  return {
    get: (key) => {
      const doing = `read ${quoted(key)}`
      const read = run(doing, (entries, now) =>
        Effect.flatMap(entries.read(keyOf(key)), (stored) => {
          if (stored === undefined) return Effect.succeed("over" as const)
          const at = now()
          return Effect.as(forget(entries, [stored], at), valueIn(stored, at))
        }))
      return Effect.flatMap(read, (found) => {
        if (found === "over") return Effect.undefined
        return found === "unreadable"
          ? Effect.fail(failed(doing, "What is there was not written by this store: remove the key."))
          : Effect.succeed(found)
      })
    },
    getMany: (keys) =>
      run("read several keys", (entries, now) => {
        const names = keys.map(keyOf)
        return Effect.flatMap(entries.readMany(new Set(names)), (found) => {
          const at = now()
          const values = Arr.map(keys, (_, i): object | undefined => {
            const stored = found.get(names[i]!)
            const value = stored && valueIn(stored, at)
            return typeof value === "object" ? value : undefined
          })
          return Effect.as(forget(entries, found.values(), at), values)
        })
      }),
    set: (key, value, ttl) =>
      run(`write ${quoted(key)}`, (entries, now) =>
        Effect.flatMap(
          Effect.try({ try: () => writingOf(now(), key, value, ttl), catch: unwritable }),
          (writing) => Effect.asVoid(entries.write(writing))
        )),
    setMany: (given) =>
      run("write several keys", (entries, now) =>
        Effect.flatMap(
          Effect.try({
            try: () => given.map(([key, value, ttl]) => writingOf(now(), key, value, ttl)),
            catch: unwritable
          }),
          (writings) => entries.writeAll(writings)
        )),
    remove: (key) => run(`remove ${quoted(key)}`, (entries) => entries.purge(keyOf(key))),
    clear: run("clear all", (entries) => entries.purge(`${root}>`))
  }
}

const unwritable = (cause: unknown): Failure =>
  new Error(`It is no JSON: ${shownProblem(cause instanceof Error ? cause.message : String(cause))}`)
