/**
 * Asks for one part of the page, whatever comes of it: what is refused, absent or slow is told in its place.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"

/** Why a part is not there. */
export class Problem {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** How long a part is waited for. */
export const patience = Duration.seconds(2)

/** What a server has refused is asked again after that, as it logs each time. */
const restNanos = 30_000_000_000n

export class Asking {
  private readonly resting = new Map<string, { readonly until: bigint; readonly problem: Problem }>()

  /** By the name of the part. A defect is for the log: its words may be anything. */
  readonly ask = Effect.fnUntraced(
    function*<A, E, R>(
      this: Asking,
      name: string,
      part: Effect.Effect<A, E, R>
    ): Effect.fn.Return<A | Problem, never, R> {
      const now = yield* Clock.monotonicTimeNanos
      const rest = this.resting.get(name)
      if (rest !== undefined && now < rest.until) return rest.problem
      this.resting.delete(name)
      return yield* part.pipe(
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.succeed(new Problem(`no answer for ${Duration.format(patience)}`))
        }),
        Effect.catchCause((cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
          if (!Cause.hasFails(cause)) {
            return Effect.as(Effect.logError(`The dashboard: ${name}`, cause), new Problem("it died: see the log"))
          }
          const error = Cause.squash(cause)
          const problem = new Problem(error instanceof Error ? error.message : "it failed")
          if (hasProperty(error, "_tag") && error._tag === "PermissionsViolation") {
            this.resting.set(name, { until: now + restNanos, problem })
          }
          return Effect.succeed(problem)
        })
      )
    }
  )
}
