/**
 * Effect's stores on NATS: key-value store, persistence, queues, rate limits, circuit breakers and reactivity.
 *
 * @since 0.2.0
 */

/** Effect's `KeyValueStore` in a bucket. */
export * as NatsKeyValueStore from "./NatsKeyValueStore.ts"

/** Effect's `Persistence` in a bucket, which `PersistedCache` and others stand on. */
export * as NatsPersistence from "./NatsPersistence.ts"
/** Queues: effect's `PersistedQueueStore` on a stream. */
export * as NatsPersistedQueue from "./NatsPersistedQueue.ts"

/** What building a store can fail with. */
export * as NatsPersistenceError from "./NatsPersistenceError.ts"

/** Circuit breakers of effect, shared by processes. */
export * as NatsCircuitBreaker from "./NatsCircuitBreaker.ts"

/** Rate limits of effect, shared by processes. */
export * as NatsRateLimiter from "./NatsRateLimiter.ts"

/** Reactivity of effect over processes. */
export * as NatsReactivity from "./NatsReactivity.ts"
