/** A stop that is out of time while handlers are busy: wherever it comes, each request has one answer. */
import { assert, it } from "@effect/vitest"
import { Clock, Deferred, Effect, type Fiber, Scheduler, Scope, Stream } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"

/** Lets a fiber yield after so many steps, when something has happened. */
class Cutting extends Scheduler.MixedScheduler {
  target: Fiber.Fiber<unknown, unknown> | undefined
  steps = 0
  cut: () => void = () => {}
  hasCut = false

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (fiber !== this.target || this.hasCut || this.steps-- > 0) return super.shouldYield(fiber)
    this.hasCut = true
    this.cut()
    return true
  }
}

it.layer(TestNatsServer.layer(), { timeout: "60 seconds", excludeTestServices: true })("a stop out of time", (it) => {
  for (const concurrency of [1, 2, "unbounded"] as const) {
    it.effect(`has each request answered once, wherever it comes, with a concurrency of ${concurrency}`, () =>
      Effect.gen(function*() {
        const { url } = yield* TestNatsServer.TestNatsServer
        // The time of a stop is by the clock of the client, which sleeps last where the stop does.
        let deadline: (() => void) | undefined
        const manual: Clock.Clock = Object.assign(Object.create(yield* Clock.Clock), {
          sleep: () =>
            Effect.callback<void>((resume) => {
              deadline = () => resume(Effect.void)
            })
        })
        const nats = yield* Effect.provideService(NatsClient.make({ servers: url }), Clock.Clock, manual)
        const inbox = yield* nats.inbox
        const replies = yield* nats.subscription(`${inbox}.>`)
        const answers = new Map<string, number>()
        yield* Effect.forkScoped(
          Stream.runForEach(
            replies.stream,
            ({ subject }) => Effect.sync(() => answers.set(subject, (answers.get(subject) ?? 0) + 1))
          )
        )
        let cuts = 0
        for (let steps = 0; steps < 50; steps++) {
          answers.clear()
          const scheduler = new Cutting()
          scheduler.steps = steps
          scheduler.cut = () => deadline!()
          const begun = yield* Deferred.make<void>()
          const gate = yield* Deferred.make<void>()
          let count = 0
          const scope = yield* Scope.make()
          const listener = yield* NatsListener.make(
            "ask",
            NatsListener.replying(() =>
              Effect.withFiber((fiber) => {
                if (count++ > 0) return Effect.succeed("done")
                return Deferred.succeed(begun, undefined).pipe(
                  Effect.andThen(Deferred.await(gate)),
                  Effect.andThen(Effect.sync(() => {
                    scheduler.target = fiber
                    return "done"
                  }))
                )
              })
            ),
            { concurrency }
          ).pipe(
            Effect.provideService(NatsClient.NatsClient, nats),
            Effect.provideService(Scheduler.Scheduler, scheduler),
            Scope.provide(scope)
          )
          for (let i = 0; i < 4; i++) yield* nats.publish("ask", "", { reply: `${inbox}.${i}` })
          yield* Deferred.await(begun)
          yield* nats.flush
          const stopping = yield* Effect.forkChild(listener.stop, { startImmediately: true })
          yield* until(Effect.map(nats.stats, ({ subscriptions }) => subscriptions === 1))
          yield* Deferred.succeed(gate, undefined)
          yield* until(Effect.sync(() => stopping.pollUnsafe() !== undefined))
          yield* nats.flush
          if (scheduler.hasCut) cuts++
          assert.deepStrictEqual([...answers.values()], [1, 1, 1, 1], `after ${steps} steps`)
        }
        assert.isAbove(cuts, 2)
      }))
  }
})
