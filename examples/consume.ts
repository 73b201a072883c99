/**
 * Handlers with workers: so many at a time, a failure stops nothing, and the end waits for what was taken.
 *
 *   node examples/consume.ts
 *
 * Prints:
 *   …A message handler failed…
 *   at most 4 orders at a time
 *   19 of 20 orders are packed, 1 handler failed
 *   in order with one worker: 1, 2, 3, 4, 5
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Schema } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String }) {}

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  let running = 0
  let most = 0
  let packed = 0

  const pack = Effect.fnUntraced(function*(message: NatsMessage.NatsMessage) {
    most = Math.max(most, ++running)
    yield* Effect.yieldNow
    running--
    if (message.text === "13") return yield* new OutOfStock({ item: message.text })
    packed++
  })

  // It runs until the client ends. Here it ends after 20 messages, when all of them are handled.
  const packing = yield* Effect.forkChild(
    nats.consume("orders", pack, { queue: "packers", concurrency: 4, max: 20 }),
    { startImmediately: true }
  )
  yield* nats.flush
  for (let i = 1; i <= 20; i++) yield* nats.publish("orders", String(i))
  yield* Fiber.join(packing)
  yield* Console.log(`at most ${most} orders at a time`)
  // What a handler fails with is in the log, with the subject.
  yield* Console.log(`${packed} of 20 orders are packed, ${(yield* nats.stats).handlerFailures} handler failed`)

  const seen: Array<string> = []
  const ordered = yield* Effect.forkChild(
    nats.consume("steps", (message) => Effect.sync(() => seen.push(message.text)), { max: 5 }),
    { startImmediately: true }
  )
  yield* nats.flush
  for (let i = 1; i <= 5; i++) yield* nats.publish("steps", String(i))
  yield* Fiber.join(ordered)
  yield* Console.log(`in order with one worker: ${seen.join(", ")}`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(Effect.provide(program, TestNatsServer.layerClient()))
