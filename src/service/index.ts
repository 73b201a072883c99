/**
 * Services: an `RpcGroup` over NATS.
 *
 * @since 0.1.0
 */

/** The protocols of `effect/rpc`: the same handlers with streams, acks and interruption, between Effect programs. */
export * as NatsRpc from "./NatsRpc.ts"
/** An `RpcGroup` as a NATS micro service. */
export * as NatsService from "./NatsService.ts"
/** Finds services: ping, info, stats. */
export * as ServiceDiscovery from "./ServiceDiscovery.ts"
/** What can be wrong with a service, and what a call of one can fail with. */
export * as ServiceError from "./ServiceError.ts"
