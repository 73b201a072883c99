/**
 * The servers to dial, in the order to try them: those that were configured and those that a server named in INFO.
 */
import { formatServer, type ServerAddress } from "./protocol/serverAddress.ts"

// A cluster names at most a few; the bound keeps a hostile server from growing the list.
const maxLearned = 256

const parseHostPort = (text: string): { readonly host: string; readonly port: number } | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  return port < 1 || port > 65_535 ? undefined : { host: match[1] ?? match[2], port }
}

const sameServer = (a: ServerAddress, b: ServerAddress): boolean =>
  a.host.toLowerCase() === b.host.toLowerCase() && a.port === b.port

export class ServerPool {
  private readonly configured: ReadonlyArray<ServerAddress>
  private learned: ReadonlyArray<ServerAddress> = []
  private last: ServerAddress | undefined

  constructor(configured: ReadonlyArray<ServerAddress>) {
    this.configured = configured
  }

  /** Every server once. The one that was used last comes last: it has just ended a session. */
  order(): ReadonlyArray<ServerAddress> {
    const all = [...this.configured, ...this.learned]
    const last = this.last
    const index = last === undefined ? -1 : all.findIndex((server) => formatServer(server) === formatServer(last))
    return index < 0 ? all : [...all.slice(index + 1), ...all.slice(0, index + 1)]
  }

  used(server: ServerAddress): void {
    this.last = server
  }

  /**
   * Takes the list of a server's INFO in place of the one before. A learned server inherits the scheme of the server
   * that named it, and is `tls` where that session was encrypted: learning never weakens TLS.
   */
  learn(from: ServerAddress, encrypted: boolean, urls: ReadonlyArray<string>): void {
    const scheme = encrypted ? (from.scheme === "ws" || from.scheme === "wss" ? "wss" : "tls") : from.scheme
    const learned: Array<ServerAddress> = []
    for (const url of urls) {
      const address = parseHostPort(url)
      if (address === undefined || learned.length >= maxLearned) continue
      const server: ServerAddress = { scheme, ...address, path: from.path }
      if (![...this.configured, ...learned].some((known) => sameServer(known, server))) learned.push(server)
    }
    this.learned = learned
  }
}
