/**
 * The servers to dial, in the order to try them: those that were configured and those that a server named in INFO.
 */
import { isIP } from "../identity/hostNames.ts"
import { formatServer, isWebSocket, type Scheme, type ServerAddress } from "../protocol/serverAddress.ts"

/** A server to dial, and what must hold for it. */
export interface PooledServer {
  readonly address: ServerAddress
  /** The host that was configured: that of the server itself, or of the one through which it was learned. */
  readonly configuredHost: string
  /** Where it has TLS, its certificate must be valid for one of these hosts. */
  readonly hosts: readonly [string, ...Array<string>]
  /** It had TLS before: nothing may be sent to it in clear any more. */
  readonly hadTls: boolean
}

/** How the list of servers came that a server named. */
export interface Naming {
  /** The session with the server that named them is encrypted. */
  readonly encrypted: boolean
  /** The INFO itself came inside TLS. The first one of a session comes in clear where TLS follows it. */
  readonly insideTls: boolean
}

// A cluster names at most a few; the bound keeps a hostile server from growing the list.
const maxLearned = 256

const parseHostPort = (text: string): { readonly host: string; readonly port: number } | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  return port < 1 || port > 65_535 ? undefined : { host: match[1] ?? match[2], port }
}

const keyOf = ({ host, port }: ServerAddress): string => `${host.toLowerCase()} ${port}`

const protectedScheme = (scheme: Scheme): Scheme => isWebSocket(scheme) ? "wss" : "tls"

type Entry = Omit<PooledServer, "hadTls">

export class ServerPool {
  private readonly configured: ReadonlyArray<Entry>
  private readonly discovers: boolean
  private learned: ReadonlyArray<Entry> = []
  private last: ServerAddress | undefined
  /** What must hold for those that a server last named inside TLS, by their key. */
  private vouchedFor: ReadonlyMap<string, Entry["hosts"]> = new Map()
  /** Servers that had TLS in a session, by their key. */
  private readonly withTls = new Set<string>()

  constructor(configured: ReadonlyArray<ServerAddress>, discovers: boolean) {
    this.configured = configured.map((address) => ({
      address,
      configuredHost: address.host,
      hosts: [address.host]
    }))
    this.discovers = discovers
  }

  /** Every server once. The one that was used last comes last: it has just ended a session. */
  order(): ReadonlyArray<PooledServer> {
    const all = [...this.configured, ...this.learned].map(({ address, configuredHost, hosts }) => ({
      address,
      configuredHost,
      hosts,
      hadTls: this.withTls.has(keyOf(address))
    }))
    const last = this.last === undefined ? undefined : formatServer(this.last)
    const index = last === undefined ? -1 : all.findIndex(({ address }) => formatServer(address) === last)
    return index < 0 ? all : [...all.slice(index + 1), ...all.slice(0, index + 1)]
  }

  used({ address }: PooledServer, encrypted: boolean): void {
    this.last = address
    if (encrypted) this.withTls.add(keyOf(address))
  }

  /**
   * Takes the list of a server's INFO in place of the one before. A learned server inherits the scheme of the server
   * that named it, and requires TLS where that session was encrypted: learning never weakens TLS.
   *
   * Whom its certificate must be for depends on how its address came. In clear, a man in the middle can put in his own
   * address and have a certificate for it; what he cannot have is one for the host that was configured. Inside TLS the
   * address is the server's own word: a name counts for itself, and a certificate for an IP address may be for the
   * configured host, too, as clusters have certificates for names and tell addresses. That holds on when the address comes in
   * clear again, as it does with every session. A learned server that names others hands the configured host on. No other
   * field of INFO is ever a name to verify.
   */
  learn(from: PooledServer, urls: ReadonlyArray<string>, { encrypted, insideTls }: Naming): void {
    if (!this.discovers) return
    const { configuredHost } = from
    const scheme = encrypted ? protectedScheme(from.address.scheme) : from.address.scheme
    const known = new Set(this.configured.map(({ address }) => keyOf(address)))
    const learned: Array<Entry> = []
    for (const url of urls) {
      const place = parseHostPort(url)
      if (place === undefined || learned.length >= maxLearned) continue
      const address: ServerAddress = { scheme, ...place, path: from.address.path }
      if (known.has(keyOf(address))) continue
      known.add(keyOf(address))
      const hosts: Entry["hosts"] = !insideTls
        ? this.vouchedFor.get(keyOf(address)) ?? [configuredHost]
        : isIP(place.host) === 0
        ? [place.host]
        : [configuredHost, place.host]
      learned.push({ address, configuredHost, hosts })
    }
    this.learned = learned
    if (insideTls) this.vouchedFor = new Map(learned.map(({ address, hosts }) => [keyOf(address), hosts]))
  }
}
