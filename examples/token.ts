/**
 * One token that all clients share.
 *
 *   node examples/token.ts
 *
 * Prints:
 *   the right token: connected
 *   a wrong token: AuthorizationViolation: nats://127.0.0.1:… refused a token: …
 *   a user and a password instead: AuthorizationViolation: nats://127.0.0.1:… refused a user and a password: …
 *   the options, inspected: { auth: { token: <redacted> } }
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, ConfigProvider, Console, Effect, Redacted } from "effect"
import { type NatsAuth, NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { inspect } from "node:util"

const attempt = Effect.fnUntraced(function*(title: string, servers: string, auth: NatsAuth.Input) {
  yield* NatsClient.make({ servers, auth }).pipe(
    Effect.andThen(Console.log(`${title}: connected`)),
    Effect.catchTag("AuthorizationViolation", (error) => Console.log(`${title}: ${error._tag}: ${error.message}`)),
    Effect.scoped
  )
})

const program = Effect.gen(function*() {
  const token = yield* Config.Redacted("SERVICE_TOKEN")
  const server = yield* TestNatsServer.make({ token })

  yield* attempt("the right token", server.url, { token })
  yield* attempt("a wrong token", server.url, { token: Redacted.make("another") })
  yield* attempt("a user and a password instead", server.url, { user: "john", password: token })

  // A secret stays redacted wherever the options end up.
  yield* Console.log(`the options, inspected: ${inspect({ auth: { token } })}`)
}).pipe(
  Effect.scoped,
  // What the environment would give.
  Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ SERVICE_TOKEN: "s3cr3t" })))
)

NodeRuntime.runMain(program)
