/**
 * The store of effect's `CircuitBreaker` on a key-value bucket: one circuit for all processes that share the bucket.
 *
 * Each call of the store is one atomic step: a compare-and-set of the circuit's state, or a read from the leader where nothing
 * changes. Every process watches the bucket, so that a circuit that another process has opened refuses calls at once and
 * without a request, also while there is no connection. The time is the server's: see `NatsRateLimiter`.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { CircuitBreaker } from "effect/persistence"
 * import { NatsClient } from "effect-nats"
 * import { JetStream } from "effect-nats/jetstream"
 * import { NatsCircuitBreaker } from "effect-nats/persistence"
 *
 * const Breaker = CircuitBreaker.layer({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" }).pipe(
 *   Layer.provide(NatsCircuitBreaker.layerStore({ bucket: "circuits", replicas: 3 })),
 *   Layer.provide(JetStream.layer()),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.CircuitBreaker
 *   return yield* Effect.succeed("paid").pipe(breaker.execute({ key: "payments" }))
 * }).pipe(Effect.provide(Breaker))
 * ```
 *
 * A process that has the bucket open is sent each change of each circuit. With `CircuitBreaker.rate` that is every outcome of
 * every call; with `consecutive` it is failures, and the first success after one.
 *
 * Needs nats-server 2.11.
 *
 * @since 0.2.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  type Admission,
  CircuitBreakerError,
  type CircuitBreakerErrorReason,
  CircuitBreakerStore,
  CircuitBreakerStoreError,
  CircuitHalfOpen,
  CircuitOpen
} from "effect/persistence/CircuitBreaker"
import { UnhandledLogLevel } from "effect/References"
import type * as Scope from "effect/Scope"
import { quoted, shownProblem } from "../internal/protocol/shown.ts"
import { apiOf } from "../jetstream/internal/api.ts"
import { JetStream } from "../jetstream/JetStream.ts"
import { openCells, type Transition } from "./internal/cells.ts"
import * as Circuits from "./internal/circuits.ts"
import { OpenCircuits } from "./internal/openCircuits.ts"
import { ensureBucket, opening } from "./internal/opening.ts"
import { machineClock } from "./internal/serverClock.ts"
import type { BucketStoreError } from "./NatsPersistenceError.ts"

/**
 * The bucket in which the circuits stand. It is made where there is none. Other stores of this module can share it.
 *
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** Default `"circuit-breaker"`. */
  readonly bucket?: string | undefined
  /** Default 1, or what the bucket that is there has. */
  readonly replicas?: number | undefined
  /**
   * Default `"file"`, or what the bucket that is there has. A bucket with `"memory"` and one replica is gone when its server restarts:
   * calls run unrecorded then, until the layer is built again.
   */
  readonly storage?: "file" | "memory" | undefined
  /**
   * How long a probe keeps its slot after its process was heard of last. It is renewed three times in this time while the probe
   * runs. After it another call is the probe, and what came of the first one is not recorded. Default 10 seconds.
   */
  readonly probeLease?: Duration.Input | undefined
  /**
   * A circuit that nobody has used for so long is forgotten, at the latest a tenth of it later: it is closed, and has forgotten
   * its openings. Counted from the end of an open time, or of a lease. Default one hour.
   */
  readonly idleTimeToLive?: Duration.Input | undefined
}

/** A release that the server does not take in this time is left to the end of the lease. */
const releaseWithin = Duration.seconds(2)

