/**
 * A reader that does not keep up: what is kept, what is lost, and who is told.
 *
 *   node examples/back-pressure.ts
 *
 * Prints:
 *   10,000 published, nothing read yet
 *   dropNewest keeps 100: 1 to 100, dropped 9900
 *   dropOldest keeps 100: 9901 to 10000, dropped 9900
 *   fail keeps 100: 1 to 100, then SlowConsumer: …
 *   events: Overflow (dropNewest), Overflow (dropOldest), Overflow (fail)
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  const policies = ["dropNewest", "dropOldest", "fail"] as const

  // One event for each episode, not for each message.
  const events = yield* nats.status.pipe(
    Stream.filter((event) => event._tag === "Overflow"),
    Stream.take(policies.length),
    Stream.runCollect,
    Effect.forkChild({ startImmediately: true })
  )

  // The default is 65,536 messages and 64 MiB.
  const subscriptions = yield* Effect.forEach(
    policies,
    (overflow) => nats.subscription("readings", { capacity: 100, overflow })
  )
  for (let i = 1; i <= 10_000; i++) yield* nats.publish("readings", String(i))
  yield* nats.flush
  yield* Console.log("10,000 published, nothing read yet")

  for (const [index, { dropped, stream, unsubscribe }] of subscriptions.entries()) {
    yield* unsubscribe
    const kept: Array<string> = []
    const keep = Stream.runForEach(stream, (message) => Effect.sync(() => kept.push(message.text)))
    const range = () => `${policies[index]} keeps ${kept.length}: ${kept[0]} to ${kept.at(-1)}`
    yield* keep.pipe(
      Effect.andThen(Effect.flatMap(dropped, (count) => Console.log(`${range()}, dropped ${count}`))),
      Effect.catchTag("SlowConsumer", (error) => Console.log(`${range()}, then ${error._tag}: ${error.message}`))
    )
  }

  const told = (yield* Fiber.join(events)).map((event) => `${event._tag} (${event.policy})`)
  yield* Console.log(`events: ${told.toSorted().join(", ")}`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(Effect.provide(program, TestNatsServer.layerClient()))
