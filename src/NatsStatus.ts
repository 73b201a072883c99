/**
 * What a client says of its connection: its state, and the events of `NatsClient.status`.
 *
 * @since 0.1.0
 */
import type { ConnectError } from "./ConnectError.ts"
import type { PermissionsViolation } from "./NatsError.ts"

/**
 * Dialling for the first time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connecting {
  readonly _tag: "Connecting"
}

/**
 * Connected: subscriptions are live on this server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connected {
  readonly _tag: "Connected"
  /** The server's URL. */
  readonly server: string
  /** Counts the sessions of this client, from 1. */
  readonly session: number
}

/**
 * The session ended, and why. The client dials again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Disconnected {
  readonly _tag: "Disconnected"
  /** The server's URL. */
  readonly server: string
  readonly reason: ConnectError
}

/**
 * A round over all servers failed, or the sessions end as soon as they begin: the next round begins after `delayMillis`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reconnecting {
  readonly _tag: "Reconnecting"
  /** Rounds so far in this outage. 0 before the first one, which is put off only after sessions of under a second. */
  readonly attempt: number
  readonly delayMillis: number
  /** Why the round failed, or the session. */
  readonly reason: ConnectError
}

/**
 * The client is closing: no new work is taken, what was received is handled.
 *
 * @category models
 * @since 0.1.0
 */
export interface Draining {
  readonly _tag: "Draining"
}

/**
 * The client has ended. Without a `reason` it was closed on purpose.
 *
 * @category models
 * @since 0.1.0
 */
export interface Closed {
  readonly _tag: "Closed"
  readonly reason?: ConnectError | undefined
}

/**
 * The state of a client's connection.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionState = Connecting | Connected | Disconnected | Reconnecting | Draining | Closed

/**
 * The server is about to stop and asks its clients to leave; the client moves when the server closes the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface LameDuck {
  readonly _tag: "LameDuck"
  /** The server's URL. */
  readonly server: string
}

/**
 * The server refused a publish or a subscription. Publishes without `confirm` are reported only here. What is refused of
 * one subject within one turn is one event. The subject is as the server has it, printable, at most 1,024 characters;
 * `withheld: …` when it repeats a secret of this client.
 *
 * @category models
 * @since 0.1.0
 */
export interface PermissionDenied {
  readonly _tag: "PermissionDenied"
  readonly error: PermissionsViolation
}

/**
 * A subscription's buffer became full. One event for each episode, which ends when the reader has caught up.
 *
 * @category models
 * @since 0.1.0
 */
export interface Overflow {
  readonly _tag: "Overflow"
  readonly subject: string
  readonly policy: "fail" | "dropNewest" | "dropOldest"
}

/**
 * The server complained and kept the connection: an invalid subject, too many subscriptions. The same words within one
 * turn are one event.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerComplaint {
  readonly _tag: "ServerComplaint"
  /** The server's own words, printable, at most 256 characters; `withheld: …` when they repeat a secret of this client. */
  readonly text: string
}

/**
 * Publishes that were held while disconnected and could not be sent: the client ended, or the server that came takes no
 * messages of that size, or no headers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undelivered {
  readonly _tag: "Undelivered"
  readonly messages: number
}

/**
 * The elements of `NatsClient.status`: every change of state, once, and what else happens to the connection.
 *
 * @category models
 * @since 0.1.0
 */
export type StatusEvent = ConnectionState | LameDuck | PermissionDenied | Overflow | ServerComplaint | Undelivered
