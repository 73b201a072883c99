/**
 * What happens to the locks of a cluster, as it happens: when one is free, by release or by the end of its time, those who wait
 * for it are woken. It only says when to try: whether a lock is had is decided by the write.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import * as JetStreamConsumer from "../../jetstream/JetStreamConsumer.ts"
import type { ClusterStream } from "./clusterStream.ts"
import { type Found, foundIn } from "./lease.ts"

interface Seen {
  readonly found: Found
  /** By the monotonic clock: one that is set back must not make a lock look held for longer than it can be. */
  readonly atMillis: number
}

const mostHeartbeat = Duration.seconds(1)

const retry = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

export class LockWatch {
  private readonly seen = new Map<string, Seen>()
  private changed = Latch.makeUnsafe(false)
  /** Whoever has a lock refreshes it in this time, or it may be free. */
  private readonly trustedMillis: number
  /** The server that has the consumer can die at any time: two heartbeats later there is another one. */
  private readonly heartbeat: Duration.Duration

  constructor(ttl: Duration.Duration) {
    this.trustedMillis = Duration.toMillis(ttl) + 1_000
    this.heartbeat = Duration.min(mostHeartbeat, Duration.divideUnsafe(ttl, 8))
  }

  /** Notes what is told of a lock, if it is news: a watch that begins anew tells the same again. */
  note(subject: string, found: Found, atMillis: number): void {
    if (this.seen.get(subject)?.found.sequence !== found.sequence) this.noteNow(subject, found, atMillis)
  }

  /** Notes what the leader answers of a lock. */
  noteNow(subject: string, found: Found, atMillis: number): void {
    const before = this.seen.get(subject)
    if (before !== undefined && before.found.sequence > found.sequence && found.sequence > 0) return
    this.seen.set(subject, { found, atMillis })
    if (found._tag === "Free") this.wake()
  }

  /** Those who wait look at what they wait for. */
  wake(): void {
    const latch = this.changed
    this.changed = Latch.makeUnsafe(false)
    latch.openUnsafe()
  }

  /**
   * The sequence that is expected of a free lock; `undefined` where another has it, as far as is known. That of a lock which
   * another has, or had, is never expected: a lease may be longer than it is here, and clocks are set.
   */
  expected(subject: string, owner: string, nowMillis: number): number | undefined {
    const seen = this.seen.get(subject)
    if (seen === undefined) return 0
    const { atMillis, found } = seen
    if (found._tag === "Free" || found.held.owner === owner) return found.sequence
    return nowMillis - atMillis > this.trustedMillis ? 0 : undefined
  }

  /** Waits until one of them is free, or `wake`. */
  changedFor(subjects: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.suspend(() =>
      subjects.some((subject) => this.seen.get(subject)?.found._tag === "Free") ? Effect.void : this.changed.await
    )
  }

  /** Watches for as long as the scope. */
  run(js: JetStream, stream: ClusterStream): Effect.Effect<void, never, Scope.Scope> {
    return JetStreamConsumer.ordered({
      stream: stream.name,
      filter: stream.stored("l", ">"),
      from: "lastPerSubject",
      heartbeat: this.heartbeat
    }).pipe(
      Stream.runForEach((message) =>
        Effect.map(elapsedMillis, (now) => this.note(message.subject, foundIn(message), now))
      ),
      Effect.provideService(JetStream, js),
      Effect.tapError((error) => Effect.logDebug("The watch of shard locks has failed, and begins again", error)),
      Effect.retry(retry),
      Effect.ignore,
      Effect.forkScoped,
      Effect.asVoid
    )
  }
}
