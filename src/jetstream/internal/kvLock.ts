/**
 * Locks on a key: who creates it holds it, for as long as it is refreshed, and its first revision is the fencing token.
 *
 * The holder counts its time from before a refresh was sent, by the monotonic clock, and ends a second before the key can
 * expire on the server. Everything that it writes compares the revision, so that it never touches the lock of another.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import { type LockError, LockLost, LockNeedsTtl, LockNotFree } from "../JetStreamError.ts"
import type { Bucket } from "./kvBucket.ts"
import { operationHeader, type Stored } from "./kvEntry.ts"
import { readConsistent, type ReadFailure } from "./kvRead.ts"
import type { Holder, Lock, LockOptions } from "./kvTypes.ts"
import { watchStored } from "./kvWatch.ts"
import { type AnyWriteError, create, write } from "./kvWrite.ts"

const defaultTtlMillis = 15_000

/** The holder gives up so long before the key can expire. */
const marginMillis = 1000

const shortestTtlMillis = 2 * marginMillis

/** A release that the server does not take in this time is left to the key's end. */
const releaseWithin = Duration.seconds(2)

/** What stands in the key of a lock. */
interface Mark {
  readonly holder: string
  /** Of one acquisition: what was written and not answered is found again by it. */
  readonly id: string
  readonly ttlMillis: number
}

const markIn = (stored: Stored | undefined): Mark | undefined => {
  if (stored === undefined || stored.reason !== undefined) return undefined
  try {
    const mark: unknown = JSON.parse(new TextDecoder().decode(stored.data))
    if (!hasProperty(mark, "id") || typeof mark.id !== "string") return undefined
    return {
      id: mark.id,
      holder: hasProperty(mark, "holder") && typeof mark.holder === "string" ? mark.holder : "",
      ttlMillis: hasProperty(mark, "ttlMillis") && typeof mark.ttlMillis === "number" ? mark.ttlMillis : 0
    }
  } catch {
    return undefined
  }
}

/** One that asks for a lock, until it has let it go. */
class Claim {
  readonly bucket: Bucket
  readonly key: string
  readonly shownKey: string
  readonly ttlMillis: number
  /** Where keys have times of their own. Elsewhere the bucket's is that of each. */
  readonly keyTtl: Duration.Duration | undefined
  private readonly id = randomToken(12)
  private readonly mark: string
  token = 0
  /** The last revision that is known to be ours. */
  private revision = 0
  /** When the last refresh that was confirmed was sent. */
  private confirmedAt = 0
  /** When the first of those was sent of which it is not known whether they hold the lock now. */
  private unclearSince: number | undefined

  constructor(bucket: Bucket, key: string, shownKey: string, ttlMillis: number, holder: string) {
    this.bucket = bucket
    this.key = key
    this.shownKey = shownKey
    this.ttlMillis = ttlMillis
    this.keyTtl = bucket.located.hasKeyTtl ? Duration.millis(ttlMillis) : undefined
    const mark: Mark = { holder, id: this.id, ttlMillis }
    this.mark = JSON.stringify(mark)
  }

  get lostAt(): number {
    return this.confirmedAt + this.ttlMillis - marginMillis
  }

  private get stored(): Effect.Effect<Stored | undefined, ReadFailure> {
    return readConsistent(this.bucket, { key: this.key })
  }

  private isMine(stored: Stored | undefined): stored is Stored {
    return markIn(stored)?.id === this.id
  }

  private held(revision: number, sentAt: number): boolean {
    this.token = revision
    this.revision = revision
    this.confirmedAt = sentAt
    return true
  }

  /** `true` when it is held, and for some time to come, `false` when another holds it. */
  get attempt(): Effect.Effect<boolean, LockError> {
    return Effect.flatMap(this.taking, (isHeld) => isHeld ? this.lasting() : Effect.succeed(false))
  }

  /** What was answered too late is over already, and is refreshed before anybody relies on it. */
  private lasting(): Effect.Effect<boolean, LockError> {
    return Effect.flatMap(elapsedMillis, (sentAt) => {
      if (sentAt < this.lostAt) return Effect.succeed(true)
      return Effect.matchEffect(
        write(this.bucket, this.key, this.mark, { expected: this.revision, ttl: this.keyTtl }),
        {
          onSuccess: (revision) => {
            this.revision = revision
            this.confirmedAt = sentAt
            return this.lasting()
          },
          onFailure: (error) => error._tag === "WrongLastSequence" ? Effect.succeed(false) : Effect.fail(error)
        }
      )
    })
  }

  private get taking(): Effect.Effect<boolean, LockError> {
    return Effect.flatMap(elapsedMillis, (now) => {
      const sentAt = this.unclearSince ??= now
      // What was written before and not answered can be the lock that is there.
      const look = Effect.map(this.stored, (stored) => this.isMine(stored) && this.held(stored.revision, sentAt))
      return create(this.bucket, this.key, this.shownKey, this.mark, this.keyTtl).pipe(
        Effect.map((revision) => this.held(revision, now)),
        Effect.catchTag("KeyAlreadyExists", () => {
          if (sentAt < now) return look
          this.unclearSince = undefined
          return Effect.succeed(false)
        }),
        Effect.catchTag(["PublishOutcomeUnknown", "InvalidAnswer"], () => look)
      )
    })
  }

