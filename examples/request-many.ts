/**
 * One request, many replies: by count, by silence, by an empty reply, by time.
 *
 *   node examples/request-many.ts
 *
 * Prints:
 *   the first two of three: 2 replies
 *   all that come before a silence: amsterdam, berlin, paris
 *   a result in pieces, up to the empty one: piece 1, piece 2, piece 3
 *   nobody there: NoResponders
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient

  // Without a queue group every one of these gets each request.
  for (const city of ["amsterdam", "berlin", "paris"]) {
    const { stream } = yield* nats.subscription("ping")
    yield* Effect.forkScoped(Stream.runForEach(stream, (message) => message.respond(city)))
  }

  const two = yield* Stream.runCollect(nats.requestMany("ping", "", { count: 2 }))
  yield* Console.log(`the first two of three: ${two.length} replies`)

  // The whole time is two seconds; it ends a fifth of a second after the last reply.
  const cities = yield* nats.requestMany("ping", "", { timeout: "2 seconds", stall: "200 millis" }).pipe(
    Stream.map((reply) => reply.text),
    Stream.runCollect
  )
  yield* Console.log(`all that come before a silence: ${cities.toSorted().join(", ")}`)

  const pieces = yield* nats.subscription("export")
  yield* Effect.forkScoped(
    Stream.runForEach(
      pieces.stream,
      (message) =>
        Effect.forEach(["piece 1", "piece 2", "piece 3", ""], (text) => message.respond(text), { discard: true })
    )
  )
  const result = yield* Stream.runCollect(nats.requestMany("export", "", { sentinel: true }))
  yield* Console.log(
    `a result in pieces, up to the empty one: ${Array.from(result, (reply) => reply.text).join(", ")}`
  )

  yield* Stream.runDrain(nats.requestMany("nobody")).pipe(
    Effect.catchTag("NoResponders", (error) => Console.log(`nobody there: ${error._tag}`))
  )
}).pipe(Effect.scoped)

NodeRuntime.runMain(Effect.provide(program, TestNatsServer.layerClient()))
