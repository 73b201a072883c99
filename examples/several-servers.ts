/**
 * Several servers: the first that takes the client is used, the next takes over when it dies, and when none does the
 * error tells of each. `randomizeServers: false` keeps them in the order of the list.
 *
 *   node examples/several-servers.ts
 *
 * Prints:
 *   connected to the server "alpha"
 *   "alpha" is killed
 *   connected to the server "beta"
 *   with a wrong password: AuthorizationViolation, the most telling of:
 *   nats://127.0.0.1:1: ConnectionRefused
 *   nats://127.0.0.1:…: ConnectionRefused
 *   nats://127.0.0.1:…: AuthorizationViolation
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const users = [{ user: "john", password: "johnpassword" }]
  const alpha = yield* TestNatsServer.make({ name: "alpha", users })
  const beta = yield* TestNatsServer.make({ name: "beta", users })
  const servers = ["nats://127.0.0.1:1", alpha.url, beta.url]

  const nats = yield* NatsClient.make({
    servers,
    randomizeServers: false,
    auth: { user: "john", password: "johnpassword" }
  })
  yield* Console.log(`connected to the server "${(yield* nats.serverInfo).server_name}"`)

  const movedOn = yield* nats.status.pipe(
    Stream.takeUntil((event) => event._tag === "Connected" && event.session === 2),
    Stream.runDrain,
    Effect.forkChild({ startImmediately: true })
  )
  yield* Console.log("\"alpha\" is killed")
  yield* alpha.kill
  yield* Fiber.join(movedOn)
  yield* Console.log(`connected to the server "${(yield* nats.serverInfo).server_name}"`)

  yield* NatsClient.make({ servers, randomizeServers: false, auth: { user: "john", password: "hunter2" } }).pipe(
    Effect.catchTag("AuthorizationViolation", (error) =>
      Console.log([
        `with a wrong password: ${error._tag}, the most telling of:`,
        ...(error.attempts ?? []).map((attempt) => `  ${attempt.server}: ${attempt.error._tag}`)
      ].join("\n")))
  )
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
