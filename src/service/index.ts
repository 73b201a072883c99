/**
 * Services: an `RpcGroup` over NATS.
 *
 * @since 0.1.0
 */

/** AsyncAPI 3 documents of services. */
export * as AsyncApi from "./AsyncApi.ts"
/** The protocols of `effect/rpc`: the same handlers with streams, acks and interruption, between Effect programs. */
export * as NatsRpc from "./NatsRpc.ts"
/** An `RpcGroup` as a NATS micro service. */
export * as NatsService from "./NatsService.ts"
/** Finds services: ping, info, stats. */
export * as ServiceDiscovery from "./ServiceDiscovery.ts"
