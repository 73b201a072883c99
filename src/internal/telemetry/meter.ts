/**
 * Measures how long handlers and requests take. There is none unless somebody asked for times.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { RequestError } from "../../NatsError.ts"
import type { Outcome, Times } from "./collector.ts"

const nanosPerSecond = 1_000_000_000

export class Meter {
  private readonly times: Times
  private readonly clock: Clock.Clock

  constructor(times: Times, clock: Clock.Clock) {
    this.times = times
    this.clock = clock
  }

  timeRequest<A>(request: Effect.Effect<A, RequestError>): Effect.Effect<A, RequestError> {
    const started = this.clock.monotonicTimeNanosUnsafe()
    return Effect.onExit(request, (exit) => {
      this.times.requests[outcomeOf(exit)].add(this.since(started))
      return Effect.void
    })
  }

  timeHandler<A, E, R>(handle: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const started = this.clock.monotonicTimeNanosUnsafe()
      return Effect.onExit(Effect.suspend(handle), () => {
        this.times.handlers.add(this.since(started))
        return Effect.void
      })
    })
  }

  private since(started: bigint): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() - started) / nanosPerSecond
  }
}

const outcomeOf = (exit: Exit.Exit<unknown, RequestError>): Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "Some" ? error.value._tag : "interrupted"
}
