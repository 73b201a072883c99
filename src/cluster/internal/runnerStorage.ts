/** Runners, machine ids and locks over leases, in the form that `effect/cluster` asks for. */
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { shownName } from "../../internal/protocol/shown.ts"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import { apiOf } from "../../jetstream/internal/api.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import { RequestTimedOut } from "../../NatsError.ts"
import { passes, waitThrough } from "../../persistence/internal/passing.ts"
import { tokenOf } from "../../persistence/internal/textToken.ts"
import { RunnerAddressTaken } from "../NatsClusterError.ts"
import type { ClusterStream, Kind } from "./clusterStream.ts"
import { type Entry, KnownRunners } from "./knownRunners.ts"
import { foundIn, type Lease, type LeaseError, type LeaseSettings } from "./lease.ts"
import { LockWatch } from "./lockWatch.ts"
import { fenceSubject, RunnerKeys } from "./runnerKeys.ts"
import type { Fence, ShardLocks } from "./shardLocks.ts"

/** Writes on their way at a time. */
const inFlight = 128

/** What others found of a runner's health is written when it changes, and is for one process: it is kept until that is gone. */
const healthTtl = "1 day"

/** `Sharding` sleeps for so long between two calls of `acquire`. */
const mostPatience = Duration.seconds(1)

/** Locks of one runner expire one shortly after the other: what follows the first one is taken with it. */
const gatherPause = "50 millis"
const mostGatherings = 6

/** How long a runner that lives has to say so. */
const answerWithin = "1 second"

/** What is looked at while the lease of another process with this address is not over. */
const claimPause = "250 millis"

export interface Settings {
  readonly js: JetStream
  readonly stream: ClusterStream
  readonly ttl: Duration.Duration
  /** How often `Sharding` refreshes, and how long it waits. */
  readonly interval: Duration.Duration
}

/** By the config of the runner: `effect/cluster` refreshes a lock at least three times in its life. */
export const settingsOf = (js: JetStream, stream: ClusterStream, config: ShardingConfig["Service"]): Settings => {
  const ttl = Duration.seconds(Math.max(1, Math.ceil(Duration.toSeconds(config.shardLockExpiration))))
  return {
    js,
    stream,
    ttl,
    interval: Duration.min(
      Duration.fromInputUnsafe(config.shardLockRefreshInterval),
      Duration.divideUnsafe(Duration.fromInputUnsafe(config.shardLockExpiration), 3)
    )
  }
}

export class RunnerStore implements ShardLocks {
  private readonly boot = randomToken(8)
  private readonly runners = new Map<string, RunnerKeys>()
  private readonly fences = new Map<string, { readonly fence: Fence; readonly lock: Lease }>()
  private readonly watch: LockWatch
  private readonly known: KnownRunners
  private readonly settings: Settings
  private readonly patience: Duration.Duration

  constructor(settings: Settings) {
    this.settings = settings
    this.watch = new LockWatch(settings.ttl)
    this.known = new KnownRunners((address) => this.answers(address), Duration.toMillis(settings.ttl))
    this.patience = Duration.min(mostPatience, Duration.divideUnsafe(settings.interval, 2))
  }

  fenceOf(shard: string): Fence | undefined {
    return this.fences.get(shard)?.fence
  }

  isSureOf(shard: string, now: number): boolean {
    return this.fences.get(shard)?.lock.isSureFor(0, now) === true
  }

  private keysOf(address: string): RunnerKeys {
    let keys = this.runners.get(address)
    if (keys === undefined) {
      const { interval, js, stream, ttl } = this.settings
      const settings: LeaseSettings = {
        js,
        stream: stream.name,
        owner: `${this.boot} ${address}`,
        ttl,
        timeout: interval
      }
      keys = new RunnerKeys(settings, stream, address)
      this.runners.set(address, keys)
    }
    return keys
  }

  get watching(): Effect.Effect<void, never, Scope.Scope> {
    return this.watch.run(this.settings.js, this.settings.stream)
  }

  // The address

