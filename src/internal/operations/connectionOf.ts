/**
 * The door from a client to its connection, for the rooms that stand on the client and need more than its operations.
 */
import { hasProperty } from "effect/Predicate"
import type { NatsClient } from "../../NatsClient.ts"
import type { Connection } from "../connection/connection.ts"

/** A function and not the connection itself, so that no inspection of a client goes into it. */
export const ConnectionKey: unique symbol = Symbol.for("effect-nats/connection")

/** A copy of a client that replaces some of its operations keeps its connection. Throws for what is no client of ours. */
export const connectionOf = (client: NatsClient): Connection => {
  if (hasProperty(client, ConnectionKey) && typeof client[ConnectionKey] === "function") return client[ConnectionKey]()
  throw new TypeError("this NatsClient has no connection: make it with NatsClient.make or a layer, or copy such a one")
}
