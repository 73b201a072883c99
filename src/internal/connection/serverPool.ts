/**
 * The servers to dial, in the order to try them: those that were configured and those that a server named in INFO.
 */
import { isIP } from "../identity/hostNames.ts"
import { isWebSocket, type Scheme, type ServerAddress, serverUrl } from "../protocol/serverAddress.ts"

/** A server to dial, and what must hold for it. */
export interface PooledServer {
  readonly address: ServerAddress
  /** The host that was configured: that of the server itself, or of the one through which it was learned. */
  readonly configuredHost: string
  /** Where it has TLS, its certificate must be valid for one of these hosts. */
  readonly hosts: readonly [string, ...Array<string>]
  /** It had TLS before: nothing may be sent to it in clear any more. */
  readonly hadTls: boolean
  /** What a dial of it may take, as a part of `connectTimeout`. */
  readonly patience: number
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

// Addresses that a server names are often out of reach from here (pods, private networks), and swallow what is sent to
// them. One that never worked gets this part of `connectTimeout` in the first round of an outage, twice as much in each
// further one: a server that is slow to reach is still found, and many that are not do not keep the client from others.
const firstPatience = 1 / 5

const parseHostPort = (text: string): { readonly host: string; readonly port: number } | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([\p{L}\p{M}\p{N}._-]{1,253})):(\d{1,5})$/u.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  return port < 1 || port > 65_535 ? undefined : { host: match[1] ?? match[2], port }
}

/** Stands in errors, events and logs in place of a host that another server named, and that repeats a secret. */
const label = "withheld"

const keyOf = ({ host, port }: ServerAddress): string => `${host.toLowerCase()} ${port}`

const protectedScheme = (scheme: Scheme): Scheme => isWebSocket(scheme) ? "wss" : "tls"

type Entry = Omit<PooledServer, "hadTls" | "patience">

/** A number from 0 up to 1, as of Effect's `Random`. */
export type Draw = () => number

/** Each at a place that is drawn, without moving what stands there among itself. Without `draw`, at the end. */
const insert = (standing: Array<Entry>, added: ReadonlyArray<Entry>, draw: Draw | undefined): Array<Entry> => {
  for (const entry of added) {
    const place = draw === undefined ? standing.length : Math.floor(draw() * (standing.length + 1))
    standing.splice(place, 0, entry)
  }
  return standing
}

export class ServerPool {
  private readonly configured: ReadonlyArray<Entry>
  private readonly discovers: boolean
  private readonly draw: Draw | undefined
  private readonly isSecret: (host: string) => boolean
  private learned: ReadonlyArray<Entry> = []
  private last: ServerAddress | undefined
  /** The last one has said that it is about to stop. */
  private lastLeaves = false
  /** What must hold for those that a server last named inside TLS, by their key. */
  private vouchedFor: ReadonlyMap<string, Entry["hosts"]> = new Map()
  /** Servers that had a session, and those that had TLS in it, by their key. */
  private readonly worked = new Set<string>()
  private readonly withTls = new Set<string>()
  /** Rounds since the last session. */
  private rounds = 0

  /** The order is drawn once. Without `draw` it is the one given. A host of another's list may be one that is not to be shown. */
  constructor(
    configured: ReadonlyArray<ServerAddress>,
    discovers: boolean,
    draw: Draw | undefined,
    isSecret: (host: string) => boolean = () => false
  ) {
    const entries = configured.map((address): Entry => ({
      address,
      configuredHost: address.host,
      hosts: [address.host]
    }))
    this.configured = insert([], entries, draw)
    this.discovers = discovers
    this.draw = draw
    this.isSecret = isSecret
  }

  /** Every server once, for the next round. */
  round(): ReadonlyArray<PooledServer> {
    const patience = Math.min(1, firstPatience * 2 ** Math.min(this.rounds, 10))
    this.rounds++
    return this.order(patience)
  }

  /**
   * Every server once. Of those that were configured or worked before, the one that was used last comes last: it has just
   * ended a session. Learned ones that never worked come after them, with so much patience; the first of them before one
   * that has said that it is about to stop.
   */
  order(patience: number = firstPatience): ReadonlyArray<PooledServer> {
    const proven: Array<PooledServer> = []
    const unproven: Array<PooledServer> = []
    for (const entry of this.configured) proven.push(this.pooled(entry, 1))
    for (const entry of this.learned) {
      if (this.worked.has(keyOf(entry.address))) proven.push(this.pooled(entry, 1))
      else unproven.push(this.pooled(entry, patience))
    }
    const last = this.last === undefined ? undefined : serverUrl(this.last)
    const index = last === undefined ? -1 : proven.findIndex(({ address }) => serverUrl(address) === last)
    const rotated = [...proven.slice(index + 1), ...proven.slice(0, index + 1)]
    if (index >= 0 && this.lastLeaves) unproven.splice(1, 0, rotated.pop()!)
    return [...rotated, ...unproven]
  }

  /** The server of the session is about to stop. */
  leaves(): void {
    this.lastLeaves = true
  }

  /** It has a session: what ends an outage. */
  used({ address }: PooledServer, encrypted: boolean): void {
    this.last = address
    this.lastLeaves = false
    this.rounds = 0
    this.worked.add(keyOf(address))
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
    const named = new Map<string, Entry>()
    for (const url of urls) {
      const place = parseHostPort(url)
      if (place === undefined || named.size >= maxLearned) continue
      const shown = this.isSecret(place.host) ? { label } : {}
      const address: ServerAddress = { scheme, ...place, path: from.address.path, ...shown }
      if (known.has(keyOf(address))) continue
      known.add(keyOf(address))
      const hosts: Entry["hosts"] = !insideTls
        ? this.vouchedFor.get(keyOf(address)) ?? [configuredHost]
        : isIP(place.host) === 0
        ? [place.host]
        : [configuredHost, place.host]
      named.set(keyOf(address), { address, configuredHost, hosts })
    }
    if (insideTls) this.vouchedFor = new Map(Array.from(named, ([key, { hosts }]) => [key, hosts]))
    // A server tells them in any order. Those that are known keep their places.
    const standing: Array<Entry> = []
    for (const { address } of this.learned) {
      const again = named.get(keyOf(address))
      if (again === undefined) continue
      standing.push(again)
      named.delete(keyOf(address))
    }
    this.learned = insert(standing, [...named.values()], this.draw)
  }

  private pooled({ address, configuredHost, hosts }: Entry, patience: number): PooledServer {
    return { address, configuredHost, hosts, hadTls: this.withTls.has(keyOf(address)), patience }
  }
}
