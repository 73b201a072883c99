/**
 * The time of the server, as far as a process can know it without asking each time: no wall clock of a process decides.
 *
 * An answer of the API says when it was made. That was before it came, and after it was asked for: so each answer says what time it
 * is at least, and at most. In between the monotonic clock goes on.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import type { Api } from "../../jetstream/internal/api.ts"
import { type ApiError, InvalidAnswer } from "../../jetstream/JetStreamError.ts"

/** The clock of this machine, whatever clock the program runs with. */
export const machineClock: Clock.Clock = Clock.Clock.defaultValue()

export interface ServerClockOptions {
  /** Goes on between two answers: a `TestClock` moves on from the time when the store was built. */
  readonly clock: Clock.Clock
  /** So long an answer is believed. The clocks of machines drift by a tenth of a millisecond each second; some are set. */
  readonly freshMillis: number
  /** Answers of each time that it is asked: the more, the closer. */
  readonly samples: number
}

export class ServerClock {
  private readonly api: Api
  private readonly stream: string
  private readonly options: ServerClockOptions
  /** What the clock of the program was ahead of the machine's when the store was built. */
  private readonly apart: number
  /** The server's time where the machine's monotonic clock is at 0, at least and at most. */
  private least = 0
  private most = 0
  private takenAt = -Infinity
  private session: object | undefined
  private readonly one = Semaphore.makeUnsafe(1)

  /** Asks the leader of that stream. */
  constructor(api: Api, stream: string, options: ServerClockOptions) {
    this.api = api
    this.stream = stream
    this.options = options
    this.apart = monotonicMillis(options.clock) - monotonicMillis(machineClock)
  }

  /** In milliseconds since 1970, and never ahead of the server. Needs `fresh` before it. */
  now(): number {
    return this.least + monotonicMillis(this.options.clock) - this.apart
  }

  /** The same, and never behind the server. */
  latest(): number {
    return this.now() + this.most - this.least
  }

  /** Asks the server where that is due: once in each session, and when what it said is not believed any more. */
  get fresh(): Effect.Effect<void, ApiError> {
    return Effect.suspend(() => this.isFresh ? Effect.void : this.one.withPermits(1)(this.take))
  }

  private get isFresh(): boolean {
    const { session } = this.api.connection
    return session !== undefined && session === this.session &&
      monotonicMillis(machineClock) - this.takenAt < this.options.freshMillis
  }

  private get take(): Effect.Effect<void, ApiError> {
    return Effect.gen({ self: this }, function*() {
      if (this.isFresh) return
      let least = -Infinity
      let most = Infinity
      for (let sample = 0; sample < this.options.samples; sample++) {
        const asked = monotonicMillis(machineClock)
        const answer = yield* this.api.call(`STREAM.INFO.${this.stream}`)
        const time = typeof answer["ts"] === "string" ? Date.parse(answer["ts"]) : NaN
        if (Number.isNaN(time)) {
          return yield* new InvalidAnswer({ request: "STREAM.INFO", problem: "it does not say when it was made" })
        }
        // What is below a millisecond was cut off: of the server's time, and of the clock here, then and when it is read.
        least = Math.max(least, time - monotonicMillis(machineClock) - 1)
        most = Math.min(most, time + 2 - asked)
      }
      this.least = least
      // Where the server's clock was set meanwhile the two do not agree.
      this.most = Math.max(most, least)
      this.takenAt = monotonicMillis(machineClock)
      this.session = this.api.connection.session
    })
  }
}
