/** What one runner has in the stream: its address, a machine id, and locks. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import { tokenOf } from "../../persistence/internal/textToken.ts"
import type { ClusterStream } from "./clusterStream.ts"
import { Lease, type LeaseError, type LeaseSettings } from "./lease.ts"

/** A snowflake has ten bits for it. */
const machineIds = 1024

export class RunnerKeys {
  readonly address: string
  readonly claim: Lease
  readonly healthSubject: string
  readonly locks = new Map<string, Lease>()
  /** As `effect/cluster` encodes it; `undefined`: not registered, or no more. */
  runner: string | undefined = undefined
  /** `lost`: another process has the address, or may have it. */
  state: "unknown" | "registered" | "lost" | "leaving" = "unknown"
  private machine: { readonly id: number; readonly lease: Lease } | undefined = undefined
  readonly settings: LeaseSettings
  private readonly stream: ClusterStream
  private readonly oneBeat = Semaphore.makeUnsafe(1).withPermits(1)
  /** When the last heartbeat that was confirmed began, by the monotonic clock. */
  private beatAt = -Infinity

  constructor(settings: LeaseSettings, stream: ClusterStream, address: string) {
    this.settings = settings
    this.stream = stream
    this.address = address
    const token = tokenOf(address)
    this.claim = new Lease(settings, stream.stored("n", token))
    this.healthSubject = stream.stored("h", token)
  }

  /** What stands in the key of the address. */
  get value(): object {
    const { address, runner, settings } = this
    return { address, leaseMillis: Duration.toMillis(settings.ttl), ...(runner === undefined ? {} : { runner }) }
  }

  get mayTake(): boolean {
    return this.state !== "lost" && this.state !== "leaving"
  }

  lockOf(shard: string): Lease {
    let lock = this.locks.get(shard)
    if (lock === undefined) {
      lock = new Lease(this.settings, lockSubject(this.stream, shard))
      this.locks.set(shard, lock)
    }
    return lock
  }

  /** The smallest number that no other runner has. */
  get machineId(): Effect.Effect<number, LeaseError> {
    return Effect.gen({ self: this }, function*() {
      const { address, machine, settings, stream } = this
      if (machine !== undefined && (yield* machine.lease.confirm({ address }))) return machine.id
      const taken = new Map<string, number | undefined>()
      yield* JetStreamStream.getMany(stream.name, { subject: stream.stored("m", "*") }).pipe(
        Stream.runForEach(({ data, sequence, subject }) =>
          Effect.sync(() => taken.set(subject, data.length === 0 ? sequence : undefined))
        ),
        Effect.provideService(JetStream, settings.js)
      )
      for (let id = 0; id < machineIds; id++) {
        const subject = stream.stored("m", String(id))
        if (taken.has(subject) && taken.get(subject) === undefined) continue
        const lease = new Lease(settings, subject)
        if ((yield* lease.take({ address }, taken.get(subject))) !== undefined) continue
        this.machine = { id, lease }
        return id
      }
      return yield* Effect.die(new Error(`all ${machineIds} machine ids are in use`))
    })
  }

  /**
   * `heartbeat`, where the last one is longer ago. `effect/cluster` confirms the lock of each reply's shard by itself: with a
   * heartbeat for each, one behind the other, the last ones would be too late.
   */
  heartbeatAfter(millis: number): Effect.Effect<boolean, LeaseError> {
    return this.oneBeat(Effect.flatMap(elapsedMillis, (now) => {
      if (now - this.beatAt < millis) return Effect.succeed(true)
      return Effect.tap(this.heartbeat, (isOurs) =>
        Effect.sync(() => {
          this.beatAt = isOurs ? now : -Infinity
        }))
    }))
  }

  /**
   * Begins the times of address and machine id anew, and takes again what has ended and nobody else has: while servers elect a
   * leader nothing can be refreshed. `false`: another has one of them.
   */
  get heartbeat(): Effect.Effect<boolean, LeaseError> {
    return Effect.suspend(() => {
      const { address, machine } = this
      const kept = this.claim.keep(this.value)
      return machine === undefined ? kept : Effect.zipWith(
        kept,
        machine.lease.keep({ address }),
        (isOurs, hasId) => {
          // Registers once more, with another id.
          if (!hasId) this.machine = undefined
          return isOurs && hasId
        },
        { concurrent: true }
      )
    })
  }

  get freeMachineId(): Effect.Effect<void, LeaseError> {
    return Effect.suspend(() => this.machine === undefined ? Effect.void : this.machine.lease.free)
  }
}

export const lockSubject = (stream: ClusterStream, shard: string): string => {
  const { group, id } = partsOf(shard)
  return stream.stored("l", tokenOf(group), id)
}

export const fenceSubject = (stream: ClusterStream, shard: string): string => {
  const { group, id } = partsOf(shard)
  return stream.stored("f", tokenOf(group), id)
}

/** Of `group:id`, where the group can be any text. */
const partsOf = (shard: string): { readonly group: string; readonly id: string } => {
  const at = shard.lastIndexOf(":")
  return { group: shard.slice(0, at), id: shard.slice(at + 1) }
}
