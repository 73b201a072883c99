/**
 * A service that may start before its broker: the first connect fails at once, unless it is told to wait.
 *
 *   node examples/wait-for-broker.ts
 *
 * Prints:
 *   by default: ConnectionRefused: Nothing listens at nats://127.0.0.1:…: start the server, …
 *   for at most 300 ms: ConnectionRefused: Nothing listens at nats://127.0.0.1:…: …
 *   with "wait": dialling
 *   the server is started
 *   connected at dial …
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Latch } from "effect"
import { type NatsAuth, NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make()
  yield* server.stop

  const atOnce = yield* Effect.flip(NatsClient.make({ servers: server.url }))
  yield* Console.log(`by default: ${atOnce._tag}: ${atOnce.message}`)

  const bounded = yield* Effect.flip(NatsClient.make({
    servers: server.url,
    reconnect: { onFirstConnect: "wait", initialDelay: "50 millis", maxElapsed: "300 millis" }
  }))
  yield* Console.log(`for at most 300 ms: ${bounded._tag}: ${bounded.message}`)

  // `auth` as an Effect runs before every dial: here it only tells of it.
  const dialled = yield* Latch.make()
  const auth = Console.log("with \"wait\": dialling").pipe(
    Effect.andThen(dialled.open),
    Effect.as<NatsAuth.Input>({ _tag: "Anonymous" })
  )
  const waiting = yield* Effect.forkChild(NatsClient.make({
    servers: server.url,
    auth,
    reconnect: { onFirstConnect: "wait", initialDelay: "50 millis", maxDelay: "1 second" }
  }))
  yield* dialled.await

  yield* server.restart
  yield* Console.log("the server is started")
  const nats = yield* Fiber.join(waiting)
  yield* Console.log(`connected at dial ${(yield* nats.stats).dials}`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
