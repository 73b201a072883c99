/**
 * What a dial meets on its way, for who looks into one. Nothing of a client depends on it.
 */
import * as Context from "effect/Context"
import type { X509Certificate } from "node:crypto"
import type { DetailedPeerCertificate, TLSSocket } from "node:tls"
import type { ConnectError, ConnectStage } from "../../ConnectError.ts"
import { lazyCrypto } from "../identity/lazyBuiltins.ts"
import type { ServerInfo } from "../protocol/info.ts"

/** Both ends of a TLS handshake. */
export interface TlsPeers {
  /** Such as `TLSv1.3`. */
  readonly protocol: string | undefined
  readonly cipher: string | undefined
  /** The server's certificate and what it was signed with, as far as the server has sent it or this side knows it. */
  readonly chain: ReadonlyArray<X509Certificate>
  /** Of this client, if it has shown one. */
  readonly own: X509Certificate | undefined
}

/** Called within a dial, in the order of what happens to each address: quick, and never throws. */
export interface DialTrace {
  /** The addresses that a name has, in the order in which they are dialled. */
  lookedUp(addresses: ReadonlyArray<string>): void
  /** An address has come to a stage. */
  reached(address: string, stage: ConnectStage): void
  /** The first INFO. */
  greeted(address: string, info: ServerInfo): void
  /** The handshake is done; whether the certificate is accepted is not decided. */
  shookHands(address: string, peers: TlsPeers): void
  /** The dial of an address has failed. Others of the name may still be on their way. */
  failed(address: string, error: ConnectError): void
}

/** Who looks into the dials of a fiber. */
export const DialTracing: Context.Reference<DialTrace | undefined> = Context.Reference<DialTrace | undefined>(
  "~effect-nats/DialTracing",
  { defaultValue: () => undefined }
)

/** A chain ends in one that signed itself; one that is longer than this is cut. */
const longestChain = 16

const certificateOf = (raw: Buffer): X509Certificate => new (lazyCrypto().X509Certificate)(raw)

const chainOf = (first: DetailedPeerCertificate | undefined): ReadonlyArray<X509Certificate> => {
  const chain: Array<X509Certificate> = []
  for (let next = first; next?.raw !== undefined && chain.length < longestChain; next = next.issuerCertificate) {
    const { fingerprint256 } = next
    if (chain.some((each) => each.fingerprint256 === fingerprint256)) break
    chain.push(certificateOf(next.raw))
  }
  return chain
}

/**
 * What a socket knows of its handshake. Not every runtime can tell all of it.
 *
 * Not asked is `getPeerX509Certificate`: in a client it takes the certificate off the chain, and the library, which looks
 * at that next, finds none that is for the host.
 */
export const peersOf = (socket: TLSSocket): TlsPeers => {
  const told = <A>(ask: () => A): A | undefined => {
    try {
      return ask()
    } catch {
      return undefined
    }
  }
  return {
    protocol: told(() => socket.getProtocol()) ?? undefined,
    cipher: told(() => socket.getCipher().name),
    chain: told(() => chainOf(socket.getPeerCertificate(true))) ?? [],
    own: told(() => {
      const own = socket.getCertificate() as Partial<DetailedPeerCertificate> | null
      return own?.raw === undefined ? undefined : certificateOf(own.raw)
    })
  }
}
