/**
 * The one stream of a cluster: locks, runners, messages and replies, each kind under a subject token of its own. They stand in
 * one stream so that a write can expect what the lock of its shard is: a stream compares its own subjects only.
 *
 * The transport between runners (`live`) is core NATS, and nothing of it is stored.
 */
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import { tokenOf } from "../../persistence/internal/textToken.ts"

/**
 * How long a marker stands in the place of a message that expired: long enough for those who watch, and short, as a marker
 * has to be told from a message by whoever expects none.
 */
export const markerTtl = "1 second"

export interface ClusterStreamOptions {
  /** Names the cluster. Any text. */
  readonly prefix: string
  /** Servers that have the stream. Default: what the stream has, 1 where it is made. */
  readonly replicas?: number | undefined
}

/** Where the things of one cluster are. */
export interface ClusterStream {
  /** The name of the stream. */
  readonly name: string
  readonly definition: JetStreamStream.StreamDefinition
  /** The subject of what is stored: the token of its kind, and tokens of its own. Nothing is encoded. */
  readonly stored: (kind: Kind, ...tokens: ReadonlyArray<string>) => string
  /** What runners hear on that is not stored. */
  readonly live: (...tokens: ReadonlyArray<string>) => string
}

/**
 * Kinds of what is stored.
 *
 * - `l`: the lock of a shard, whose time to live is the lease. `l.<shard>`.
 * - `f`: the fence of a shard, written once by each new owner of the lock: its sequence is the fencing token. `f.<shard>`.
 * - `n`: a runner that lives. `n.<runner>`.
 * - `h`: what others found of its health. `h.<runner>`.
 * - `m`: a machine id that is in use. `m.<id>`.
 * - `i`: what is not processed yet; `q`: what is; `r`: replies; `a`: acknowledged chunks: see the message storage.
 */
export type Kind = "l" | "f" | "n" | "h" | "m" | "i" | "q" | "r" | "a"

/** The token of a runner. */
export const runnerToken = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  tokenOf(`${host}:${port}`)

export const clusterStream = ({ prefix, replicas }: ClusterStreamOptions): ClusterStream => {
  const token = tokenOf(prefix)
  const name = `CLUSTER_${token}`
  return {
    name,
    definition: JetStreamStream.make(name, {
      subjects: [`${token}.s.>`],
      storage: "file",
      maxMessagesPerSubject: 1,
      allowDirect: true,
      ttl: true,
      deleteMarkerTtl: markerTtl,
      allowRollup: true,
      atomicBatch: true,
      replicas
    }),
    stored: (kind, ...tokens) => [token, "s", kind, ...tokens].join("."),
    live: (...tokens) => [token, "x", ...tokens].join(".")
  }
}
