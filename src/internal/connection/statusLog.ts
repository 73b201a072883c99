/**
 * What is told of a connection to who has not asked: a line of the log for each thing that happens to it, and at Debug one
 * for each dial.
 *
 * Only the messages and tags of errors are told: their causes can be the user's own, and hold anything. A field has an end,
 * and no character that moves a cursor.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ConnectError } from "../../ConnectError.ts"
import type { SessionSettings } from "../config/settings.ts"
import { printable } from "../protocol/printable.ts"
import { formatServer } from "../protocol/serverAddress.ts"
import type { DialProgress } from "../wire/session.ts"
import { isAuthFailure, isRequested } from "./causes.ts"
import type { Connection } from "./connection.ts"

/** A time without a session. */
interface Outage {
  /** In milliseconds of a clock that nobody sets. */
  readonly since: number
  /** There was no session before. */
  readonly isFirst: boolean
  isTold: boolean
  /** The causes of failed rounds that were told, by tag. */
  readonly causes: Set<string>
}

/** Of a field. */
const longest = 512

const notYet = "Still not connected to"

type Fields = { readonly [name: string]: string | number | undefined }

export class StatusLog {
  private outage: Outage | undefined
  private isInClearTold = false
  private readonly connection: Connection
  private readonly settings: SessionSettings
  private readonly tellsEnd: boolean

  /** Without `tellsEnd` somebody else tells the end of the client. */
  constructor(connection: Connection, settings: SessionSettings, tellsEnd: boolean) {
    this.connection = connection
    this.settings = settings
    this.tellsEnd = tellsEnd
  }

  /** The first session is waited for. */
  starts(since: number): void {
    this.outage = { since, isFirst: true, isTold: false, causes: new Set() }
  }

  /** A session has ended, and the next is dialled. What the user asked for is no news. */
  lost(reason: ConnectError, since: number): Effect.Effect<void> {
    const isTold = !isRequested(reason)
    this.outage = { since, isFirst: false, isTold, causes: new Set() }
    return this.write(
      isTold
        ? Effect.logWarning(`The connection to NATS was lost: ${reason.message}`)
        : Effect.logDebug("The connection to NATS is let go of, to make another"),
      { server: serverOf(reason), cause: reason._tag }
    )
  }

  /**
   * A round has failed, and another follows. Told once, where nothing was told of this outage; and once for each cause that
   * does not pass by itself, as that of a refusal.
   */
  failed(error: ConnectError): Effect.Effect<void> {
    const { outage } = this
    if (outage === undefined) return Effect.void
    if (!outage.isTold) return this.once(error, `${outage.isFirst ? "Waiting for" : notYet} NATS: ${error.message}`)
    const all = error.attempts === undefined ? [error] : error.attempts.map((attempt) => attempt.error)
    return Effect.forEach(
      all.filter((each) => isAuthFailure(each) || !each.isRetryable),
      (each) => this.once(each, `${notYet} NATS: ${each.message}`),
      { discard: true }
    )
  }

  /** Credentials could not be had, and the last good ones are used in their place. */
  standIn(error: ConnectError): Effect.Effect<void> {
    return this.once(error, `The last good credentials are used: ${error.message}`)
  }

  private once(error: ConnectError, text: string): Effect.Effect<void> {
    const { outage } = this
    if (outage === undefined || outage.causes.has(error._tag)) return Effect.void
    outage.isTold = true
    outage.causes.add(error._tag)
    const servers = outage.isFirst ? this.settings.servers.map(formatServer).join(", ") : undefined
    return this.write(Effect.logWarning(text), { servers, server: serverOf(error), cause: error._tag })
  }

  /** There is a session. `now` is by the clock of `since`. */
  back(server: string, now: number): Effect.Effect<void> {
    const { outage } = this
    if (outage === undefined) return Effect.void
    const afterMillis = Math.round(now - outage.since)
    const text = `Connected to NATS${outage.isFirst ? "" : " again"} after ${
      Duration.format(Duration.millis(afterMillis))
    }`
    return this.write(outage.isTold ? Effect.logInfo(text) : Effect.logDebug(text), { server, afterMillis })
  }

  /** The client gives up. */
  ended(reason: ConnectError): Effect.Effect<void> {
    return this.tellsEnd
      ? this.write(Effect.logWarning(`The connection to NATS has ended for good: ${reason.message}`), {
        server: serverOf(reason),
        cause: reason._tag
      })
      : Effect.void
  }

  dialled(
    server: string,
    { stage }: DialProgress,
    took: number,
    error: ConnectError | undefined
  ): Effect.Effect<void> {
    const outcome = error === undefined ? "it is connected" : error.message
    return this.write(Effect.logDebug(`NATS was dialled: ${outcome}`), {
      server,
      stage: error === undefined ? "up" : stage,
      millis: Math.round(took),
      cause: error?._tag
    })
  }

  /** Secrets went in clear to another machine, and nobody has said that they may. */
  inClear(server: string, { address, secrets }: NonNullable<DialProgress["inClear"]>): Effect.Effect<void> {
    if (this.isInClearTold) return Effect.void
    this.isInClearTold = true
    const sent = [...secrets].join(" and ")
    return this.warn(
      `${sent[0].toUpperCase()}${sent.slice(1)} went in clear to another machine (${
        printable(server, longest)
      }), and can be read on the way there: use tls:// or wss:// and a server with TLS, or, where this is meant, write \`tls.mode\` (NATS_TLS_MODE): "prefer" or "disable".`,
      { server, address }
    )
  }

  /** The server's certificate is not checked. */
  unverified(): Effect.Effect<void> {
    return this.warn(
      "The server's certificate is not checked (`tls.dangerouslyDisableVerification`): who is in between can be the server, and read and change everything, credentials included. Give the authority that issued it as `tls.ca` or `tls.caFile` instead.",
      {}
    )
  }

  // Nothing that the user's logger does ends the supervision. A close that was asked for is no news, nor what it cuts off.
  private write(line: Effect.Effect<void>, fields: Fields): Effect.Effect<void> {
    if (!this.settings.logStatus || this.connection.draining || this.connection.ended !== undefined) return Effect.void
    return this.annotated(line, fields)
  }

  // No status: what silences it is the setting that it names.
  private warn(text: string, fields: Fields): Effect.Effect<void> {
    return this.annotated(Effect.logWarning(text), fields)
  }

  private annotated(line: Effect.Effect<void>, fields: Fields): Effect.Effect<void> {
    const { name } = this.settings
    const all = { client: name, ...fields }
    const given = Object.fromEntries(
      Object.entries(all).flatMap(([field, value]) =>
        value === undefined ? [] : [[field, typeof value === "string" ? printable(value, longest) : value]]
      )
    )
    return Effect.catchCause(Effect.annotateLogs(line, given), () => Effect.void)
  }
}

const serverOf = (error: ConnectError): string | undefined => "server" in error ? error.server : undefined
