/**
 * The door from a client to its connection, for the rooms that stand on the client and need more than its operations.
 */
import { hasProperty } from "effect/Predicate"
import type { NatsClient } from "../../NatsClient.ts"
import type { Connection } from "../connection/connection.ts"

export type { Connection } from "../connection/connection.ts"
export type { DeniedListener } from "../connection/refusals.ts"

/** A function and not the connection itself, so that no inspection of a client goes into it. */
export const ConnectionKey: unique symbol = Symbol.for("effect-nats/connection")

/** A copy of a client that replaces some of its operations keeps its connection. What is no client of ours has none. */
export const connectionIn = (client: NatsClient): Connection | undefined =>
  hasProperty(client, ConnectionKey) && typeof client[ConnectionKey] === "function"
    ? client[ConnectionKey]()
    : undefined

/** Throws for what is no client of ours. */
export const connectionOf = (client: NatsClient): Connection => {
  const connection = connectionIn(client)
  if (connection !== undefined) return connection
  throw new TypeError("this NatsClient has no connection: make it with NatsClient.make or a layer, or copy such a one")
}
