/**
 * Effect's cluster and durable workflows on NATS alone.
 *
 * @since 0.2.0
 */

/** What building a cluster can fail with. */
export * as NatsClusterError from "./NatsClusterError.ts"
