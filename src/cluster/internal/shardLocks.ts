/** The fences of the shards that this process has: what a write expects so that a runner which lost its shard writes nothing. */
import * as Context from "effect/Context"

/** A message of the cluster's stream that each new owner of a shard replaces. */
export interface Fence {
  readonly subject: string
  /** Its sequence when this process took the shard: larger than that of every owner before. */
  readonly sequence: number
}

export interface ShardLocks {
  /**
   * The fence of a shard, by its id as `group:number`, as this process has written it last: it stays when the lock is lost or
   * let go, so that what comes late expects a fence that another owner has replaced. `undefined`: this process never had the
   * lock.
   */
  readonly fenceOf: (shardId: string) => Fence | undefined
  /**
   * Whether this process is sure to have the shard: the time of its lock has not ended since it was confirmed last. `now`: the
   * monotonic clock, in milliseconds.
   */
  readonly isSureOf: (shardId: string, now: number) => boolean
}

export const ShardLocks: Context.Service<ShardLocks, ShardLocks> = Context.Service<ShardLocks>(
  "effect-nats/cluster/ShardLocks"
)

/** Of a process that is no runner. */
export const noLocks: ShardLocks = { fenceOf: () => undefined, isSureOf: () => false }
