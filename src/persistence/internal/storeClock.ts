/**
 * The time of a store: that of the server, as far as a process can know it without asking each time.
 *
 * An answer of the API says when it was made. It came later than that, so what is taken from it is never ahead of the server:
 * of several answers the latest time counts. In between the monotonic clock goes on; no wall clock of a process decides.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import type { Api } from "../../jetstream/internal/api.ts"
import { type ApiError, InvalidAnswer } from "../../jetstream/JetStreamError.ts"

/** The clocks of machines drift by less than a tenth of a millisecond each second. */
const freshMillis = 5 * 60_000

const samples = 3

/** The clock of this machine, whatever clock the program runs with. */
export const machineClock: Clock.Clock = Clock.Clock.defaultValue()

export class StoreClock {
  private readonly api: Api
  private readonly stream: string
  private readonly clock: Clock.Clock
  /** What the clock of the program was ahead of the machine's when the store was built. A `TestClock` moves on from there. */
  private readonly apart: number
  /** The server's time where the machine's monotonic clock is at 0. */
  private offset = 0
  /** How long the answer took that it was taken from: it is behind the server by no more. */
  private behind = 0
  private takenAt = -Infinity
  private session: object | undefined
  private readonly one = Semaphore.makeUnsafe(1)

  constructor(api: Api, stream: string, clock: Clock.Clock) {
    this.api = api
    this.stream = stream
    this.clock = clock
    this.apart = monotonicMillis(clock) - monotonicMillis(machineClock)
  }

  /** In milliseconds since 1970, by the server. Needs `fresh` before it. */
  now(): number {
    return this.offset + monotonicMillis(this.clock) - this.apart
  }

  /** The latest that it can be by the server, as far as is known. */
  latest(): number {
    return this.now() + this.behind
  }

  /** Asks the server where that is due: once in each session, and every five minutes. */
  get fresh(): Effect.Effect<void, ApiError> {
    return Effect.suspend(() => this.isFresh ? Effect.void : this.one.withPermits(1)(this.take))
  }

  private get isFresh(): boolean {
    const { session } = this.api.connection
    return session !== undefined && session === this.session &&
      monotonicMillis(machineClock) - this.takenAt < freshMillis
  }

  private get take(): Effect.Effect<void, ApiError> {
    return Effect.gen({ self: this }, function*() {
      if (this.isFresh) return
      let offset = -Infinity
      let behind = Infinity
      for (let sample = 0; sample < samples; sample++) {
        const asked = monotonicMillis(machineClock)
        const answer = yield* this.api.call(`STREAM.INFO.${this.stream}`)
        const time = typeof answer["ts"] === "string" ? Date.parse(answer["ts"]) : NaN
        if (Number.isNaN(time)) {
          return yield* new InvalidAnswer({ request: "STREAM.INFO", problem: "it does not say when it was made" })
        }
        const came = monotonicMillis(machineClock)
        offset = Math.max(offset, time - came)
        behind = Math.min(behind, came - asked + 1)
      }
      this.behind = behind
      this.offset = offset
      this.takenAt = monotonicMillis(machineClock)
      this.session = this.api.connection.session
    })
  }
}