  /** Fails when the lock is not ours any more. What passes is tried again, until the time is over. */
  get refreshing(): Effect.Effect<never, LockLost | LockError> {
    const periodMillis = (this.ttlMillis - marginMillis) / 3
    return Effect.gen({ self: this }, function*() {
      let pauseMillis = periodMillis
      while (true) {
        yield* Effect.sleep(pauseMillis)
        const sentAt = yield* elapsedMillis
        const refreshed = yield* Effect.result(
          write(this.bucket, this.key, this.mark, {
            expected: this.revision,
            ttl: this.keyTtl,
            timeout: Duration.millis(periodMillis)
          })
        )
        if (refreshed._tag === "Success") {
          this.revision = refreshed.success
          this.confirmedAt = sentAt
          pauseMillis = periodMillis
          continue
        }
        const error = refreshed.failure
        pauseMillis = periodMillis / 4
        if (error._tag === "WrongLastSequence") {
          const looked = yield* Effect.result(Effect.timeoutOption(this.stored, periodMillis))
          if (looked._tag === "Failure" || Option.isNone(looked.success)) continue
          const stored = looked.success.value
          if (!this.isMine(stored)) return yield* this.lost("taken")
          // A refresh whose answer was lost. When it was stored is not known, so another one is sent.
          this.revision = stored.revision
          pauseMillis = 0
        } else if (!passes(error)) return yield* Effect.fail(error)
      }
    })
  }

  /** Fails when the time is over. */
  get expiring(): Effect.Effect<never, LockLost> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const left = this.lostAt - (yield* elapsedMillis)
        if (left <= 0) return yield* this.lost("notRefreshed")
        yield* Effect.sleep(left)
      }
    })
  }

  private lost(reason: LockLost["reason"]): LockLost {
    return new LockLost({ bucket: this.bucket.name, key: this.shownKey, token: this.token, reason })
  }

  /** Deletes the key if it is ours, or may be. Where that cannot be done in time, it expires. */
  get release(): Effect.Effect<void> {
    if (this.unclearSince === undefined) return Effect.void
    const remove = (revision: number): Effect.Effect<unknown, AnyWriteError> =>
      write(this.bucket, this.key, "", { headers: deletion, expected: revision, ttl: this.keyTtl })
    const look = Effect.flatMap(
      this.stored,
      (stored): Effect.Effect<unknown, AnyWriteError> => this.isMine(stored) ? remove(stored.revision) : Effect.void
    )
    const released = this.revision === 0
      ? look
      : Effect.catchTag(remove(this.revision), "WrongLastSequence", () => look)
    return Effect.ignore(Effect.timeoutOption(released, releaseWithin))
  }

  get lock(): Lock {
    return {
      key: this.shownKey,
      token: this.token,
      remaining: Effect.map(elapsedMillis, (now) => Duration.millis(Math.max(0, this.lostAt - now)))
    }
  }
}

const deletion = { [operationHeader]: "DEL" }

const passing: ReadonlySet<string> = new Set([
  "NotPublished",
  "NoStreamForSubject",
  "JetStreamUnavailable",
  "PublishOutcomeUnknown",
  "InvalidAnswer",
  "RequestTimedOut",
  "ConnectionLost"
])

/** What a lock waits through: the server is away, or has no leader. */
const passes = (error: { readonly _tag: string }): boolean => passing.has(error._tag)

/** The server needs a moment to let an expired key go, and those who wait for it should not all ask at once. */
const graceMillis = 50
const retryMillis = 500

/** Waits until the key is deleted, or has had the time to expire, and tries then. */
const acquire = (claim: Claim): Effect.Effect<void, LockError, Scope.Scope> =>
  Effect.gen(function*() {
    const attempt = Effect.catchIf(claim.attempt, passes, () => Effect.succeed(false))
    if (yield* attempt) return
    const freed = yield* Queue.make<void>({ capacity: 1, strategy: "sliding" })
    let expiresAt = 0
    let isThere = false
    const watching = Stream.runForEach(
      watchStored(claim.bucket, [claim.key], { from: "lastPerSubject" }),
      (event) =>
        Effect.flatMap(elapsedMillis, (now) => {
          if (event === "initialDone") return isThere ? Effect.void : Queue.offer(freed, undefined)
          isThere = event.reason === undefined
          expiresAt = now + (markIn(event)?.ttlMillis ?? claim.ttlMillis) + graceMillis
          return isThere ? Effect.void : Queue.offer(freed, undefined)
        })
    )
    const trying = Effect.gen(function*() {
      while (true) {
        const now = yield* elapsedMillis
        const chance = yield* Random.next
        // A holder of whom no sign has come yet is looked at again soon.
        const patience = expiresAt > now ? expiresAt - now : retryMillis * (0.5 + chance)
        yield* Effect.timeoutOption(Queue.take(freed), patience)
        if (yield* attempt) return
      }
    })
    yield* Effect.raceFirst(trying, Effect.andThen(watching, Effect.never))
  })

