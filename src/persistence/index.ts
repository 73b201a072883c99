/**
 * Effect's stores on NATS: key-value store, persistence, queues, rate limits, circuit breakers and reactivity.
 *
 * @since 0.2.0
 */

/** What building a store can fail with. */
export * as NatsPersistenceError from "./NatsPersistenceError.ts"