/**
 * The store, for as long as the scope. Makes the bucket where there is none, and fails with `BucketExists` where there is one
 * that is configured otherwise, with `UnsupportedByServer` before nats-server 2.11, and with `UnsupportedEffect` where another
 * minor version of effect is installed. Where the client connects in the background it does not wait for the first session:
 * calls do, no longer than for the answer to a request.
 *
 * Any string is a key. At most one probe runs while a circuit is half open. Its slot is free again when its scope closes: at
 * once where it was interrupted or its outcome ignored, and after one lease where its process was killed. What a call fails with
 * beside `CircuitOpen` and `CircuitHalfOpen` is a `CircuitBreakerStoreError`, whose cause is the one of JetStream. An `admit`
 * that was sent waits for its answer, in the time that requests have.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeStore = (
  options: Options = {}
): Effect.Effect<CircuitBreakerStore["Service"], BucketStoreError, JetStream | Scope.Scope> =>
  Effect.gen(function*() {
    const { bucket = "circuit-breaker", replicas, storage } = options
    const times: Circuits.Times = {
      lease: millisOf(options.probeLease ?? "10 seconds"),
      idle: millisOf(options.idleTimeToLive ?? "1 hour")
    }
    const api = apiOf(yield* JetStream)
    const { inTime } = yield* opening({
      name: `circuit breaker ${bucket}`,
      needs: ["ttl"],
      open: Effect.gen(function*() {
        yield* ensureBucket(bucket, { keyTtl: true, replicas, storage })
        const circuits = yield* (yield* openCells(bucket)).cells("circuit", Circuits.Circuit)
        const open = new OpenCircuits(circuits)
        yield* open.watch(api)
        return { circuits, open }
      })
    })
    const asked = <A, E extends { readonly message: string }>(
      key: string,
      what: string,
      ask: Effect.Effect<A, E>
    ): Effect.Effect<A, CircuitBreakerError> =>
      Effect.mapError(ask, (cause) =>
        failed(
          new CircuitBreakerStoreError({
            message: `The circuit ${quoted(key)} of the bucket ${quoted(bucket)} was not ${what}: ${
              shownProblem(cause.message)
            }`,
            cause
          })
        ))
    const step = <A>(key: string, what: string, transition: Transition<Circuits.Circuit, A>) =>
      asked(key, what, Effect.flatMap(inTime, ({ circuits }) => circuits.step(key, transition)))

    /** The probes of this process whose outcome is not recorded yet. */
    const running = new Set<string>()
    const probe = (key: string, generation: number): string => `${generation} ${key}`

    // It ends once the slot is gone: no renewal wins it back.
    const renewing = (key: string, generation: number): Effect.Effect<void> =>
      Effect.sleep(times.lease / 3).pipe(
        Effect.andThen(step(key, "renewed", Circuits.renew(generation, times))),
        Effect.catch((error) => Effect.as(unhandled("The lease of a probe was not renewed", error), true)),
        Effect.repeat({ while: (isHeld) => isHeld }),
        Effect.asVoid
      )

    const ending = (key: string, generation: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (!running.delete(probe(key, generation))) return Effect.void
        const released = Effect.interruptible(step(key, "released", Circuits.release(generation, times)))
        return Effect.asVoid(Effect.exit(Effect.timeoutOption(released, releaseWithin)))
      }).pipe(Effect.provideService(Clock.Clock, machineClock))

    const admit = (key: string): Effect.Effect<Admission, CircuitBreakerError, Scope.Scope> =>
      Effect.gen(function*() {
        const admitted = yield* step(key, "asked", Circuits.admit(key, times))
        if (admitted._tag === "Open") {
          return yield* failed(new CircuitOpen({ key, retryAfter: Duration.millis(admitted.retryAfterMillis) }))
        }
        if (admitted._tag === "HalfOpen") return yield* failed(new CircuitHalfOpen({ key }))
        const { admission } = admitted
        if (!admission.probe) return admission
        running.add(probe(key, admission.generation))
        yield* Effect.addFinalizer(() => ending(key, admission.generation))
        yield* Effect.forkScoped(Effect.interruptible(renewing(key, admission.generation)))
        return admission
        // Who is admitted and not there any more would keep the slot for a lease.
      }).pipe(Effect.uninterruptible)

    return CircuitBreakerStore.of({
      admit: (key) =>
        Effect.flatMap(asked(key, "asked", inTime), ({ open }) => {
          const left = open.leftOf(key)
          return left === undefined
            ? admit(key)
            : Effect.fail(failed(new CircuitOpen({ key, retryAfter: Duration.millis(left) })))
        }),
      record: (outcome) =>
        Effect.tap(
          step(outcome.key, "told an outcome", Circuits.record(outcome, times)),
          Effect.sync(() => running.delete(probe(outcome.key, outcome.generation)))
        ),
      state: (key) => step(key, "read", Circuits.look(key))
    })
  })

/**
 * `makeStore` as a layer.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerStore = (options?: Options): Layer.Layer<CircuitBreakerStore, BucketStoreError, JetStream> =>
  Layer.effect(CircuitBreakerStore, makeStore(options))

// internal

/** More is for ever. */
const longestMillis = 2 ** 49

const millisOf = (input: Duration.Input): number =>
  Math.min(longestMillis, Math.max(1, Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(input)))))

const failed = (reason: CircuitBreakerErrorReason): CircuitBreakerError => new CircuitBreakerError({ reason })

/** What nobody waits for is told where effect tells it. */
const unhandled = (message: string, error: unknown): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const level = fiber.getRef(UnhandledLogLevel)
    return level === undefined ? Effect.void : Effect.logWithLevel(level)(message, error)
  })
