/**
 * The store of effect's `RateLimiter` on a key-value bucket: one limit for all processes that share the bucket.
 *
 * Each take is one atomic step: a compare-and-set of the limit's state. Takes of one process on one key that come at the same
 * time go in one write, so a hot key costs a process one write at a time. The time is the server's: the wall clocks of the
 * processes do not matter. A process learns it from the server's answers when it connects and every five minutes, is never
 * ahead of it, and behind it by little more than an answer takes.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { RateLimiter } from "effect/persistence"
 * import { NatsClient } from "effect-nats"
 * import { JetStream } from "effect-nats/jetstream"
 * import { NatsRateLimiter } from "effect-nats/persistence"
 *
 * const Limits = RateLimiter.layer.pipe(
 *   Layer.provide(NatsRateLimiter.layerStore({ bucket: "limits", replicas: 3 })),
 *   Layer.provide(JetStream.layer()),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.RateLimiter
 *   yield* limiter.consume({ key: "api", limit: 100, window: "1 minute" })
 * }).pipe(Effect.provide(Limits))
 * ```
 *
 * Needs nats-server 2.11.
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RateLimiterError, RateLimiterStore, RateLimitStoreError } from "effect/persistence/RateLimiter"
import type * as Scope from "effect/Scope"
import { quoted, shownProblem } from "../internal/protocol/shown.ts"
import type { JetStream } from "../jetstream/JetStream.ts"
import { openCells } from "./internal/cells.ts"
import { ensureBucket, opening } from "./internal/opening.ts"
import * as Limits from "./internal/rateLimits.ts"
import type { BucketStoreError } from "./NatsPersistenceError.ts"

/**
 * The bucket in which the limits stand. It is made where there is none. Other stores of this module can share it.
 *
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** Default `"rate-limiter"`. */
  readonly bucket?: string | undefined
  /** Default 1, or what the bucket that is there has. */
  readonly replicas?: number | undefined
  /**
   * Default `"file"`, or what the bucket that is there has. A bucket with `"memory"` and one replica is gone when its server restarts:
   * operations fail then until the layer is built again.
   */
  readonly storage?: "file" | "memory" | undefined
}

/**
 * The store, for as long as the scope. Makes the bucket where there is none, and fails with `BucketExists` where there is one
 * that is configured otherwise, with `UnsupportedByServer` before nats-server 2.11, and with `UnsupportedEffect` where another
 * minor version of effect is installed. Where the client connects in the background it does not wait for the first session:
 * calls do, no longer than for the answer to a request.
 *
 * Any string is a key. What a call fails with is a `RateLimitStoreError`, whose cause is the one of JetStream; what the server
 * did not answer may have been taken, and a refused take takes nothing. Interruption ends the wait for an answer: tokens that
 * were asked for may be taken. Calls after the scope was closed are interrupted.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeStore = (
  options: Options = {}
): Effect.Effect<RateLimiterStore["Service"], BucketStoreError, JetStream | Scope.Scope> =>
  Effect.gen(function*() {
    const { bucket = "rate-limiter", replicas, storage } = options
    const { inTime } = yield* opening({
      name: `rate limiter ${bucket}`,
      needs: ["ttl"],
      open: Effect.gen(function*() {
        yield* ensureBucket(bucket, { keyTtl: true, replicas, storage })
        const { cells } = yield* openCells(bucket)
        return {
          fixed: yield* cells("fixed", Limits.FixedWindow),
          buckets: yield* cells("tokens", Limits.TokenBucket),
          adaptive: yield* cells("adaptive", Limits.Adaptive)
        }
      })
    })
    const failed = (key: string) => (cause: { readonly message: string }): RateLimiterError =>
      new RateLimiterError({
        reason: new RateLimitStoreError({
          message: `The limit ${quoted(key)} of the bucket ${quoted(bucket)} was not asked: ${
            shownProblem(cause.message)
          }`,
          cause
        })
      })
    type Opened = Effect.Success<typeof inTime>
    const asked = <A, E extends { readonly message: string }>(
      key: string,
      ask: (cells: Opened) => Effect.Effect<A, E>
    ): Effect.Effect<A, RateLimiterError> => Effect.mapError(Effect.flatMap(inTime, ask), failed(key))

    return RateLimiterStore.of({
      fixedWindow: (take) => asked(take.key, ({ fixed }) => fixed.step(take.key, Limits.takeFixed(take))),
      tokenBucket: (take) => asked(take.key, ({ buckets }) => buckets.step(take.key, Limits.takeFromBucket(take))),
      adaptiveConsume: (take) =>
        asked(take.key, ({ adaptive }) => adaptive.step(take.key, Limits.consumeAdaptive(take))),
      adaptiveFeedback: (feedback) =>
        Limits.saysWait(feedback)
          ? asked(feedback.key, ({ adaptive }) => adaptive.step(feedback.key, Limits.feedAdaptive(feedback)))
          : Effect.void
    })
  })

/**
 * `makeStore` as a layer.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerStore = (options?: Options): Layer.Layer<RateLimiterStore, BucketStoreError, JetStream> =>
  Layer.effect(RateLimiterStore, makeStore(options))
