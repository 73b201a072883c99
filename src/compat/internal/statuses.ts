/**
 * Status events of the client as nats-core tells them.
 */
import { errors, type Status } from "@nats-io/nats-core"
import type { ConnectError } from "../../ConnectError.ts"
import type { StatusEvent } from "../../NatsStatus.ts"
import { authErrorOf, errorOf } from "./errors.ts"

/** The address of a server's URL, `host:port`, as nats-core writes it. */
export const hostOf = (server: string): string => {
  const scheme = server.indexOf("://")
  const rest = scheme < 0 ? server : server.slice(scheme + 3)
  const end = rest.search(/[/?#]/)
  return end < 0 ? rest : rest.slice(0, end)
}

const isAskedFor = (reason: ConnectError): boolean => reason._tag === "ConnectionReset" && reason.requested === true

const errorStatus = (reason: ConnectError): ReadonlyArray<Status> => {
  const error = authErrorOf(reason)
  return error === undefined ? [] : [{ type: "error", error }]
}

/** What is told of an event, in this order. `close` is told where the connection ends. */
export const statusesOf = (event: StatusEvent): ReadonlyArray<Status> => {
  switch (event._tag) {
    case "Connected":
      return event.session === 1 ? [] : [{ type: "reconnect", server: hostOf(event.server) }]
    case "Disconnected": {
      const { reason } = event
      return [
        ...errorStatus(reason),
        ...(isAskedFor(reason) ? [{ type: "forceReconnect" } as const] : []),
        ...(reason._tag === "StaleConnection" ? [{ type: "staleConnection" } as const] : []),
        { type: "disconnect", server: hostOf(event.server) },
        { type: "reconnecting" }
      ]
    }
    case "Reconnecting":
      return [...errorStatus(event.reason), { type: "reconnecting" }]
    case "LameDuck":
      return [{ type: "ldm", server: hostOf(event.server) }]
    case "PermissionDenied":
      return [{ type: "error", error: errorOf(event.error) }]
    case "ServerComplaint":
      return [{ type: "error", error: new errors.ProtocolError(event.text) }]
    case "Undelivered":
      return [{
        type: "error",
        error: new errors.ConnectionError(`${event.messages} messages that were held could not be sent`)
      }]
    // Of subscriptions of the client's own: those of this connection have no bound.
    case "Overflow":
    case "Connecting":
    case "Draining":
    case "Closed":
      return []
  }
}