  /**
   * Takes an address for this process, and keeps it until it is registered. The lease of a process that has died is waited for; one
   * that is refreshed meanwhile is that of a process that lives.
   */
  claim(address: string): Effect.Effect<void, RunnerAddressTaken | LeaseError, Scope.Scope> {
    const keys = this.keysOf(address)
    const { ttl } = this.settings
    const taking = Effect.gen({ self: this }, function*() {
      let other = yield* keys.claim.take(keys.value)
      const leaseMillis = other?._tag === "Held" ? Number(other.held["leaseMillis"] ?? 0) : 0
      const deadline = (yield* elapsedMillis) + Math.max(leaseMillis, Duration.toMillis(ttl)) + 1_000
      if (other !== undefined && (yield* this.answers(address))) return yield* new RunnerAddressTaken({ address })
      while (other !== undefined) {
        if ((yield* elapsedMillis) > deadline) return yield* new RunnerAddressTaken({ address })
        yield* Effect.sleep(claimPause)
        const found = yield* keys.claim.found
        if (found._tag === "Held") {
          if (found.sequence !== other.sequence) return yield* new RunnerAddressTaken({ address })
          continue
        }
        other = yield* keys.claim.take(keys.value, found.sequence)
      }
    })
    const keeping = Effect.suspend(() => keys.runner === undefined ? Effect.ignore(keys.heartbeat) : Effect.void).pipe(
      Effect.delay(this.settings.interval),
      Effect.forever
    )
    return Effect.gen({ self: this }, function*() {
      // Also of one that was interrupted: what was sent then may be stored.
      yield* Effect.addFinalizer(() => this.leave(keys))
      yield* waitThrough(apiOf(this.settings.js), taking)
      yield* Effect.forkScoped(keeping)
    })
  }

  /** Whether a runner of this address says that it lives. One that does not may be stopped, or have another transport. */
  private answers(address: string): Effect.Effect<boolean> {
    const { js, stream } = this.settings
    return Effect.isSuccess(apiOf(js).nats.request(stream.live("h", tokenOf(address)), "", { timeout: answerWithin }))
  }

  /** Frees the address. What cannot be freed in time expires. */
  private leave(keys: RunnerKeys): Effect.Effect<void> {
    return Effect.all([keys.claim.free, keys.freeMachineId], { discard: true, concurrency: 2 }).pipe(
      Effect.timeoutOption(this.settings.interval),
      Effect.ignore
    )
  }

  // Runners

  readonly register = (
    address: string,
    runner: string,
    healthy: boolean
  ): Effect.Effect<number, LeaseError | RunnerAddressTaken> =>
    Effect.gen({ self: this }, function*() {
      const keys = this.keysOf(address)
      const id = yield* keys.machineId
      keys.runner = runner
      const other = yield* keys.claim.take(keys.value)
      keys.state = other === undefined ? "registered" : "lost"
      if (other !== undefined) return yield* new RunnerAddressTaken({ address })
      yield* this.writeHealth(address, keys.settings.owner, healthy)
      return id
    })

  readonly unregister = (address: string): Effect.Effect<void, LeaseError> =>
    Effect.suspend(() => {
      const keys = this.keysOf(address)
      keys.runner = undefined
      keys.state = "leaving"
      // Who stops takes no more locks.
      this.watch.wake()
      return Effect.asVoid(keys.claim.confirm(keys.value))
    })

  /** Of this process it is known here: what is read can be a moment old, or another's that took the address. */
  get getRunners(): Effect.Effect<Array<readonly [runner: string, healthy: boolean]>, LeaseError> {
    return Effect.gen({ self: this }, function*() {
      const { stream } = this.settings
      const [read, healths] = yield* Effect.all([this.all("n"), this.all("h")], { concurrency: 2 })
      const found = yield* this.known.complete(read)
      const health = new Map(healths.map(({ held, token }) => [`${token} ${held.owner}`, held["healthy"] !== false]))
      const runners: Array<readonly [string, boolean]> = []
      const own = new Map([...this.runners.values()].map((keys) => [keys.claim.subject, keys]))
      for (const { held, token } of found) {
        const subject = stream.stored("n", token)
        if (own.has(subject) && own.get(subject)!.state !== "unknown") continue
        if (typeof held["runner"] !== "string") continue
        runners.push([held["runner"], health.get(`${token} ${held.owner}`) ?? true])
      }
      for (const { address, runner, settings, state } of own.values()) {
        if (state !== "registered" || runner === undefined) continue
        runners.push([runner, health.get(`${tokenOf(address)} ${settings.owner}`) ?? true])
      }
      return runners
    })
  }

