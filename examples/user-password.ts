/**
 * A user and a password, in the three ways to write them down in code. The server keeps only a bcrypt hash.
 *
 *   node examples/user-password.ts
 *
 * Prints:
 *   an object: connected to nats://127.0.0.1:…
 *   a tagged form: connected to nats://127.0.0.1:…
 *   user info of the URL: connected to nats://127.0.0.1:…
 *   a wrong password: AuthorizationViolation: nats://127.0.0.1:… refused a user and a password: …
 *   no credentials: AuthorizationViolation: nats://127.0.0.1:… wants credentials and none were sent: …
 *   credentials in two places: NatsConfigError: … auth: clashes with the user info in `servers`: give the credentials in one place.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Redacted } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const attempt = (title: string, options: NatsClient.Options) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.NatsClient
    yield* nats.flush
    yield* Console.log(`${title}: connected to ${options.servers}`)
  }).pipe(
    Effect.provide(NatsClient.layer(options)),
    Effect.catchTag(
      ["AuthorizationViolation", "NatsConfigError"],
      (error) => Console.log(`${title}: ${error._tag}: ${error.message}`)
    )
  )

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "johnpassword", bcrypt: true }] })
  const servers = server.url

  const password = Redacted.make("johnpassword")
  yield* attempt("an object", { servers, auth: { user: "john", password } })
  yield* attempt("a tagged form", { servers, auth: { _tag: "UserPassword", user: "john", password } })

  const withUserInfo = Redacted.make(servers.replace("nats://", "nats://john:johnpassword@"))
  yield* Effect.scoped(NatsClient.make({ servers: withUserInfo }))
  yield* Console.log(`user info of the URL: connected to ${servers}`)

  yield* attempt("a wrong password", { servers, auth: { user: "john", password: Redacted.make("hunter2") } })
  yield* attempt("no credentials", { servers })
  yield* attempt("credentials in two places", { servers: withUserInfo, auth: { user: "john", password } })
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
