/**
 * The first five minutes: a server that wants a user and a password, and a service that meets it.
 *
 *   npm start
 *   node examples/quickstart.ts
 *
 * The server is a real nats-server on a free port of this machine; it is gone when the program ends.
 *
 * Prints:
 *   nats-server … listens at nats://127.0.0.1:…, started with --user john --pass johnpassword
 *   1. The service without credentials:
 *   AuthorizationViolation: nats://127.0.0.1:… wants credentials and none were sent: set `auth` (or NATS_USER and NATS_PASSWORD).
 *   2. The service with a wrong password:
 *   AuthorizationViolation: nats://127.0.0.1:… refused a user and a password: check `auth` against the server's configuration; its log names the reason.
 *   3. The service at a port where nothing listens:
 *   ConnectionRefused: Nothing listens at nats://127.0.0.1:1: start the server, or correct `servers` (or NATS_URL).
 *   4. The service with the right credentials:
 *   …Connected to NATS…
 *   A request to "greet" with "Ada" is answered: Hello, Ada!
 *   The service has answered what it took and is closed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Redacted, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

// The service knows nothing of servers and passwords: it asks for a client.
const service = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  const { stream } = yield* nats.subscription("greet", { queue: "greeters" })
  const greeter = yield* Effect.forkChild(
    Stream.runForEach(stream, (message) => message.respond(`Hello, ${message.text}!`))
  )

  const reply = yield* nats.request("greet", "Ada")
  yield* Console.log(`   A request to "greet" with "Ada" is answered: ${reply.text}`)

  yield* nats.drain
  yield* Fiber.join(greeter)
  yield* Console.log("   The service has answered what it took and is closed.")
}).pipe(Effect.scoped)

// What it needs to know is in the layer, and so is what can go wrong.
const start = (options: NatsClient.Options) =>
  service.pipe(
    Effect.provide(NatsClient.layer({ name: "quickstart", ...options })),
    Effect.catchTag(
      ["AuthorizationViolation", "ConnectionRefused"],
      (error) => Console.log(`   ${error._tag}: ${error.message}`)
    )
  )

const john = (password: string) => ({ user: "john", password: Redacted.make(password) })

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ name: "demo", args: ["--user", "john", "--pass", "johnpassword"] })
  const servers = server.url
  yield* Console.log(
    `nats-server ${server.version} listens at ${servers}, started with --user john --pass johnpassword\n`
  )

  yield* Console.log("1. The service without credentials:")
  yield* start({ servers })

  yield* Console.log("2. The service with a wrong password:")
  yield* start({ servers, auth: john("hunter2") })

  yield* Console.log("3. The service at a port where nothing listens:")
  yield* start({ servers: "nats://127.0.0.1:1", auth: john("johnpassword") })

  yield* Console.log("4. The service with the right credentials:")
  yield* start({ servers, auth: john("johnpassword"), banner: true })
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
