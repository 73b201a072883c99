/**
 * Libraries of nats.js on a client of this package. Needs `@nats-io/nats-core`.
 *
 * @since 0.2.0
 */

/** The face of a nats-core connection over a `NatsClient`. */
export * as NatsConnection from "./NatsConnection.ts"
