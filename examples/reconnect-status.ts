/**
 * A connection that is lost and found again, as its status tells it. The subscription lives through it.
 *
 *   node examples/reconnect-status.ts
 *
 * Prints:
 *   status: Connected, session 1 at nats://127.0.0.1:…
 *   received: before
 *   status: Disconnected: …
 *   status: Reconnecting, attempt 1 in … ms: …
 *   status: Connected, session 2 at nats://127.0.0.1:…
 *   received: after
 *   status: Draining
 *   status: Closed
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Latch, Stream } from "effect"
import { NatsClient, type NatsStatus } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const describe = (event: NatsStatus.StatusEvent): string => {
  switch (event._tag) {
    case "Connected":
      return `Connected, session ${event.session} at ${event.server}`
    case "Disconnected":
      return `Disconnected: ${event.reason.message}`
    case "Reconnecting":
      return `Reconnecting, attempt ${event.attempt} in ${event.delayMillis} ms: ${event.reason.message}`
    default:
      return event._tag
  }
}

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make()
  const nats = yield* NatsClient.make({ servers: server.url, reconnect: { initialDelay: "50 millis" } })

  const tried = yield* Latch.make()
  const status = yield* nats.status.pipe(
    Stream.tap((event) => Console.log(`status: ${describe(event)}`)),
    Stream.runForEach((event) => event._tag === "Reconnecting" ? tried.open : Effect.void),
    Effect.forkChild({ startImmediately: true })
  )

  const { stream } = yield* nats.subscription("news")
  const receiveOne = stream.pipe(
    Stream.take(1),
    Stream.runForEach((message) => Console.log(`received: ${message.text}`))
  )

  yield* nats.publish("news", "before")
  yield* receiveOne

  yield* server.kill
  yield* tried.await
  yield* server.restart

  // Waits for the connection: that is what `whileDisconnected` does by default.
  yield* nats.publish("news", "after")
  yield* receiveOne

  yield* nats.drain
  yield* Fiber.join(status)
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
