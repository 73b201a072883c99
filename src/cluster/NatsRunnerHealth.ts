/**
 * Whether a runner of `NatsRunners` lives: it is asked by NATS. Where nobody hears on its subject it is dead at once, without a
 * wait for anything.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { NatsRunnerHealth } from "effect-nats/cluster"
 *
 * const Health = NatsRunnerHealth.layer({ prefix: "shop" }).pipe(
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 * ```
 *
 * @since 0.2.0
 */
import * as RunnerHealth from "effect/cluster/RunnerHealth"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { NatsClient } from "../NatsClient.ts"
import { clusterStream, runnerToken } from "./internal/clusterStream.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** The `prefix` of the runners. */
  readonly prefix: string
}

/** A new subscription has to come around in a cluster of servers before it is known everywhere. */
const secondLook = "30 millis"

const answerWithin = "2 seconds"

/** A process that is busy is no dead one. */
const silences = 3

/**
 * The check of `layer`. It never fails; interruption ends the wait for an answer.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: (options: Options) => Effect.Effect<RunnerHealth.RunnerHealth["Service"], never, NatsClient> = Effect
  .fnUntraced(function*({ prefix }) {
    const nats = yield* NatsClient
    const { live } = clusterStream({ prefix })
    return RunnerHealth.RunnerHealth.of({
      isAlive: (address) => {
        const ask = nats.request(live("h", runnerToken(address)), "", { timeout: answerWithin })
        const look = (unheard: number, silent: number): Effect.Effect<boolean> =>
          Effect.matchEffect(ask, {
            onSuccess: () => Effect.succeed(true),
            onFailure: ({ _tag }) => {
              if (_tag === "NoResponders") {
                return unheard === 0
                  ? Effect.delay(look(unheard + 1, silent), secondLook)
                  : Effect.succeed(false)
              }
              // Of what is wrong on this side the runner is not guilty.
              if (_tag !== "RequestTimedOut") return Effect.succeed(true)
              return silent + 1 < silences ? look(unheard, silent + 1) : Effect.succeed(false)
            }
          })
        return look(0, 0)
      }
    })
  })

/**
 * Asks runners whether they live. A runner on whose subject nobody hears is dead (`false` in well under 100 ms). One
 * that hears and does not answer for 6 seconds, as a stopped process, is dead, too. Where this side has no connection a runner
 * is taken for alive.
 *
 * One runner asks all others every `runnerHealthCheckInterval`: by default each minute, and each 10 seconds with
 * `NatsCluster.layer`.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options: Options): Layer.Layer<RunnerHealth.RunnerHealth, never, NatsClient> =>
  Layer.effect(RunnerHealth.RunnerHealth, make(options))
