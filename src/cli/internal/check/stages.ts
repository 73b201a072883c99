/**
 * The stages of a check, and what a dial tells of them.
 */
import type { ConnectError, ConnectStage } from "../../../ConnectError.ts"
import type { ServerInfo } from "../../../internal/protocol/info.ts"
import type { DialTrace, TlsPeers } from "../../../internal/wire/dialTracing.ts"
import * as Output from "../output.ts"

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

/** An error of a stage. Its fields are told to programs. */
export interface StageError {
  readonly _tag: string
  readonly message: string
  readonly isRetryable?: boolean | undefined
}

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
  /** Of a stage that failed, and of one that is noted because something did. */
  readonly error?: StageError | undefined
}

export const sentence = (error: StageError): string => `${error._tag}: ${Output.messageOf(error)}`

export const failedStage = (stage: StageName, error: StageError): Stage => ({
  stage,
  status: "failed",
  text: sentence(error),
  error
})

interface Moment {
  readonly address: string
  readonly stage: ConnectStage
  readonly at: number
}

const order: ReadonlyArray<ConnectStage> = ["lookup", "tcp", "info", "tls", "connect", "up"]

const stageIn = (error: ConnectError): ConnectStage | undefined => "stage" in error ? error.stage : undefined

/** Of several addresses, the error that is raised is a copy that has all of them. */
const isSame = (own: ConnectError, error: ConnectError): boolean =>
  own._tag === error._tag && stageIn(own) === stageIn(error)

/** Keeps what a dial tells. */
export class Recording implements DialTrace {
  readonly began = performance.now()
  addresses: ReadonlyArray<string> = []
  lookedUpAt: number | undefined
  readonly infos = new Map<string, ServerInfo>()
  readonly peers = new Map<string, TlsPeers>()
  readonly failures = new Map<string, { readonly error: ConnectError; readonly at: number }>()
  private readonly moments: Array<Moment> = []

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

  failed(address: string, error: ConnectError): void {
    this.failures.set(address, { error, at: performance.now() })
  }

  /** The address to be told of: one that `error` is of, else the one that has come furthest, the last one of several. */
  addressOf(error: ConnectError | undefined): string | undefined {
    let best: Moment | undefined
    for (const moment of this.moments) {
      const own = this.failures.get(moment.address)
      if (error !== undefined && own !== undefined && isSame(own.error, error)) return moment.address
      // With a session, an address that failed is not the one that has it.
      if (error === undefined && own !== undefined) continue
      if (best === undefined || order.indexOf(moment.stage) >= order.indexOf(best.stage)) best = moment
    }
    return best?.address
  }

  /**
   * The stages that an address has come to, each with its time: up to the next one, the last one up to `end` or its failure.
   * Of one that was dialled twice, those of the second time.
   */
  stagesOf(address: string, end: number): ReadonlyArray<{ readonly stage: ConnectStage; readonly millis: number }> {
    const ended = this.failures.get(address)?.at ?? end
    const all = this.moments.filter((moment) => moment.address === address)
    const own = all.slice(all.findLastIndex(({ stage }) => stage === "tcp"))
    return own.map(({ at, stage }, index) => ({ stage, millis: (own[index + 1]?.at ?? ended) - at }))
  }
}