  private all(kind: Kind): Effect.Effect<ReadonlyArray<Entry>, LeaseError> {
    const { js, stream } = this.settings
    return JetStreamStream.getMany(stream.name, { subject: stream.stored(kind, "*") }).pipe(
      Stream.runCollect,
      Effect.provideService(JetStream, js),
      Effect.map((messages) =>
        messages.flatMap((message) => {
          const found = foundIn(message)
          if (found._tag === "Free") return []
          const { sequence, timestampMillis } = message
          return [{ token: message.subject.split(".").at(-1)!, sequence, timestampMillis, held: found.held }]
        })
      )
    )
  }

  /** It is no part of the runner's own key, whose life only the runner may lengthen. */
  readonly setRunnerHealth = (address: string, healthy: boolean): Effect.Effect<void, LeaseError> =>
    Effect.flatMap(
      this.keysOf(address).claim.found,
      (found) => found._tag === "Free" ? Effect.void : this.writeHealth(address, found.held.owner, healthy)
    )

  private writeHealth(address: string, owner: string, healthy: boolean): Effect.Effect<void, LeaseError> {
    const { interval, js, stream } = this.settings
    return Effect.asVoid(
      js.publish(stream.stored("h", tokenOf(address)), JSON.stringify({ owner, healthy }), {
        ttl: healthTtl,
        timeout: interval
      })
    )
  }

  // Locks

  /**
   * Takes what is free. Where nothing is, it waits a while for the first one that gets free: `Sharding` asks again only a second
   * after it was answered.
   */
  readonly acquire = (address: string, shards: ReadonlyArray<string>): Effect.Effect<Array<string>, LeaseError> =>
    Effect.gen({ self: this }, function*() {
      const keys = this.keysOf(address)
      const at = yield* elapsedMillis
      const deadline = at + Duration.toMillis(this.patience)
      const got = new Set(yield* this.takeAll(keys, shards))
      if (got.size > 0) return [...got]
      const subjects = shards.map((shard) => keys.lockOf(shard).subject)
      while (keys.mayTake) {
        const left = deadline - (yield* elapsedMillis)
        if (left <= 0 || Option.isNone(yield* Effect.timeoutOption(this.watch.changedFor(subjects), left))) break
        for (let i = 0; i < mostGatherings; i++) {
          const more = yield* this.takeAll(keys, shards.filter((shard) => !got.has(shard)))
          for (const shard of more) got.add(shard)
          if (more.length === 0 || got.size === shards.length) break
          yield* Effect.sleep(gatherPause)
        }
        if (got.size > 0) break
      }
      return [...got]
    })

