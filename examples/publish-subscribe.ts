/**
 * Publishing and subscribing: wildcards, headers, and a publish that the server confirms.
 *
 *   node examples/publish-subscribe.ts
 *
 * Prints:
 *   orders.1.created: {"total":12.5} (region: eu)
 *   orders.2.created: {"total":3} (region: none)
 *   the first alone: orders.3.paid
 *   a confirmed publish that is refused: PermissionsViolation: …
 *   an invalid subject: The subject "orders..created" is invalid (token 2): it is empty.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient

  // Succeeds when the server has the subscription: what is published from here on is received, nobody has to wait.
  // It unsubscribes itself after two messages, which ends the stream.
  const created = yield* nats.subscription("orders.*.created", { max: 2 })
  yield* nats.publish("orders.1.created", "{\"total\":12.5}", { headers: { region: "eu" } })
  yield* nats.publish("orders.2.created", "{\"total\":3}")
  yield* Stream.runForEach(
    created.stream,
    (message) => Console.log(`${message.subject}: ${message.text} (region: ${message.header("region") ?? "none"})`)
  )

  // Every subscriber gets every message; `>` is any number of tokens.
  const all = yield* nats.subscription("orders.>")
  yield* nats.publish("orders.3.paid")
  const first = yield* Stream.runCollect(Stream.take(all.stream, 1))
  yield* Console.log(`the first alone: ${first[0].subject}`)

  // A plain publish is handed over and not answered. With `confirm` a refusal fails it.
  yield* nats.publish("secret.plans", "", { confirm: true }).pipe(
    Effect.catchTag(
      "PermissionsViolation",
      (error) => Console.log(`a confirmed publish that is refused: ${error._tag}: ${error.message}`)
    )
  )

  yield* nats.publish("orders..created").pipe(
    Effect.catchTag("InvalidSubject", (error) => Console.log(`an invalid subject: ${error.message}`))
  )
}).pipe(Effect.scoped)

const main = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({
    users: [{ user: "app", password: "app", permissions: { publish: ["orders.>"], subscribe: ["orders.>"] } }]
  })
  yield* Effect.provide(program, NatsClient.layer({ servers: server.url, auth: { user: "app", password: "app" } }))
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
