/**
 * Timers and tasks: before the listeners start, once after, every so often, and at a time of the day.
 *
 *   node examples/timer.ts
 *
 * Prints:
 *   before the listeners: the cache is warm
 *   once after the start, they answer: from a warm cache
 *   tick 1
 *   tick 2 fails; the timer goes on
 *   tick 3
 *   the timer that may not fail ends the program: StockIsGone
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Context, Deferred, Effect, Layer, Schedule, Schema } from "effect"
import { NatsClient, NatsLayer, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

class StockIsGone extends Schema.TaggedError<StockIsGone>()("StockIsGone", {}) {}

// Before the listeners: a service that they need is built first.
class Cache extends Context.Service<Cache, { readonly state: string }>()("Cache") {}

const Warm = Layer.effect(
  Cache,
  Effect.as(Console.log("before the listeners: the cache is warm"), { state: "from a warm cache" })
)

const Listeners = NatsListener.layer(
  "cache.state",
  NatsListener.replying(() => Effect.map(Cache, ({ state }) => state))
).pipe(Layer.provide(Warm))

// Once, after the listeners: a layer that stands on them.
const Once = Layer.effectDiscard(Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  yield* Console.log(`once after the start, they answer: ${(yield* nats.request("cache.state")).text}`)
})).pipe(Layer.provide(Listeners))

// At a time of the day, in the background for as long as the layer lives: the line of a crontab.
const Nightly = Layer.effectDiscard(
  Console.log("a report, every midnight").pipe(
    Effect.schedule(Schedule.cron("0 0 * * *")),
    Effect.forkScoped
  )
)

// Every 20 milliseconds. `Schedule.fixed` keeps to the clock, `Schedule.spaced` counts from the end of each run.
const every = Schedule.fixed("20 millis")

const ticking = (onThird: Effect.Effect<unknown>) => {
  let ticks = 0
  const tick = Effect.suspend(() => {
    ticks++
    if (ticks === 3) return Effect.andThen(Console.log("tick 3"), onThird)
    return ticks === 2
      ? Effect.andThen(Console.log("tick 2 fails; the timer goes on"), new StockIsGone())
      : Console.log(`tick ${ticks}`)
  })
  // What one run fails with is logged, and the next one comes.
  return tick.pipe(
    Effect.catchCause((cause) => Effect.logDebug("The tick failed", cause)),
    Effect.repeat(every)
  )
}

const Ticks = (onThird: Effect.Effect<unknown>) => Layer.effectDiscard(Effect.forkScoped(ticking(onThird)))

const program = Effect.gen(function*() {
  const third = yield* Deferred.make<void>()
  const App = Layer.mergeAll(Nightly, Ticks(Deferred.succeed(third, undefined))).pipe(Layer.provideMerge(Once))

  // A timer whose failure is the program's: beside the layers instead of in them.
  const strict = Effect.repeat(Effect.andThen(Deferred.await(third), new StockIsGone()), every)
  yield* Effect.raceFirst(NatsLayer.launch(App), strict).pipe(
    Effect.catchTag(
      "StockIsGone",
      (error) => Console.log(`the timer that may not fail ends the program: ${error._tag}`)
    )
  )
})

NodeRuntime.runMain(Effect.provide(program, TestNatsServer.layerClient()))
