/**
 * Auth callout: the server asks a service who may come in, here one that knows john's password.
 *
 *   node examples/auth-callout.ts
 *
 * It needs nats-server 2.10 or newer and says so on an older one.
 *
 * Prints:
 *   the auth service is ready
 *   the auth service is asked
 *   john: connected, and may publish to "greet"
 *   john: PermissionsViolation: This user may not publish to "admin": …
 *   the auth service is asked
 *   eve: AuthorizationViolation: nats://127.0.0.1:… refused a user and a password: …
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestAuthCallout, TestNatsServer } from "effect-nats/testing"

// Outside of a test, `@nats-io/jwt` decodes the requests and encodes the answers.
const authService = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, callout: TestAuthCallout.TestAuthCallout) {
  const { stream } = yield* nats.subscription("$SYS.REQ.USER.AUTH")
  yield* stream.pipe(
    Stream.runForEach(Effect.fnUntraced(function*(message) {
      yield* Console.log("the auth service is asked")
      const answer = yield* callout.answer(
        message.data,
        ({ connect_opts: { pass, user } }) =>
          user === "john" && pass === "johnpassword"
            ? { allow: { name: user, permissions: { publish: ["greet"] } } }
            : { deny: "unknown user or wrong password" }
      )
      if (answer !== undefined) yield* message.respond(answer)
    })),
    Effect.forkScoped
  )
  yield* Console.log("the auth service is ready")
})

const program = Effect.gen(function*() {
  const callout = yield* TestAuthCallout.make()
  const server = yield* TestNatsServer.make({
    users: [{ user: "auth", password: "authpassword" }],
    authCallout: callout.setup({ users: ["auth"] })
  })
  const connect = (user: string, password: string) => NatsClient.make({ servers: server.url, auth: { user, password } })

  yield* authService(yield* connect("auth", "authpassword"), callout)

  const john = yield* connect("john", "johnpassword")
  yield* john.publish("greet", "hello", { confirm: true })
  yield* Console.log("john: connected, and may publish to \"greet\"")
  const denied = yield* Effect.flip(john.publish("admin", "", { confirm: true }))
  yield* Console.log(`john: ${denied._tag}: ${denied.message}`)

  const refused = yield* Effect.flip(connect("eve", "guess"))
  yield* Console.log(`eve: ${refused._tag}: ${refused.message}`)
}).pipe(
  Effect.scoped,
  Effect.catchTag("NatsServerTooOld", (error) => Console.log(error.message))
)

NodeRuntime.runMain(program)