  private takeAll(
    keys: RunnerKeys,
    shards: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, LeaseError> {
    return Effect.flatMap(elapsedMillis, (now) =>
      keys.mayTake
        ? Effect.filter(shards, (shard) => this.take(keys, shard, now), { concurrency: inFlight })
        : Effect.succeed([]))
  }

  private take(keys: RunnerKeys, shard: string, now: number): Effect.Effect<boolean, LeaseError> {
    return Effect.suspend(() => {
      const lock = keys.lockOf(shard)
      const expected = this.watch.expected(lock.subject, keys.settings.owner, now)
      if (expected === undefined) return Effect.succeed(false)
      return Effect.flatMap(lock.take({ address: keys.address }, expected), (other) => {
        if (other === undefined) return this.fence(keys, shard, lock)
        this.watch.noteNow(lock.subject, other, now)
        return Effect.succeed(false)
      })
    })
  }

  /** Whoever had the shard before expects another fence from now on. `false`: the lock was lost meanwhile. */
  private fence(keys: RunnerKeys, shard: string, lock: Lease): Effect.Effect<boolean, LeaseError> {
    const { interval, js, stream } = this.settings
    const subject = fenceSubject(stream, shard)
    return js.publish(subject, JSON.stringify({ owner: keys.settings.owner }), {
      expect: { lastSubjectSequence: lock.sequence, forSubject: lock.subject },
      timeout: interval
    }).pipe(
      Effect.map(({ sequence }) => {
        this.fences.set(shard, { fence: { subject, sequence }, lock })
        return true
      }),
      Effect.catchTag("WrongLastSequence", () => Effect.succeed(false)),
      Effect.catchTag(["WrongLastMessageId", "WrongStream"], Effect.die)
    )
  }

  /** Whether nobody else can have the lock before `millis` are over, by what was confirmed last. `now`: the monotonic clock. */
  isSureFor(address: string, shard: string, millis: number, now: number): boolean {
    return this.keysOf(address).lockOf(shard).isSureFor(millis, now)
  }

  /**
   * What is confirmed to be held. While the store gives no answer, as servers elect a leader, that is also what nobody else can
   * have before it is asked the next time. Without locks it tells whether the store can be written, as `Sharding` asks after a
   * failure.
   */
  readonly refresh = (
    address: string,
    shards: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, LeaseError> =>
    Effect.suspend(() => {
      const { interval, stream, ttl } = this.settings
      const keys = this.keysOf(address)
      const lost = new Set<string>()
      const unknown = new Set(shards)
      // `effect/cluster` also asks before it stores a reply: what was confirmed a moment ago is not written again.
      const freshMillis = Duration.toMillis(ttl) - Duration.toMillis(interval) / 2
      const confirm = (shard: string): Effect.Effect<boolean, LeaseError> =>
        Effect.flatMap(elapsedMillis, (now) =>
          this.isSureFor(address, shard, freshMillis, now)
            ? Effect.succeed(true)
            : keys.lockOf(shard).confirm({ address }))
      const confirming = Effect.forEach(shards, (shard) =>
        Effect.map(confirm(shard), (isOurs) => {
          unknown.delete(shard)
          if (!isOurs) {
            lost.add(shard)
          }
        }), { concurrency: inFlight, discard: true })
      const isProbe = shards.length === 0
      const timeoutMillis = Duration.toMillis(interval) * (isProbe ? 0.9 : 0.5)
      const isSure = (now: number): boolean => {
        const millis = Duration.toMillis(interval)
        return keys.claim.isSureFor(millis, now) &&
          [...unknown].every((shard) => this.isSureFor(address, shard, millis, now))
      }
      const refreshing = Effect.all([this.heartbeat(keys, isProbe), confirming], { concurrency: 2 })
      // `Sharding` takes its shards again with the probe that succeeds, and the next one is an interval away.
      return (isProbe ? waitThrough(apiOf(this.settings.js), refreshing) : refreshing).pipe(
        Effect.timeoutOrElse({
          duration: timeoutMillis,
          orElse: () => Effect.fail(new RequestTimedOut({ subject: stream.name, timeoutMillis }))
        }),
        Effect.catchIf(
          passes,
          (error) =>
            Effect.flatMap(elapsedMillis, (now) => shards.length > 0 && isSure(now) ? Effect.void : Effect.fail(error))
        ),
        // Calls for this address go to another process: what is still held is given up.
        Effect.map(() => keys.state === "lost" ? [] : shards.filter((shard) => !lost.has(shard)))
      )
    })

  private heartbeat(keys: RunnerKeys, isProbe: boolean): Effect.Effect<unknown, LeaseError> {
    return Effect.suspend((): Effect.Effect<unknown, LeaseError> => {
      if (!keys.claim.isHeld) return keys.claim.found
      const beat = keys.heartbeatAfter(isProbe ? 0 : Duration.toMillis(this.settings.interval) / 2)
      return Effect.tap(beat, (isOurs) => {
        if (isOurs || keys.state !== "registered") return Effect.void
        keys.state = "lost"
        return Effect.annotateLogs(
          Effect.logWarning(
            "Another process has the address or the machine id of this runner: it gives up its shards until it is registered again"
          ),
          { runner: shownName(keys.address) }
        )
      })
    })
  }

  readonly release = (address: string, shard: string): Effect.Effect<void, LeaseError> =>
    Effect.suspend(() => this.keysOf(address).lockOf(shard).free)

  readonly releaseAll = (address: string): Effect.Effect<void, LeaseError> =>
    Effect.suspend(() =>
      Effect.forEach(this.keysOf(address).locks.values(), (lock) => lock.free, { discard: true, concurrency: inFlight })
    )
}
