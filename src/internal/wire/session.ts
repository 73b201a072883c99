/**
 * One connection to one server. A session never reconnects: when it ends, it has ended, and the supervisor dials another.
 */
import type { Attempt, ConnectError, ConnectStage } from "../../ConnectError.ts"
import type { SessionSettings } from "../config/settings.ts"
import type { ServerInfo } from "../protocol/info.ts"
import type { ServerAddress } from "../protocol/serverAddress.ts"
import type { MessageTarget } from "../protocol/target.ts"
import type { Writer } from "../protocol/writer.ts"
import type { Credentials } from "./credentials.ts"
import type { SecretFilter } from "./secretFilter.ts"
import type { TlsMaterial } from "./tlsMaterial.ts"

/**
 * What a session tells its owner. All are called synchronously from the read loop: they must be quick, must not throw
 * and must not run user code.
 */
export interface SessionOwner {
  /** The subscription that a message is for. */
  target(sid: number): MessageTarget | undefined
  /** The handshake is done. Called once, before `dial` succeeds, even if the dialling fiber is interrupted just then. */
  opened(session: Session): void
  /** INFO while connected: the cluster changed, or the server is about to stop (`ldm`). */
  info(info: ServerInfo): void
  /**
   * An `-ERR` that leaves the connection open, as it came: a permissions violation, an invalid subject, too many subscriptions. The
   * server answers in order, so that what it says of a SUB is about `opening`: the one whose PONG is the next.
   */
  serverError(text: string, opening: Opening | undefined): void
  /** The session ended by itself, and why. Called at most once, after `opened`, and never after `close`. */
  closed(reason: ConnectError): void
}

/** A subscription whose SUB is on its way. */
export interface Opening {
  readonly sid: number
  /** The server has handled the SUB. Never called when the session ended first. */
  confirm(): void
}

/** How far a dial has come: of several addresses, the one that moved last. */
export interface DialProgress {
  stage: ConnectStage
  /** The secrets that went in clear to another machine, and its address. */
  inClear?: { readonly address: string; readonly secrets: Set<string> } | undefined
}

export interface DialOptions {
  readonly server: ServerAddress
  /** Where the server has TLS, its certificate must be valid for one of these; `serverName` of `tls` wins over them. */
  readonly hosts: readonly [string, ...Array<string>]
  /** Nothing is sent in clear, whatever the scheme and `tls` say. */
  readonly requireTls: boolean
  /** For all of it, in place of `connectTimeout`. */
  readonly timeoutMillis?: number | undefined
  readonly settings: SessionSettings
  readonly credentials: Credentials
  readonly tls: TlsMaterial
  /** Of the client: it learns what this dial sends. */
  readonly filter: SecretFilter
  readonly owner: SessionOwner
  /** The error to fail with where the addresses of a name failed each in its way. */
  readonly mostTelling: (attempts: ReadonlyArray<Attempt>) => ConnectError
  /** Is kept up to date, for the log. */
  readonly progress?: DialProgress | undefined
}

export interface Session {
  /** The server's URL. */
  readonly server: string
  /** The latest INFO. */
  readonly info: ServerInfo
  readonly writer: Writer
  readonly isOpen: boolean
  /** The wire is protected by TLS. */
  readonly encrypted: boolean
  /** The latest INFO came inside TLS. The first one comes in clear where TLS follows it. */
  readonly infoInsideTls: boolean
  /** The server takes headers, and says when nobody is subscribed to a request's subject. */
  readonly takesHeaders: boolean
  /** Bytes and messages received so far. */
  readonly bytesIn: number
  readonly messagesIn: number
  /** Changes with everything that comes from the server. */
  readonly heard: number
  /** Bytes handed to the writer that the operating system has not taken yet. */
  readonly backlog: number
  /** Whether its buffer is full: it has not taken all that was given to it. */
  readonly isFull: boolean
  /** What is left of the write that is under way, where the runtime tells. `backlog` has all of it until it is done. */
  readonly writing: number
  /** Calls back once, when `backlog` is zero or the session has ended. */
  drained(resume: () => void): void
  /**
   * Sends what is written and a PING, and calls back once: without an argument when the PONG is here (everything written
   * before it has been handled by the server, and everything the server sent before it has been delivered), with the
   * reason when the session ended first.
   */
  ping(resume: (reason?: ConnectError) => void): void
  /**
   * Sends a SUB, for `max` messages where that is over 0, and a PING of its own right behind it: what the server refuses
   * of it comes before its PONG.
   */
  subscribe(opening: Opening, subject: string, queue: string | undefined, max: number): void
  /** Ends the session as if it had failed with `reason`: pings fail with it and `owner.closed` is called. */
  fail(reason: ConnectError): void
  /** Ends the session on purpose, at once: releases the socket, settles pings. Idempotent. `owner.closed` is not called. */
  close(): void
}
