/** What a call of a store begins with, where the client may still be connecting. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Api } from "../../jetstream/internal/api.ts"
import { RequestTimedOut } from "../../NatsError.ts"
import { machineClock } from "./storeClock.ts"

/** Waits for it no longer than for the answer to a request. Can be interrupted wherever it runs. */
export const openedInTime = <A, E>(
  api: Api,
  opened: Effect.Effect<A, E>
): Effect.Effect<A, E | RequestTimedOut> =>
  Effect.suspend(() => {
    const { timeoutMillis } = api
    return opened.pipe(
      Effect.timeoutOrElse({
        duration: timeoutMillis,
        orElse: () => Effect.fail(new RequestTimedOut({ subject: `${api.prefix}.INFO`, timeoutMillis }))
      }),
      Effect.interruptible,
      Effect.provideService(Clock.Clock, machineClock)
    )
  })
