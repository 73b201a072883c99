/**
 * What a connection of nats-core tells of its server, as the client has it.
 */
import type { Server, ServerInfo, Stats } from "@nats-io/nats-core"
import { Features, parseSemVer, type SemVer } from "@nats-io/nats-core/internal"
import type { connectionOf } from "../../internal/operations/connectionOf.ts"
import { hostOf } from "./statuses.ts"

type Connection = ReturnType<typeof connectionOf>

const unknownVersion: SemVer = { major: 0, minor: 0, micro: 0 }

const versionOf = (version: string): SemVer => {
  try {
    return parseSemVer(version)
  } catch {
    // Of a server that was built by hand.
    return unknownVersion
  }
}

export class ServerFacts {
  private readonly connection: Connection
  private readonly versioned = new Features(unknownVersion)
  private version: string | undefined
  private shown: { readonly of: unknown; readonly info: ServerInfo } | undefined

  constructor(connection: Connection) {
    this.connection = connection
  }

  /** What only people read of it (`go`, `git_commit`) is not kept. */
  get info(): ServerInfo | undefined {
    const of = this.connection.info
    if (of === undefined) return undefined
    if (this.shown?.of !== of) this.shown = { of, info: this.connection.filter.fields(of) as unknown as ServerInfo }
    return this.shown.info
  }

  /** Of the server at hand: after a reconnect it can be of another version. */
  get features(): Features {
    const version = this.connection.info?.version
    if (version !== undefined && version !== this.version) {
      this.version = version
      this.versioned.update(versionOf(version))
    }
    return this.versioned
  }

  get semanticVersion(): SemVer | undefined {
    const { info } = this.connection
    return info === undefined ? undefined : versionOf(info.version)
  }

  /** Empty without a session. */
  get address(): string {
    const { session } = this.connection
    return session === undefined ? "" : hostOf(session.server)
  }

  /** The server at hand, and those that it has named. What the client does with them it keeps to itself. */
  get servers(): ReadonlyArray<Server> {
    const own = this.address
    const named = this.info?.connect_urls ?? []
    return [...new Set(own === "" ? named : [own, ...named])].map((listen): Server => {
      const colon = listen.lastIndexOf(":")
      return {
        hostname: listen.slice(0, colon).replace(/^\[|\]$/g, ""),
        port: Number(listen.slice(colon + 1)),
        listen,
        src: listen,
        tlsName: "",
        reconnects: 0,
        lastConnect: 0,
        gossiped: listen !== own,
        didConnect: listen === own
      }
    })
  }

  get stats(): Stats {
    const { bytesIn, bytesOut, messagesIn, messagesOut } = this.connection
    return { inBytes: bytesIn, outBytes: bytesOut, inMsgs: messagesIn, outMsgs: messagesOut }
  }
}
