/**
 * What the metrics read of one client.
 */
import type { Delivery } from "../delivery/delivery.ts"
import type { Counted } from "../telemetry/collector.ts"
import type { Connection } from "./connection.ts"
import type { Supervisor } from "./supervisor.ts"

export const countedOf = (connection: Connection, supervisor: Supervisor): Counted => {
  const sum = (read: (delivery: Delivery) => number): number => {
    let sum = 0
    for (const subscription of connection.subscriptions.values()) sum += read(subscription)
    return sum
  }
  return {
    get state() {
      return connection.state
    },
    get dials() {
      return supervisor.dials
    },
    get messagesIn() {
      return connection.messagesIn
    },
    get messagesOut() {
      return connection.messagesOut
    },
    get bytesIn() {
      return connection.bytesIn
    },
    get bytesOut() {
      return connection.bytesOut
    },
    get handlerFailures() {
      return connection.handlerFailures
    },
    get pendingMessages() {
      return sum(({ pending }) => pending)
    },
    get pendingBytes() {
      return sum(({ pendingBytes }) => pendingBytes)
    },
    get pendingRequests() {
      return connection.mux.size
    },
    get openSubscriptions() {
      return connection.subscriptions.size
    },
    reconnectsBy: connection.reconnectsBy,
    authFailuresBy: supervisor.authFailuresBy,
    droppedBy: (policy) =>
      connection.pastDropped[policy] +
      sum(({ dropped, settings }) => settings.overflow === policy ? dropped : 0)
  }
}
