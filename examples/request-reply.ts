/**
 * Requests: an answer, nobody there, no answer in time, and many at once.
 *
 *   node examples/request-reply.ts
 *
 * Prints:
 *   Hello, Ada!
 *   nobody is there: NoResponders: …
 *   somebody is there and says nothing: RequestTimedOut: …
 *   1000 requests at once: the last reply is "Hello, 999!"
 *   the bad one fails: SyntaxError …, the good one: 4
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Schema, Stream } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const Numbers = Schema.Array(Schema.Finite)

// A handler's own failure becomes an answer here: the caller does not wait for its timeout.
const sum = (message: NatsMessage.NatsMessage) =>
  message.decode(Numbers).pipe(
    Effect.flatMap((numbers) => message.respond(String(numbers.reduce((a, b) => a + b, 0)))),
    Effect.catchTag("MessageDecodeError", (error) =>
      message.respond("", { headers: { "Nats-Service-Error": `SyntaxError ${error.problem}` } }))
  )

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient

  const greet = yield* nats.subscription("greet")
  yield* Effect.forkScoped(Stream.runForEach(greet.stream, (message) => message.respond(`Hello, ${message.text}!`)))
  const reply = yield* nats.request("greet", "Ada")
  yield* Console.log(reply.text)

  // The server knows that nobody is subscribed, and says so at once.
  yield* nats.request("nobody").pipe(
    Effect.catchTag("NoResponders", (error) => Console.log(`nobody is there: ${error._tag}: ${error.message}`))
  )

  yield* nats.subscription("deaf")
  yield* nats.request("deaf", "", { timeout: "50 millis" }).pipe(
    Effect.catchTag(
      "RequestTimedOut",
      (error) => Console.log(`somebody is there and says nothing: ${error._tag}: ${error.message}`)
    )
  )

  const replies = yield* Effect.forEach(
    Array.from({ length: 1000 }, (_, i) => i),
    (i) => nats.request("greet", String(i)),
    { concurrency: "unbounded" }
  )
  yield* Console.log(`1000 requests at once: the last reply is "${replies[999].text}"`)

  const sums = yield* nats.subscription("sum")
  yield* Effect.forkScoped(Stream.runForEach(sums.stream, sum))
  const bad = yield* nats.request("sum", "one, two")
  const good = yield* nats.request("sum", "[1, 3]")
  yield* Console.log(`the bad one fails: ${bad.header("Nats-Service-Error")}, the good one: ${good.text}`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(Effect.provide(program, TestNatsServer.layerClient()))
