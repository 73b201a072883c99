/**
 * What a session tells, brought to what outlives it: the connection, the server pool and the supervisor.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { AuthMethod, ConnectError } from "../../ConnectError.ts"
import type { ServerInfo } from "../protocol/info.ts"
import type { Opening, Session, SessionOwner } from "../wire/session.ts"
import type { Connection } from "./connection.ts"
import type { PooledServer, ServerPool } from "./serverPool.ts"

/** Settled with the reason when the session it belongs to has ended by itself. */
export type Lost = Deferred.Deferred<ConnectError>

export class SessionLink implements SessionOwner {
  private session: Session | undefined
  private readonly connection: Connection
  private readonly pool: ServerPool
  private readonly server: PooledServer
  private readonly method: AuthMethod
  private readonly lost: Lost

  constructor(connection: Connection, pool: ServerPool, server: PooledServer, method: AuthMethod, lost: Lost) {
    this.connection = connection
    this.pool = pool
    this.server = server
    this.method = method
    this.lost = lost
  }

  target = (sid: number): ReturnType<SessionOwner["target"]> => this.connection.target(sid)

  opened = (session: Session): void => {
    this.session = session
    this.pool.used(this.server, session.encrypted)
    this.learn(session, session.info)
    if (this.connection.ended !== undefined) return session.close()
    this.connection.attach(session, this.method)
  }

  info = (info: ServerInfo): void => {
    this.connection.info = info
    this.learn(this.session!, info)
    if (info.ldm !== true) return
    this.pool.leaves()
    this.connection.emit({ _tag: "LameDuck", server: this.session!.server })
  }

  serverError = (text: string, opening: Opening | undefined): void =>
    this.connection.refusals.serverError(text, opening)

  closed = (reason: ConnectError): void => {
    this.connection.sessionEnded(this.session!, reason)
    // What the supervisor does next runs the user's Effect for credentials.
    queueMicrotask(() => Deferred.doneUnsafe(this.lost, Effect.succeed(reason)))
  }

  // To a WebSocket client the server tells the WebSocket addresses in this field (2.9 to 2.15; `ws_connect_urls` is for
  // servers among themselves).
  private learn({ encrypted, infoInsideTls }: Session, { connect_urls: urls }: ServerInfo): void {
    if (urls !== undefined) this.pool.learn(this.server, urls, { encrypted, insideTls: infoInsideTls })
  }
}
