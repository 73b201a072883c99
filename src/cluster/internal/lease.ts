/**
 * A key that its owner has for a time, and refreshes. Every write compares the sequence of what it replaces, so that it never
 * touches the key of another, and the outcome of a write is decided by the write: what is read serves to choose the next one.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import * as Semaphore from "effect/Semaphore"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import type { GetError, PublishError, UnsupportedByServer } from "../../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"

export type LeaseError = PublishError | UnsupportedByServer | GetError

export interface LeaseSettings {
  readonly js: JetStream
  readonly stream: string
  /** Who writes: a process, and not an address, so that a second process with one address is another owner. */
  readonly owner: string
  readonly ttl: Duration.Duration
  /** How long one write or read may take. */
  readonly timeout: Duration.Duration
}

/** What stands in a key. */
export interface Held {
  readonly owner: string
  readonly [field: string]: unknown
}

/** What is in the place of a key. The message of a key that was let go, and the server's marker of one that expired, are empty. */
export type Found =
  | { readonly _tag: "Free"; readonly sequence: number }
  | { readonly _tag: "Held"; readonly sequence: number; readonly held: Held }

export const foundIn = ({ data, sequence }: { readonly data: Uint8Array; readonly sequence: number }): Found => {
  if (data.length === 0) return { _tag: "Free", sequence }
  try {
    const held: unknown = JSON.parse(new TextDecoder().decode(data))
    if (hasProperty(held, "owner") && typeof held.owner === "string") {
      return { _tag: "Held", sequence, held: held as unknown as Held }
    }
  } catch {
    // Somebody else's, as what has no owner.
  }
  return { _tag: "Held", sequence, held: { owner: "" } }
}

/** Another can be quicker a few times in a row, and no more: who takes a key keeps it. */
const mostTries = 4

/** How long the message of a key that was let go stands, as the server's markers do. */
const freeTtl = "1 second"

/** Nothing that is written here has them. */
const otherExpectations = ["WrongLastMessageId", "WrongStream"] as const

const inFlightPause = "20 millis"

export class Lease {
  /** Of the last write that is known to be ours, 0 for none. */
  sequence = 0
  /** When the last write that is known to be ours was sent, by the monotonic clock: its time begins no earlier. */
  private confirmedAt = -Infinity
  /** A write of ours has no answer, and may be what is there. */
  private isUnclear = false
  readonly subject: string
  private readonly settings: LeaseSettings
  /** What is asked first is done first: a key that is let go and taken again is ours. */
  private readonly inOrder = Semaphore.makeUnsafe(1).withPermits(1)

  constructor(settings: LeaseSettings, subject: string) {
    this.settings = settings
    this.subject = subject
  }

  get isHeld(): boolean {
    return this.sequence > 0
  }

  /** Whether nobody else can have it before `millis` are over: its time has not ended by then. */
  isSureFor(millis: number, now: number): boolean {
    return this.sequence > 0 && now + millis < this.confirmedAt + Duration.toMillis(this.settings.ttl)
  }

  /** What is there, by the leader of the stream. */
  get found(): Effect.Effect<Found, LeaseError> {
    const { js, stream } = this.settings
    return JetStreamStream.get(stream, { last: this.subject }, { consistent: true }).pipe(
      Effect.provideService(JetStream, js),
      Effect.map(foundIn),
      Effect.catchTag("MessageNotFound", () => Effect.succeed<Found>({ _tag: "Free", sequence: 0 }))
    )
  }

  /**
   * Takes the key where it is free, and begins its time anew where it is ours. Gives what is there where it is another's.
   * `expected` is the sequence that is expected of a free key.
   */
  take(value: object, expected = 0): Effect.Effect<Found | undefined, LeaseError> {
    return this.inOrder(Effect.suspend(() =>
      this.writeUntilClear(
        value,
        this.sequence > 0 ? this.sequence : expected,
        (found) => found._tag === "Free" || this.isOurs(found)
      )
    ))
  }

  /** Begins the time of our key anew. `false`: it is not ours any more. Nothing is taken that is free. */
  confirm(value: object): Effect.Effect<boolean, LeaseError> {
    return this.hold(value, (found) => this.isOurs(found))
  }

  /** `confirm` that also takes it again where its time has ended and nobody has it. */
  keep(value: object): Effect.Effect<boolean, LeaseError> {
    return this.hold(value, (found) => found._tag === "Free" || this.isOurs(found))
  }

  private hold(value: object, mayReplace: (found: Found) => boolean): Effect.Effect<boolean, LeaseError> {
    return this.inOrder(Effect.suspend(() =>
      this.sequence === 0 ? Effect.succeed(false) : Effect.map(
        this.writeUntilClear(value, this.sequence, mayReplace),
        (other) => other === undefined
      )
    ))
  }

  /** Lets it go, if it is ours or may be. */
  get free(): Effect.Effect<void, LeaseError> {
    return this.inOrder(Effect.suspend(() => {
      if (this.sequence === 0 && !this.isUnclear) return Effect.void
      const { js } = this.settings
      const remove = (expected: number) =>
        js.publish(this.subject, "", {
          expect: { lastSubjectSequence: expected },
          ttl: freeTtl,
          timeout: this.settings.timeout
        }).pipe(Effect.asVoid, Effect.catchTag(otherExpectations, Effect.die))
      const look = Effect.flatMap(this.found, (found) => this.isOurs(found) ? remove(found.sequence) : Effect.void)
      const removed = this.sequence === 0
        ? look
        : Effect.catchTag(remove(this.sequence), "WrongLastSequence", () => look)
      return removed.pipe(
        // It was lost just now.
        Effect.catchTag("WrongLastSequence", () => Effect.void),
        Effect.map(() => {
          this.sequence = 0
          this.isUnclear = false
        })
      )
    }))
  }

  private isOurs(found: Found): boolean {
    return found._tag === "Held" && found.held.owner === this.settings.owner
  }

  /** `undefined`: it is ours now. */
  private writeUntilClear(
    value: object,
    expected: number,
    mayReplace: (found: Found) => boolean,
    tries = mostTries
  ): Effect.Effect<Found | undefined, LeaseError> {
    const { js, owner, timeout, ttl } = this.settings
    return Effect.flatMap(elapsedMillis, (now) => {
      this.isUnclear = true
      return Effect.map(
        js.publish(this.subject, JSON.stringify({ owner, ...value }), {
          expect: { lastSubjectSequence: expected },
          ttl,
          timeout
        }),
        ({ sequence }) => {
          this.sequence = sequence
          this.confirmedAt = now
          this.isUnclear = false
          return undefined
        }
      )
    }).pipe(
      Effect.catchTag("WrongLastSequence", ({ actual }) =>
        // One that is on its way into the stream cannot be read yet.
        Effect.flatMap(actual === undefined ? Effect.delay(this.found, inFlightPause) : this.found, (found) => {
          const again = tries > 1 && mayReplace(found)
          if (again) return this.writeUntilClear(value, found.sequence, mayReplace, tries - 1)
          this.sequence = 0
          this.isUnclear = this.isOurs(found)
          return Effect.succeed(found)
        })),
      Effect.catchTag(otherExpectations, Effect.die)
    )
  }
}
