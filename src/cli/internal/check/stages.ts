/**
 * The stages of a check, and what a dial tells of them.
 */
import type { ConnectStage } from "../../../ConnectError.ts"
import type { ServerInfo } from "../../../internal/protocol/info.ts"
import type { DialTrace, TlsPeers } from "../../../internal/wire/dialTracing.ts"
import type { Failure } from "../failure.ts"

export type StageName =
  | "credentials"
  | "lookup"
  | "tcp"
  | "info"
  | "tls"
  | "connect"
  | "account"
  | "rtt"
  | "jetstream"

export interface Stage {
  readonly stage: StageName
  /** `noted`: nothing that keeps a client from its work, and worth to be known. */
  readonly status: "ok" | "noted" | "failed"
  /** How long it took, in milliseconds. */
  readonly millis?: number | undefined
  /** For people, in one line. */
  readonly text: string
  /** For people, below it. */
  readonly more?: ReadonlyArray<string> | undefined
  /** For programs. */
  readonly detail?: object | undefined
  readonly error?: Failure | undefined
}

interface Moment {
  readonly address: string
  readonly stage: ConnectStage
  readonly at: number
}

/** Keeps what a dial tells. */
export class Recording implements DialTrace {
  readonly began = performance.now()
  addresses: ReadonlyArray<string> = []
  lookedUpAt: number | undefined
  readonly moments: Array<Moment> = []
  readonly infos = new Map<string, ServerInfo>()
  readonly peers = new Map<string, TlsPeers>()

  lookedUp(addresses: ReadonlyArray<string>): void {
    this.addresses = addresses
    this.lookedUpAt = performance.now()
  }

  reached(address: string, stage: ConnectStage): void {
    this.moments.push({ address, stage, at: performance.now() })
  }

  greeted(address: string, info: ServerInfo): void {
    this.infos.set(address, info)
  }

  shookHands(address: string, peers: TlsPeers): void {
    this.peers.set(address, peers)
  }

  /** The address that has come furthest, the last one of several. */
  get furthest(): string | undefined {
    const order: ReadonlyArray<ConnectStage> = ["lookup", "tcp", "info", "tls", "connect", "up"]
    let best: Moment | undefined
    for (const moment of this.moments) {
      if (best === undefined || order.indexOf(moment.stage) >= order.indexOf(best.stage)) best = moment
    }
    return best?.address
  }

  /** The stages that an address has come to, each with its time: up to the next one, the last one up to `ended`. */
  stagesOf(address: string, ended: number): ReadonlyArray<{ readonly stage: ConnectStage; readonly millis: number }> {
    const own = this.moments.filter((moment) => moment.address === address)
    return own.map(({ at, stage }, index) => ({ stage, millis: (own[index + 1]?.at ?? ended) - at }))
  }
}