const ttlOf = ({ located, name }: Bucket, wanted: Duration.Input | undefined): Effect.Effect<number, LockNeedsTtl> => {
  const { hasKeyTtl, maxAgeMillis } = located
  if (!hasKeyTtl && maxAgeMillis === undefined) return Effect.fail(new LockNeedsTtl({ bucket: name }))
  const asked = wanted === undefined ? defaultTtlMillis : Duration.toMillis(wanted)
  const ttlMillis = hasKeyTtl ? Math.min(asked, maxAgeMillis ?? asked) : maxAgeMillis!
  return ttlMillis >= shortestTtlMillis
    ? Effect.succeed(ttlMillis)
    : Effect.die(new RangeError(`the \`ttl\` of a lock is ${ttlMillis} ms: it must be at least ${shortestTtlMillis}`))
}

/** What came of the work, or that the lock was lost. The work can fail with the loss of another lock. */
type Held<A, E> = { readonly lost: LockLost } | { readonly exit: Exit.Exit<A, E> }

const hold = <A, E, R>(
  claim: Claim,
  use: (lock: Lock) => Effect.Effect<A, E, R | Scope.Scope>
): Effect.Effect<Held<A, E>, LockError, Exclude<R, Scope.Scope>> => {
  const work = Effect.map(Effect.exit(Effect.scoped(use(claim.lock))), (exit): Held<A, E> => ({ exit }))
  const loss = Effect.catch(
    Effect.raceFirst(claim.refreshing, claim.expiring),
    (error): Effect.Effect<Held<A, E>, LockError> =>
      error._tag === "LockLost" ? Effect.succeed({ lost: error }) : Effect.fail(error)
  )
  return Effect.raceFirst(work, loss)
}

/** Acquires, works, lets go. */
const once = <A, E, R>(
  bucket: Bucket,
  key: string,
  shownKey: string,
  options: LockOptions,
  use: (lock: Lock) => Effect.Effect<A, E, R | Scope.Scope>
): Effect.Effect<Held<A, E>, LockError | LockNotFree, Exclude<R, Scope.Scope>> =>
  Effect.flatMap(ttlOf(bucket, options.ttl), (ttlMillis) => {
    const claim = new Claim(bucket, key, shownKey, ttlMillis, options.holder ?? "")
    const { wait } = options
    const acquired = Effect.scoped(acquire(claim))
    const inTime = wait === undefined
      ? acquired
      : Effect.flatMap(Effect.timeoutOption(acquired, wait), (result) =>
        Option.isSome(result)
          ? Effect.void
          : Effect.fail(
            new LockNotFree({ bucket: bucket.name, key: shownKey, waitedMillis: Duration.toMillis(wait) })
          ))
    return Effect.uninterruptibleMask((restore) =>
      // Also where it was not acquired: what was sent then may be stored, and nobody would let it go.
      Effect.onExit(Effect.flatMap(restore(inTime), () => restore(hold(claim, use))), () => claim.release)
    )
  })

export const lock = <A, E, R>(
  bucket: Bucket,
  key: string,
  shownKey: string,
  options: LockOptions,
  use: (lock: Lock) => Effect.Effect<A, E, R | Scope.Scope>
): Effect.Effect<A, E | LockError | LockNotFree | LockLost, Exclude<R, Scope.Scope>> =>
  Effect.flatMap(
    once(bucket, key, shownKey, options, use),
    (held): Effect.Effect<A, E | LockLost> => "lost" in held ? Effect.fail(held.lost) : held.exit
  )

/** Holds it again and again, until the work ends by itself. */
export const lead = <A, E, R>(
  bucket: Bucket,
  key: string,
  shownKey: string,
  options: LockOptions,
  use: (lock: Lock) => Effect.Effect<A, E, R | Scope.Scope>
): Effect.Effect<A, E | LockError | LockNotFree, Exclude<R, Scope.Scope>> =>
  Effect.flatMap(
    once(bucket, key, shownKey, options, use),
    (held): Effect.Effect<A, E | LockError | LockNotFree, Exclude<R, Scope.Scope>> =>
      "lost" in held ? lead(bucket, key, shownKey, options, use) : held.exit
  )

export const holder = (bucket: Bucket, key: string): Effect.Effect<Option.Option<Holder>, ReadFailure> =>
  Effect.map(readConsistent(bucket, { key }), (stored) => {
    const mark = markIn(stored)
    return mark === undefined || stored === undefined
      ? Option.none()
      : Option.some({ holder: mark.holder, refreshedMillis: stored.timestampMillis })
  })
