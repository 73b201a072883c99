/**
 * What a dial meets on its way, for who looks into one. Nothing of a client depends on it.
 */
import * as Context from "effect/Context"
import type { X509Certificate } from "node:crypto"
import type { TLSSocket } from "node:tls"
import type { ConnectStage } from "../../ConnectError.ts"
import type { ServerInfo } from "../protocol/info.ts"

/** Both ends of a TLS handshake. */
export interface TlsPeers {
  /** Such as `TLSv1.3`. */
  readonly protocol: string | undefined
  readonly cipher: string | undefined
  /** The server's certificate and what it was signed with, as far as the server has sent it. */
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
}

/** Who looks into the dials of a fiber. */
export const DialTracing: Context.Reference<DialTrace | undefined> = Context.Reference<DialTrace | undefined>(
  "~effect-nats/DialTracing",
  { defaultValue: () => undefined }
)

/** A chain ends in one that signed itself; one that is longer than this is cut. */
const longestChain = 16

const chainOf = (first: X509Certificate | undefined): ReadonlyArray<X509Certificate> => {
  const chain: Array<X509Certificate> = []
  for (let next = first; next !== undefined && chain.length < longestChain; next = next.issuerCertificate) {
    if (chain.some(({ fingerprint256 }) => fingerprint256 === next?.fingerprint256)) break
    chain.push(next)
  }
  return chain
}

/** What a socket knows of its handshake. Not every runtime can tell all of it. */
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
    chain: chainOf(told(() => socket.getPeerX509Certificate())),
    own: told(() => socket.getX509Certificate())
  }
}
